import {
  changedRecord,
  isOnlyUse,
  isRotationOf,
  KEPT_BEYOND_MS,
  StoreConflict,
  type KeyChange,
  type KeyLookup,
  type KeyQuery,
  type KeyRecord,
  type KeyStore,
  type TokenRevocation,
} from '../keys/store.ts'
import { frozenCopy } from '../lib/frozen-copy.ts'
import { createWatchers } from '../lib/watchers.ts'

/**
 * Keys in the memory of this process: for tests, development and small fixed sets. Nothing outlives the process. Holds
 * copies, so that nothing a caller does to his own records changes them; may be shared by any number of `auth`.
 */
export function memoryKeyStore(records: readonly KeyRecord[] = []): KeyStore {
  const table = createTable()
  const revocations = createRevocations()
  const watchers = createWatchers<KeyChange>()
  const { tell } = watchers
  for (const record of records) table.add(record)

  return Object.freeze({
    name: 'memory',
    can: Object.freeze({ write: true, watch: true, list: true, get: true, revocations: true }),
    find: async ({ digests }: KeyLookup) => table.byDigests(digests),
    get: async (id: string) => table.byId(id),
    insert: async (record: KeyRecord) => {
      table.add(record)
      tell({ keyId: record.id })
    },
    replace: async (old: KeyRecord, fresh: KeyRecord) => {
      table.replace(old, fresh)
      tell({ keyId: old.id })
      tell({ keyId: fresh.id })
    },
    update: async (id: string, change: Partial<KeyRecord>) => {
      const record = table.change(id, change)
      if (!isOnlyUse(change)) tell({ keyId: id })
      return record
    },
    list: async (query: KeyQuery) => table.page(query),
    revokeToken: async (revocation: TokenRevocation) => {
      revocations.add(revocation)
      tell({ tokenId: revocation.tokenId })
    },
    revokedTokens: async () => revocations.all(),
    watch: async (on: (change: KeyChange) => void) => {
      const leave = watchers.add(on)
      return async () => void leave()
    },
    // Opened nothing; whoever else uses this store goes on.
    close: async () => undefined,
  })
}

/** Records by id and by digest; whatever comes in or goes out is a copy. */
function createTable() {
  const ids = new Map<string, KeyRecord>()
  const digests = new Map<string, KeyRecord>()
  const put = (record: KeyRecord) => {
    const copy = frozenCopy(record)
    ids.set(copy.id, copy)
    digests.set(copy.digest, copy)
  }
  const mustBeFree = ({ id, digest }: KeyRecord) => {
    if (ids.has(id) || digests.has(digest)) throw new StoreConflict('A record with this id or digest exists.')
  }
  const copyOf = (record: KeyRecord | undefined) => (record === undefined ? null : frozenCopy(record))

  return {
    byId: (id: string) => copyOf(ids.get(id)),
    byDigests: (asked: readonly string[]) =>
      copyOf(asked.map((each) => digests.get(each)).find((each) => each !== undefined)),
    add: (record: KeyRecord) => {
      mustBeFree(record)
      put(record)
    },
    change: (id: string, change: Partial<KeyRecord>) => {
      const record = ids.get(id)
      if (record === undefined) throw new StoreConflict('No record has this id.')
      put(changedRecord(record, change))
      return frozenCopy(ids.get(id) ?? record)
    },
    replace: (old: KeyRecord, fresh: KeyRecord) => {
      const stored = ids.get(old.id)
      if (stored === undefined || !isRotationOf(stored, old)) throw new StoreConflict('The record has changed.')
      mustBeFree(fresh)
      put({ ...old, lastUsedAt: stored.lastUsedAt })
      put(fresh)
    },
    page: (query: KeyQuery) => {
      const { organizationId, after = '', limit = 100 } = Object.assign(Object.create(null) as KeyQuery, query)
      return [...ids.values()]
        .filter((each) => (organizationId === undefined || each.organizationId === organizationId) && each.id > after)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, limit)
        .map((record) => frozenCopy(record))
    },
  }
}

function createRevocations() {
  const expiries = new Map<string, number>()
  return {
    /** A second revocation never shortens the first. */
    add: ({ tokenId, expiresAt }: TokenRevocation) => {
      const unneeded = Date.now() - KEPT_BEYOND_MS
      for (const [id, expiry] of expiries) if (expiry < unneeded) expiries.delete(id)
      expiries.set(tokenId, Math.max(expiries.get(tokenId) ?? 0, expiresAt.getTime()))
    },
    all: () => [...expiries].map(([tokenId, expiry]) => ({ tokenId, expiresAt: new Date(expiry) })),
  }
}
