import { randomBytes } from 'node:crypto'
import { jetstream, jetstreamManager, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'

export const NATS_URL = process.env['TEST_NATS_URL'] ?? '127.0.0.1:4222'

/** Fails where it must be there: under CI. */
export async function isNatsReachable(url: string): Promise<boolean> {
  if (process.env['CI']) return true
  try {
    const connection = await connect({ servers: url, timeout: 2000, maxReconnectAttempts: 0 })
    await connection.close()
    return true
  } catch {
    return false
  }
}

export interface NatsWorld {
  readonly connection: NatsConnection
  readonly client: ReturnType<typeof jetstream>
  readonly manager: JetStreamManager
  /** A stream that nobody else has, and the subject that it takes. */
  stream(config?: Partial<StreamConfig>): Promise<{ readonly name: string; readonly subject: string }>
  /** What is stored of one writer: exact and in order. */
  lines(subject: string, writer: string): Promise<string[]>
  close(): Promise<void>
}

export const WINDOW_MS = 100

export async function openNats(url: string): Promise<NatsWorld> {
  const connection = await connect({ servers: url, reconnectTimeWait: 50, maxReconnectAttempts: -1 })
  const client = jetstream(connection, { timeout: 2000 })
  const manager = await jetstreamManager(connection, { timeout: 2000 })
  const names: string[] = []
  return {
    connection,
    client,
    manager,
    stream: async (config = {}) => {
      const name = `T_${randomBytes(6).toString('hex')}`
      const subject = `t.${name}`
      names.push(name)
      await manager.streams.add({
        name,
        subjects: [`${subject}.>`],
        duplicate_window: WINDOW_MS * 1e6,
        max_age: 0,
        ...config,
      })
      return { name, subject }
    },
    lines: async (subject, writer) => {
      const stream = await manager.streams.find(`${subject}.${writer}`)
      const texts: string[] = []
      for (let seq = 1; ;) {
        const query = { seq, next_by_subj: `${subject}.${writer}` } as { seq: number }
        const message = await manager.streams.getMessage(stream, query)
        if (message === null) return texts
        texts.push(message.string())
        seq = message.seq + 1
      }
    },
    close: async () => {
      for (const name of names) await manager.streams.delete(name).catch(() => false)
      await connection.close()
    },
  }
}
