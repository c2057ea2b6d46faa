import {
  changedRecord,
  isOnlyUse,
  isRotationOf,
  recordOfText,
  StoreConflict,
  textOfRecord,
  type KeyQuery,
  type KeyRecord,
} from '../../keys/store.ts'
import type { ChangeLog } from './change-log.ts'
import { inTransaction, type SqliteDatabase } from './database.ts'

/** Records as texts; the last use stands in a column of its own, so that writing it never meets another change. */
export interface KeyTable {
  byDigests(digests: readonly string[]): KeyRecord | null
  byId(id: string): KeyRecord | null
  page(query: KeyQuery): readonly KeyRecord[]
  add(record: KeyRecord): void
  change(id: string, change: Partial<KeyRecord>): KeyRecord
  replace(old: KeyRecord, fresh: KeyRecord): void
}

interface Row {
  readonly record: string
  readonly last_used_at: number | bigint | null
}

const COLUMNS = 'SELECT record, last_used_at FROM healthcloud_keys'

export function createKeyTable(database: SqliteDatabase, log: ChangeLog): KeyTable {
  const reading = createReading(database)
  const taken = database.prepare('SELECT 1 FROM healthcloud_keys WHERE id = ? OR digest = ?')
  const insert = database.prepare(
    'INSERT INTO healthcloud_keys (id, digest, organization_id, last_used_at, record) VALUES (?, ?, ?, ?, ?)',
  )
  const update = database.prepare(
    'UPDATE healthcloud_keys SET organization_id = ?, last_used_at = ?, record = ? WHERE id = ?',
  )
  const put = (record: KeyRecord) => {
    if (taken.all(record.id, record.digest).length > 0) {
      throw new StoreConflict('A record with this id or digest exists.')
    }
    insert.run(record.id, record.digest, record.organizationId, millisOf(record.lastUsedAt), textOf(record))
    log.add({ keyId: record.id })
  }
  const write = (record: KeyRecord) =>
    update.run(record.organizationId, millisOf(record.lastUsedAt), textOf(record), record.id)

  return {
    ...reading,
    add: (record) => inTransaction(database, () => put(record)),
    change: (id, change) =>
      inTransaction(database, () => {
        const stored = reading.byId(id)
        if (stored === null) throw new StoreConflict('No record has this id.')
        write(changedRecord(stored, change))
        if (!isOnlyUse(change)) log.add({ keyId: id })
        return reading.byId(id) ?? stored
      }),
    replace: (old, fresh) =>
      inTransaction(database, () => {
        const stored = reading.byId(old.id)
        if (stored === null || !isRotationOf(stored, old)) throw new StoreConflict('The record has changed.')
        write({ ...old, lastUsedAt: stored.lastUsedAt })
        log.add({ keyId: old.id })
        put(fresh)
      }),
  }
}

function createReading(database: SqliteDatabase) {
  const byDigest = database.prepare(`${COLUMNS} WHERE digest = ?`)
  const byId = database.prepare(`${COLUMNS} WHERE id = ?`)
  const all = database.prepare(`${COLUMNS} WHERE id > ? ORDER BY id LIMIT ?`)
  const ofOrganization = database.prepare(`${COLUMNS} WHERE organization_id = ? AND id > ? ORDER BY id LIMIT ?`)
  return {
    byDigests: (digests: readonly string[]) => {
      for (const digest of digests) {
        const [row] = byDigest.all(digest) as Row[]
        if (row !== undefined) return recordOf(row)
      }
      return null
    },
    byId: (id: string) => {
      const [row] = byId.all(id) as Row[]
      return row === undefined ? null : recordOf(row)
    },
    page: (query: KeyQuery) => {
      const { organizationId, after = '', limit = 100 } = Object.assign(Object.create(null) as KeyQuery, query)
      const rows =
        organizationId === undefined ? all.all(after, limit) : ofOrganization.all(organizationId, after, limit)
      return (rows as Row[]).map(recordOf)
    },
  }
}

function recordOf({ record, last_used_at: lastUsedAt }: Row): KeyRecord {
  return Object.assign(recordOfText(record), { lastUsedAt: lastUsedAt === null ? null : new Date(Number(lastUsedAt)) })
}

function textOf(record: KeyRecord): string {
  return textOfRecord({ ...record, lastUsedAt: null })
}

function millisOf(date: Date | null): number | null {
  return date === null ? null : date.getTime()
}
