import { setTimeout as sleep } from 'node:timers/promises'
import { Pool, type PoolClient, type PoolConfig } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { KeyStore } from '../../src/keys/store.ts'
import { ConfigError, createAuth } from '../../src/index.ts'
import { postgresKeyStore, type PostgresClient, type PostgresPool } from '../../src/stores/postgres.ts'
import { keyStoreSuite } from '../../src/testing/key-store-suite.ts'
import { newKey } from '../keys/parts.ts'
import { digestOf, dropTables, find, isReachable, newTable, POSTGRES_URL, recordOf, watch } from './postgres-world.ts'

const HOUR = 3_600_000
const signal = AbortSignal.timeout(600_000)
/** The number of the type. */
const TEXT = 25
const newPool = (more: PoolConfig = {}) => new Pool({ connectionString: POSTGRES_URL, ...more })

describe('what it is given', () => {
  const pool = { connect: () => Promise.reject(new Error('never called')) }

  test.each<[string, unknown, unknown, string]>([
    ['no pool', undefined, {}, 'Hand in a pg.Pool'],
    ['a connection string', 'postgres://127.0.0.1/test', {}, 'Hand in a pg.Pool'],
    ['options that are none', pool, 'keys', 'postgresKeyStore: its options are no object'],
    ['an option that there is not', pool, { tabel: 'keys' }, 'postgresKeyStore.tabel: is no option'],
    ['a table of another type', pool, { table: 7 }, 'postgresKeyStore.table: is no name'],
    ['a table with a quote', pool, { table: 'keys"; DROP TABLE keys; --' }, 'postgresKeyStore.table: is no name'],
    ['a table in capitals', pool, { table: 'Keys' }, 'postgresKeyStore.table: is no name'],
    ['a table with a name too long', pool, { table: 'k'.repeat(42) }, 'postgresKeyStore.table: is no name'],
  ])('is refused at once where it is %s', (_, given, options, message) => {
    const open = () => postgresKeyStore(given as PostgresPool, options as { table: string })
    expect(open).toThrow(message)
    expect(open).toThrow(ConfigError)
  })

  test('is a client where it must be a pool: the first use says so', async () => {
    const client = { connect: () => Promise.resolve({ query: () => undefined }) } as unknown as PostgresPool
    await expect(postgresKeyStore(client).list({})).rejects.toThrow('not a pg.Client')
  })
})

describe.skipIf(!(await isReachable(POSTGRES_URL)))('on PostgreSQL', () => {
  let pool: Pool
  beforeAll(() => {
    pool = newPool({ max: 6 })
  })
  afterAll(async () => {
    await dropTables(pool)
    await pool.end()
  })

  const suite = keyStoreSuite({
    name: 'postgres',
    open: () => postgresKeyStore(pool, { table: newTable() }),
    pushedWithinMs: 200,
  })
  test.each(suite)('$name', ({ run }) => expect(run()).resolves.toBeUndefined(), 60_000)

  describe('its tables', () => {
    test('are made once, by however many start at the same time', async () => {
      const table = newTable()
      const stores = Array.from({ length: 12 }, () => postgresKeyStore(pool, { table }))
      await Promise.all(stores.map(async (store) => store.ready?.(AbortSignal.timeout(10_000))))
      await stores[0]?.insert(recordOf('key_1'))
      expect(await stores[11]?.list({})).toEqual([recordOf('key_1')])
    })

    test('are refused where a newer release has made them, and left as they are', async () => {
      const table = newTable()
      await postgresKeyStore(pool, { table }).insert(recordOf('key_1'))
      await pool.query(`UPDATE "${table}_version" SET version = 2`)
      const store = postgresKeyStore(pool, { table })
      await expect(store.ready?.(signal)).rejects.toThrow(
        `The table ${table} is of version 2, made by a newer release of this package, which this one (version 1) must ` +
          'not touch. Upgrade this process.',
      )
      await expect(store.insert(recordOf('key_2'))).rejects.toThrow('version 2')
      await expect(find(store, [digestOf('key_1')])).rejects.toThrow('version 2')
      await pool.query(`UPDATE "${table}_version" SET version = 1`)
      expect(await find(store, [digestOf('key_1')])).toEqual(recordOf('key_1'))
    })

    test('are never made anew: without them every key is out of reach, not unknown', async () => {
      const table = newTable()
      const store = postgresKeyStore(pool, { table })
      await store.insert(recordOf('key_1'))
      await pool.query(`DROP TABLE "${table}"`)
      await expect(find(store, [digestOf('key_1')])).rejects.toMatchObject({ code: '42P01' })
      await expect(find(postgresKeyStore(pool, { table }), [digestOf('key_1')])).rejects.toMatchObject({
        code: '42P01',
      })
    })

    test('are not taken from somebody who has one of this name', async () => {
      const table = newTable()
      await pool.query(`CREATE TABLE "${table}" (id integer)`)
      await expect(postgresKeyStore(pool, { table }).ready?.(signal)).rejects.toThrow(
        `The PostgreSQL key store could not make its tables: relation "${table}" already exists`,
      )
    })

    test('may have the name of a word of SQL', async () => {
      const schema = newTable()
      await pool.query(`CREATE SCHEMA "${schema}"`)
      const own = newPool({ options: `-c search_path=${schema}` })
      const store = postgresKeyStore(own, { table: 'select' })
      await store.insert(recordOf('key_1'))
      expect(await store.list({})).toEqual([recordOf('key_1')])
      await own.end()
      await pool.query(`DROP SCHEMA "${schema}" CASCADE`)
    })
  })

  describe('a statement', () => {
    let table: string
    let store: KeyStore
    beforeEach(async () => {
      table = newTable()
      store = postgresKeyStore(pool, { table })
      await store.insert(recordOf('key_1'))
    })
    afterEach(() => store.close?.())

    test.each<[string, string, () => Promise<unknown>]>([
      ['a look-up', 'ACCESS EXCLUSIVE', () => find(store, [digestOf('key_1')])],
      ['a read', 'ACCESS EXCLUSIVE', () => store.get('key_1', { signal: AbortSignal.timeout(5000) })],
      ['a list', 'ACCESS EXCLUSIVE', () => store.list({})],
      ['an insert', 'EXCLUSIVE', () => store.insert(recordOf('key_2'))],
      ['an update', 'EXCLUSIVE', () => store.update('key_1', { name: 'new' })],
      ['a last use', 'EXCLUSIVE', () => store.update('key_1', { lastUsedAt: new Date() })],
    ])('waits for a lock no longer than 100 ms: %s', async (_, mode, run) => {
      const other = await pool.connect()
      await other.query(`BEGIN; LOCK TABLE "${table}" IN ${mode} MODE`)
      const start = performance.now()
      await expect(run()).rejects.toMatchObject({
        name: 'Error',
        code: '55P03',
        message: expect.stringContaining('another change held its lock for too long; try again.'),
      })
      const took = performance.now() - start
      await other.query('ROLLBACK')
      other.release()
      expect(took).toBeGreaterThan(95)
      expect(took).toBeLessThan(600)
    })

    test('ends with its caller, whose connection is closed and not handed to the next', async () => {
      const other = await pool.connect()
      await other.query(`BEGIN; LOCK TABLE "${table}" IN ACCESS EXCLUSIVE MODE`)
      const before = pool.totalCount
      const start = performance.now()
      await expect(find(store, [digestOf('key_1')], 30)).rejects.toThrow('before the caller stopped waiting')
      expect(performance.now() - start).toBeLessThan(90)
      expect(pool.totalCount).toBeLessThanOrEqual(before)
      await other.query('ROLLBACK')
      other.release()
      expect(await find(store, [digestOf('key_1')])).toEqual(recordOf('key_1'))
      expect(pool.idleCount).toBe(pool.totalCount)
    })

    test('is not begun for a caller who has left', async () => {
      await expect(store.get('key_1', { signal: AbortSignal.abort() })).rejects.toThrow('stopped waiting')
      expect(pool.idleCount).toBe(pool.totalCount)
    })

    test('finds the first of the digests that are asked for', async () => {
      await store.insert(recordOf('key_2'))
      await store.insert(recordOf('key_3'))
      expect(await find(store, ['none', 'key_3', 'key_1', 'key_2'].map(digestOf))).toMatchObject({ id: 'key_3' })
      expect(await find(store, ['key_2', 'key_3'].map(digestOf))).toMatchObject({ id: 'key_2' })
    })

    test.each(["' OR ''='", '$1', '{key_1}', 'key_1"', 'key_\0', '\0', '\uD800', '%', '', "'; DROP TABLE x; --"])(
      'finds nothing by %j, and lists nothing of it',
      async (text) => {
        expect(await find(store, [text])).toBeNull()
        expect(await store.get(text, { signal })).toBeNull()
        expect(await store.list({ organizationId: text })).toEqual([])
        await expect(store.update(text, { name: 'new' })).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
        await expect(store.update(text, { lastUsedAt: null })).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
        expect(await store.list({})).toEqual([recordOf('key_1')])
      },
    )

    test('keeps what looks like SQL as it is', async () => {
      const id = `key'); DROP TABLE "${table}"; --`
      const record = recordOf(id, { name: '\u{1F3E5} \' " \\ $1 \0 \uD800', organizationId: "o'; --" })
      await store.insert(record)
      expect(await store.get(id, { signal })).toEqual(record)
      expect(await store.list({ organizationId: "o'; --" })).toEqual([record])
    })

    test.each(['key_\0', 'key_\uD800'])('writes nothing under %j, which would become another', async (id) => {
      await expect(store.insert(recordOf(id))).rejects.toThrow(
        'The PostgreSQL key store could not insert a key: an id holds a character that PostgreSQL cannot store.',
      )
      expect(await store.list({})).toHaveLength(1)
    })

    test('that fails says why, and nothing of a digest', async () => {
      await pool.query(`ALTER TABLE "${table}" ADD CONSTRAINT short CHECK (length(record) < 10) NOT VALID`)
      const error: unknown = await store.insert(recordOf('key_2')).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: '23514', message: expect.stringContaining('violates check constraint') })
      expect(JSON.stringify({ ...(error as Error), stack: (error as Error).stack })).not.toContain('sha256:')
    })

    test('leaves no connection in a transaction, with settings of its own or taken', async () => {
      await Promise.allSettled([
        store.insert(recordOf('key_1')),
        store.update('key_9', {}),
        store.replace(recordOf('key_1', { name: 'x' }), recordOf('key_2')),
        store.list({ limit: -1 }),
      ])
      const clients = await Promise.all(Array.from({ length: 6 }, () => pool.connect()))
      for (const client of clients) {
        const { rows } = await client.query<{ lock_timeout: string; alone: boolean }>(
          `SELECT current_setting('lock_timeout') AS lock_timeout, now() = statement_timestamp() AS alone`,
        )
        expect(rows).toEqual([{ lock_timeout: '0', alone: true }])
        client.release()
      }
    })

    test('is read right, however the client reads dates and numbers', async () => {
      const lastUsedAt = new Date(Date.UTC(2026, 9, 25, 0, 30, 0, 7))
      await store.update('key_1', { lastUsedAt })
      const parserOf = (oid: number) => (oid === TEXT ? String : () => 'read in another way')
      const ownTypes = { getTypeParser: parserOf }
      const moved = newPool({ types: ownTypes, options: '-c timezone=Asia/Kathmandu -c datestyle=German' })
      expect(await postgresKeyStore(moved, { table }).list({})).toEqual([recordOf('key_1', { lastUsedAt })])
      await moved.end()
    })
  })

  describe('a revoked token', () => {
    test('is listed for an hour beyond its end, and forgotten when the next one is revoked', async () => {
      const table = newTable()
      const store = postgresKeyStore(pool, { table })
      const [long, little] = [new Date(Date.now() - HOUR - 60_000), new Date(Date.now() - HOUR + 60_000)]
      await store.revokeToken?.({ tokenId: 'long ago', expiresAt: long })
      await store.revokeToken?.({ tokenId: 'a little ago', expiresAt: little })
      await store.revokeToken?.({ tokenId: 'a little ago', expiresAt: long })
      expect(await store.revokedTokens?.()).toEqual([{ tokenId: 'a little ago', expiresAt: little }])
      const { rows } = await pool.query(`SELECT token_id FROM "${table}_revocations"`)
      expect(rows).toEqual([{ token_id: 'a little ago' }])
    })

    test.each([Number.NaN, 8.65e15])('without an end (%d) is refused', async (at) => {
      const store = postgresKeyStore(pool, { table: newTable() })
      await expect(store.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(at) })).rejects.toThrow('revoke a token')
      expect(await store.revokedTokens?.()).toEqual([])
    })
  })

  describe('the feed', () => {
    const backends = async (name: string) => {
      const { rows } = await pool.query<{ pid: number; query: string }>(
        'SELECT pid, query FROM pg_stat_activity WHERE application_name = $1',
        [name],
      )
      return rows
    }

    test('reaches a store on another pool within a second', async () => {
      const [one, two, table] = [newPool(), newPool(), newTable()]
      const [writer, reader] = [postgresKeyStore(one, { table }), postgresKeyStore(two, { table })]
      await writer.insert(recordOf('key_1'))
      const watched = await watch(reader)
      await writer.update('key_1', { revokedAt: new Date() })
      expect(await watched.comes({ keyId: 'key_1' }, 1000)).toBeLessThan(1000)
      await writer.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(Date.now() + HOUR) })
      await watched.comes({ tokenId: 'tok_1' }, 1000)
      await reader.close?.()
      await Promise.all([one.end(), two.end()])
    })

    test('ends a key that another instance holds in its cache within a second of its revocation', async () => {
      const [one, two, table] = [newPool(), newPool(), newTable()]
      const [writer, reader] = [postgresKeyStore(one, { table }), postgresKeyStore(two, { table })]
      const key = newKey('test')
      await writer.insert(recordOf('key_1', { environment: 'test', digest: digestOf(key) }))
      const auth = createAuth({ environment: 'test', keys: { store: reader } })
      await auth.ready()
      const verify = () => auth.verify(key, { ip: null, secure: null, operation: 'test' })
      expect(await verify()).toMatchObject({ ok: true })
      await writer.update('key_1', { revokedAt: new Date(), revokedReason: 'leaked' })
      const start = performance.now()
      while ((await verify()).ok) await sleep(5)
      expect(performance.now() - start).toBeLessThan(1000)
      expect(await verify()).toMatchObject({ ok: false, reason: 'key_revoked' })
      await auth.close()
      expect(two.totalCount).toBe(two.idleCount)
      await Promise.all([one.end(), two.end()])
    })

    test('names what was changed, and nothing of what it is', async () => {
      const table = newTable()
      const store = postgresKeyStore(pool, { table })
      const client = await pool.connect()
      const payloads: (string | undefined)[] = []
      const listener = ({ payload }: { payload?: string | undefined }) => void payloads.push(payload)
      client.on('notification', listener)
      await client.query(`LISTEN "${table}"`)
      await store.insert(recordOf('key_1'))
      await store.update('key_1', { lastUsedAt: new Date() })
      await store.replace(recordOf('key_1', { replacedBy: 'key_2' }), recordOf('key_2'))
      await store.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(Date.now() + HOUR) })
      await client.query('UNLISTEN *')
      client.removeListener('notification', listener)
      client.release()
      expect(payloads).toEqual(['{"keyId":"key_1"}', '{"keyId":"key_1"}', '{"keyId":"key_2"}', '{"tokenId":"tok_1"}'])
    })

    test.each(['', 'x', '7', 'null', '[]', '{}', '{"keyId":7}', '{"__proto__":{"keyId":"key_1"}}', '"lost"'])(
      'is not disturbed by somebody who says %j on its channel',
      async (payload) => {
        const table = newTable()
        const store = postgresKeyStore(pool, { table })
        const watched = await watch(store)
        await pool.query('SELECT pg_notify($1, $2)', [table, payload])
        await store.insert(recordOf('key_1'))
        await watched.comes({ keyId: 'key_1' }, 1000)
        expect(watched.changes).toEqual([{ keyId: 'key_1' }])
        await store.close?.()
      },
    )

    test('is lost when its connection ends, and resumed on another; nothing is left over', async () => {
      const table = newTable()
      const own = newPool({ application_name: table })
      const store = postgresKeyStore(own, { table })
      const clients: PoolClient[] = []
      own.on('connect', (client) => void clients.push(client))
      const first = await watch(store)
      const second = await watch(store)
      const listening = (await backends(table)).filter(({ query }) => query.startsWith('LISTEN'))
      expect(listening).toHaveLength(1)
      await pool.query('SELECT pg_terminate_backend($1)', [listening[0]?.pid])
      await first.comes('lost', 500)
      await expect(watch(store)).rejects.toThrow(
        'The PostgreSQL key store could not listen for changes: the connection that hears of changes is lost, and ' +
          'being made again.',
      )
      await first.comes('resumed', 2000)
      await store.insert(recordOf('key_1'))
      await first.comes({ keyId: 'key_1' }, 1000)
      for (const { changes } of [first, second]) expect(changes).toEqual(['lost', 'resumed', { keyId: 'key_1' }])

      await first.leave()
      await first.leave()
      expect(own.totalCount - own.idleCount).toBe(1)
      await second.leave()
      expect(own.totalCount).toBe(own.idleCount)
      const left = await Promise.all(Array.from({ length: own.totalCount }, () => own.connect()))
      for (const client of left) {
        expect((await client.query('SELECT pg_listening_channels()')).rows).toEqual([])
        client.release()
      }
      await store.close?.()
      expect(own.listenerCount('error')).toBe(0)
      await own.end()
      for (const client of clients) expect(client.listenerCount('notification')).toBe(0)
      while ((await backends(table)).length > 0) await sleep(10)
    })

    test('ends for everybody when the store is closed, who hear that it is lost; the pool goes on', async () => {
      const own = newPool()
      const store = postgresKeyStore(own, { table: newTable() })
      const watched = await watch(store)
      await store.insert(recordOf('key_1'))
      await watched.comes({ keyId: 'key_1' }, 1000)
      await store.close?.()
      expect(watched.changes).toEqual([{ keyId: 'key_1' }, 'lost'])
      expect(own.totalCount).toBe(own.idleCount)
      await watched.leave()
      expect((await own.query('SELECT 1')).rowCount).toBe(1)
      await own.end()
    })

    test('opens again after the last one has left, also while that is still going on', async () => {
      const own = newPool()
      const store = postgresKeyStore(own, { table: newTable() })
      const first = await watch(store)
      const leaving = first.leave()
      const second = await watch(store)
      await leaving
      await store.insert(recordOf('key_1'))
      await second.comes({ keyId: 'key_1' }, 1000)
      expect(first.changes).toEqual([])
      await store.close?.()
      await own.end()
    })

    test('of a watcher that throws goes on for the others', async () => {
      const store = postgresKeyStore(pool, { table: newTable() })
      await store.watch?.(() => {
        throw new Error('mine')
      })
      const watched = await watch(store)
      await store.insert(recordOf('key_1'))
      expect(await watched.comes({ keyId: 'key_1' }, 1000)).toBeLessThan(1000)
      await store.close?.()
    })

    test('is refused where notices do not come in, as behind a pooler that shares sessions', async () => {
      const own = newPool()
      const deaf: PostgresPool = {
        connect: async () => {
          const client = await own.connect()
          const on = (event: string, listener: () => void) =>
            event === 'notification' ? client : client.on(event as 'end', listener)
          return new Proxy<PostgresClient>(client, {
            get: (target, name) => {
              if (name === 'on') return on
              const member: unknown = Reflect.get(target, name)
              return typeof member === 'function' ? member.bind(target) : member
            },
          })
        },
      }
      const store = postgresKeyStore(deaf, { table: newTable() })
      await expect(store.watch?.(() => undefined)).rejects.toThrow('did not answer within 2000 ms')
      expect(own.totalCount).toBe(own.idleCount)
      await own.end()
    })
  })

  test('an idle connection that breaks does not end the process, and the pool is left as it was', async () => {
    const table = newTable()
    const own = newPool({ application_name: table })
    const store = postgresKeyStore(own, { table })
    await store.ready?.(signal)
    expect(own.idleCount).toBeGreaterThan(0)
    const removed = new Promise((resolve) => {
      own.once('remove', resolve)
    })
    await pool.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [table])
    await removed
    await store.insert(recordOf('key_1'))
    await store.close?.()
    expect(own.listenerCount('error')).toBe(0)
    await own.end()
  })
})
