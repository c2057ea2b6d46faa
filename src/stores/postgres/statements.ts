import {
  KEPT_BEYOND_MS,
  recordOfText,
  textOfNotice,
  textOfRecord,
  type KeyQuery,
  type KeyRecord,
  type TokenRevocation,
} from '../../keys/store.ts'
import type { PostgresClient } from './options.ts'

/** Each on a client in a transaction, but for the first two: one statement each, which bounds itself. */
export interface KeyStatements {
  /** The first one in the order of the digests. */
  findByDigests(client: PostgresClient, digests: readonly string[]): Promise<KeyRecord | null>
  findById(client: PostgresClient, id: string): Promise<KeyRecord | null>
  /** One record, and nobody else changes it before the transaction ends. */
  lock(client: PostgresClient, id: string): Promise<KeyRecord | null>
  insert(client: PostgresClient, record: KeyRecord): Promise<void>
  change(client: PostgresClient, record: KeyRecord): Promise<void>
  /** Tells nobody, and never sets it back. */
  markUsed(client: PostgresClient, id: string, at: Date | null): Promise<KeyRecord | null>
  page(client: PostgresClient, query: KeyQuery): Promise<KeyRecord[]>
}

export function createKeyStatements(table: string): KeyStatements {
  const found = 'SELECT found AS record, used AS last_used_at FROM'
  const write = async (client: PostgresClient, text: string, record: KeyRecord) => {
    const told = `WITH written AS (${text} RETURNING id) SELECT pg_notify($6, $7) FROM written`
    await client.query(told, [...valuesOf(record), table, textOfNotice({ keyId: record.id })])
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
      const text = `UPDATE "${table}" SET last_used_at = greatest(last_used_at, ${instant('$2')}) WHERE id = $1 RETURNING ${COLUMNS}`
      return isStorable(id) ? first(client, text, [id, at?.getTime() ?? null]) : null
    },
    page: (client: PostgresClient, query: KeyQuery) => readPage(client, table, query),
  })
}

async function first(client: PostgresClient, text: string, values: unknown[]): Promise<KeyRecord | null> {
  const { rows } = await client.query(text, values)
  return recordOfRow(rows[0])
}

async function readPage(client: PostgresClient, table: string, query: KeyQuery): Promise<KeyRecord[]> {
  const { organizationId, after = '', limit = 100 } = Object.assign(Object.create(null) as KeyQuery, query)
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

/** Each on a client in a transaction. */
export interface RevocationStatements {
  revokeToken(client: PostgresClient, revocation: TokenRevocation): Promise<void>
  revokedTokens(client: PostgresClient): Promise<TokenRevocation[]>
}

const KEPT_BEYOND = `interval '${KEPT_BEYOND_MS} milliseconds'`

export function createRevocationStatements(table: string): RevocationStatements {
  const revocations = `"${table}_revocations"`

  return Object.freeze({
    revokeToken: async (client: PostgresClient, { tokenId, expiresAt }: TokenRevocation) => {
      await client.query(`DELETE FROM ${revocations} WHERE expires_at < now() - ${KEPT_BEYOND}`)
      await client.query(
        `INSERT INTO ${revocations} AS known (token_id, expires_at) VALUES ($1, ${instant('$2')})
         ON CONFLICT (token_id) DO UPDATE SET expires_at = greatest(known.expires_at, excluded.expires_at)`,
        [storable(tokenId), expiresAt.getTime()],
      )
      await client.query('SELECT pg_notify($1, $2)', [table, textOfNotice({ tokenId })])
    },
    revokedTokens: async (client: PostgresClient) => {
      const { rows } = await client.query(
        `SELECT token_id, ${millis('expires_at')} AS expires_at FROM ${revocations}
         WHERE expires_at >= now() - ${KEPT_BEYOND}`,
      )
      return rows.map((row) => revocationOf(row))
    },
  })
}

/** A row that is broken must not shorten the list: what counts would pass. */
function revocationOf(row: unknown): TokenRevocation {
  const [tokenId, expiresAt] = [textOf(row, 'token_id'), textOf(row, 'expires_at')]
  if (tokenId === null || expiresAt === null) throw new TypeError('a revocation that was read is broken.')
  return { tokenId, expiresAt: new Date(Number(expiresAt)) }
}

/** Instants cross as texts of milliseconds: what a client makes of a date depends on how its user has set it up. */
export const COLUMNS: string = `record, ${millis('last_used_at')} AS last_used_at`

function millis(column: string): string {
  return `round(extract(epoch FROM ${column}) * 1000)::bigint::text`
}

function instant(parameter: string): string {
  return `to_timestamp(${parameter}::double precision / 1000)`
}

export function textOf(row: unknown, column: string): string | null {
  if (typeof row !== 'object' || row === null || !Object.hasOwn(row, column)) return null
  const value: unknown = Reflect.get(row, column)
  return typeof value === 'string' ? value : null
}

/** Whoever asked checks what it says; a row that is broken is no "unknown". */
function recordOfRow(row: unknown): KeyRecord | null {
  if (row === undefined) return null
  const lastUsedAt = textOf(row, 'last_used_at')
  return {
    ...recordOfText(textOf(row, 'record') ?? ''),
    lastUsedAt: lastUsedAt === null ? null : new Date(Number(lastUsedAt)),
  }
}

/** Whether PostgreSQL can hold it: no zero character, and nothing that UTF-8 would turn into something else. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && Buffer.from(text).toString() === text
}

function storable(text: string): string {
  if (!isStorable(text)) throw new TypeError('an id holds a character that PostgreSQL cannot store.')
  return text
}
