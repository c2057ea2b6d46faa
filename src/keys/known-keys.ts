import type { Clock } from '../lib/clock.ts'
import type { CachedKey, KeyCache } from './key-cache.ts'

export interface CacheTimes {
  readonly cacheSeconds: number
  readonly missCacheSeconds: number
  /** Beyond the cache time, while the store is out of reach. */
  readonly staleIfErrorSeconds: number
}

/** What may be answered without asking the store, judged at each use by the monotonic clock. */
export interface KnownKeys {
  /** An entry within its cache time, from the present run of the feed. */
  fresh(slot: string): CachedKey | null
  /** An entry that may serve while the store is out of reach. */
  stale(slot: string): CachedKey | null
  /** Whether the store said lately that there is no such key. */
  missed(slot: string): boolean
}

interface KnownKeysSettings {
  readonly cache: KeyCache
  readonly clock: Clock
  readonly times: CacheTimes
  /** The present run of the feed of changes: an entry from an earlier one may have missed a change. */
  readonly epoch: () => number
}

export function createKnownKeys({ cache, clock, times, epoch }: KnownKeysSettings): KnownKeys {
  const freshMs = times.cacheSeconds * 1000
  const staleMs = freshMs + times.staleIfErrorSeconds * 1000
  const missMs = times.missCacheSeconds * 1000

  return Object.freeze({
    fresh: (slot: string) => {
      const cached = cache.get(slot)
      if (cached === undefined || cached.epoch !== epoch()) return null
      return clock.monotonicMs() < cached.askedAt + freshMs ? cached : null
    },
    stale: (slot: string) => {
      const cached = cache.get(slot)
      return cached !== undefined && clock.monotonicMs() < cached.askedAt + staleMs ? cached : null
    },
    missed: (slot: string) => {
      const askedAt = cache.missedAt(slot)
      return askedAt !== undefined && clock.monotonicMs() < askedAt + missMs
    },
  })
}
