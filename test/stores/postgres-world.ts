import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type Pool } from 'pg'
import type { KeyChange, KeyRecord, KeyStore } from '../../src/keys/store.ts'

export const POSTGRES_URL = process.env['TEST_POSTGRES_URL'] ?? 'postgres://postgres@127.0.0.1:5432/test'

/** Fails where it must be there: under CI. */
export async function isReachable(url: string): Promise<boolean> {
  if (process.env['CI']) return true
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}

const prefix = `t_${randomBytes(5).toString('hex')}`
let count = 0

/** The name of a table that nobody else has. */
export function newTable(): string {
  count += 1
  return `${prefix}_${count}`
}

/** Drops all that stores have made under such names. */
export async function dropTables(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT format('TABLE %I', tablename) AS name FROM pg_tables
     WHERE schemaname = current_schema() AND starts_with(tablename, $1)
     UNION ALL SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc
     WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, $1)`,
    [prefix],
  )
  for (const { name } of rows) await pool.query(`DROP ${name}`)
}

export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('base64url')}`
}

export function recordOf(id: string, more: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id,
    organizationId: 'org_1',
    environment: 'live',
    name: 'a key',
    scopes: ['read:patients'],
    hint: 'hc_live_sk_…NpQr',
    digest: digestOf(id),
    allowedCidrs: [],
    createdAt: new Date(Date.UTC(2026, 2, 18)),
    createdBy: 'tests',
    expiresAt: null,
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
    ...more,
  }
}

export function find(store: KeyStore, digests: readonly string[], ms = 5000): Promise<KeyRecord | null> {
  return store.find({ digests, reveal: () => '' }, { signal: AbortSignal.timeout(ms) })
}

export interface Watched {
  readonly changes: KeyChange[]
  /** Resolves to the milliseconds until this change has come. */
  comes(change: KeyChange, withinMs: number): Promise<number>
  leave(): Promise<void>
}

export async function watch(store: KeyStore): Promise<Watched> {
  const changes: KeyChange[] = []
  const leave = await store.watch?.((change) => void changes.push(change))
  if (leave === undefined) throw new Error('This store cannot be watched.')
  const has = (change: KeyChange) => changes.some((each) => JSON.stringify(each) === JSON.stringify(change))
  return {
    changes,
    leave,
    comes: async (change, withinMs) => {
      const start = performance.now()
      while (!has(change)) {
        if (performance.now() - start > withinMs) {
          throw new Error(`${JSON.stringify(change)} did not come within ${withinMs} ms: ${JSON.stringify(changes)}`)
        }
        await sleep(5)
      }
      return performance.now() - start
    },
  }
}
