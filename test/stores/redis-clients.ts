import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import type { RedisClient } from '../../src/stores/redis.ts'

export interface TestClient {
  readonly client: RedisClient
  /** Any command, by the client's own means. */
  run(...command: string[]): Promise<unknown>
  errorListeners(): number
  /** The client still answers. */
  isOpen(): Promise<boolean>
  close(): void
}

export interface ClientMaker {
  readonly name: 'node-redis' | 'ioredis'
  /** `label` is the name of its connections in `CLIENT LIST`. One without survives the end of its engine by itself. */
  connect(url: string, label?: string): Promise<TestClient>
}

/** The name of the connections of tests themselves. */
export const ADMIN = 'admin'

const nodeRedis: ClientMaker = {
  name: 'node-redis',
  connect: async (url, label) => {
    const client = createClient({ url, name: label ?? ADMIN })
    if (label === undefined) client.on('error', () => undefined)
    await client.connect()
    const run = async (...command: string[]): Promise<unknown> => client.sendCommand(command)
    return {
      client,
      run,
      errorListeners: () => client.listenerCount('error'),
      isOpen: async () => (await run('PING')) === 'PONG',
      close: () => client.destroy(),
    }
  },
}

const ioRedis: ClientMaker = {
  name: 'ioredis',
  connect: async (url, label) => {
    const client = new Redis(url, { connectionName: label ?? ADMIN, lazyConnect: true })
    if (label === undefined) client.on('error', () => undefined)
    await client.connect()
    const run = async (name: string, ...args: string[]) => client.call(name, ...args)
    return {
      client,
      run,
      errorListeners: () => client.listenerCount('error'),
      isOpen: async () => (await run('PING')) === 'PONG',
      close: () => client.disconnect(),
    }
  },
}

export const CLIENTS: readonly ClientMaker[] = [nodeRedis, ioRedis]

export const REDIS = Object.freeze({ host: '127.0.0.1', port: 6379, url: 'redis://127.0.0.1:6379' })

/** Deletes whatever begins with the prefix. */
export async function removeAll({ run }: TestClient, prefix: string): Promise<void> {
  let cursor = '0'
  do {
    const reply = (await run('SCAN', cursor, 'MATCH', `${prefix}*`, 'COUNT', '1000')) as [string, string[]]
    cursor = reply[0]
    if (reply[1].length > 0) await run('DEL', ...reply[1])
  } while (cursor !== '0')
}

/** Ids of the connections of this label that are subscribed to something. */
export async function subscribersOf({ run }: TestClient, label: string): Promise<readonly string[]> {
  const list = String(await run('CLIENT', 'LIST', 'TYPE', 'pubsub'))
  return list.split('\n').flatMap((line) => {
    if (!line.includes(` name=${label} `)) return []
    return /^id=(\d+)/.exec(line)?.[1] ?? []
  })
}
