import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { KeyStore } from '../../src/keys/store.ts'
import { postgresKeyStore } from '../../src/stores/postgres.ts'
import { postgresPrograms, startPostgres, type PostgresEngine } from './postgres-engine.ts'
import { digestOf, find, newTable, recordOf, watch } from './postgres-world.ts'

describe.skipIf(postgresPrograms() === null && !process.env['CI'])('a PostgreSQL of its own', () => {
  let engine: PostgresEngine
  let pool: Pool
  let store: KeyStore
  const lookUp = (ms = 250) => find(store, [digestOf('key_1')], ms)

  beforeAll(async () => {
    engine = await startPostgres()
    pool = new Pool({ connectionString: engine.url })
    // As every host does: a connection that lies idle in the pool may break, too.
    pool.on('error', () => undefined)
    store = postgresKeyStore(pool, { table: newTable() })
    await store.insert(recordOf('key_1'))
  })
  afterAll(async () => {
    // First of all: nothing else ends where a test has left it hanging.
    await engine.stop()
    await store.close?.()
    await pool.end()
  })

  /** Every question is answered by an error, in time. */
  const expectOutOfReach = async (withinMs: number) => {
    const start = performance.now()
    await expect(lookUp()).rejects.toThrow('The PostgreSQL key store could not look up a key')
    await expect(store.get('key_1', { signal: AbortSignal.timeout(250) })).rejects.toThrow('could not read a key')
    expect(performance.now() - start).toBeLessThan(withinMs)
  }

  test('that hangs is noticed by the feed within five seconds, and does not fill the pool', async () => {
    const watched = await watch(store)
    await Promise.all(Array.from({ length: 4 }, () => lookUp(5000)))
    engine.hang()
    const hung = performance.now()
    await expectOutOfReach(700)
    while (performance.now() - hung < 4500) {
      await expect(lookUp()).rejects.toThrow('could not')
      await sleep(20)
    }
    expect(pool.totalCount).toBeLessThan(10)
    await watched.comes('lost', 1000)
    await expect(watch(store)).rejects.toThrow('is lost, and being made again')

    engine.resume()
    const back = performance.now()
    await watched.comes('resumed', 2000)
    while ((await lookUp().catch(() => null)) === null) await sleep(20)
    expect(performance.now() - back).toBeLessThan(2000)
    await store.update('key_1', { name: 'new' })
    await watched.comes({ keyId: 'key_1' }, 1000)
    expect(watched.changes).toEqual(['lost', 'resumed', { keyId: 'key_1' }])
    await watched.leave()
    expect([pool.idleCount, pool.waitingCount]).toEqual([pool.totalCount, 0])
  })

  test('that dies is an error and never "unknown", until it is back, and the feed with it', async () => {
    const watched = await watch(store)
    await engine.kill()
    await watched.comes('lost', 500)
    await expectOutOfReach(200)
    const other = postgresKeyStore(pool, { table: newTable() })
    await expect(other.watch?.(() => undefined)).rejects.toThrow('could not listen for changes')
    await expect(other.ready?.(AbortSignal.timeout(250))).rejects.toThrow('could not make its tables')
    // The feed may be at its next attempt.
    expect(pool.totalCount).toBeLessThan(2)
    expect(pool.waitingCount).toBe(0)

    await engine.start()
    await watched.comes('resumed', 2000)
    expect(await lookUp()).toMatchObject({ id: 'key_1' })
    await store.insert(recordOf('key_2'))
    await watched.comes({ keyId: 'key_2' }, 1000)
    expect(watched.changes).toEqual(['lost', 'resumed', { keyId: 'key_2' }])
    await watched.leave()
    expect(pool.totalCount).toBe(pool.idleCount)
  })

  test('that is in the middle of a change when it dies has made all of it or nothing', async () => {
    for (let index = 0; index < 30; index += 1) await store.insert(recordOf(`key_1${index}`))
    const rotations = Array.from({ length: 30 }, (_, index) =>
      store.replace(recordOf(`key_1${index}`, { replacedBy: `key_2${index}` }), recordOf(`key_2${index}`)),
    )
    const settled = Promise.allSettled(rotations)
    await sleep(15)
    await engine.kill()
    const results = await settled
    await engine.start()
    for (const [index, { status }] of results.entries()) {
      const replaced = (await store.get(`key_1${index}`, { signal: AbortSignal.timeout(5000) }))?.replacedBy
      const fresh = await store.get(`key_2${index}`, { signal: AbortSignal.timeout(5000) })
      expect(replaced === `key_2${index}`).toBe(fresh !== null)
      if (status === 'fulfilled') expect(fresh).not.toBeNull()
    }
  })

  test('of another language sorts ids by code unit all the same', async () => {
    await pool.query("CREATE DATABASE german LOCALE_PROVIDER icu ICU_LOCALE 'de' TEMPLATE template0")
    const own = new Pool({ connectionString: engine.url.replace(/postgres$/, 'german') })
    own.on('error', () => undefined)
    const german = postgresKeyStore(own)
    for (const id of ['key_b', 'key_A', 'key_a', 'key_B', 'key_1']) await german.insert(recordOf(id))
    expect((await german.list({})).map(({ id }) => id)).toEqual(['key_1', 'key_A', 'key_B', 'key_a', 'key_b'])
    expect((await german.list({ after: 'key_B' })).map(({ id }) => id)).toEqual(['key_a', 'key_b'])
    await own.end()
  })
})
