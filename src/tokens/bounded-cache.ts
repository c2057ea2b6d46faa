import { LRUCache } from 'lru-cache'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'

/** Remembers so many entries, and forgets those first that were not asked for the longest. */
export interface BoundedCache<V> {
  get(slot: string): V | undefined
  set(slot: string, value: V): void
  delete(slot: string): void
}

/**
 * By `max`, lru-cache allocates room for all entries when it is made: some 20 ms for 100,000, once, and each new token is
 * remembered for a third of a microsecond less. It reads its options, and writes into them: given none, it would use what a
 * polluted `Object.prototype` holds.
 */
export function createBoundedCache<V extends object>(max: number): BoundedCache<V> {
  const entries = new LRUCache<string, V>(inheritingNothing({ max }))
  const options: LRUCache.GetOptions<string, V, unknown> & LRUCache.SetOptions<string, V, unknown> = inheritingNothing(
    {},
  )
  return Object.freeze({
    get: (slot: string) => entries.get(slot, options),
    set: (slot: string, value: V) => void entries.set(slot, value, options),
    delete: (slot: string) => void entries.delete(slot),
  })
}
