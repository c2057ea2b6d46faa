import { setTimeout as delay } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { describe, expect, test, vi } from 'vitest'
import type { KeyChange, KeyStore } from '../../src/keys/store.ts'
import { redisKeyStore } from '../../src/stores/redis.ts'
import { createCommands } from '../../src/stores/redis/commands.ts'
import { manualClock, newKey, recordOf } from '../keys/parts.ts'
import { ADMIN, CLIENTS, subscribersOf, type ClientMaker } from './redis-clients.ts'
import { hasRedisServer, startRedis } from './redis-engine.ts'

/** In CI an engine that is missing is a failure. */
const skip = !hasRedisServer() && process.env['CI'] === undefined
const signal = AbortSignal.timeout(600_000)

const CLUSTER = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']

type OnEnd = (end: () => void | Promise<void>) => void

/** An engine of its own, a client of it, a store on that and its feed; ended in reverse order. */
async function world({ connect }: ClientMaker, onEnd: OnEnd, args: readonly string[] = []) {
  const engine = await startRedis(args)
  onEnd(engine.stop)
  const own = await connect(engine.url, 'own')
  onEnd(own.close)
  const store = redisKeyStore(own.client)
  onEnd(() => store.close?.())
  const changes: KeyChange[] = []
  const watch = async () => store.watch?.((change) => void changes.push(change))
  const watcher = await connect(engine.url)
  onEnd(watcher.close)
  return { engine, own, store, changes, watch, watcher }
}

/** A machine that is busy with other tests may take longer than the second that there is. */
const sooner = <T>(act: () => Promise<T>) => vi.waitFor(act, { timeout: 10_000, interval: 100 })

const find = (store: KeyStore, digest: string, deadline = signal) =>
  store.find({ digests: [digest], reveal: () => '' }, { signal: deadline })

/** They take as long as a feed may be silent: beside each other. */
describe.skipIf(skip).concurrent('an engine of its own', () => {
  const hangs = 'that hangs: questions end at their deadline, the feed is lost after 5 s and back when it goes on'
  test.for(CLIENTS)(`${hangs}, with $name`, async (maker, { onTestFinished: onEnd }) => {
    const { engine, store, changes, watch, watcher } = await world(maker, onEnd)
    const leave = await sooner(watch)
    const record = recordOf(newKey())
    await store.insert(record)
    engine.hang()
    const started = performance.now()
    await expect(find(store, record.digest, AbortSignal.timeout(250))).rejects.toThrow('in time')
    expect(performance.now() - started).toBeLessThan(1000)
    await expect(store.watch?.(() => undefined).then(async (stop) => stop())).resolves.toBeUndefined()
    await vi.waitFor(() => expect(changes.at(-1)).toBe('lost'), { timeout: 7000, interval: 20 })
    expect(performance.now() - started).toBeGreaterThan(4000)
    await expect(store.watch?.(() => undefined)).rejects.toThrow('lost at present')

    engine.resume()
    await vi.waitFor(() => expect(changes.at(-1)).toBe('resumed'), { timeout: 2000, interval: 20 })
    expect(await find(store, record.digest)).toEqual(record)
    expect(changes.filter((each) => each === 'lost')).toHaveLength(1)
    await leave?.()
    await vi.waitFor(async () => expect(await subscribersOf(watcher, 'own')).toHaveLength(0))
  })

  const idles = 'where nothing happens for longer than a feed may be silent: it goes on'
  test.for(CLIENTS)(`${idles}, with $name`, async (maker, { onTestFinished: onEnd }) => {
    const { changes, watch } = await world(maker, onEnd)
    await sooner(watch)
    await delay(5600)
    expect(changes).toEqual([])
  })
})

describe.skipIf(skip)('an engine of its own', () => {
  describe.each(CLIENTS)('with $name', (maker) => {
    test('that is killed and comes back with its data: the feed is lost at once and back with the client', async ({
      onTestFinished: onEnd,
    }) => {
      const { engine, store, changes, watch, own } = await world(maker, onEnd)
      const leave = await sooner(watch)
      const record = recordOf(newKey())
      await store.insert(record)
      await engine.kill()
      await vi.waitFor(() => expect(changes.at(-1)).toBe('lost'), { timeout: 500, interval: 5 })
      await expect(find(store, record.digest, AbortSignal.timeout(250))).rejects.toThrow(Error)
      await delay(300)
      await engine.start()
      await vi.waitFor(() => expect(changes.at(-1)).toBe('resumed'), { timeout: 2000, interval: 20 })
      expect(await find(store, record.digest)).toEqual(record)
      const watcher = await maker.connect(engine.url)
      onEnd(watcher.close)
      expect(await subscribersOf(watcher, 'own')).toHaveLength(1)
      expect(await own.isOpen()).toBe(true)
      await leave?.()
      await vi.waitFor(async () => expect(await subscribersOf(watcher, 'own')).toHaveLength(0))
    })

    test('that is not there, or hangs, when somebody begins to watch: rejected within a second, and nothing is left', async ({
      onTestFinished: onEnd,
    }) => {
      const { engine, store, watch, watcher } = await world(maker, onEnd)
      engine.hang()
      const started = performance.now()
      await expect(watch()).rejects.toThrow('within a second')
      expect(performance.now() - started).toBeLessThan(2500)
      engine.resume()
      await vi.waitFor(async () => expect(await subscribersOf(watcher, 'own')).toHaveLength(0))
      const clients = async () => String(await watcher.run('CLIENT', 'LIST')).match(/ name=own /g)?.length
      await vi.waitFor(async () => expect(await clients()).toBe(1))
      const leave = await sooner(watch)
      await leave?.()
      await engine.kill()
      await expect(watch()).rejects.toThrow('Redis: ')
      await store.close?.()
    })

    test('that may evict keys is refused, unless it never needs to', async ({ onTestFinished: onEnd }) => {
      const { store, own } = await world(maker, onEnd, ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'])
      await expect(store.ready?.(signal)).rejects.toThrow(/policy allkeys-lru.*Set maxmemory-policy to noeviction/)
      await own.run('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      await store.ready?.(signal)
      await own.run('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-random')
      await expect(store.ready?.(signal)).rejects.toThrow('allkeys-random')
      await own.run('CONFIG', 'SET', 'maxmemory', '0')
      await store.ready?.(signal)
      await own.run('CONFIG', 'SET', 'maxmemory', '100mb')
      await own.run('ACL', 'SETUSER', 'default', '-info')
      await store.ready?.(signal)
    })

    test('that is full, read-only or cut off from its master says so, and nothing is written in part', async ({
      onTestFinished: onEnd,
    }) => {
      const { store, own } = await world(maker, onEnd)
      const [record, another] = [recordOf(newKey()), recordOf(newKey())]
      await store.insert(record)
      await own.run('CONFIG', 'SET', 'maxmemory', '1')
      await expect(store.insert(another)).rejects.toThrow('OOM')
      await expect(store.update(record.id, { name: 'new' })).rejects.toThrow('OOM')
      await own.run('CONFIG', 'SET', 'maxmemory', '0')
      await own.run('REPLICAOF', '127.0.0.1', '1')
      await expect(store.insert(another)).rejects.toThrow('READONLY')
      expect(await store.list({})).toEqual([record])
      await own.run('CONFIG', 'SET', 'replica-serve-stale-data', 'no')
      await expect(find(store, record.digest)).rejects.toThrow('MASTERDOWN')
      await expect(find(store, another.digest)).rejects.toThrow('MASTERDOWN')
    })

    test('whose user may not publish: nothing is written unheard, and nobody thinks he hears', async ({
      onTestFinished: onEnd,
    }) => {
      const { store, own, watch, watcher } = await world(maker, onEnd)
      await own.run('ACL', 'SETUSER', 'default', '-publish')
      const record = recordOf(newKey())
      await expect(store.insert(record)).rejects.toThrow("can't run this command")
      expect(await store.list({})).toEqual([])
      expect(await store.get(record.id, { signal })).toBeNull()
      await sooner(async () => expect(watch()).rejects.toThrow('NOPERM'))
      await vi.waitFor(async () => expect(await subscribersOf(watcher, 'own')).toHaveLength(0))
    })

    test('whose user may only read serves all look-ups', async ({ onTestFinished: onEnd }) => {
      const { engine, store } = await world(maker, onEnd)
      const record = recordOf(newKey())
      await store.insert(record)
      const admin = await maker.connect(engine.url)
      onEnd(admin.close)
      const may = ['+get', '+mget', '+zrange', '+zrangebylex', '+publish', '+subscribe', '+hello', '+ping', '+select']
      await admin.run(
        'ACL',
        'SETUSER',
        'guard',
        'on',
        '>pass',
        '%R~{hc}:*',
        '&{hc}:changes',
        ...may,
        '+client',
        '+info',
      )
      const guard = await maker.connect(engine.url.replace('//', '//guard:pass@'))
      onEnd(guard.close)
      const reading = redisKeyStore(guard.client)
      onEnd(() => reading.close?.())
      await reading.ready?.(signal)
      const changes: KeyChange[] = []
      const leave = await sooner(async () => reading.watch?.((change) => void changes.push(change)))
      expect(await find(reading, record.digest)).toEqual(record)
      expect(await reading.list({ organizationId: 'org_1' })).toEqual([record])
      expect(await reading.revokedTokens?.()).toEqual([])
      await expect(reading.update(record.id, { name: 'new' })).rejects.toThrow('NOPERM')
      await store.update(record.id, { name: 'newer' })
      await vi.waitFor(() => expect(changes).toEqual([{ keyId: record.id }]))
      await leave?.()
    })

    test('that is a node of a cluster takes a prefix with a hash tag, and one without is told what it needs', async ({
      onTestFinished: onEnd,
    }) => {
      const { engine, watcher } = await world(maker, onEnd, CLUSTER)
      await watcher.run('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
      await vi.waitFor(async () => expect(await watcher.run('CLUSTER', 'INFO')).toContain('cluster_state:ok'), 5000)
      const cluster = new Cluster([{ host: '127.0.0.1', port: engine.port }], {
        redisOptions: { connectionName: 'cluster' },
      })
      onEnd(() => cluster.disconnect())
      const client = maker.name === 'ioredis' ? cluster : watcher.client
      const label = maker.name === 'ioredis' ? 'cluster' : ADMIN
      const [tagged, untagged] = [redisKeyStore(client), redisKeyStore(client, { prefix: 'hc:' })]
      onEnd(async () => void (await Promise.all([tagged.close?.(), untagged.close?.()])))
      await tagged.ready?.(signal)
      const changes: KeyChange[] = []
      const leave = await sooner(async () => tagged.watch?.((change) => void changes.push(change)))
      const [old, fresh] = [recordOf(newKey()), recordOf(newKey(), { id: 'key_z' })]
      await tagged.insert(old)
      const rotated = { ...old, rotatedAt: new Date(0), validUntil: new Date(0), replacedBy: fresh.id }
      await tagged.replace(rotated, fresh)
      expect(await find(tagged, old.digest)).toEqual(rotated)
      expect(await tagged.list({})).toEqual([rotated, fresh])
      await vi.waitFor(() => expect(changes).toContainEqual({ keyId: fresh.id }))
      await expect(untagged.insert(recordOf(newKey()))).rejects.toThrow('the prefix needs a hash tag')

      const [id] = await subscribersOf(watcher, label)
      await watcher.run('CLIENT', 'KILL', 'ID', id ?? '')
      await vi.waitFor(() => expect(changes.slice(-2)).toEqual(['lost', 'resumed']), { timeout: 2000 })
      await leave?.()
      await vi.waitFor(async () => expect(await subscribersOf(watcher, label)).toHaveLength(0))
    })
  })
})

describe('commands to an engine that does not answer', () => {
  test('do not pile up without end, and are sent again when it answers', async () => {
    const clock = manualClock()
    const open: ((reply: unknown) => void)[] = []
    const send = () => new Promise((resolve) => open.push(resolve))
    const { ask } = createCommands(send, clock)
    const asked = Array.from({ length: 1000 }, () => ask([['GET', 'x']]))
    expect(open).toHaveLength(1000)
    clock.advance(1000)
    await expect(ask([['GET', 'x']])).rejects.toThrow('1000 commands wait')
    expect(open).toHaveLength(1000)
    for (const reply of open.splice(0)) reply('x')
    expect(await Promise.all(asked)).toHaveLength(1000)
    const last = ask([['GET', 'x']])
    open[0]?.('y')
    expect(await last).toEqual(['y'])
  })
})
