import { textOfRecord, type KeyRecord } from '../../keys/store.ts'
import { payloadOf } from './notice.ts'
import type { PostgresClient } from './pool.ts'
import { COLUMNS, instant, isStorable, recordOfRow, storable } from './row.ts'

export interface PageQuery {
  organizationId?: string
  after?: string
  limit?: number
}

/** Each on a client in a transaction, but for the first two: one statement each, which bounds itself. */
export interface KeyStatements {
  /** The first one in the order of the digests. */
  findByDigests(client: PostgresClient, digests: readonly string[]): Promise<KeyRecord | null>
  findById(client: PostgresClient, id: string): Promise<KeyRecord | null>
  /** One record, and nobody else changes it before the transaction ends. */
  lock(client: PostgresClient, id: string): Promise<KeyRecord | null>
  insert(client: PostgresClient, record: KeyRecord): Promise<void>
  change(client: PostgresClient, record: KeyRecord): Promise<void>
  /** Tells nobody. */
  markUsed(client: PostgresClient, id: string, at: Date | null): Promise<KeyRecord | null>
  page(client: PostgresClient, query: PageQuery): Promise<KeyRecord[]>
}

export function createKeyStatements(table: string): KeyStatements {
  const found = 'SELECT found AS record, used AS last_used_at FROM'
  const write = async (client: PostgresClient, text: string, record: KeyRecord) => {
    const told = `WITH written AS (${text} RETURNING id) SELECT pg_notify($6, $7) FROM written`
    await client.query(told, [...valuesOf(record), table, payloadOf({ keyId: record.id })])
  }

  return Object.freeze({
    findByDigests: (client: PostgresClient, digests: readonly string[]) =>
      first(client, `${found} "${table}_find"($1)`, [digests.filter(isStorable)]),
    findById: async (client: PostgresClient, id: string) =>
      isStorable(id) ? first(client, `${found} "${table}_get"($1)`, [id]) : null,
    lock: async (client: PostgresClient, id: string) =>
      isStorable(id) ? first(client, `SELECT ${COLUMNS} FROM "${table}" WHERE id = $1 FOR UPDATE`, [id]) : null,
    insert: (client: PostgresClient, record: KeyRecord) =>
      write(
        client,
        `INSERT INTO "${table}" (id, digest, organization_id, record, last_used_at)
         VALUES ($1, $2, $3, $4, ${instant('$5')})`,
        record,
      ),
    change: (client: PostgresClient, record: KeyRecord) =>
      write(
        client,
        `UPDATE "${table}" SET organization_id = $3, record = $4, last_used_at = ${instant('$5')}
         WHERE id = $1 AND digest = $2`,
        record,
      ),
    markUsed: async (client: PostgresClient, id: string, at: Date | null) => {
      const text = `UPDATE "${table}" SET last_used_at = ${instant('$2')} WHERE id = $1 RETURNING ${COLUMNS}`
      return isStorable(id) ? first(client, text, [id, at?.getTime() ?? null]) : null
    },
    page: (client: PostgresClient, query: PageQuery) => readPage(client, table, query),
  })
}

async function first(client: PostgresClient, text: string, values: unknown[]): Promise<KeyRecord | null> {
  const { rows } = await client.query(text, values)
  return recordOfRow(rows[0])
}

async function readPage(client: PostgresClient, table: string, query: PageQuery): Promise<KeyRecord[]> {
  const { organizationId, after = '', limit = 100 } = Object.assign(Object.create(null) as PageQuery, query)
  if (!isStorable(organizationId ?? '') || !isStorable(after)) return []
  const [owned, owner] = organizationId === undefined ? ['', []] : ['AND organization_id = $3', [organizationId]]
  const { rows } = await client.query(`SELECT ${COLUMNS} FROM "${table}" WHERE id > $1 ${owned} ORDER BY id LIMIT $2`, [
    after,
    Number.isFinite(limit) ? limit : null,
    ...owner,
  ])
  return rows.map((row) => recordOfRow(row)).filter((record) => record !== null)
}

function valuesOf(record: KeyRecord): unknown[] {
  const { id, digest, organizationId, lastUsedAt } = record
  return [...[id, digest, organizationId].map(storable), textOfRecord(record), lastUsedAt?.getTime() ?? null]
}
