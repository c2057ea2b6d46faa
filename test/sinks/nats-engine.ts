import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'

/** A NATS server of one's own, that may be hung and killed; what it has acknowledged is kept in files. */
export interface NatsEngine {
  readonly url: string
  /** It stands still; the kernel still takes connections. */
  hang(): void
  resume(): void
  /** At once, as when a machine dies. */
  kill(): Promise<void>
  /** Starts it again, on the same port; resolves when it answers. */
  start(): Promise<void>
  /** For good, and without a trace. */
  stop(): Promise<void>
}

/** Its program, or `null`. */
export function natsProgram(): string | null {
  const program = process.env['TEST_NATS_SERVER'] ?? 'nats-server'
  return spawnSync(program, ['--version']).status === 0 ? program : null
}

export async function startNats(): Promise<NatsEngine> {
  const program = natsProgram()
  if (program === null) throw new Error('No NATS server is installed here: nats-server was not found.')
  const directory = await mkdtemp(join(tmpdir(), 'nats-engine-'))
  const port = await freePort()
  const url = `127.0.0.1:${port}`
  let server: ChildProcess | null = null
  const kill = async () => {
    if (server === null) return
    const gone = server.exitCode === null && server.signalCode === null ? once(server, 'exit') : null
    server.kill('SIGKILL')
    await gone
    server = null
  }
  const onExit = () => void server?.kill('SIGKILL')
  const start = async () => {
    server = spawn(program, ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', directory], { stdio: 'ignore' })
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
  return { url, hang: () => server?.kill('SIGSTOP'), resume: () => server?.kill('SIGCONT'), kill, start, stop }
}

async function answers(url: string, server: ChildProcess): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(30)) {
    if (server.exitCode !== null) throw new Error(`NATS ended with code ${server.exitCode}.`)
    try {
      const connection = await connect({ servers: url, timeout: 500, maxReconnectAttempts: 0 })
      await connection.close()
      return
    } catch {
      // Still starting.
    }
  }
  throw new Error('NATS did not start within 10 seconds.')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
