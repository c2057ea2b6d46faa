import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A `redis-server` of one's own, on a free port, that keeps its data over `kill` and `start`. */
export interface RedisEngine {
  readonly port: number
  readonly url: string
  /** SIGSTOP: it keeps its connections and answers nothing. */
  hang(): void
  resume(): void
  /** SIGKILL. */
  kill(): Promise<void>
  /** After `kill`; resolves when it answers. */
  start(): Promise<void>
  /** Ends it and removes its data. */
  stop(): Promise<void>
}

const READY_MS = 10_000

/** `redis-server` can be started here. */
export function hasRedisServer(): boolean {
  return spawnSync('redis-server', ['--version']).status === 0
}

/** `args` as on the command line of `redis-server`, after those given here. */
export async function startRedis(args: readonly string[] = []): Promise<RedisEngine> {
  const port = await freePort()
  const directory = mkdtempSync(path.join(tmpdir(), 'hc-redis-'))
  const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'yes']
  let child: ChildProcess | null = null
  const signal = (name: NodeJS.Signals) => child?.kill(name)
  const killNow = () => void signal('SIGKILL')

  const start = async () => {
    child = spawn('redis-server', [...own, '--appendfsync', 'always', ...args], { stdio: 'ignore' })
    process.once('exit', killNow)
    await untilReady(port, child)
  }
  const kill = async () => {
    process.removeListener('exit', killNow)
    if (child === null || hasEnded(child)) return
    const exited = once(child, 'exit')
    signal('SIGKILL')
    await exited
  }
  const stop = async () => {
    await kill()
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return Object.freeze({
    port,
    url: `redis://127.0.0.1:${port}`,
    hang: () => void signal('SIGSTOP'),
    resume: () => void signal('SIGCONT'),
    kill,
    start,
    stop,
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function untilReady(port: number, child: ChildProcess): Promise<void> {
  const end = performance.now() + READY_MS
  while (performance.now() < end && !hasEnded(child)) {
    if (await answersPing('127.0.0.1', port)) return
    await delay(20)
  }
  throw new Error(`redis-server does not answer on port ${port}.`)
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** Something there says PONG, which it does not while it loads its data. */
export function answersPing(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.setTimeout(1000, () => end(false))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
    socket.once('data', (data) => end(data.toString().startsWith('+PONG')))
    socket.write('PING\r\n')
  })
}
