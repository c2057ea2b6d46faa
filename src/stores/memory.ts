import { StoreConflict, type KeyChange, type KeyLookup, type KeyRecord, type KeyStore } from '../keys/store.ts'
import { frozenCopy } from '../lib/frozen-copy.ts'

const MAX_PAGE = 1000

/** Keys in the memory of this process: for tests, development and small fixed sets. Nothing outlives the process. */
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
    find: async ({ digests }: KeyLookup) => copyOrNull(table.withDigest(digests)),
    get: async (id: string) => copyOrNull(table.withId(id)),
    insert: async (record: KeyRecord) => {
      table.add(record)
      tell({ keyId: record.id })
    },
    replace: async (old: KeyRecord, fresh: KeyRecord) => {
      table.replace(old, fresh)
      tell({ keyId: old.id })
      tell({ keyId: fresh.id })
    },
    update: async (id: string, members: Partial<KeyRecord>) => {
      const record = table.change(id, members)
      tell({ keyId: id })
      return frozenCopy(record)
    },
    list: async (query: ListQuery) => table.page(query).map((record) => frozenCopy(record)),
    revokeToken: async ({ tokenId, expiresAt }: { tokenId: string; expiresAt: Date }) => {
      revoked.set(tokenId, new Date(expiresAt))
      tell({ tokenId })
    },
    revokedTokens: async () => [...revoked].map(([tokenId, expiresAt]) => ({ tokenId, expiresAt: new Date(expiresAt) })),
    watch: async (on: (change: KeyChange) => void) => {
      watchers.add(on)
      return async () => void watchers.delete(on)
    },
  })
}

interface ListQuery {
  organizationId?: string
  after?: string
  limit?: number
}

function copyOrNull(record: KeyRecord | undefined): KeyRecord | null {
  return record === undefined ? null : frozenCopy(record)
}

/** Records by id and by digest; each a copy that nobody else holds. */
function createTable() {
  const byId = new Map<string, KeyRecord>()
  const byDigest = new Map<string, KeyRecord>()
  const put = (record: KeyRecord): KeyRecord => {
    const copy = frozenCopy(record)
    byId.set(copy.id, copy)
    byDigest.set(copy.digest, copy)
    return copy
  }
  const checkFree = ({ id, digest }: KeyRecord) => {
    if (byId.has(id) || byDigest.has(digest)) throw new StoreConflict('A record with this id or digest exists.')
  }
  const change = (id: string, members: Partial<KeyRecord>): KeyRecord => {
    const record = byId.get(id)
    if (record === undefined) throw new StoreConflict('No record has this id.')
    byDigest.delete(record.digest)
    return put({ ...record, ...members, id })
  }
  return {
    withId: (id: string) => byId.get(id),
    withDigest: (digests: readonly string[]) => byDigest.get(digests.find((each) => byDigest.has(each)) ?? ''),
    add: (record: KeyRecord) => {
      checkFree(record)
      put(record)
    },
    change,
    replace: (old: KeyRecord, fresh: KeyRecord) => {
      const record = byId.get(old.id)
      if (record === undefined || record.replacedBy !== null || record.revokedAt !== null) {
        throw new StoreConflict('The record has changed.')
      }
      checkFree(fresh)
      change(old.id, old)
      put(fresh)
    },
    page: ({ organizationId, after = '', limit = 100 }: ListQuery) =>
      [...byId.values()]
        .filter((each) => (organizationId === undefined || each.organizationId === organizationId) && each.id > after)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, Math.min(limit, MAX_PAGE)),
  }
}
