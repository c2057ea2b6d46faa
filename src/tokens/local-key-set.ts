import type { KeySet, PublicKey } from './key-set.ts'

/** A key set that was handed in: always in force, never newer. */
export function createLocalKeySet(keys: readonly PublicKey[]): KeySet {
  return Object.freeze({
    current: () => keys,
    newer: () => 'none' as const,
    ready: async () => undefined,
    health: () => Object.freeze({ source: 'local' as const, keys: keys.length, ageSeconds: null, degraded: false }),
  })
}
