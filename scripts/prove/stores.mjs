// Key stores on the engines of this machine, each at a place of its own: a table, a prefix, a file.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createClient } from '@redis/client'
import { postgresKeyStore } from '@healthcloud/auth/stores/postgres'
import { redisKeyStore } from '@healthcloud/auth/stores/redis'
import { sqliteKeyStore } from '@healthcloud/auth/stores/sqlite'
import { Client, Pool } from 'pg'

export const STORES = ['postgres', 'redis', 'sqlite']
export const POSTGRES_URL = process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test'
export const REDIS_URL = process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379'

export function newPlace(kind) {
  const name = `prove_${randomBytes(5).toString('hex')}`
  if (kind === 'postgres') return { kind, url: POSTGRES_URL, name }
  if (kind === 'redis') return { kind, url: REDIS_URL, name: `{${name}}:` }
  if (kind === 'sqlite') return { kind, name: join(mkdtempSync(join(tmpdir(), 'hc-prove-')), 'keys.db') }
  throw new Error(`No such store: ${kind}. Stores: ${STORES.join(', ')}.`)
}

/** The store, and how to close what it was given. */
export async function openStore({ kind, url, name }) {
  if (kind === 'sqlite') return { store: sqliteKeyStore(name), close: async () => undefined }
  if (kind === 'postgres') {
    const pool = new Pool({ connectionString: url })
    return { store: postgresKeyStore(pool, { table: name }), close: () => pool.end() }
  }
  const client = createClient({ url })
  client.on('error', () => undefined)
  await client.connect()
  return { store: redisKeyStore(client, { prefix: name }), close: async () => client.destroy() }
}

/** As a driver whose engine cannot tell of changes. */
export function withoutFeed(store) {
  const { watch: _, ...rest } = store
  return Object.freeze({ ...rest, name: `${store.name}, no feed`, can: Object.freeze({ ...store.can, watch: false }) })
}

export async function removePlace({ kind, url, name }) {
  if (kind === 'sqlite') rmSync(dirname(name), { recursive: true, force: true })
  else if (kind === 'postgres') await dropTables(url, name)
  else await removePrefix(url, name)
}

async function dropTables(url, prefix) {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(
    `SELECT format('TABLE %I', tablename) AS name FROM pg_tables
     WHERE schemaname = current_schema() AND starts_with(tablename, $1)
     UNION ALL SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc
     WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, $1)`,
    [prefix],
  )
  for (const { name } of rows) await client.query(`DROP ${name}`)
  await client.end()
}

async function removePrefix(url, prefix) {
  const client = createClient({ url })
  await client.connect()
  for await (const keys of client.scanIterator({ MATCH: `${prefix}*`, COUNT: 1000 })) {
    if (keys.length > 0) await client.unlink(keys)
  }
  client.destroy()
}
