import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createAuth } from '../../src/index.ts'
import type { KeyChange, KeyRecord, KeyStore } from '../../src/keys/store.ts'
import { redisKeyStore, type RedisClient } from '../../src/stores/redis.ts'
import { keyStoreSuite } from '../../src/testing/index.ts'
import { newKey, recordOf } from '../keys/parts.ts'
import { CLIENTS, REDIS, removeAll, subscribersOf, type TestClient } from './redis-clients.ts'
import { answersPing } from './redis-engine.ts'

const reachable = await answersPing(REDIS.host, REDIS.port)
/** In CI an engine that is missing is a failure. */
const skip = !reachable && process.env['CI'] === undefined

const ROOT = `{hc-test-${randomBytes(6).toString('hex')}}:`
const DAY = 86_400_000
const INSTANT = new Date(Date.UTC(2026, 2, 18, 12))
const signal = AbortSignal.timeout(600_000)

let prefixes = 0
const newPrefix = () => `${ROOT}${(prefixes += 1)}:`
const find = (store: KeyStore, record: KeyRecord) =>
  store.find({ digests: [record.digest], reveal: () => '' }, { signal })
const rotated = (old: KeyRecord, fresh: KeyRecord) => ({
  ...old,
  rotatedAt: INSTANT,
  validUntil: INSTANT,
  replacedBy: fresh.id,
})

async function watched(store: KeyStore) {
  const changes: KeyChange[] = []
  const leave = await store.watch?.((change) => void changes.push(change))
  return { changes, leave: async () => leave?.() }
}

describe.skipIf(skip).each(CLIENTS)('with $name', ({ name, connect }) => {
  const label = `${name}-${randomBytes(4).toString('hex')}`
  let one: TestClient
  let other: TestClient
  beforeAll(async () => {
    one = await connect(REDIS.url, label)
    const otherMaker = CLIENTS.find((each) => each.name !== name) ?? CLIENTS[0]
    other = (await otherMaker?.connect(REDIS.url)) ?? one
  })
  afterAll(async () => {
    await removeAll(other, ROOT)
    one.close()
    other.close()
  })
  const subscribers = () => subscribersOf(other, label)
  const open = () => {
    const prefix = newPrefix()
    return { prefix, store: redisKeyStore(one.client, { prefix }) }
  }

  describe('the suite:', () => {
    const cases = keyStoreSuite({ name: 'redis', open: () => open().store, pushedWithinMs: 200 })
    test.concurrent.each(cases)('$name', { timeout: 60_000 }, async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })

  describe('changes', () => {
    test('of one instance reach another within a second, in notices that hold ids alone', async () => {
      const { prefix, store } = open()
      const writer = redisKeyStore(other.client, { prefix })
      const heard: string[] = []
      const raw = await connect(REDIS.url)
      const listener = raw.client as unknown as {
        on: (event: 'message', on: (channel: string, text: string) => void) => void
        subscribe: (channel: string, on?: (text: string) => void) => Promise<unknown>
      }
      if (name === 'ioredis') listener.on('message', (_, text) => heard.push(text))
      await listener.subscribe(`${prefix}changes`, ...(name === 'ioredis' ? [] : [(text: string) => heard.push(text)]))
      const { changes, leave } = await watched(store)

      const [old, fresh] = [recordOf(newKey()), recordOf(newKey())]
      await writer.insert(old)
      await writer.replace(rotated(old, fresh), fresh)
      await writer.update(fresh.id, { revokedAt: INSTANT, revokedReason: 'leaked' })
      await writer.update(fresh.id, { lastUsedAt: INSTANT })
      await writer.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(Date.now() + DAY) })
      const expected = [
        { keyId: old.id },
        { keyId: old.id },
        { keyId: fresh.id },
        { keyId: fresh.id },
        { tokenId: 'tok_1' },
      ]
      await vi.waitFor(() => expect(changes).toEqual(expected), { timeout: 1000, interval: 5 })
      expect(heard.filter((text) => text !== '{}').map((text) => JSON.parse(text) as unknown)).toEqual(expected)

      await leave()
      raw.close()
      await Promise.all([store.close?.(), writer.close?.()])
    })

    test('come by one connection for all watchers, which the last one closes', async () => {
      const { store } = open()
      expect(await subscribers()).toHaveLength(0)
      const all = await Promise.all([watched(store), watched(store)])
      all.push(await watched(store))
      expect(await subscribers()).toHaveLength(1)
      for (const { leave } of all.slice(1)) await leave()
      expect(await subscribers()).toHaveLength(1)
      await all[0]?.leave()
      await vi.waitFor(async () => expect(await subscribers()).toHaveLength(0))
      const again = await watched(store)
      expect(await subscribers()).toHaveLength(1)
      await again.leave()
      await store.close?.()
      await vi.waitFor(async () => expect(await subscribers()).toHaveLength(0))
    })

    test("a connection that is killed: 'lost' at once, 'resumed' within a second, and nothing is left over", async () => {
      const { store } = open()
      const { changes, leave } = await watched(store)
      for (let round = 1; round <= 3; round += 1) {
        const [id] = await subscribers()
        await other.run('CLIENT', 'KILL', 'ID', id ?? '')
        const expected = Array.from({ length: round }, () => ['lost', 'resumed']).flat()
        await vi.waitFor(() => expect(changes).toEqual(expected), { timeout: 1000, interval: 5 })
        expect(await subscribers()).toHaveLength(1)
        expect(await subscribers()).not.toContain(id)
      }
      const record = recordOf(newKey())
      await store.insert(record)
      await vi.waitFor(() => expect(changes.at(-1)).toEqual({ keyId: record.id }))
      await leave()
      await vi.waitFor(async () => expect(await subscribers()).toHaveLength(0))
      await store.close?.()
    })

    test('of a later version, or of nobody, say nothing and break nothing', async () => {
      const { prefix, store } = open()
      const { changes, leave } = await watched(store)
      for (const text of ['', 'x', 'null', '[]', '{"keyId":7}', '{"other":"x"}', '{"__proto__":{"keyId":"key_1"}}']) {
        await other.run('PUBLISH', `${prefix}changes`, text)
      }
      await other.run('PUBLISH', `${prefix}changes`, '{"keyId":"key_1"}')
      await vi.waitFor(() => expect(changes).toEqual([{ keyId: 'key_1' }]))
      await leave()
      await store.close?.()
    })

    test('reach the others where one watcher throws', async () => {
      const { store } = open()
      const leave = await store.watch?.(() => {
        throw new Error('broken')
      })
      const sound = await watched(store)
      const record = recordOf(newKey())
      await store.insert(record)
      await vi.waitFor(() => expect(sound.changes).toEqual([{ keyId: record.id }]))
      await Promise.all([leave?.(), sound.leave(), store.close?.()])
    })
  })

  describe('closing', () => {
    test("leaves the owner's client as it was", async () => {
      const before = one.errorListeners()
      const { store } = open()
      await watched(store)
      expect(await subscribers()).toHaveLength(1)
      await store.close?.()
      await store.close?.()
      await vi.waitFor(async () => expect(await subscribers()).toHaveLength(0))
      expect(one.errorListeners()).toBe(before)
      expect(await one.isOpen()).toBe(true)
    })

    test('ends a subscription under way', async () => {
      const { store } = open()
      const watching = watched(store)
      await store.close?.()
      await expect(watching).rejects.toThrow('closed')
      await vi.waitFor(async () => expect(await subscribers()).toHaveLength(0))
    })

    test('by one auth: another that shares the store goes on, and hears changes again', async () => {
      const { store } = open()
      const key = newKey('test')
      const record = recordOf(key)
      await store.insert(record)
      const options = { environment: 'test', keys: { store } } as const
      const [first, second] = [createAuth(options), createAuth(options)]
      const verify = () => second.verify(key, { ip: null, secure: null, operation: 'test' })
      await Promise.all([first.ready(), second.ready()])
      expect(await verify()).toMatchObject({ ok: true })
      await first.close()
      expect(second.health().keys?.watching).toBe(false)
      await store.get(record.id, { signal })
      await vi.waitFor(() => expect(second.health().keys?.watching).toBe(true))
      expect(await verify()).toMatchObject({ ok: true })
      await store.update(record.id, { revokedAt: INSTANT })
      await vi.waitFor(async () => expect(await verify()).toMatchObject({ ok: false, reason: 'key_revoked' }), {
        timeout: 1000,
        interval: 10,
      })
      await second.close()
      await vi.waitFor(async () => expect(await subscribers()).toHaveLength(0))
    })
  })

  describe('writes', () => {
    test('that come at the same time all land, in a record and beside it', async () => {
      const { store } = open()
      const record = recordOf(newKey())
      await store.insert(record)
      await Promise.all([
        store.update(record.id, { name: 'new' }),
        store.update(record.id, { scopes: ['admin:org'] }),
        store.update(record.id, { revokedAt: INSTANT }),
        ...Array.from({ length: 10 }, () => store.update(record.id, { lastUsedAt: INSTANT })),
      ])
      const all = { name: 'new', scopes: ['admin:org'], revokedAt: INSTANT, lastUsedAt: INSTANT }
      expect(await find(store, record)).toEqual({ ...record, ...all })
      expect(await store.list({})).toEqual([{ ...record, ...all }])
      expect(await store.update(record.id, { lastUsedAt: null })).toEqual({ ...record, ...all })
      expect(await find(store, record)).toEqual({ ...record, ...all })
      await store.close?.()
    })

    test('that the client sends again after a lost connection are made once', async () => {
      const { client } = one
      /** Every script twice, as a client does that has lost the first answer. */
      const twice =
        (method: 'call' | 'sendCommand') =>
        async (first: unknown, ...rest: unknown[]) => {
          const act = () =>
            (Reflect.get(client, method) as (...args: unknown[]) => unknown).call(client, first, ...rest)
          const script = first === 'EVAL' || (Array.isArray(first) && first[0] === 'EVAL')
          if (script) await act()
          return act()
        }
      const doubled = new Proxy(client, {
        get: (target, member) => {
          if (member === 'call' || member === 'sendCommand') return member in target ? twice(member) : undefined
          const value: unknown = Reflect.get(target, member, target)
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        },
      })
      const store = redisKeyStore(doubled, { prefix: newPrefix() })
      const [old, fresh] = [recordOf(newKey()), recordOf(newKey())]
      await store.insert(old)
      await store.replace(rotated(old, fresh), fresh)
      await store.update(fresh.id, { name: 'new' })
      expect(await store.list({})).toEqual([rotated(old, fresh), { ...fresh, name: 'new' }].toSorted(byId))
      await store.close?.()
    })

    test('move a record from one organization to another', async () => {
      const { store } = open()
      const record = recordOf(newKey())
      await store.insert(record)
      const moved = await store.update(record.id, { organizationId: 'org_2' })
      expect(await store.list({ organizationId: 'org_1' })).toEqual([])
      expect(await store.list({ organizationId: 'org_2' })).toEqual([moved])
      await store.close?.()
    })

    test.each<[string, Partial<KeyRecord>]>([
      ['an expiry', { expiresAt: new Date(Number.NaN) }],
      ['a revocation', { revokedAt: new Date(Number.NaN) }],
    ])('%s that is no instant are refused, instead of being written as none', async (_, change) => {
      const { store } = open()
      const record = recordOf(newKey())
      await expect(store.insert({ ...record, ...change })).rejects.toThrow('no instant')
      await store.insert(record)
      await expect(store.update(record.id, change)).rejects.toThrow('no instant')
      expect(await find(store, record)).toEqual(record)
      await store.close?.()
    })

    test('of revocations keep the later expiry, and take out those that ended over an hour ago', async () => {
      const { prefix, store } = open()
      const later = new Date(Date.now() + DAY)
      const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000)
      await store.revokeToken?.({ tokenId: 'tok_old', expiresAt: ago(61) })
      const recent = { tokenId: 'tok_recent', expiresAt: ago(59) }
      await store.revokeToken?.(recent)
      await store.revokeToken?.({ tokenId: 'tok_1', expiresAt: later })
      await store.revokeToken?.({ tokenId: 'tok_1', expiresAt: ago(0) })
      expect(await store.revokedTokens?.()).toEqual([recent, { tokenId: 'tok_1', expiresAt: later }])
      expect(await one.run('ZCARD', `${prefix}revoked`)).toBe(2)
      await expect(store.revokeToken?.({ tokenId: 'tok_2', expiresAt: new Date(Number.NaN) })).rejects.toThrow(
        'instant',
      )
      await store.close?.()
    })
  })

  describe('an error is never "unknown":', () => {
    const wrongType: readonly [string, (prefix: string, record: KeyRecord) => string][] = [
      ['the record', (prefix, { id }) => `${prefix}key:${id}`],
      ['its digest', (prefix, { digest }) => `${prefix}digest:${digest}`],
      ['its last use', (prefix, { id }) => `${prefix}used:${id}`],
      ['the version', (prefix) => `${prefix}version`],
    ]
    test.each(wrongType)('%s is of another type', async (_, keyOf) => {
      const { prefix, store } = open()
      const record = recordOf(newKey())
      await store.insert(record)
      await one.run('DEL', keyOf(prefix, record))
      await one.run('LPUSH', keyOf(prefix, record), 'x')
      await expect(find(store, record)).rejects.toThrow('WRONGTYPE')
      await store.close?.()
    })

    test.each([
      ['ids', {}],
      ['org:org_1', { organizationId: 'org_1' }],
    ])('%s is of another type, and a write is not made in part', async (index, query) => {
      const { prefix, store } = open()
      await one.run('SET', `${prefix}${index}`, 'x')
      const record = recordOf(newKey())
      const changes = await watched(store)
      await expect(store.insert(record)).rejects.toThrow('WRONGTYPE')
      await expect(store.list(query)).rejects.toThrow('WRONGTYPE')
      expect(await store.get(record.id, { signal })).toBeNull()
      expect(await one.run('EXISTS', `${prefix}digest:${record.digest}`)).toBe(0)
      await delay(50)
      expect(changes.changes).toEqual([])
      await changes.leave()
      await store.close?.()
    })

    test('the digest names a record that is not there', async () => {
      const { prefix, store } = open()
      const record = recordOf(newKey())
      await store.insert(record)
      await one.run('DEL', `${prefix}key:${record.id}`)
      await expect(find(store, record)).rejects.toThrow('not there')
      await expect(store.list({})).rejects.toThrow('not there')
      await store.close?.()
    })

    test('Redis has lost what this store has seen, until somebody writes again', async () => {
      const { prefix, store } = open()
      const record = recordOf(newKey())
      await store.insert(record)
      await removeAll(one, prefix)
      await expect(find(store, record)).rejects.toThrow('lost its data')
      await expect(store.get(record.id, { signal })).rejects.toThrow('lost its data')
      await expect(store.list({})).rejects.toThrow('lost its data')
      await store.insert(recordOf(newKey()))
      expect(await find(store, record)).toBeNull()
      await store.close?.()
    })

    test('what is stored is of a version that is unknown here; nothing is read or written', async () => {
      const { prefix, store } = open()
      const record = recordOf(newKey())
      await one.run('SET', `${prefix}version`, '2')
      await expect(store.ready?.(signal)).rejects.toThrow(/of version 2, .* knows version 1\. Update the package/)
      for (const act of [() => find(store, record), () => store.get(record.id, { signal }), () => store.list({})]) {
        await expect(act()).rejects.toThrow('version 2')
      }
      await expect(store.insert(record)).rejects.toThrow('version 2')
      await expect(store.revokeToken?.({ tokenId: 'tok_1', expiresAt: INSTANT })).rejects.toThrow('version 2')
      expect(await one.run('EXISTS', `${prefix}key:${record.id}`, `${prefix}revoked`)).toBe(0)
      await store.close?.()
    })

    test('the text of a record is broken: it comes out as no record, and no change is made of it', async () => {
      const { prefix, store } = open()
      const record = recordOf(newKey())
      await store.insert(record)
      await one.run('SET', `${prefix}key:${record.id}`, '{"id":')
      expect(await find(store, record)).toEqual({})
      await expect(store.update(record.id, { name: 'new' })).rejects.toThrow('broken')
      expect(await one.run('GET', `${prefix}key:${record.id}`)).toBe('{"id":')
      await store.close?.()
    })

    test('the question was given up: it rejects at once, and one given up before is not put', async () => {
      const { store } = open()
      const controller = new AbortController()
      const asked = store.find({ digests: ['x'], reveal: () => '' }, { signal: controller.signal })
      controller.abort()
      await expect(asked).rejects.toThrow('in time')
      await expect(store.get('key_1', { signal: controller.signal })).rejects.toThrow('time was up')
      await store.close?.()
    })

    test('and none says what was asked for', async () => {
      const { prefix, store } = open()
      const record = recordOf(newKey())
      await one.run('LPUSH', `${prefix}digest:${record.digest}`, 'x')
      await one.run('LPUSH', `${prefix}org:org_1`, 'x')
      for (const act of [find(store, record), store.insert(recordOf(newKey()))]) {
        const error: unknown = await act.catch((reason: unknown) => reason)
        expect(error).toBeInstanceOf(Error)
        expect(error).toMatchObject({ code: 'WRONGTYPE' })
        expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(/sha256:|redis\.call|org_1/)
      }
      await store.close?.()
    })
  })

  test('two prefixes are two stores', async () => {
    const [{ store: mine }, { store: theirs }] = [open(), open()]
    const record = recordOf(newKey())
    await mine.insert(record)
    expect(await find(theirs, record)).toBeNull()
    expect(await theirs.list({})).toEqual([])
    await theirs.insert(record)
    await Promise.all([mine.close?.(), theirs.close?.()])
  })
})

function byId(a: KeyRecord, b: KeyRecord): number {
  return a.id < b.id ? -1 : 1
}

describe('is refused', () => {
  const emitter = { on: () => undefined, removeListener: () => undefined }
  const fits = { ...emitter, sendCommand: async () => null, duplicate: () => undefined }
  const clients: readonly [string, unknown, string][] = [
    ['no client', undefined, 'CONFIG_MISSING'],
    ['null', null, 'CONFIG_MISSING'],
    ['a URL', 'redis://localhost', 'CONFIG_INVALID'],
    ['an object without commands', emitter, 'CONFIG_INVALID'],
    ['a pool, which has no duplicate', { ...fits, duplicate: undefined }, 'CONFIG_INVALID'],
    ['a cluster of node-redis', { ...fits, getSlotRandomNode: () => undefined }, 'CONFIG_INVALID'],
    ['a sentinel of node-redis', { ...fits, getSentinelNode: () => undefined }, 'CONFIG_INVALID'],
  ]
  test.each(clients)('%s', (_, client, code) => {
    const remedy = 'with node-redis a cluster, sentinel or pool object does not fit'
    const act = () => redisKeyStore(client as RedisClient)
    expect(act).toThrow(expect.objectContaining({ name: 'ConfigError', code, option: 'redisKeyStore.client' }))
    expect(act).toThrow(remedy)
  })

  const options: readonly [string, unknown, string, string][] = [
    ['a misspelt option', { prefx: 'x' }, 'CONFIG_UNKNOWN_OPTION', 'prefx'],
    ['an empty prefix', { prefix: '' }, 'CONFIG_INVALID', 'prefix'],
    ['a prefix with a space', { prefix: 'a b' }, 'CONFIG_INVALID', 'prefix'],
    ['a prefix with a line end', { prefix: 'a\n' }, 'CONFIG_INVALID', 'prefix'],
    ['a prefix that is too long', { prefix: 'x'.repeat(65) }, 'CONFIG_INVALID', 'prefix'],
    ['a prefix that is no text', { prefix: 7 }, 'CONFIG_INVALID', 'prefix'],
    ['a text', 'hc:', 'CONFIG_INVALID', ''],
  ]
  test.each(options)('%s', (_, given, code, option) => {
    const act = () => redisKeyStore(fits as unknown as RedisClient, given as { prefix: string })
    expect(act).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        code,
        option: option === '' ? 'redisKeyStore' : `redisKeyStore.${option}`,
      }),
    )
  })

  test.each(['slave', 'all', () => []] as const)(
    'a cluster that reads from replicas (scaleReads: %s)',
    (scaleReads) => {
      const cluster = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true, scaleReads })
      const act = () => redisKeyStore(cluster)
      expect(act).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', option: 'redisKeyStore.client' }))
      expect(act).toThrow(/replicas.*scaleReads/)
      cluster.disconnect()
    },
  )

  test('but nothing that somebody put on Object.prototype', () => {
    const planted = { prefix: 'a b', call: () => undefined, getSlotRandomNode: () => undefined }
    for (const [name, value] of Object.entries(planted)) Reflect.set(Object.prototype, name, value)
    try {
      expect(redisKeyStore(fits as unknown as RedisClient, {}).name).toBe('redis')
    } finally {
      for (const name of Object.keys(planted)) Reflect.deleteProperty(Object.prototype, name)
    }
  })
})

test('the clients fit by their types, and a client that does not connect is no crash', async () => {
  const cluster = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true })
  const store = redisKeyStore(cluster)
  await expect(store.watch?.(() => undefined)).rejects.toThrow('Redis: ')
  await store.close?.()
  cluster.disconnect()
})
