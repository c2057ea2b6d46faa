import {
  changedRecord,
  isOnlyUse,
  isRotationOf,
  StoreConflict,
  type KeyChange,
  type KeyLookup,
  type KeyRecord,
  type KeyStore,
} from '../keys/store.ts'
import { frozenCopy } from '../lib/frozen-copy.ts'

interface Query {
  organizationId?: string
  after?: string
  limit?: number
}

/**
 * Keys in the memory of this process: for tests, development and small fixed sets. Nothing outlives the process. Holds
 * copies, so that nothing a caller does to his own records changes them; may be shared by any number of `auth`.
 */
export function memoryKeyStore(records: readonly KeyRecord[] = []): KeyStore {
  const table = createTable()
  const revoked = new Map<string, Date>()
  const watchers = new Set<(change: KeyChange) => void>()
  const tell = (change: KeyChange) => {
    for (const watcher of watchers) watcher(change)
  }
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
    list: async (query: Query) => table.page(query),
    revokeToken: async ({ tokenId, expiresAt }: { tokenId: string; expiresAt: Date }) => {
      revoked.set(tokenId, new Date(expiresAt))
      tell({ tokenId })
    },
    // All of them: this store has no clock, and one that ran ahead of the caller's would drop what still counts.
    revokedTokens: async () =>
      [...revoked].map(([tokenId, expiresAt]) => ({ tokenId, expiresAt: new Date(expiresAt) })),
    watch: async (on: (change: KeyChange) => void) => {
      // A function of its own for each, so that one watcher given twice is two.
      const watcher = (change: KeyChange) => on(change)
      watchers.add(watcher)
      return async () => void watchers.delete(watcher)
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
    page: (query: Query) => {
      const { organizationId, after = '', limit = 100 } = Object.assign(Object.create(null) as Query, query)
      return [...ids.values()]
        .filter((each) => (organizationId === undefined || each.organizationId === organizationId) && each.id > after)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, limit)
        .map((record) => frozenCopy(record))
    },
  }
}
