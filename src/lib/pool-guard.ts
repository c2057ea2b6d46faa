/** As much of a pool of connections as is listened to; a `pg.Pool` fits. */
export interface GuardedPool {
  on?(event: 'error', listener: (error: Error) => void): unknown
  on?(event: 'connect', listener: (client: GuardedClient) => void): unknown
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
  removeListener?(event: 'connect', listener: (client: GuardedClient) => void): unknown
}

export interface GuardedClient {
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** How many stand on each pool: one listener does for all of them. */
const guarded = new WeakMap<GuardedPool, number>()
/** Connections that are listened to, for as long as they live. */
const heard = new WeakSet<GuardedClient>()

/**
 * A connection that breaks says so by an event, and where nobody listens that ends the process. Whoever waits for an answer
 * hears of it by that. Listened to for as long as it lives: one that was given up still says why it ends, and one that the
 * server closes with its first message says so before anybody was handed it.
 */
export function bearErrorsOf(client: GuardedClient): void {
  if (heard.has(client)) return
  heard.add(client)
  client.on('error', ignore)
}

/** The same for a pool, which tells of its idle connections, and drops them by itself. Returns how to end the listening. */
export function guardPool(pool: GuardedPool): () => void {
  const count = guarded.get(pool) ?? 0
  guarded.set(pool, count + 1)
  if (count === 0) {
    pool.on?.('error', ignore)
    pool.on?.('connect', bearErrorsOf)
  }
  return () => {
    const left = (guarded.get(pool) ?? 1) - 1
    guarded.set(pool, left)
    if (left > 0) return
    pool.removeListener?.('error', ignore)
    pool.removeListener?.('connect', bearErrorsOf)
  }
}

function ignore(): void {
  // The answer that somebody waits for tells him.
}
