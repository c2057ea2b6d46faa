import { StoreConflict } from '../errors.ts'
import { copyRecord } from '../keys/record.ts'
import type { KeyChange, KeyLookup, KeyRecord, KeyStore } from '../keys/store.ts'

const MAX_PAGE = 1000

/** Keys in the memory of this process: for tests, development and small fixed sets. Nothing outlives the process. */
export function memoryKeyStore(records: readonly KeyRecord[] = []): KeyStore {
  const byId = new Map<string, KeyRecord>()
  const byDigest = new Map<string, KeyRecord>()
  const revoked = new Map<string, Date>()
  const watchers = new Set<(change: KeyChange) => void>()

  const put = (record: KeyRecord): KeyRecord => {
    const copy = copyRecord(record)
    byId.set(copy.id, copy)
    byDigest.set(copy.digest, copy)
    return copy
  }
  const tell = (change: KeyChange) => {
    for (const watcher of watchers) watcher(change)
  }
  const free = ({ id, digest }: KeyRecord) => {
    if (byId.has(id) || byDigest.has(digest)) throw new StoreConflict('A record with this id or digest exists.')
  }
  const existing = (id: string): KeyRecord => {
    const record = byId.get(id)
    if (record === undefined) throw new StoreConflict('No record has this id.')
    return record
  }
  const change = (record: KeyRecord, members: Partial<KeyRecord>): KeyRecord => {
    byDigest.delete(record.digest)
    return put({ ...record, ...members, id: record.id })
  }

  for (const record of records) {
    free(record)
    put(record)
  }
  return Object.freeze({
    name: 'memory',
    can: Object.freeze({ write: true, watch: true, list: true, get: true, revocations: true }),
    find: async ({ digests }: KeyLookup) => {
      const digest = digests.find((each) => byDigest.has(each))
      const record = digest === undefined ? undefined : byDigest.get(digest)
      return record === undefined ? null : copyRecord(record)
    },
    get: async (id: string) => {
      const record = byId.get(id)
      return record === undefined ? null : copyRecord(record)
    },
    insert: async (record: KeyRecord) => {
      free(record)
      put(record)
      tell({ keyId: record.id })
    },
    replace: async (old: KeyRecord, fresh: KeyRecord) => {
      const record = existing(old.id)
      if (record.replacedBy !== null || record.revokedAt !== null) throw new StoreConflict('The record has changed.')
      free(fresh)
      change(record, old)
      put(fresh)
      tell({ keyId: old.id })
      tell({ keyId: fresh.id })
    },
    update: async (id: string, members: Partial<KeyRecord>) => {
      const record = change(existing(id), members)
      tell({ keyId: id })
      return copyRecord(record)
    },
    list: async ({ organizationId, after = '', limit = 100 }: { organizationId?: string; after?: string; limit?: number }) =>
      [...byId.values()]
        .filter((each) => (organizationId === undefined || each.organizationId === organizationId) && each.id > after)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, Math.min(limit, MAX_PAGE))
        .map(copyRecord),
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
