import type { Deadline } from '../../lib/deadline.ts'
import { unlessAborted } from '../../lib/unless-aborted.ts'
import type { PostgresSinkClient, PostgresSinkPool } from './options.ts'
import { guardPool, bearErrorsOf } from '../../lib/pool-guard.ts'

export type Work<T> = (client: PostgresSinkClient) => Promise<T>

export interface Connections {
  /** One transaction: all of `work` or nothing of it. */
  transact<T>(work: Work<T>, deadline: Deadline): Promise<T>
  close(): void
}

const LATE = 'PostgreSQL did not answer in time.'
const PROBE_MS = 1000
/** Half of what a pool holds by default. */
const MAX_FORSAKEN = 5

/**
 * Takes clients of the pool and gives every one of them back, or has it closed where its connection may be broken. A pool
 * cannot be told to stop connecting: where that hangs, the wait is left, and the client released should it still come; as
 * long as there are such ones only one more a second is asked for, so that an engine that hangs does not fill the pool.
 */
export function createConnections(pool: PostgresSinkPool): Connections {
  let forsaken = 0
  let lastTry = Number.NEGATIVE_INFINITY
  let guard: (() => void) | null = null

  const take = async ({ signal }: Deadline): Promise<PostgresSinkClient> => {
    const now = performance.now()
    if (forsaken >= MAX_FORSAKEN || (forsaken > 0 && now - lastTry < PROBE_MS))
      throw new Error('PostgreSQL does not answer: other connections to it are being waited for.')
    lastTry = now
    guard ??= guardPool(pool)
    const connecting = connect(pool)
    try {
      return await unlessAborted(connecting, signal, LATE)
    } catch (error) {
      forsaken += 1
      const settled = () => void (forsaken -= 1)
      connecting.then((client) => client.release(), ignore).then(settled, settled)
      throw error
    }
  }

  return Object.freeze({
    transact: async <T>(work: Work<T>, deadline: Deadline): Promise<T> =>
      workWith(await take(deadline), work, deadline),
    close: () => {
      guard?.()
      guard = null
    },
  })
}

async function workWith<T>(client: PostgresSinkClient, work: Work<T>, deadline: Deadline): Promise<T> {
  bearErrorsOf(client)
  let sound = false
  const attempt = async () => {
    try {
      await client.query(begin(deadline))
      const result = await work(client)
      await client.query('COMMIT')
      sound = true
      return result
    } catch (error) {
      await client.query('ROLLBACK').then(() => void (sound = true), ignore)
      throw error
    }
  }
  try {
    return await unlessAborted(attempt(), deadline.signal, LATE)
  } finally {
    client.release(!sound)
  }
}

/**
 * What goes on when its caller has left ends by itself. A commit that is not on the disk would be acknowledged and could be
 * lost: where somebody has set that, it is set back here.
 */
function begin(deadline: Deadline): string {
  const ms = deadline.left()
  return `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL statement_timeout = ${ms};
    SET LOCAL idle_in_transaction_session_timeout = ${ms};
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`
}

async function connect(pool: PostgresSinkPool): Promise<PostgresSinkClient> {
  const client: unknown = await pool.connect()
  if (typeof client !== 'object' || client === null || typeof Reflect.get(client, 'release') !== 'function')
    throw new TypeError('connect() gave no client of a pool. Hand in a pg.Pool, not a pg.Client.')
  return client as PostgresSinkClient
}

function ignore(): void {
  // Whoever waits for an answer hears of it by that.
}
