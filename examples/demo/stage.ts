import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createAuth, type Auth } from '@healthcloud/auth'
import { createClient, type DemoAnswer, type DemoClient } from './client.ts'
import { createClock, type DemoClock } from './clock.ts'
import type { Printer } from './printer.ts'
import { startServers, type DemoServers, type Framework } from './servers.ts'
import { startIssuer, type DemoIssuer } from './start-issuer.ts'
import { openStores, type DemoStores } from './stores.ts'

/** What the scenes play with. */
export interface Stage {
  readonly print: Printer
  readonly servers: DemoServers
  readonly client: DemoClient
  readonly clock: DemoClock
  readonly issuer: DemoIssuer
  readonly stores: DemoStores
  /** The directory of the journal, the same for all. */
  readonly journal: string
}

/** What to do at the end, last first. */
export type Closing = (() => unknown)[]

export const PATIENT = '/v1/patients/123'

export async function setStage(print: Printer, closing: Closing): Promise<Stage> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hc-demo-'))
  closing.push(() => rm(directory, { recursive: true, force: true }))
  const stores = await openStores(path.join(directory, 'keys.db'))
  const issuer = await startIssuer()
  closing.push(issuer.kill)
  const journal = path.join(directory, 'journal')
  const clock = createClock()
  const { servers, ca } = await startServers(authMaker({ stores, issuer, journal, clock }))
  closing.push(() => Promise.all(servers.map((server) => server.close())))
  const client = createClient(ca)
  closing.push(client.close)
  return { print, servers, client, clock, issuer, stores, journal }
}

/** Three servers that share the file of keys, the issuer, the journal's directory and the clock, and nothing in memory. */
function authMaker({ stores, issuer, journal, clock }: Pick<Stage, 'stores' | 'issuer' | 'journal' | 'clock'>) {
  const pseudonymKeys = [{ id: 'k1', secret: randomBytes(32).toString('base64') }]
  return (framework: Framework): Auth =>
    createAuth({
      environment: 'live',
      keys: { store: stores.make() },
      tokens: { issuer: issuer.url, audience: 'https://partner.example', jwks: `${issuer.url}/jwks` },
      audit: { directory: journal, pseudonymKeys },
      service: { name: 'demo', instance: framework },
      clock,
    })
}

/** The same call to all three servers, at one time. */
export function everywhere(
  { servers, client }: Pick<Stage, 'servers' | 'client'>,
  url: string,
  credential?: string,
): Promise<DemoAnswer[]> {
  return Promise.all(servers.map(({ port }) => client.get(port, url, credential)))
}

export function statusesOf(answers: readonly DemoAnswer[]): number[] {
  return answers.map(({ status }) => status)
}
