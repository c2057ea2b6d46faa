import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'

/** A PostgreSQL of one's own, that may be hung and killed. Database and user are `postgres`, without a password. */
export interface PostgresEngine {
  readonly port: number
  readonly url: string
  /** Every process of it stands still; the kernel still takes connections. */
  hang(): void
  resume(): void
  /** All at once, as when a machine dies. What was committed is kept. */
  kill(): Promise<void>
  /** Starts it again, on the same port; resolves when it answers. */
  start(): Promise<void>
  /** For good, and without a trace. */
  stop(): Promise<void>
}

const HOMES = '/usr/lib/postgresql'
/** PostgreSQL refuses to run as root. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** Where its programs are, or `null`. */
export function postgresPrograms(): string | null {
  const versions = existsSync(HOMES) ? readdirSync(HOMES).toSorted((a, b) => Number(b) - Number(a)) : []
  const homes = [...versions.map((version) => join(HOMES, version, 'bin')), ...(process.env['PATH'] ?? '').split(':')]
  return homes.find((home) => existsSync(join(home, 'initdb')) && existsSync(join(home, 'postgres'))) ?? null
}

export async function startPostgres(): Promise<PostgresEngine> {
  const programs = postgresPrograms()
  if (programs === null) throw new Error('No PostgreSQL is installed here: initdb and postgres were not found.')
  const directory = await mkdtemp(join(tmpdir(), 'postgres-engine-'))
  if (NOBODY.uid !== undefined) await chown(directory, NOBODY.uid, NOBODY.gid)
  const init = ['-D', directory, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync', '--locale=C.UTF-8']
  await promisify(execFile)(join(programs, 'initdb'), init, { ...NOBODY, cwd: directory })
  const port = await freePort()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  let server: ChildProcess | null = null

  const signal = (name: NodeJS.Signals) => {
    for (const pid of server?.pid === undefined ? [] : [server.pid, ...childrenOf(server.pid)]) send(pid, name)
  }
  const onExit = () => signal('SIGKILL')
  const kill = async () => {
    if (server === null) return
    const gone = server.exitCode === null && server.signalCode === null ? once(server, 'exit') : null
    signal('SIGKILL')
    await gone
    server = null
  }
  const start = async () => {
    const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'logging_collector=off']
    const flags = settings.flatMap((setting) => ['-c', setting])
    server = spawn(join(programs, 'postgres'), ['-D', directory, '-p', String(port), ...flags], {
      ...NOBODY,
      cwd: directory,
      stdio: 'ignore',
    })
    await answers(url, server)
  }
  const stop = async () => {
    process.removeListener('exit', onExit)
    await kill()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', onExit)
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return { port, url, hang: () => signal('SIGSTOP'), resume: () => signal('SIGCONT'), kill, start, stop }
}

/** The first process starts the others, and none after it has been stopped. */
function childrenOf(pid: number): number[] {
  const list = `/proc/${pid}/task/${pid}/children`
  const children = existsSync(list) ? readFileSync(list, 'utf8').split(' ') : []
  return children.map(Number).filter((child) => child > 0)
}

function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ESRCH') throw error
  }
}

async function answers(url: string, server: ChildProcess): Promise<void> {
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(30)) {
    if (server.exitCode !== null) throw new Error(`PostgreSQL ended with code ${server.exitCode}.`)
    const client = new Client({ connectionString: url })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.end()
      return
    } catch {
      // Still starting.
    }
  }
  throw new Error('PostgreSQL did not start within 15 seconds.')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
