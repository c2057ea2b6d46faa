import { randomUUID } from 'node:crypto'
import type { Connections } from './connections.ts'
import { rest, withPatience, type Patience } from './patience.ts'
import type { PostgresClient, PostgresNotification } from './options.ts'
import { bearErrorsOf } from '../../lib/pool-guard.ts'

/** A connection that hears what is told on a channel. */
export interface Session {
  /** Resolves once it hears nothing any more, for whatever reason. Its client is released by then. */
  readonly ended: Promise<void>
  end(): void
}

export interface Listening {
  readonly channel: string
  readonly hear: (payload: string) => void
  readonly signal: AbortSignal
}

const OPEN_MS = 2000
const BEAT_EVERY_MS = 2000
/** Together with the wait before it: five seconds without a heartbeat. */
const BEAT_WITHIN_MS = 3000

/**
 * Listens on a client of its own, and asks it every two seconds whether it is still there. Resolves when a notice sent by
 * way of the pool has come in: behind a pooler that shares sessions, LISTEN works and nothing ever does.
 */
export async function openSession(connections: Connections, listening: Listening): Promise<Session> {
  const { channel, signal } = listening
  const patience: Patience = { ms: OPEN_MS, signal }
  const client = await connections.take(patience)
  const ear = listenTo(client, listening)
  try {
    await withPatience(client.query(`LISTEN "${channel}"`), patience)
    await provesToHear(connections, { ear, channel, patience })
  } catch (error) {
    ear.end()
    throw error
  }
  void beat(client, ear)
  return ear
}

interface Ear extends Session {
  readonly ending: AbortSignal
  /** Resolves when this payload has come in. */
  heard(payload: string): Promise<void>
}

function listenTo(client: PostgresClient, { channel, hear, signal }: Listening): Ear {
  const ending = new AbortController()
  const awaited = new Map<string, () => void>()
  const onNotification = (message: PostgresNotification) => {
    if (message.channel !== channel || typeof message.payload !== 'string') return
    awaited.get(message.payload)?.()
    hear(message.payload)
  }
  const { promise: ended, resolve } = deferred()
  const end = () => {
    if (ending.signal.aborted) return
    ending.abort()
    signal.removeEventListener('abort', end)
    client.removeListener('notification', onNotification)
    client.removeListener('error', end)
    client.removeListener('end', end)
    // Never back to the pool: it would go on listening there.
    client.release(true)
    resolve()
  }
  bearErrorsOf(client)
  client.on('notification', onNotification)
  client.on('error', end)
  client.on('end', end)
  signal.addEventListener('abort', end)
  const heard = (payload: string) => new Promise<void>((known) => void awaited.set(payload, known))
  return { ended, end, ending: ending.signal, heard }
}

interface Proof {
  readonly ear: Ear
  readonly channel: string
  readonly patience: Patience
}

async function provesToHear(connections: Connections, { ear, channel, patience }: Proof): Promise<void> {
  const payload = JSON.stringify({ listening: randomUUID() })
  const heard = ear.heard(payload)
  await connections.transact((client) => client.query('SELECT pg_notify($1, $2)', [channel, payload]), {
    doing: 'tell itself of a change',
    ...patience,
  })
  await withPatience(heard, patience)
}

async function beat(client: PostgresClient, ear: Ear): Promise<void> {
  for (;;) {
    await rest(BEAT_EVERY_MS, ear.ending)
    if (ear.ending.aborted) return
    try {
      await withPatience(client.query('SELECT 1'), { ms: BEAT_WITHIN_MS, signal: ear.ending })
    } catch {
      ear.end()
      return
    }
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve: () => resolve() }
}
