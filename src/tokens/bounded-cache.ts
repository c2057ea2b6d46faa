import { LRUCache } from 'lru-cache'

/** Remembers so many entries, and forgets those first that were not asked for the longest. */
export interface BoundedCache<V> {
  get(slot: string): V | undefined
  set(slot: string, value: V): void
  delete(slot: string): void
}

/** Options inherit nothing: lru-cache reads and writes them, and a polluted `Object.prototype` would reach it through them. */
export function createBoundedCache<V extends object>(max: number): BoundedCache<V> {
  const entries = new LRUCache<string, V>({ __proto__: null, max })
  return Object.freeze({
    get: (slot: string) => entries.get(slot, { __proto__: null }),
    set: (slot: string, value: V) => void entries.set(slot, value, { __proto__: null }),
    delete: (slot: string) => void entries.delete(slot),
  })
}
