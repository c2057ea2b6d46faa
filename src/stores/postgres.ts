import {
  changedRecord,
  isOnlyUse,
  isRotationOf,
  StoreConflict,
  type KeyChange,
  type KeyLookup,
  type KeyQuery,
  type KeyRecord,
  type KeyStore,
  type StoreContext,
  type TokenRevocation,
} from '../keys/store.ts'
import { createConnections, type Task, type Work } from './postgres/connections.ts'
import { createFeed } from './postgres/feed.ts'
import { readPool, readTable, type PostgresKeyStoreOptions, type PostgresPool } from './postgres/options.ts'
import { createKeyStatements, createRevocationStatements } from './postgres/statements.ts'
import { createTables } from './postgres/tables.ts'

export type { PostgresClient, PostgresKeyStoreOptions, PostgresNotification, PostgresPool } from './postgres/options.ts'

/** For what no signal bounds: how long an answer may take, the wait for a connection included. */
const PATIENCE_MS = 10_000

/**
 * Keys in PostgreSQL. `pool`: a `pg.Pool`, or what behaves like one; one of its connections is used to listen for changes,
 * so that it needs at least two. Makes its own tables at `ready()` or at first use. Rejects with `StoreConflict` where a
 * change meets another, else with an `Error` that says what could not be done, with the SQLSTATE as `code`: SQLSTATE 55P03
 * where somebody has held a lock for longer than 100 ms, so that nothing was done.
 * `close()` ends its listening and leaves the pool alone.
 */
export function postgresKeyStore(pool: PostgresPool, options: PostgresKeyStoreOptions = {}): KeyStore {
  const connections = createConnections(readPool(pool))
  const table = readTable(options)
  const tables = createTables(connections, table)
  const keys = createKeyStatements(table)
  const revocations = createRevocationStatements(table)
  const feed = createFeed(connections, table)

  const ready = async (doing: string, signal?: AbortSignal): Promise<Task> => {
    const task = { doing, ms: PATIENCE_MS, signal }
    await tables.made(task)
    return task
  }
  const run = async <T>(doing: string, work: Work<T>): Promise<T> => connections.transact(work, await ready(doing))

  return Object.freeze({
    name: 'postgres',
    can: Object.freeze({ write: true, watch: true, list: true, get: true, revocations: true }),
    find: async ({ digests }: KeyLookup, { signal }: StoreContext) =>
      connections.ask((client) => keys.findByDigests(client, digests), await ready('look up a key', signal)),
    get: async (id: string, { signal }: StoreContext) =>
      connections.ask((client) => keys.findById(client, id), await ready('read a key', signal)),
    insert: (record: KeyRecord) => run('insert a key', (client) => keys.insert(client, record)),
    replace: (old: KeyRecord, fresh: KeyRecord) =>
      run('replace a key', async (client) => {
        const stored = await keys.lock(client, old.id)
        if (stored === null || !isRotationOf(stored, old)) throw new StoreConflict('The record has changed.')
        await keys.change(client, { ...old, lastUsedAt: stored.lastUsedAt })
        await keys.insert(client, fresh)
      }),
    update: (id: string, change: Partial<KeyRecord>) =>
      run('update a key', async (client) => {
        const onlyUse = isOnlyUse(change) && Object.hasOwn(change, 'lastUsedAt')
        const record = onlyUse
          ? await keys.markUsed(client, id, change.lastUsedAt ?? null)
          : await keys.lock(client, id)
        if (record === null) throw new StoreConflict('No record has this id.')
        if (isOnlyUse(change)) return record
        const changed = changedRecord(record, change)
        await keys.change(client, changed)
        return changed
      }),
    list: (query: KeyQuery) => run('list keys', (client) => keys.page(client, query)),
    revokeToken: (revocation: TokenRevocation) =>
      run('revoke a token', (client) => revocations.revokeToken(client, revocation)),
    revokedTokens: () => run('list revoked tokens', (client) => revocations.revokedTokens(client)),
    watch: (on: (change: KeyChange) => void) => feed.watch(on),
    ready: (signal: AbortSignal) => tables.check({ ms: PATIENCE_MS, signal }),
    close: async () => {
      await feed.close()
      connections.close()
    },
  })
}
