import { LRUCache } from 'lru-cache'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'

/** Remembers so many entries, and forgets those first that were not asked for the longest. */
export interface BoundedCache<V> {
  get(slot: string): V | undefined
  set(slot: string, value: V): void
  delete(slot: string): void
}

/**
 * lru-cache allocates room for all entries when it is made: so that comes with the first of them. It reads its options, and
 * writes into them: given none, it would use what a polluted `Object.prototype` holds.
 */
export function createBoundedCache<V extends object>(max: number): BoundedCache<V> {
  let entries: LRUCache<string, V> | null = null
  const options: LRUCache.GetOptions<string, V, unknown> & LRUCache.SetOptions<string, V, unknown> = inheritingNothing(
    {},
  )
  return Object.freeze({
    get: (slot: string) => entries?.get(slot, options),
    set: (slot: string, value: V) => {
      entries ??= new LRUCache<string, V>(inheritingNothing({ max }))
      entries.set(slot, value, options)
    },
    delete: (slot: string) => void entries?.delete(slot),
  })
}
