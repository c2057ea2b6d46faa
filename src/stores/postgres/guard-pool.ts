import type { PostgresPool } from './pool.ts'

/** How many stores stand on each pool: one listener does for all of them. */
const guarded = new WeakMap<PostgresPool, number>()

/** Where nobody listens, a pool that loses an idle connection ends the process. Returns how to end the listening. */
export function guardPool(pool: PostgresPool): () => void {
  const count = guarded.get(pool) ?? 0
  guarded.set(pool, count + 1)
  if (count === 0) pool.on?.('error', ignore)
  return () => {
    const left = (guarded.get(pool) ?? 1) - 1
    guarded.set(pool, left)
    if (left === 0) pool.removeListener?.('error', ignore)
  }
}

function ignore(): void {
  // The pool has dropped the connection, and whoever asks next gets another.
}
