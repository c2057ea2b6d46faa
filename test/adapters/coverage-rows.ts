import http, { type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { GuardedRoute } from '../../adapters/express.ts'
import { createAuth, memoryKeyStore, type Auth } from '../../src/index.ts'

/** A patient-free auth; nothing here needs a key. */
export function auth(): Auth {
  return createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
}

/** A row as one line, so that a table of expected rows can be read. */
export function lineOf({ method, path, mode, scopes, reason, guarded, problem }: GuardedRoute): string {
  const asked = [mode ?? '-', ...scopes].join(' ')
  const facts = `${guarded ? 'guarded' : 'open'} ${asked}${reason === null ? '' : ` (${reason})`}`
  return `${method} ${path} | ${facts}${problem === null ? '' : ` | ${problem}`}`
}

/** The status of each request without a credential; parameters are filled in. */
export async function statuses(listener: RequestListener, rows: readonly GuardedRoute[]): Promise<readonly number[]> {
  const server = http.createServer(listener).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const answers = rows.map(({ method, path }) => {
      const url = `http://127.0.0.1:${port}${path.replaceAll(/:\w+|\*/g, 'x1')}`
      return fetch(url, { method: method === 'ALL' ? 'POST' : method, headers: { connection: 'close' } })
    })
    return (await Promise.all(answers)).map(({ status }) => status)
  } finally {
    server.close()
  }
}

/** Rows whose path can be asked for as it stands, or with its parameters filled in. */
export function askable({ method, path }: GuardedRoute): boolean {
  return method !== 'USE' && !path.includes('::') && /^\/[\w/:]*(\/\*)?$/.test(path)
}
