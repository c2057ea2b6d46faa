import { LRUCache } from 'lru-cache'
import { createIdentity, type Identity } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { compileCidrs } from '../lib/cidr.ts'
import { copyRecord } from './record.ts'
import type { KeyRecord } from './store.ts'

/** One looked-up key: what it was, and until when it is trusted. */
export interface CachedKey {
  readonly record: KeyRecord
  readonly identity: Identity
  /** Monotonic milliseconds. */
  readonly storedAt: number
}

/** Looked-up keys and misses, bounded by entries, keyed by digests of what was presented and never by itself. */
export interface KeyCache {
  get(slot: string): CachedKey | undefined
  put(slot: string, record: KeyRecord, storedAt: number): CachedKey
  /** Every entry of this key, for stale service too; how many there were. */
  drop(keyId: string): number
  missedAt(slot: string): number | undefined
  miss(slot: string, at: number): void
  forgetMisses(): void
  size(): number
}

export function createKeyCache(entries: number, catalogue: ScopeCatalogue): KeyCache {
  const slotsOf = new Map<string, Set<string>>()
  const keys = new LRUCache<string, CachedKey>({
    max: entries,
    dispose: ({ record }, slot) => {
      const slots = slotsOf.get(record.id)
      slots?.delete(slot)
      if (slots?.size === 0) slotsOf.delete(record.id)
    },
  })
  const misses = new LRUCache<string, number>({ max: entries })

  return Object.freeze({
    get: (slot: string) => keys.get(slot),
    put: (slot: string, record: KeyRecord, storedAt: number) => {
      const cached = Object.freeze({ record: copyRecord(record), identity: identityOf(record, catalogue), storedAt })
      keys.set(slot, cached)
      slotsOf.set(record.id, (slotsOf.get(record.id) ?? new Set<string>()).add(slot))
      misses.delete(slot)
      return cached
    },
    drop: (keyId: string) => {
      const slots = [...(slotsOf.get(keyId) ?? [])]
      for (const slot of slots) keys.delete(slot)
      return slots.length
    },
    missedAt: (slot: string) => misses.get(slot),
    miss: (slot: string, at: number) => {
      keys.delete(slot)
      misses.set(slot, at)
    },
    forgetMisses: () => misses.clear(),
    size: () => keys.size,
  })
}

function identityOf(record: KeyRecord, catalogue: ScopeCatalogue): Identity {
  return createIdentity({
    kind: 'api-key',
    organizationId: record.organizationId,
    subject: record.id,
    keyId: record.id,
    tokenId: null,
    environment: record.environment,
    scopes: catalogue.known(record.scopes),
    expiresAt: record.expiresAt?.getTime() ?? null,
    graceEnds: record.validUntil?.getTime() ?? null,
    allowlist: record.allowedCidrs.length === 0 ? null : compileCidrs(record.allowedCidrs),
  })
}
