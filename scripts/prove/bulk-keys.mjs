// Many records at once, as the stores themselves lay them out, by plain SQL.
import { createHash } from 'node:crypto'

export function digestOf(text) {
  return `sha256:${createHash('sha256').update(text).digest('base64url')}`
}

/** The digest of the key with this number. Ids and digests are as scattered as real ones. */
export function digestAt(number) {
  return digestOf(`bench ${number}`)
}

/** Written as stores write it: one JSON text. */
function recordAt(number) {
  const digest = digestAt(number)
  return {
    id: `key_${digest.slice('sha256:'.length).replaceAll(/[-_]/g, '0').slice(0, 22)}`,
    organizationId: `org_${number % 1000}`,
    environment: 'live',
    name: `key ${number}`,
    scopes: ['read:patients', 'read:observations'],
    hint: 'hc_live_sk_…NpQr',
    digest,
    allowedCidrs: [],
    createdAt: new Date(1_700_000_000_000 + number).toISOString(),
    createdBy: 'bench',
    expiresAt: null,
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
  }
}

function rowsFrom(first, count) {
  return Array.from({ length: count }, (_, at) => {
    const record = recordAt(first + at)
    return [record.id, record.digest, record.organizationId, JSON.stringify(record)]
  })
}

const BATCH = 5000

function* batches(size) {
  for (let first = 0; first < size; first += BATCH) yield rowsFrom(first, Math.min(BATCH, size - first))
}

/** Into a table that the store has made. */
export async function fillPostgres(pool, table, size) {
  const text = `INSERT INTO "${table}" (id, digest, organization_id, record) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])`
  for (const rows of batches(size)) {
    await pool.query(
      text,
      [0, 1, 2, 3].map((column) => rows.map((row) => row[column])),
    )
  }
  // What autovacuum does a moment after such a load.
  await pool.query(`VACUUM (ANALYZE) "${table}"`)
}

/** Into a file that the store has made; `database` is a connection of one's own. */
export function fillSqlite(database, size) {
  const insert = database.prepare(
    'INSERT INTO healthcloud_keys (id, digest, organization_id, record) VALUES (?, ?, ?, ?)',
  )
  for (const rows of batches(size)) {
    database.exec('BEGIN')
    for (const row of rows) insert.run(...row)
    database.exec('COMMIT')
  }
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
}
