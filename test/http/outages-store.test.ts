import { randomBytes } from 'node:crypto'
import { describe, expect } from 'vitest'
import { memoryKeyStore, type KeyRecord, type KeyStore } from '../../src/index.ts'
import type { KeyChange } from '../../src/keys/store.ts'
import { DAY, never, newKey, NO_FEED, recordOf, spied, START } from '../keys/parts.ts'
import { onAll, onEvery } from './outage-world.ts'
import { settled } from './raw-client.ts'
import { key16 } from './world.ts'

const letters = (length: number): string =>
  randomBytes(length * 3).toString('base64').replaceAll(/[^0-9A-Za-z]/g, '').padEnd(length, 'x').slice(0, length)

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

describe('keys that are not well-formed', () => {
  onEvery(
    '10,000 of them are 401 and cause no question to the store',
    () => withStore(),
    async (world, { asked }) => {
      const credentials = Array.from({ length: 10_000 }, (_, index) => MALFORMED[index % MALFORMED.length]?.[1]() ?? '')
      expect(await world.burst(credentials, 20)).toEqual({ '401': 10_000 })
      expect(asked()).toBe(0)
      expect(world.handled()).toBe(0)
      const events = await world.events()
      expect(new Set(events.map(({ reason }) => reason))).toEqual(new Set(['key_malformed']))
      expect(events.reduce((sum, { count }) => sum + count, 0)).toBe(10_000)
    },
  )

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
      const answers = burst(Array.from({ length: 1000 }, () => key), 250)
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

/** What a store does instead of answering, by what it makes of the record that it should give. */
const FAULTS: readonly (readonly [string, (record: KeyRecord) => unknown, string])[] = [
  ['rejects', refuses, 'store_unavailable'],
  ['throws', throws, 'store_unavailable'],
  ['rejects with nothing', () => Promise.reject(), 'store_unavailable'],
  ['never answers', never, 'store_unavailable'],
  ['returns no promise', (record) => record, 'store_unavailable'],
  ['answers undefined', async () => undefined, 'store_invalid_record'],
  ['answers true', async () => true, 'store_invalid_record'],
  ['answers with text', async () => 'key_1', 'store_invalid_record'],
  ['answers with a list', async (record) => [record], 'store_invalid_record'],
  ['answers with another key', async () => STRANGER, 'store_invalid_record'],
  ['answers for the other environment', async (record) => ({ ...record, environment: 'test' }), 'store_invalid_record'],
  ['gives scopes that are no list', async (record) => ({ ...record, scopes: 'read:patients' }), 'store_invalid_record'],
  ['gives a scope that is no text', async (record) => ({ ...record, scopes: [1] }), 'store_invalid_record'],
  ['leaves the organization out', async ({ organizationId: _, ...record }) => record, 'store_invalid_record'],
  ['gives an empty organization', async (record) => ({ ...record, organizationId: '' }), 'store_invalid_record'],
  ['gives a revocation as text', async (record) => ({ ...record, revokedAt: 'no' }), 'store_invalid_record'],
  [
    'hides the record behind __proto__',
    async (record) => JSON.parse(`{"__proto__":${JSON.stringify(record)}}`) as unknown,
    'store_invalid_record',
  ],
  ['lets the record be inherited', async (record) => Object.create(record) as unknown, 'store_invalid_record'],
]

describe('a store', () => {
  for (const [fault, answer, reason] of FAULTS) {
    onAll(
      `that ${fault} is 503 ${reason} within its deadline, and nobody passes`,
      () => withStore(),
      async ({ call, eventOf, outcome, handled }, { become, push }) => {
        const key = newKey()
        const record = recordOf(key)
        become(() => answer(record))
        const called = await call(key)
        expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
        expect(called.headers).not.toHaveProperty('www-authenticate')
        expect(called.ms).toBeLessThan(1000)
        expect(await eventOf(called)).toMatchObject({ outcome: 'error', reason, actor: { org: null, keyId: null } })
        expect(await outcome(key)).toBe(`503 ${reason}`)
        expect(handled()).toBe(0)
        // A store that never answers counts as hanging until its next probe.
        if (answer === never) return
        become(async () => record)
        push('resumed')
        expect(await outcome(key)).toBe('200 null')
      },
    )
  }

  for (const [fault, answer] of [['refuses', refuses], ['throws', throws], ['hangs', never]] as const) {
    const key = newKey()
    onAll(
      `that ${fault} leaves a cached caller his 30 seconds and 60 more, and then is 503`,
      () => withStore([recordOf(key)]),
      async ({ call, outcome, clock }, { become, asked }) => {
        expect(await outcome(key)).toBe('200 null')
        become(answer)
        clock.advance(29_999)
        expect([await outcome(key), asked()]).toEqual(['200 null', 1])
        clock.advance(1)
        expect([await outcome(key), asked()]).toEqual(['200 null', 2])
        clock.advance(59_999)
        expect([await outcome(key), asked()]).toEqual(['200 null', 3])
        clock.advance(1)
        const called = await call(key)
        expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
        expect(called.ms).toBeLessThan(1000)
        become(null)
        clock.advance(1000)
        expect(await outcome(key)).toBe('200 null')
      },
    )
  }

  const lied = newKey()
  onAll(
    'that lies about a cached caller is 503: what he was is not served on',
    () => withStore([recordOf(lied)]),
    async ({ outcome, clock }, { become }) => {
      expect(await outcome(lied)).toBe('200 null')
      become(async () => STRANGER)
      clock.advance(30_000)
      expect(await outcome(lied)).toBe('503 store_invalid_record')
    },
  )

  const expiring = newKey()
  onAll(
    'that is down does not let a key work on that is over meanwhile',
    () => withStore([recordOf(expiring, { expiresAt: new Date(START + 40_000) })]),
    async ({ outcome, clock }, { become }) => {
      expect(await outcome(expiring)).toBe('200 null')
      become(refuses)
      clock.advance(39_999)
      expect(await outcome(expiring)).toBe('200 null')
      clock.advance(1)
      expect(await outcome(expiring)).toBe('401 key_expired')
    },
  )

  const cached = newKey()
  onAll(
    'that hangs is asked by one probe a second while everybody else fails at once, and freely again once it answers',
    () => withStore([recordOf(cached)], {}, 600),
    async ({ call, outcome, clock }, { become, asked }) => {
      expect(await outcome(cached)).toBe('200 null')
      become(never)
      const first = await call(newKey())
      expect(first.status).toBe(503)
      expect(first.ms).toBeGreaterThan(590)
      for (let second = 0; second < 2; second += 1) {
        const before = asked()
        for (let part = 0; part < 4; part += 1) {
          clock.advance(250)
          const calls = await Promise.all([...Array.from({ length: 4 }, () => call(newKey())), call(cached)])
          expect(calls.map(({ status }) => status)).toEqual([...Array.from({ length: 4 }, () => 503), 200])
          // The probe alone waits; it went out with the last part.
          const waited = calls.filter(({ ms }) => ms > 590)
          expect(waited.length).toBe(part === 3 ? 1 : 0)
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

const REVOKED = { revokedAt: new Date(START), revokedReason: 'leaked' }

describe('a change in the store', () => {
  const key = newKey()
  const prepare = (more: Partial<KeyRecord> = {}, methods: Partial<KeyStore> = {}) => {
    const record = recordOf(key, { id: 'key_1', ...more })
    return { record, ...withStore([record], methods) }
  }

  onAll(
    'that revokes a cached key is in force at the next call',
    () => prepare(),
    async ({ call, eventOf, outcome }, { store, asked }) => {
      expect(await outcome(key)).toBe('200 null')
      expect([await outcome(key), asked()]).toEqual(['200 null', 1])
      await store.update('key_1', REVOKED)
      const called = await call(key)
      expect(called).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
      expect(await eventOf(called)).toMatchObject({ reason: 'key_revoked', actor: { keyId: 'key_1', org: 'org_1' } })
      expect(asked()).toBe(2)
    },
  )

  onAll(
    'that revokes a key while it is looked up overtakes the answer on its way',
    () => prepare(),
    async ({ outcome, handled }, { record, store, become, asked }) => {
      // Up before the call, as it is where a server has been running for a while.
      expect(await outcome(newKey())).toBe('401 key_unknown')
      const { opened, open } = gate()
      become(() => opened.then(() => record))
      const answer = outcome(key)
      await settled(() => asked() === 2)
      await store.update('key_1', REVOKED)
      become(null)
      open()
      expect(await answer).toBe('401 key_revoked')
      expect([asked(), handled()]).toEqual([3, 0])
      expect(await outcome(key)).toBe('401 key_revoked')
    },
  )

  for (const [what, change, expected] of [
    ['takes its scope away', { scopes: [] }, '403 scope_missing'],
    ['ties it to an address', { allowedCidrs: ['203.0.113.0/24'] }, '403 ip_not_allowed'],
    ['ends it', { expiresAt: new Date(START) }, '401 key_expired'],
    ['ends its grace', { rotatedAt: new Date(START), validUntil: new Date(START), replacedBy: 'key_2' }, '401 key_rotated_out'],
  ] as const) {
    onAll(
      `that ${what} is in force at the next call, and so is its reversal`,
      () => prepare(),
      async ({ outcome }, { record, store }) => {
        expect(await outcome(key)).toBe('200 null')
        await store.update('key_1', change)
        expect(await outcome(key)).toBe(expected)
        await store.update('key_1', record)
        expect(await outcome(key)).toBe('200 null')
      },
    )
  }

  const handMade = () => {
    let tell: (change: KeyChange) => void = () => undefined
    const watch: KeyStore['watch'] = async (on) => {
      tell = on
      return async () => undefined
    }
    return { ...prepare({}, { watch }), tell: (change: KeyChange) => tell(change) }
  }

  onAll(
    'that is told by nobody reaches us when the feed resumes, at the latest when the cache time is over',
    handMade,
    async ({ outcome, clock }, { record, store, tell, asked }) => {
      expect(await outcome(key)).toBe('200 null')
      tell('lost')
      await store.update('key_1', REVOKED)
      clock.advance(29_999)
      expect([await outcome(key), asked()]).toEqual(['200 null', 1])
      clock.advance(1)
      expect(await outcome(key)).toBe('401 key_revoked')
      await store.update('key_1', record)
      expect(await outcome(key)).toBe('401 key_revoked')
      tell('resumed')
      expect(await outcome(key)).toBe('200 null')
    },
  )

  for (const change of ['lost', 'resumed'] as const) {
    onAll(
      `during a look-up in which the feed is ${change} is not missed`,
      handMade,
      async ({ outcome }, { record, store, tell, become, asked }) => {
        expect(await outcome(newKey())).toBe('401 key_unknown')
        const { opened, open } = gate()
        become(() => opened.then(() => record))
        const answer = outcome(key)
        await settled(() => asked() === 2)
        await store.update('key_1', REVOKED)
        tell(change)
        become(null)
        open()
        expect(await answer).toBe('401 key_revoked')
      },
    )
  }

  for (const [feed, methods] of [['by the feed', {}], ['without a feed', { can: NO_FEED }]] as const) {
    onAll(
      `that brings in a key which was missed a moment ago makes it work at once, ${feed}`,
      () => prepare({}, methods),
      async ({ auth, outcome }, { asked }) => {
        const fresh = newKey()
        expect(await outcome(fresh)).toBe('401 key_unknown')
        expect([await outcome(fresh), asked()]).toEqual(['401 key_unknown', 1])
        const request = { organizationId: 'org_1', environment: 'live', name: 'fresh', scopes: ['read:patients'], by: 'tests' } as const
        await auth.keys.import({ ...request, key: fresh })
        expect(await outcome(fresh)).toBe('200 null')
        const made = await auth.keys.create(request)
        expect(await outcome(made.key)).toBe('200 null')
      },
    )
  }

  onAll(
    'that brings in a key while it is looked up is not answered from before',
    () => prepare({}, { can: NO_FEED }),
    async ({ auth, outcome }, { become, asked }) => {
      const fresh = newKey()
      const { opened, open } = gate()
      become(() => opened.then(() => null))
      const answer = outcome(fresh)
      await settled(() => asked() === 1)
      become(null)
      await auth.keys.import({ key: fresh, organizationId: 'org_1', environment: 'live', name: 'fresh', scopes: ['read:patients'], by: 'tests' })
      open()
      expect(await answer).toBe('200 null')
    },
  )
})

describe('a deadline holds from the cache, to the millisecond', () => {
  for (const [what, more, reason] of [
    ['the 24 hours after a rotation', { rotatedAt: new Date(START), validUntil: new Date(START + DAY), replacedBy: 'key_2' }, 'key_rotated_out'],
    ['an expiry', { expiresAt: new Date(START + DAY) }, 'key_expired'],
  ] as const) {
    const key = newKey()
    onAll(
      what,
      () => withStore([recordOf(key, more)]),
      async ({ call, outcome, clock }, { asked }) => {
        clock.advance(DAY - 1000)
        expect(await outcome(key)).toBe('200 null')
        clock.advance(999)
        const last = await call(key)
        expect(last.status).toBe(200)
        expect(last.headers['healthcloud-key-expires']).toBe(
          reason === 'key_rotated_out' ? 'Thu, 19 Mar 2026 12:00:00 GMT' : undefined,
        )
        clock.advance(1)
        expect(await outcome(key)).toBe(`401 ${reason}`)
        expect(asked()).toBe(1)
      },
    )
  }
})
