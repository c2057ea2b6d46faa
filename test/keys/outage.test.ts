import { describe, expect, test, vi } from 'vitest'
import type { KeyRecord, KeyStore } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { manualClock, never, newKey, NO_FEED, outcome, recordOf, spied, START, verifierOf } from './parts.ts'

const refuse = (): Promise<never> => Promise.reject(new Error('connection refused'))

/** A store that can be stopped and hung. */
function fragile(records: readonly KeyRecord[]) {
  let mode: 'up' | 'refuse' | 'hang' = 'up'
  const signals: AbortSignal[] = []
  const inner = spied(records)
  const ask = <T>(answer: () => Promise<T>, signal: AbortSignal): Promise<T> => {
    signals.push(signal)
    return mode === 'up' ? answer() : mode === 'refuse' ? refuse() : never()
  }
  const spy = spied(records, {
    can: NO_FEED,
    find: (lookup, context) => ask(() => inner.store.find(lookup, context), context.signal),
    get: (id, context) => ask(() => inner.store.get(id, context), context.signal),
  })
  return {
    ...spy,
    signals,
    become: (next: typeof mode) => {
      mode = next
    },
  }
}

describe('a store that is down', () => {
  test('is 503 for a key that is not cached, and asked again at the next call', async () => {
    const key = newKey()
    const { store, become, asked } = fragile([recordOf(key)])
    const verifier = verifierOf(store)
    become('refuse')
    expect(await outcome(verifier, key)).toBe('store_unavailable')
    expect(verifier.health().reachable).toBe(false)
    become('up')
    expect(await outcome(verifier, key)).toBe('ok')
    expect(verifier.health().reachable).toBe(true)
    expect(asked()).toBe(2)
  })

  test('lets a cached key work for 60 seconds beyond its cache time', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store, become } = fragile([recordOf(key)])
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    become('refuse')
    clock.advance(30_000)
    expect(await outcome(verifier, key)).toBe('ok')
    clock.advance(59_999)
    expect(await outcome(verifier, key)).toBe('ok')
    clock.advance(1)
    expect(await outcome(verifier, key)).toBe('store_unavailable')
  })

  test('does not turn a miss of lately into a verdict', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store, become } = fragile([])
    const verifier = verifierOf(store, { clock })
    expect(await outcome(verifier, key)).toBe('key_unknown')
    become('refuse')
    clock.advance(5000)
    expect(await outcome(verifier, key)).toBe('store_unavailable')
  })

  const ends: [string, Partial<KeyRecord>, string][] = [
    ['expired', { expiresAt: new Date(START + 40_000) }, 'key_expired'],
    ['rotated out', { validUntil: new Date(START + 40_000) }, 'key_rotated_out'],
  ]
  test.each(ends)('does not let a key work that is %s meanwhile', async (_, more, reason) => {
    const clock = manualClock()
    const key = newKey()
    const { store, become } = fragile([recordOf(key, more)])
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    become('refuse')
    clock.advance(39_999)
    expect(await outcome(verifier, key)).toBe('ok')
    clock.advance(1)
    expect(await outcome(verifier, key)).toBe(reason)
  })

  test('does not let a key work that was revoked when it was looked up', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store, become } = fragile([recordOf(key, { revokedAt: new Date(START) })])
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    become('refuse')
    clock.advance(60_000)
    expect(await outcome(verifier, key)).toBe('key_revoked')
  })
})

describe('a store that is well, but has few connections', () => {
  test('is asked at most 32 questions at a time, and answers a burst of keys that nobody has cached', async () => {
    const keys = Array.from({ length: 400 }, () => newKey())
    const memory = memoryKeyStore(keys.map((key) => recordOf(key)))
    const queue: (() => void)[] = []
    let busy = 0
    let most = 0
    const connection = async () => {
      if (busy === 10) await new Promise<void>((resolve) => queue.push(resolve))
      else busy += 1
    }
    const release = () => {
      const next = queue.shift()
      if (next === undefined) busy -= 1
      else next()
    }
    const find: KeyStore['find'] = async (lookup, context) => {
      most = Math.max(most, busy + queue.length)
      await connection()
      await new Promise((resolve) => setTimeout(resolve, 5))
      release()
      return memory.find(lookup, context)
    }
    const verifier = verifierOf(spied([], { can: NO_FEED, find }).store, { timeoutMs: 20_000 })
    const outcomes = await Promise.all(keys.map((key) => outcome(verifier, key)))
    expect(new Set(outcomes)).toEqual(new Set(['ok']))
    expect(most).toBe(31)
  })
})

describe('a store that hangs', () => {
  test('lets nobody wait for a turn that does not come: the rest fails with those that ran out', async () => {
    const verifier = verifierOf(spied([], { can: NO_FEED, find: never }).store, { timeoutMs: 50 })
    const started = performance.now()
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => outcome(verifier, newKey())))
    expect(new Set(outcomes)).toEqual(new Set(['store_unavailable']))
    expect(performance.now() - started).toBeLessThan(900)
    await verifier.close()
  })

  test.each(['close', 'watch'] as const)(
    'in %s does not hold up ready or close beyond their deadlines',
    async (what) => {
      const { store } = spied([], { [what]: never })
      const verifier = verifierOf(store)
      const started = performance.now()
      await verifier.ready(AbortSignal.timeout(5000))
      await verifier.close(50)
      expect(performance.now() - started).toBeLessThan(3000)
    },
  )

  test('is answered for within the deadline, its question aborted', async () => {
    const key = newKey()
    const { store, become, signals } = fragile([recordOf(key)])
    const verifier = verifierOf(store, { timeoutMs: 60 })
    become('hang')
    const start = performance.now()
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => outcome(verifier, key)))
    const elapsed = performance.now() - start
    expect(new Set(outcomes)).toEqual(new Set(['store_unavailable']))
    expect(elapsed).toBeGreaterThan(55)
    expect(elapsed).toBeLessThan(250)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(verifier.health().reachable).toBe(false)
  })

  test('is asked by one probe a second, and the rest fail at once', async () => {
    const clock = manualClock()
    const { store, become, asked } = fragile([])
    const verifier = verifierOf(store, { clock, timeoutMs: 20 })
    become('hang')
    await outcome(verifier, newKey())
    const perSecond: number[] = []
    for (let second = 0; second < 3; second += 1) {
      const before = asked()
      for (let tenth = 0; tenth < 10; tenth += 1) {
        clock.advance(100)
        const start = performance.now()
        const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcome(verifier, newKey())))
        expect(new Set(outcomes)).toEqual(new Set(['store_unavailable']))
        expect(performance.now() - start).toBeLessThan(200)
      }
      perSecond.push(asked() - before)
    }
    expect(perSecond).toEqual([1, 1, 1])
  })

  test('lets cached keys work at once', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store, become, asked } = fragile([recordOf(key)])
    const verifier = verifierOf(store, { clock, timeoutMs: 20 })
    await outcome(verifier, key)
    become('hang')
    clock.advance(30_000)
    expect(await outcome(verifier, key)).toBe('ok')
    const before = asked()
    for (let round = 0; round < 100; round += 1) expect(await outcome(verifier, key)).toBe('ok')
    expect(asked()).toBe(before)
  })

  test('is asked freely again after one probe that it answered', async () => {
    const clock = manualClock()
    const keys = [newKey(), newKey(), newKey()] as const
    const { store, become } = fragile(keys.map((key) => recordOf(key)))
    const verifier = verifierOf(store, { clock, timeoutMs: 20 })
    become('hang')
    await outcome(verifier, keys[0])
    become('up')
    expect(await outcome(verifier, keys[0])).toBe('store_unavailable')
    clock.advance(1000)
    expect(await outcome(verifier, keys[0])).toBe('ok')
    expect(await Promise.all([outcome(verifier, keys[1]), outcome(verifier, keys[2])])).toEqual(['ok', 'ok'])
    expect(verifier.health().reachable).toBe(true)
  })

  test('is asked freely again when the question that ran out settles, whose answer comes too late', async () => {
    const key = newKey()
    const { promise, resolve } = withResolvers<KeyRecord>()
    let asked = 0
    const { store } = spied([], {
      can: NO_FEED,
      find: () => {
        asked += 1
        return asked === 1 ? promise : refuse()
      },
    })
    const verifier = verifierOf(store, { timeoutMs: 20 })
    expect(await outcome(verifier, key)).toBe('store_unavailable')
    expect(await outcome(verifier, key)).toBe('store_unavailable')
    expect(asked).toBe(1)
    resolve(recordOf(key))
    await promise
    await new Promise((turn) => {
      setImmediate(turn)
    })
    expect(verifier.health()).toMatchObject({ reachable: false, cachedKeys: 0 })
    expect(await outcome(verifier, key)).toBe('store_unavailable')
    expect(asked).toBe(2)
  })

  test('has one deadline for a question that is put again', async () => {
    const key = newKey()
    const { store, push } = spied([recordOf(key, { id: 'key_1' })])
    const find = store.find
    const slow: KeyStore = {
      ...store,
      find: async (lookup, context) => {
        await new Promise((resolve) => {
          setTimeout(resolve, 45)
        })
        push({ keyId: 'key_1' })
        return find(lookup, context)
      },
    }
    const verifier = verifierOf(slow, { timeoutMs: 70 })
    await verifier.ready(AbortSignal.timeout(1000))
    const start = performance.now()
    expect(await outcome(verifier, key)).toBe('store_unavailable')
    expect(performance.now() - start).toBeLessThan(125)
  })

  test('leaves no timer behind after close, and none that keeps the process alive before', async () => {
    const [started, stopped] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'clearTimeout')]
    try {
      const { store, become } = fragile([])
      const verifier = verifierOf(store, { timeoutMs: 4321 })
      become('hang')
      const asking = [outcome(verifier, newKey()), outcome(verifier, newKey())]
      const issuing = verifier.issuingKey('key_1')
      const deadlines = started.mock.calls.flatMap(([, ms], index) => {
        const timer: unknown = started.mock.results[index]?.value
        return ms === 4321 ? [timer as NodeJS.Timeout] : []
      })
      expect(deadlines.map((timer) => timer.hasRef())).toEqual([false, false, false])
      await verifier.close()
      expect(await Promise.all(asking)).toEqual(['store_unavailable', 'store_unavailable'])
      expect(await issuing).toBe('unavailable')
      const cleared = new Set<unknown>(stopped.mock.calls.map(([timer]) => timer))
      expect(deadlines.every((timer) => cleared.has(timer))).toBe(true)
      expect(await outcome(verifier, newKey())).toBe('store_unavailable')
      expect(started.mock.calls.filter(([, ms]) => ms === 4321)).toHaveLength(3)
    } finally {
      started.mockRestore()
      stopped.mockRestore()
    }
  })
})

describe('a store that lies is 503, and nothing of it is cached', () => {
  const key = newKey()
  const good = recordOf(key)
  const broken = (more: object) => () => Promise.resolve({ ...good, ...more } as KeyRecord)
  const rows: [string, () => unknown, string][] = [
    ['a record of another digest', broken({ digest: recordOf(newKey()).digest }), 'store_invalid_record'],
    ['a record of the other environment', broken({ environment: 'test' }), 'store_invalid_record'],
    ['scopes that are no list', broken({ scopes: 'read:patients' }), 'store_invalid_record'],
    ['scopes that are missing', broken({ scopes: undefined }), 'store_invalid_record'],
    ['no organization', broken({ organizationId: undefined }), 'store_invalid_record'],
    ['an empty organization', broken({ organizationId: '' }), 'store_invalid_record'],
    ['a bad rule', broken({ allowedCidrs: ['10.0.0.0/99'] }), 'store_invalid_record'],
    ['an expiry as text', broken({ expiresAt: '2030-01-01' }), 'store_invalid_record'],
    [
      'a record behind __proto__',
      async () => JSON.parse(`{"__proto__":${JSON.stringify(good)}}`),
      'store_invalid_record',
    ],
    ['an inherited record', async () => Object.create(good), 'store_invalid_record'],
    ['undefined', async () => undefined, 'store_invalid_record'],
    ['true', async () => true, 'store_invalid_record'],
    ['a list of records', async () => [good], 'store_invalid_record'],
    [
      'a proxy that throws',
      async () => new Proxy(good, { get: (_, name) => (name === 'then' ? undefined : fail()) }),
      'store_invalid_record',
    ],
    ['no promise but undefined', () => undefined, 'store_unavailable'],
    ['no promise but null', () => null, 'store_unavailable'],
    ['no promise but the record', () => good, 'store_unavailable'],
    ['a synchronous error', () => fail(), 'store_unavailable'],
    ['a rejection without reason', () => rejected(), 'store_unavailable'],
  ]
  test.each(rows)('%s', async (_, find, reason) => {
    const { store, asked } = spied([], { can: NO_FEED, find: find as KeyStore['find'] })
    const verifier = verifierOf(store)
    expect(await verifier.verify(key, null)).toMatchObject({ ok: false, reason, credential: 'api-key', actor: null })
    expect(await outcome(verifier, key)).toBe(reason)
    expect(asked()).toBe(2)
    expect(verifier.health().cachedKeys).toBe(0)
  })

  test('by adding to the digests that it was asked for', async () => {
    const planted = recordOf(newKey())
    const { store } = spied([], {
      can: NO_FEED,
      find: async (lookup) => {
        Reflect.set(lookup.digests, lookup.digests.length, planted.digest)
        return planted
      },
    })
    expect(await outcome(verifierOf(store), key)).toBe('store_invalid_record')
  })

  test('about a key that is cached, too: that is an outage, and the caller has his 60 seconds beyond the cache time', async () => {
    const clock = manualClock()
    let record: KeyRecord = good
    const { store, push } = spied([], { find: async () => record, get: async () => record })
    const verifier = verifierOf(store, { clock })
    expect([await outcome(verifier, key), await verifier.issuingKey(good.id)]).toEqual(['ok', 'good'])
    record = { ...good, organizationId: '' }
    clock.advance(30_000)
    expect([await outcome(verifier, key), await verifier.issuingKey(good.id)]).toEqual(['ok', 'good'])
    clock.advance(59_999)
    expect([await outcome(verifier, key), await verifier.issuingKey(good.id)]).toEqual(['ok', 'good'])
    clock.advance(1)
    expect([await outcome(verifier, key), await verifier.issuingKey(good.id)]).toEqual([
      'store_invalid_record',
      'unavailable',
    ])
    record = good
    expect(await outcome(verifier, key)).toBe('ok')
    record = { ...good, organizationId: '' }
    push({ keyId: good.id })
    expect(await outcome(verifier, key)).toBe('store_invalid_record')
  })

  test('but not beyond what the key was good for', async () => {
    const clock = manualClock()
    let answer: () => Promise<KeyRecord> = async () => ({ ...good, validUntil: new Date(START + 40_000) })
    const verifier = verifierOf(spied([], { can: NO_FEED, find: () => answer() }).store, { clock })
    expect(await outcome(verifier, key)).toBe('ok')
    answer = broken({ organizationId: '' })
    clock.advance(39_999)
    expect(await outcome(verifier, key)).toBe('ok')
    clock.advance(1)
    expect(await outcome(verifier, key)).toBe('key_rotated_out')
  })
})

function fail(): never {
  throw new Error('thrown')
}

function rejected(): Promise<never> {
  return new Promise((_, reject) => {
    reject()
  })
}

function withResolvers<T>() {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
