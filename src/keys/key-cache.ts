import { LRUCache } from 'lru-cache'
import { compileCidrs } from '../lib/cidr.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import { createIdentity, type Identity } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { endsOf } from './record.ts'
import type { KeyRecord } from './store.ts'

/** What is remembered of a looked-up key. Its status is computed at each use: it changes by the clock. */
export interface CachedKey {
  readonly identity: Identity
  readonly revoked: boolean
  /** Monotonic milliseconds: when the question was put. Its answer is as old as that. */
  readonly askedAt: number
  /** The run of the feed of changes in which the question was put. */
  readonly epoch: number
}

/**
 * Looked-up keys and misses, bounded by entries each. A slot is a digest of what was presented (never itself), or `id:` and
 * a key's id.
 */
export interface KeyCache {
  get(slot: string): CachedKey | undefined
  put(slot: string, cached: CachedKey): void
  /** Every entry of this key; whether there was one. */
  drop(keyId: string): boolean
  /** Monotonic milliseconds: when the question was put that found nothing. */
  missedAt(slot: string): number | undefined
  miss(slot: string, askedAt: number): void
  forgetMisses(): void
  size(): number
}

/** By size, each entry counting one: by `max` lru-cache would allocate room for all of them when it is made. */
function growing(entries: number): { maxSize: number; sizeCalculation: () => number } {
  return { maxSize: entries, sizeCalculation: () => 1 }
}

export function createKeyCache(entries: number): KeyCache {
  const slotOf = new Map<string, string>()
  const dispose = ({ identity }: CachedKey, slot: string) => {
    if (slotOf.get(identity.subject) === slot) slotOf.delete(identity.subject)
  }
  const keys = new LRUCache<string, CachedKey>(inheritingNothing({ ...growing(entries), dispose }))
  const misses = new LRUCache<string, number>(inheritingNothing(growing(entries)))
  // lru-cache reads its options, and writes into them: given none, it would use what a polluted `Object.prototype` holds.
  const options = inheritingNothing({})
  const dropKey = (keyId: string): boolean => {
    const slot = slotOf.get(keyId)
    return slot !== undefined && keys.delete(slot)
  }

  return Object.freeze({
    get: (slot: string) => keys.get(slot, options),
    put: (slot: string, cached: CachedKey) => {
      misses.delete(slot)
      const { subject } = cached.identity
      if (slot === slotById(subject)) {
        keys.set(slot, cached, options)
        return
      }
      // One key has one text: a store that hands out one id for two keys must not leave an entry that no change reaches.
      if (slotOf.get(subject) !== slot) dropKey(subject)
      keys.set(slot, cached, options)
      slotOf.set(subject, slot)
    },
    drop: (keyId: string) => {
      const byId = keys.delete(slotById(keyId))
      return dropKey(keyId) || byId
    },
    missedAt: (slot: string) => misses.get(slot, options),
    miss: (slot: string, askedAt: number) => {
      keys.delete(slot)
      misses.set(slot, askedAt, options)
    },
    forgetMisses: () => misses.clear(),
    size: () => keys.size,
  })
}

export function slotById(keyId: string): string {
  return `id:${keyId}`
}

/** The identity that a checked record stands for. */
export function identityOf(record: KeyRecord, catalogue: ScopeCatalogue): Identity {
  return createIdentity({
    kind: 'api-key',
    organizationId: record.organizationId,
    subject: record.id,
    keyId: record.id,
    tokenId: null,
    environment: record.environment,
    scopes: catalogue.known(record.scopes),
    ...endsOf(record),
    allowlist: record.allowedCidrs.length === 0 ? null : compileCidrs(record.allowedCidrs),
  })
}
