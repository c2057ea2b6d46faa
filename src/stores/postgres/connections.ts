import { performance } from 'node:perf_hooks'
import { StoreConflict } from '../../keys/store.ts'
import type { PostgresClient, PostgresPool } from './options.ts'
import { withPatience, type Patience } from './patience.ts'
import { guardPool, bearErrorsOf } from '../../lib/pool-guard.ts'

export type Work<T> = (client: PostgresClient) => Promise<T>

export interface Task extends Patience {
  /** For the error: `look up a key`. */
  readonly doing: string
}

export interface Connections {
  /** A client of its taker's own, who releases it. */
  take(patience: Patience): Promise<PostgresClient>
  /** One statement, which bounds itself. */
  ask<T>(work: Work<T>, task: Task): Promise<T>
  /** One transaction: all of `work` or nothing of it. */
  transact<T>(work: Work<T>, task: Task): Promise<T>
  close(): void
}

export const LOCK_TIMEOUT_MS = 100

/** A lock that somebody holds for longer is an error, as is a statement that goes on when its caller has long left. */
const BEGIN = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
  SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS};
  SET LOCAL statement_timeout = 5000;
  SET LOCAL idle_in_transaction_session_timeout = 5000`

const PROBE_MS = 1000
/** Half of what a pool holds by default. */
const MAX_FORSAKEN = 5

/**
 * Takes clients of the pool and gives every one of them back, or has it closed where its connection may be broken. A pool
 * cannot be told to stop connecting: where that hangs, the wait is left, and the client released should it still come. As
 * long as there are such ones, only one more a second is asked for unless one comes, so that an engine that hangs does not
 * fill the pool.
 */
export function createConnections(pool: PostgresPool): Connections {
  let forsaken = 0
  let lastTry = Number.NEGATIVE_INFINITY
  let guard: (() => void) | null = null

  const mayTake = () => forsaken === 0 || (forsaken < MAX_FORSAKEN && performance.now() - lastTry >= PROBE_MS)

  const take = async (patience: Patience): Promise<PostgresClient> => {
    if (patience.signal?.aborted === true) throw new Error('the caller has stopped waiting.')
    if (!mayTake()) throw new Error('PostgreSQL does not answer: other connections to it are being waited for.')
    lastTry = performance.now()
    guard ??= guardPool(pool)
    const connecting = connect(pool)
    try {
      const client = await withPatience(connecting, patience)
      lastTry = Number.NEGATIVE_INFINITY
      return client
    } catch (error) {
      forsaken += 1
      const settled = () => void (forsaken -= 1)
      connecting.then((client) => client.release(), ignore).then(settled, settled)
      throw error
    }
  }

  const ask = async <T>(work: Work<T>, task: Task): Promise<T> => {
    try {
      return await workWith(await take(task), work, task)
    } catch (error) {
      throw storeError(error, task.doing)
    }
  }

  return Object.freeze({
    take,
    ask,
    transact: <T>(work: Work<T>, task: Task): Promise<T> => ask(inTransaction(work), task),
    close: () => {
      guard?.()
      guard = null
    },
  })
}

/** Any failure is followed by a ROLLBACK, which says as well whether the connection is still sound. */
async function workWith<T>(client: PostgresClient, work: Work<T>, patience: Patience): Promise<T> {
  bearErrorsOf(client)
  let sound = false
  const attempt = async () => {
    try {
      const result = await work(client)
      sound = true
      return result
    } catch (error) {
      await client.query('ROLLBACK').then(() => void (sound = true), ignore)
      throw error
    }
  }
  try {
    return await withPatience(attempt(), patience)
  } finally {
    if (sound) client.release()
    else client.release(true)
  }
}

function inTransaction<T>(work: Work<T>): Work<T> {
  return async (client) => {
    await client.query(BEGIN)
    const result = await work(client)
    await client.query('COMMIT')
    return result
  }
}

async function connect(pool: PostgresPool): Promise<PostgresClient> {
  const client: unknown = await pool.connect()
  if (typeof client !== 'object' || client === null || typeof Reflect.get(client, 'release') !== 'function') {
    throw new TypeError('connect() gave no client of a pool. Hand in a pg.Pool, not a pg.Client.')
  }
  return client as PostgresClient
}

function ignore(): void {
  // Whoever waits for an answer hears of it by that.
}

const OURS = 'The PostgreSQL key store could not'
const UNIQUE_VIOLATION = '23505'
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * What the store rejects with. Only the first line of what PostgreSQL said, and its SQLSTATE: the rest of such an error
 * quotes whole rows, with the digest in them.
 */
export function storeError(error: unknown, doing: string): Error {
  if (error instanceof StoreConflict || (error instanceof Error && error.message.startsWith(OURS))) return error
  const code = codeOf(error)
  if (code === UNIQUE_VIOLATION) return new StoreConflict('A record with this id or digest exists.')
  const said = code === LOCK_NOT_AVAILABLE ? 'another change held its lock for too long; try again.' : messageOf(error)
  return Object.assign(new Error(`${OURS} ${doing}: ${said}`), code === null ? {} : { code })
}

export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === LOCK_NOT_AVAILABLE
}

function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !Object.hasOwn(error, 'code')) return null
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : null
}

/** Node gives no message where it tried more than one address, but a code. */
function messageOf(error: unknown): string {
  const message = error instanceof Error && error.message !== '' ? error.message : (codeOf(error) ?? 'unknown error')
  return message.split('\n', 1)[0] ?? message
}
