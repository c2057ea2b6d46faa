import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memoryKeyStore, type KeyRecord, type KeyStore } from '../../src/index.ts'
import type { KeyChange } from '../../src/keys/store.ts'
import { DAY, never, newKey, NO_FEED, recordOf, spied, START } from '../keys/parts.ts'
import { FRAMEWORKS } from './frameworks.ts'
import { onAll, onEvery, openWorld, type OutageWorld } from './outage-world.ts'
import { settled } from './raw-client.ts'
import { key16 } from './world.ts'

const letters = (length: number): string =>
  randomBytes(length * 3)
    .toString('base64')
    .replaceAll(/[^0-9A-Za-z]/g, '')
    .padEnd(length, 'x')
    .slice(0, length)

const other = (character: string) => (character === 'a' ? 'b' : 'a')

/** None of them is well-formed, whatever the dice say. */
const MALFORMED: readonly (readonly [string, () => string])[] = [
  ['a check with one character changed', () => newKey().replace(/.$/, other)],
  ['a body with one character changed', () => newKey().replace(/(?<=^hc_live_sk_.{7})./, other)],
  ['the check of the other environment', () => newKey('test').replace('_test_', '_live_')],
  ['17 to 35 characters', () => `hc_live_sk_${letters(17 + Math.floor(Math.random() * 19))}`],
  ['1 to 15 characters', () => `hc_live_sk_${letters(1 + Math.floor(Math.random() * 15))}`],
  ['37 to 300 characters', () => `hc_live_sk_${letters(37 + Math.floor(Math.random() * 264))}`],
  ['another prefix', () => newKey().replace('hc_live_sk_', 'hc_live_pk_')],
  ['letters of the prefix in upper case', () => newKey().replace('hc_live', 'HC_live')],
  ['a character that base62 has not', () => `hc_live_sk_${letters(15)}-`],
  ['junk', () => letters(40)],
]

/** A store whose `find` is replaced while the test runs. */
function changeable(records: readonly KeyRecord[] = [], more: Partial<KeyStore> = {}) {
  const memory = memoryKeyStore(records)
  let find: KeyStore['find'] | null = null
  const spy = spied([], { ...memory, ...more, find: (lookup, context) => (find ?? memory.find)(lookup, context) })
  return {
    ...spy,
    become: (next: unknown) => {
      find = next as KeyStore['find'] | null
    },
  }
}

const refuses = () => Promise.reject(new Error('connection refused'))
const throws = () => {
  throw new Error('not connected')
}

function gate() {
  let open = () => undefined as void
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

const withStore = (records: readonly KeyRecord[] = [], more: Partial<KeyStore> = {}, timeoutMs = 250) => {
  const store = changeable(records, more)
  return { options: { keys: { store: store.store, timeoutMs } }, ...store }
}

async function expectNoQuestion(world: OutageWorld, asked: () => number, count: number): Promise<void> {
  const credentials = Array.from({ length: count }, (_, index) => MALFORMED[index % MALFORMED.length]?.[1]() ?? '')
  expect(await world.burst(credentials, 20)).toEqual({ '401': count })
  expect(asked()).toBe(0)
  expect(world.handled()).toBe(0)
  const events = await world.events()
  expect(new Set(events.map(({ reason }) => reason))).toEqual(new Set(['key_malformed']))
  expect(events.reduce((sum, each) => sum + each.count, 0)).toBe(count)
}

describe('keys that are not well-formed', () => {
  onEvery(
    '2,000 of them are 401 and cause no question to the store',
    () => withStore(),
    (world, { asked }) => expectNoQuestion(world, asked, 2000),
  )

  test('nor do 10,000 of them', async () => {
    const [framework] = FRAMEWORKS.slice(-1)
    if (framework === undefined) throw new Error('no framework')
    const { options, asked } = withStore()
    const world = await openWorld(framework, options)
    try {
      await expectNoQuestion(world, asked, 10_000)
    } finally {
      await world.close()
    }
  })

  onAll(
    'a well-formed one beside them costs one question, of either form',
    () => withStore(),
    async ({ outcome }, { asked }) => {
      for (const [index, key] of [newKey(), key16(), newKey(), key16()].entries()) {
        expect(await outcome(key)).toBe('401 key_unknown')
        expect(asked()).toBe(index + 1)
      }
    },
  )
})

describe('one unknown key', () => {
  onEvery(
    'of 1,000 callers at once causes one question to the store, and all are 401',
    () => withStore([], { can: NO_FEED }, 15_000),
    async ({ burst, arrived, handled, outcome }, { become, asked }) => {
      const { opened, open } = gate()
      become(() => opened.then(() => null))
      const key = newKey()
      const answers = burst(
        Array.from({ length: 1000 }, () => key),
        250,
      )
      // Released only when every one of them has arrived.
      await settled(() => arrived() === 1000)
      open()
      expect(await answers).toEqual({ '401': 1000 })
      expect([asked(), handled()]).toEqual([1, 0])
      expect(await outcome(key)).toBe('401 key_unknown')
      expect(asked()).toBe(1)
    },
  )
})

const STRANGER = recordOf(newKey())

/** What a store does instead of giving the record that it should give. */
const FAULTS: readonly (readonly [string, (record: KeyRecord) => unknown, string])[] = [
  ['rejects', refuses, 'store_unavailable'],
  ['throws', throws, 'store_unavailable'],
  ['rejects with nothing', () => Promise.reject(), 'store_unavailable'],
  ['returns no promise', (record) => record, 'store_unavailable'],
  ['answers undefined', async () => undefined, 'store_invalid_record'],
  ['answers true', async () => true, 'store_invalid_record'],
  ['answers with text', async () => 'key_1', 'store_invalid_record'],
  ['answers with a list', async (record) => [record], 'store_invalid_record'],
  ['answers with another key', async () => STRANGER, 'store_invalid_record'],
  ['answers for the other environment', async (record) => ({ ...record, environment: 'test' }), 'store_invalid_record'],
  ['gives scopes that are no list', async (record) => ({ ...record, scopes: 'read:patients' }), 'store_invalid_record'],
  ['gives a scope that is no text', async (record) => ({ ...record, scopes: [1] }), 'store_invalid_record'],
  ['leaves the organization out', async (record) => without(record, 'organizationId'), 'store_invalid_record'],
  ['gives an empty organization', async (record) => ({ ...record, organizationId: '' }), 'store_invalid_record'],
  ['gives a revocation as text', async (record) => ({ ...record, revokedAt: 'no' }), 'store_invalid_record'],
  [
    'hides the record behind __proto__',
    async (record) => JSON.parse(`{"__proto__":${JSON.stringify(record)}}`) as unknown,
    'store_invalid_record',
  ],
  ['lets the record be inherited', async (record) => Object.create(record) as unknown, 'store_invalid_record'],
]

function without(record: KeyRecord, member: keyof KeyRecord): object {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== member))
}

const revoked = (at: number) => ({ revokedAt: new Date(at), revokedReason: 'leaked' })

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('%s', (_name, framework) => {
  const { options, store, become, asked } = withStore()
  let world: OutageWorld

  beforeAll(async () => {
    world = await openWorld(framework, options)
    await world.auth.ready()
  })

  afterAll(() => world.close())

  /** A key that the store knows, with a record like this. */
  const known = async (more: Partial<KeyRecord> = {}) => {
    const key = newKey()
    const record = recordOf(key, more)
    await store.insert(record)
    return { key, record, id: record.id }
  }
  const outcome = (key: string) => world.outcome(key)
  const later = (ms: number) => new Date(world.clock.now() + ms)

  describe('a store', () => {
    test.each(FAULTS)('that %s is a 503, and nobody passes', async (_fault, answer, reason) => {
      const { key, record } = await known()
      const handled = world.handled()
      become(() => answer(record))
      const called = await world.call(key)
      expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
      expect(called.headers).not.toHaveProperty('www-authenticate')
      expect(called.ms).toBeLessThan(1000)
      expect(await world.eventOf(called)).toMatchObject({ outcome: 'error', reason, actor: { org: null, keyId: null } })
      expect(await outcome(key)).toBe(`503 ${reason}`)
      expect(world.handled()).toBe(handled)
      become(null)
      expect(await outcome(key)).toBe('200 null')
    })

    test.each([
      ['refuses', refuses],
      ['throws', throws],
    ])('that %s leaves a cached caller his 30 seconds and 60 more, and then is 503', async (_fault, answer) => {
      const { key } = await known()
      expect(await outcome(key)).toBe('200 null')
      const before = asked()
      become(answer)
      world.clock.advance(29_999)
      expect([await outcome(key), asked() - before]).toEqual(['200 null', 0])
      world.clock.advance(1)
      expect([await outcome(key), asked() - before]).toEqual(['200 null', 1])
      world.clock.advance(59_999)
      expect([await outcome(key), asked() - before]).toEqual(['200 null', 2])
      world.clock.advance(1)
      expect(await world.call(key)).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
      become(null)
      expect(await outcome(key)).toBe('200 null')
    })

    test('that lies about a cached caller leaves him his 60 seconds, unless a change was pushed', async () => {
      const { key, id } = await known()
      expect(await outcome(key)).toBe('200 null')
      become(async () => STRANGER)
      world.clock.advance(30_000)
      expect(await outcome(key)).toBe('200 null')
      world.clock.advance(59_999)
      expect(await outcome(key)).toBe('200 null')
      world.clock.advance(1)
      expect(await outcome(key)).toBe('503 store_invalid_record')
      become(null)
      expect(await outcome(key)).toBe('200 null')
      become(async () => STRANGER)
      await store.update(id, revoked(world.clock.now()))
      expect(await outcome(key)).toBe('503 store_invalid_record')
      become(null)
    })

    test('that is down does not let a key work on that is over meanwhile', async () => {
      const { key } = await known({ expiresAt: later(40_000) })
      expect(await outcome(key)).toBe('200 null')
      become(refuses)
      world.clock.advance(39_999)
      expect(await outcome(key)).toBe('200 null')
      world.clock.advance(1)
      expect(await outcome(key)).toBe('401 key_expired')
      become(null)
    })
  })

  describe('a change in the store', () => {
    test('that revokes a cached key is in force at the next call', async () => {
      const { key, id } = await known()
      expect(await outcome(key)).toBe('200 null')
      const before = asked()
      expect([await outcome(key), asked() - before]).toEqual(['200 null', 0])
      await store.update(id, revoked(world.clock.now()))
      const called = await world.call(key)
      expect(called).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
      expect(await world.eventOf(called)).toMatchObject({ reason: 'key_revoked', actor: { keyId: id, org: 'org_1' } })
    })

    test('that revokes a key ends its stale service, too', async () => {
      const { key, id } = await known()
      expect(await outcome(key)).toBe('200 null')
      become(refuses)
      world.clock.advance(30_000)
      expect(await outcome(key)).toBe('200 null')
      await store.update(id, revoked(world.clock.now()))
      expect(await outcome(key)).toBe('503 store_unavailable')
      become(null)
      expect(await outcome(key)).toBe('401 key_revoked')
    })

    test('that revokes a key while it is looked up overtakes the answer on its way', async () => {
      const { key, record, id } = await known()
      const { opened, open } = gate()
      const [before, handled] = [asked(), world.handled()]
      become(() => opened.then(() => record))
      const answer = outcome(key)
      await settled(() => asked() === before + 1)
      await store.update(id, revoked(world.clock.now()))
      become(null)
      open()
      expect(await answer).toBe('401 key_revoked')
      expect([asked() - before, world.handled() - handled]).toEqual([2, 0])
      expect(await outcome(key)).toBe('401 key_revoked')
    })

    test.each([
      ['takes its scope away', () => ({ scopes: [] }), '403 scope_missing'],
      ['ties it to an address', () => ({ allowedCidrs: ['203.0.113.0/24'] }), '403 ip_not_allowed'],
      ['ends it', () => ({ expiresAt: later(0) }), '401 key_expired'],
      [
        'ends its grace',
        () => ({ rotatedAt: later(0), validUntil: later(0), replacedBy: 'key_2' }),
        '401 key_rotated_out',
      ],
    ])('that %s is in force at the next call, and so is its reversal', async (_what, change, expected) => {
      const { key, record, id } = await known()
      expect(await outcome(key)).toBe('200 null')
      await store.update(id, change())
      expect(await outcome(key)).toBe(expected)
      await store.update(id, record)
      expect(await outcome(key)).toBe('200 null')
    })

    test('that brings in a key which was missed a moment ago makes it work at once', async () => {
      const fresh = newKey()
      expect(await outcome(fresh)).toBe('401 key_unknown')
      const before = asked()
      expect([await outcome(fresh), asked() - before]).toEqual(['401 key_unknown', 0])
      await store.insert(recordOf(fresh))
      expect(await outcome(fresh)).toBe('200 null')
    })
  })

  describe('a deadline holds from the cache, to the millisecond:', () => {
    const day = (): Partial<KeyRecord> => ({ rotatedAt: later(0), validUntil: later(DAY), replacedBy: 'key_2' })
    test.each([
      ['24 hours after a rotation', day, '401 key_rotated_out'],
      ['an expiry', () => ({ expiresAt: later(DAY) }), '401 key_expired'],
    ])('%s', async (_what, more, expected) => {
      const end = later(DAY)
      const { key, record } = await known(more())
      world.clock.advance(DAY - 1000)
      expect(await outcome(key)).toBe('200 null')
      const before = asked()
      world.clock.advance(999)
      const last = await world.call(key)
      expect(last.status).toBe(200)
      expect(last.headers['healthcloud-key-expires']).toBe(record.validUntil === null ? undefined : end.toUTCString())
      world.clock.advance(1)
      expect(await outcome(key)).toBe(expected)
      expect(asked()).toBe(before)
    })
  })
})

describe('a store that hangs', () => {
  onAll(
    'is 503 within its deadline, and nobody passes',
    () => withStore(),
    async ({ call, eventOf, handled }, { become }) => {
      become(never)
      const called = await call(newKey())
      expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
      expect(called.ms).toBeGreaterThan(240)
      expect(called.ms).toBeLessThan(1000)
      expect(await eventOf(called)).toMatchObject({ outcome: 'error', reason: 'store_unavailable' })
      expect(handled()).toBe(0)
    },
  )

  const cached = newKey()
  onAll(
    'leaves a cached caller his 30 seconds and 60 more, and then is 503',
    () => withStore([recordOf(cached)]),
    async ({ call, outcome, clock }, { become }) => {
      expect(await outcome(cached)).toBe('200 null')
      become(never)
      clock.advance(30_000)
      expect(await outcome(cached)).toBe('200 null')
      clock.advance(59_999)
      expect(await outcome(cached)).toBe('200 null')
      clock.advance(1)
      const called = await call(cached)
      expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE' })
      expect(called.ms).toBeLessThan(1000)
    },
  )

  onAll(
    'is asked by one probe a second while everybody else fails at once, and freely again once it answers',
    () => withStore([recordOf(cached)], {}, 600),
    async ({ call, outcome, clock }, { become, asked }) => {
      expect(await outcome(cached)).toBe('200 null')
      become(never)
      expect(await outcome(newKey())).toBe('503 store_unavailable')
      for (let second = 0; second < 2; second += 1) {
        const before = asked()
        for (let part = 0; part < 4; part += 1) {
          clock.advance(250)
          const calls = await Promise.all([...Array.from({ length: 4 }, () => call(newKey())), call(cached)])
          expect(calls.map(({ status }) => status)).toEqual([503, 503, 503, 503, 200])
          // The probe alone waits; it goes out with the last part.
          expect(calls.filter(({ ms }) => ms > 590).length).toBe(part === 3 ? 1 : 0)
        }
        expect(asked() - before).toBe(1)
      }
      become(null)
      expect(await outcome(newKey())).toBe('503 store_unavailable')
      clock.advance(1000)
      expect(await outcome(newKey())).toBe('401 key_unknown')
      expect(await Promise.all([outcome(newKey()), outcome(newKey())])).toEqual(['401 key_unknown', '401 key_unknown'])
    },
  )
})

describe('a feed that the test tells', () => {
  const key = newKey()
  const prepare = () => {
    const record = recordOf(key, { id: 'key_1' })
    let tell: (change: KeyChange) => void = () => undefined
    const watch: KeyStore['watch'] = async (on) => {
      tell = on
      return async () => undefined
    }
    return { record, ...withStore([record], { watch }), tell: (change: KeyChange) => tell(change) }
  }

  onEvery(
    'of nothing: a change is in force when the cache time is over, or as soon as the feed has resumed',
    prepare,
    async ({ outcome, clock }, { record, store, tell, asked }) => {
      expect(await outcome(key)).toBe('200 null')
      tell('lost')
      const ended = { rotatedAt: new Date(START), validUntil: new Date(START), replacedBy: 'key_2' }
      await store.update('key_1', ended)
      clock.advance(29_999)
      expect([await outcome(key), asked()]).toEqual(['200 null', 1])
      clock.advance(1)
      expect(await outcome(key)).toBe('401 key_rotated_out')
      await store.update('key_1', record)
      expect(await outcome(key)).toBe('401 key_rotated_out')
      tell('resumed')
      expect(await outcome(key)).toBe('200 null')
    },
  )

  for (const change of ['lost', 'resumed'] as const) {
    onEvery(
      `during a look-up that it is ${change}: the answer on its way is asked for again`,
      prepare,
      async ({ outcome }, { record, store, tell, become, asked }) => {
        expect(await outcome(newKey())).toBe('401 key_unknown')
        const { opened, open } = gate()
        become(() => opened.then(() => record))
        const answer = outcome(key)
        await settled(() => asked() === 2)
        await store.update('key_1', revoked(START))
        tell(change)
        become(null)
        open()
        expect(await answer).toBe('401 key_revoked')
      },
    )
  }
})

describe('a key that is made here, without a feed,', () => {
  const request = {
    organizationId: 'org_1',
    name: 'fresh',
    scopes: ['read:patients'],
    by: 'tests',
  } as const

  onEvery(
    'works at once, also where it was missed a moment ago',
    () => withStore([], { can: NO_FEED }),
    async ({ auth, outcome }) => {
      const fresh = newKey()
      expect(await outcome(fresh)).toBe('401 key_unknown')
      await auth.keys.import({ ...request, key: fresh })
      expect(await outcome(fresh)).toBe('200 null')
      const made = await auth.keys.create({ ...request, environment: 'live' })
      expect(await outcome(made.key)).toBe('200 null')
    },
  )

  onEvery(
    'while it is looked up, is not answered from before',
    () => withStore([], { can: NO_FEED }),
    async ({ auth, outcome }, { become, asked }) => {
      const fresh = newKey()
      const { opened, open } = gate()
      become(() => opened.then(() => null))
      const answer = outcome(fresh)
      await settled(() => asked() === 1)
      become(null)
      await auth.keys.import({ ...request, key: fresh })
      open()
      expect(await answer).toBe('200 null')
    },
  )
})
