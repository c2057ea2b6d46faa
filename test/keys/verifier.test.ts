import { inspect } from 'node:util'
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createDigester } from '../../src/keys/digest.ts'
import type { AttemptBudget } from '../../src/keys/verifier.ts'
import type { KeyRecord } from '../../src/keys/store.ts'
import { DAY, manualClock, newKey, NO_FEED, outcome, polluted, recordOf, spied, START, verifierOf } from './parts.ts'

const at = (ms: number) => new Date(START + ms)
const base62 = () =>
  randomBytes(64)
    .toString('base64')
    .replaceAll(/[^0-9A-Za-z]/g, '')

describe('a key that the store knows', () => {
  test('becomes the identity that its record says', async () => {
    const key = newKey()
    const record = recordOf(key, {
      id: 'key_1',
      scopes: ['read:patients', 'made:up', 'admin:org'],
      allowedCidrs: ['10.0.0.0/8'],
      expiresAt: at(2 * DAY),
      rotatedAt: at(0),
      validUntil: at(DAY),
      replacedBy: 'key_2',
    })
    const found = await verifierOf(spied([record]).store).verify(key, null)
    expect(found).toMatchObject({
      ok: true,
      kind: 'api-key',
      organizationId: 'org_1',
      subject: 'key_1',
      keyId: 'key_1',
      tokenId: null,
      environment: 'live',
      expiresAt: START + 2 * DAY,
      graceEnds: START + DAY,
    })
    if (!found.ok) throw new Error('refused')
    expect([...found.scopes]).toEqual(['read:patients', 'admin:org'])
    expect(found.allowlist?.holds('10.1.2.3')).toBe(true)
    expect(found.allowlist?.holds('11.1.2.3')).toBe(false)
    expect(Object.isFrozen(found) && Object.isFrozen(found.principal)).toBe(true)
    expect(found.principal.rotation?.validUntil).toEqual(at(DAY))
  })

  test('may come from anywhere where its record has no rules', async () => {
    const key = newKey()
    const found = await verifierOf(spied([recordOf(key)]).store).verify(key, null)
    expect(found).toMatchObject({ ok: true, allowlist: null, graceEnds: null, expiresAt: null })
  })

  test('is found under any pepper of the list, the documented form too', async () => {
    const peppers = [
      { id: 'new', secret: Buffer.alloc(32, 1) },
      { id: 'old', secret: Buffer.alloc(32, 2) },
    ]
    const old = createDigester(peppers.slice(1))
    const key = 'hc_live_sk_AbC12xYz9kLmNpQr'
    const { store } = spied([recordOf(key, { digest: old.first(key) })])
    expect(await outcome(verifierOf(store, { digester: createDigester(peppers) }), key)).toBe('ok')
    expect(await outcome(verifierOf(store, { digester: createDigester(peppers.slice(0, 1)) }), key)).toBe('key_unknown')
  })

  test('is unknown under its plain digest where there is a pepper', async () => {
    const key = newKey()
    const { store } = spied([recordOf(key)])
    const pepper = { id: 'p', secret: Buffer.alloc(32, 1) }
    expect(await outcome(verifierOf(store, { digester: createDigester([pepper]) }), key)).toBe('key_unknown')
    expect(await outcome(verifierOf(store, { digester: createDigester([pepper, 'sha256']) }), key)).toBe('ok')
  })

  const dead: [string, Partial<KeyRecord>, string][] = [
    ['revoked', { revokedAt: at(-1) }, 'key_revoked'],
    ['expired', { expiresAt: at(0) }, 'key_expired'],
    ['rotated out', { validUntil: at(0), replacedBy: 'key_2' }, 'key_rotated_out'],
  ]
  test.each(dead)('and that is %s is refused with its owner, from the cache too', async (_, more, reason) => {
    const key = newKey()
    const { store, asked } = spied([recordOf(key, { id: 'key_dead', ...more })])
    const verifier = verifierOf(store)
    for (let round = 0; round < 3; round += 1) {
      expect(await verifier.verify(key, null)).toMatchObject({
        ok: false,
        reason,
        credential: 'api-key',
        actor: { organizationId: 'org_1', keyId: 'key_dead', subject: 'key_dead', tokenId: null },
      })
    }
    expect(asked()).toBe(1)
  })
})

describe('without any question to the store', () => {
  test('10,000 pieces of junk are malformed', () => {
    const { store, asked } = spied()
    const verifier = verifierOf(store)
    for (let round = 0; round < 10_000; round += 1) {
      const junk = `hc_live_sk_${base62()
        .slice(0, 1 + (round % 60))
        .padEnd(1 + (round % 60), 'x')}`
      if (junk.length === 27) continue
      expect(verifier.verify(junk, null)).toMatchObject({
        reason: 'key_malformed',
        credential: 'api-key',
        actor: null,
      })
    }
    expect(asked()).toBe(0)
  })

  test('a key of the other environment is refused, whatever the store would say', () => {
    const key = newKey('test')
    const { store, asked } = spied([recordOf(key)])
    expect(verifierOf(store).verify(key, null)).toMatchObject({
      reason: 'environment_mismatch',
      credential: 'api-key',
    })
    expect(asked()).toBe(0)
  })

  test('a live key is refused on a test server', () => {
    const { store, asked } = spied()
    expect(verifierOf(store, { environment: 'test' }).verify(newKey(), null)).toMatchObject({
      reason: 'environment_mismatch',
    })
    expect(asked()).toBe(0)
  })

  test('a cached key is verified synchronously, and is the same frozen identity', async () => {
    const key = newKey()
    const { store, asked } = spied([recordOf(key)])
    const verifier = verifierOf(store)
    const first = await verifier.verify(key, null)
    expect(verifier.verify(key, null)).toBe(first)
    expect(asked()).toBe(1)
  })
})

describe('the cache', () => {
  const times: [string, Partial<KeyRecord>, [number, string, number][]][] = [
    [
      'keeps a key for its 30 seconds',
      {},
      [
        [29_999, 'ok', 1],
        [1, 'ok', 2],
        [29_999, 'ok', 2],
      ],
    ],
    [
      'does not outlive an expiry',
      { expiresAt: at(10_000) },
      [
        [9999, 'ok', 1],
        [1, 'key_expired', 1],
      ],
    ],
    [
      'does not outlive 24 hours of grace',
      { validUntil: at(20_000) },
      [
        [19_999, 'ok', 1],
        [1, 'key_rotated_out', 1],
      ],
    ],
  ]
  test.each(times)('%s', async (_, more, steps) => {
    const clock = manualClock()
    const key = newKey()
    const { store, asked } = spied([recordOf(key, more)], { can: NO_FEED })
    const verifier = verifierOf(store, { clock })
    expect(await outcome(verifier, key)).toBe('ok')
    for (const [ms, expected, questions] of steps) {
      clock.advance(ms)
      expect([await outcome(verifier, key), asked()]).toEqual([expected, questions])
    }
  })

  test.each([[0], [3600]])(
    'lets an old key through at 24 hours less a millisecond and not at 24 hours (cache of %d s)',
    async (cacheSeconds) => {
      const clock = manualClock()
      const key = newKey()
      const verifier = verifierOf(spied([recordOf(key, { rotatedAt: at(0), validUntil: at(DAY) })]).store, {
        clock,
        cacheSeconds,
      })
      clock.advance(DAY - 1000)
      expect(await outcome(verifier, key)).toBe('ok')
      clock.advance(999)
      expect(await outcome(verifier, key)).toBe('ok')
      clock.advance(1)
      expect(await outcome(verifier, key)).toBe('key_rotated_out')
    },
  )

  test('goes by the wall clock for deadlines alone', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store, asked } = spied([recordOf(key, { expiresAt: at(DAY) })])
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    clock.setWall(START + DAY - 1)
    expect([await outcome(verifier, key), asked()]).toEqual(['ok', 1])
    clock.setWall(START + DAY)
    expect([await outcome(verifier, key), asked()]).toEqual(['key_expired', 1])
  })

  test('counts its time from the question, not from the answer', async () => {
    const clock = manualClock()
    const key = newKey()
    const record = recordOf(key)
    const { store, asked } = spied([], {
      can: NO_FEED,
      find: async () => {
        clock.advance(10_000)
        return record
      },
    })
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    clock.advance(19_999)
    await outcome(verifier, key)
    expect(asked()).toBe(1)
    clock.advance(1)
    await outcome(verifier, key)
    expect(asked()).toBe(2)
  })

  test('keeps a miss for its 5 seconds', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store, asked } = spied([], { can: NO_FEED })
    const verifier = verifierOf(store, { clock })
    expect(await outcome(verifier, key)).toBe('key_unknown')
    clock.advance(4999)
    expect([await outcome(verifier, key), asked()]).toEqual(['key_unknown', 1])
    clock.advance(1)
    expect([await outcome(verifier, key), asked()]).toEqual(['key_unknown', 2])
  })

  test('is bounded, misses apart from keys', async () => {
    const keys = Array.from({ length: 20 }, () => newKey())
    const { store, asked } = spied(keys.map((key) => recordOf(key)))
    const verifier = verifierOf(store, { cacheEntries: 10 })
    for (const key of keys) await outcome(verifier, key)
    for (let round = 0; round < 50; round += 1) await outcome(verifier, newKey())
    expect(verifier.health().cachedKeys).toBe(10)
    const before = asked()
    for (const key of keys.slice(10)) await outcome(verifier, key)
    expect(asked()).toBe(before)
  })

  test('forgets its misses when a key was made, also the one that is being asked for', async () => {
    const key = newKey()
    let answer: KeyRecord | null = null
    const { store, asked } = spied([], { can: NO_FEED, find: async () => answer })
    const verifier = verifierOf(store)
    expect(await outcome(verifier, key)).toBe('key_unknown')
    const asking = outcome(verifier, newKey())
    answer = recordOf(key)
    verifier.forgetMisses()
    expect(await outcome(verifier, key)).toBe('ok')
    await asking
    expect(asked()).toBe(4)
  })

  test('holds nothing of the key itself', async () => {
    const key = newKey()
    const verifier = verifierOf(spied([recordOf(key)]).store)
    const found = await verifier.verify(key, null)
    expect(inspect([verifier, found, verifier.health()], { depth: 10, showHidden: true })).not.toContain(
      key.slice(11, 40),
    )
  })
})

describe('one flight', () => {
  test('serves 1,000 callers of one key with one question', async () => {
    const key = newKey()
    const { store, asked } = spied([recordOf(key)])
    const verifier = verifierOf(store)
    const outcomes = await Promise.all(Array.from({ length: 1000 }, () => outcome(verifier, key)))
    expect(new Set(outcomes)).toEqual(new Set(['ok']))
    expect(asked()).toBe(1)
  })

  test('is not shared by two keys', async () => {
    const keys = [newKey(), newKey()]
    const { store, asked } = spied(keys.slice(0, 1).map((key) => recordOf(key)))
    const verifier = verifierOf(store)
    expect(await Promise.all(keys.map((key) => outcome(verifier, key)))).toEqual(['ok', 'key_unknown'])
    expect(asked()).toBe(2)
  })
})

describe('the failure budget', () => {
  /** What is asked of it, in order; `over` says how many seconds it is over. */
  function budgetOf() {
    const calls: string[] = []
    const state = { over: 0 }
    const budget: AttemptBudget = {
      admit: (address) => {
        calls.push(`admit ${address}`)
        return state.over
      },
      release: (address) => void calls.push(`release ${address}`),
      count: (address) => void calls.push(`count ${address}`),
    }
    return { calls, state, budget }
  }

  test('refuses a key that nothing is known of, without a question', async () => {
    const { store, asked } = spied()
    const { budget, state, calls } = budgetOf()
    state.over = 42
    const found = await verifierOf(store, { budget }).verify(newKey(), '203.0.113.7')
    expect(found).toMatchObject({ reason: 'rate_limited', credential: 'api-key', retryAfterSeconds: 42 })
    expect([asked(), calls]).toEqual([0, ['admit 203.0.113.7']])
  })

  test.each<[string, boolean, string[]]>([
    ['a good key', true, ['admit 203.0.113.7', 'release 203.0.113.7']],
    ['an unknown key', false, ['admit 203.0.113.7', 'count 203.0.113.7', 'release 203.0.113.7']],
  ])('holds a place for the look-up of %s, and counts before it gives it back', async (_what, good, expected) => {
    const key = newKey()
    const { budget, calls } = budgetOf()
    const verifier = verifierOf(spied(good ? [recordOf(key)] : []).store, { budget })
    await verifier.verify(key, '203.0.113.7')
    expect(calls).toEqual(expected)
  })

  test('is given its place back where the store fails', async () => {
    const { budget, calls } = budgetOf()
    const verifier = verifierOf(spied([], { find: () => Promise.reject(new Error('down')) }).store, { budget })
    expect(await verifier.verify(newKey(), null)).toMatchObject({ reason: 'store_unavailable' })
    expect(calls).toEqual(['admit null', 'release null'])
  })

  test('is not asked for what is malformed, cached, stale, missed or under way', async () => {
    const clock = manualClock()
    const [good, unknown, slow] = [newKey(), newKey(), newKey()] as const
    const { store } = spied([recordOf(good), recordOf(slow)], { can: NO_FEED })
    const { budget, state, calls } = budgetOf()
    const verifier = verifierOf(store, { clock, budget })
    await outcome(verifier, good)
    await outcome(verifier, unknown)
    const first = outcome(verifier, slow)
    expect(calls.filter((each) => each === 'admit null')).toHaveLength(3)
    state.over = 42
    expect(await outcome(verifier, slow)).toBe('ok')
    await first
    expect(await outcome(verifier, 'junk')).toBe('key_malformed')
    expect(await outcome(verifier, newKey('test'))).toBe('environment_mismatch')
    expect(await outcome(verifier, unknown)).toBe('key_unknown')
    expect(await outcome(verifier, good)).toBe('ok')
    clock.advance(89_999)
    expect(await outcome(verifier, good)).toBe('ok')
    clock.advance(90_000)
    expect(await outcome(verifier, good)).toBe('rate_limited')
  })

  test('that makes a caller wait spares him the look-up that somebody else has made meanwhile', async () => {
    const key = newKey()
    const { store, asked } = spied([recordOf(key)])
    let admit: (seconds: number) => void = () => undefined
    const budget: AttemptBudget = {
      ...budgetOf().budget,
      admit: () => (asked() === 0 && !waited ? ((waited = true), new Promise((resolve) => (admit = resolve))) : 0),
    }
    let waited = false
    const verifier = verifierOf(store, { budget })
    const waiting = outcome(verifier, key)
    expect(await outcome(verifier, key)).toBe('ok')
    admit(0)
    expect([await waiting, asked()]).toEqual(['ok', 1])
  })
})

describe('an issuing key', () => {
  const rows: [string, Partial<KeyRecord>, string][] = [
    ['active', {}, 'good'],
    ['in its grace', { validUntil: at(1000) }, 'good'],
    ['rotated out', { validUntil: at(0) }, 'bad'],
    ['expired', { expiresAt: at(0) }, 'bad'],
    ['revoked', { revokedAt: at(0) }, 'bad'],
    ['of the other environment', { environment: 'test' }, 'bad'],
  ]
  test.each(rows)('that is %s', async (_, more, state) => {
    const { store, asked } = spied([recordOf(newKey(), { id: 'key_i', ...more })])
    const verifier = verifierOf(store)
    expect(await verifier.issuingKey('key_i')).toBe(state)
    expect(verifier.issuingKey('key_i')).toBe(state)
    expect(asked()).toBe(1)
  })

  test('that nobody knows is bad, and asked for once in 5 seconds', async () => {
    const clock = manualClock()
    const { store, asked } = spied([], { can: NO_FEED })
    const verifier = verifierOf(store, { clock })
    expect(await verifier.issuingKey('key_nobody')).toBe('bad')
    expect(await verifier.issuingKey('key_nobody')).toBe('bad')
    clock.advance(5000)
    expect(await verifier.issuingKey('key_nobody')).toBe('bad')
    expect(asked()).toBe(2)
  })

  test('without the form of an id is bad without a question', () => {
    const { store, asked } = spied()
    expect(verifierOf(store).issuingKey('key_../../1')).toBe('bad')
    expect(verifierOf(store).issuingKey('__proto__')).toBe('bad')
    expect(asked()).toBe(0)
  })

  test('expires by the clock, from the cache too', async () => {
    const clock = manualClock()
    const { store } = spied([recordOf(newKey(), { id: 'key_i', expiresAt: at(1000) })])
    const verifier = verifierOf(store, { clock })
    expect(await verifier.issuingKey('key_i')).toBe('good')
    clock.advance(1000)
    expect(verifier.issuingKey('key_i')).toBe('bad')
  })

  test('is bad as soon as it is revoked', async () => {
    const { store } = spied([recordOf(newKey(), { id: 'key_i' })])
    const verifier = verifierOf(store)
    expect(await verifier.issuingKey('key_i')).toBe('good')
    await store.update('key_i', { revokedAt: at(0) })
    expect(await verifier.issuingKey('key_i')).toBe('bad')
  })

  test('is unavailable while the store is down, and good while an answer of lately serves', async () => {
    const clock = manualClock()
    let down = true
    const record = recordOf(newKey(), { id: 'key_i' })
    const { store } = spied([], {
      can: NO_FEED,
      get: async () => {
        if (down) throw new Error('down')
        return record
      },
    })
    const verifier = verifierOf(store, { clock })
    expect(await verifier.issuingKey('key_i')).toBe('unavailable')
    down = false
    expect(await verifier.issuingKey('key_i')).toBe('good')
    down = true
    clock.advance(89_999)
    expect(await verifier.issuingKey('key_i')).toBe('good')
    clock.advance(1)
    expect(await verifier.issuingKey('key_i')).toBe('unavailable')
  })

  test('is unavailable where the store hands out another record', async () => {
    const { store } = spied([], { get: async () => recordOf(newKey(), { id: 'key_other' }) })
    expect(await verifierOf(store).issuingKey('key_i')).toBe('unavailable')
  })
})

describe('health and readiness', () => {
  test('say what the store does', async () => {
    const { store, watchers } = spied([recordOf(newKey())])
    const verifier = verifierOf(store)
    expect(verifier.health()).toEqual({
      store: 'memory',
      reachable: true,
      watching: null,
      cachedKeys: 0,
      rotationDue: null,
    })
    await verifier.ready(AbortSignal.timeout(1000))
    expect(verifier.health()).toEqual({
      store: 'memory',
      reachable: true,
      watching: true,
      cachedKeys: 0,
      rotationDue: 0,
    })
    expect(watchers()).toBe(1)
    await verifier.close()
    expect(watchers()).toBe(0)
  })

  test('a store without a feed has none to watch', async () => {
    const verifier = verifierOf(spied([], { can: NO_FEED }).store)
    await verifier.ready(AbortSignal.timeout(1000))
    expect(verifier.health().watching).toBeNull()
  })

  test("reject with the store's own error", async () => {
    const error = new Error('connection refused')
    const failing = spied([], { ready: () => Promise.reject(error) })
    const verifier = verifierOf(failing.store)
    await expect(verifier.ready(AbortSignal.timeout(1000))).rejects.toBe(error)
    expect(verifier.health().reachable).toBe(false)
    const { store } = spied([], { find: () => Promise.reject(error) })
    await expect(verifierOf(store).ready(AbortSignal.timeout(1000))).rejects.toBe(error)
  })

  test('reject when the time is up, whatever the store heeds', async () => {
    const { store } = spied([], { ready: () => new Promise(() => undefined) })
    await expect(verifierOf(store).ready(AbortSignal.timeout(20))).rejects.toThrow('did not answer in time')
    await expect(verifierOf(store).ready(AbortSignal.abort())).rejects.toThrow('did not answer in time')
  })
})

describe('a polluted prototype', () => {
  const planted = {
    ok: true,
    revoked: false,
    scopes: ['admin:org'],
    kind: 'api-key',
    value: null,
    keyId: 'key_x',
    revokedAt: null,
    expiresAt: null,
    validUntil: null,
    epoch: 0,
    askedAt: 1e12,
    limit: 1,
    after: 'key_0',
  }
  test('changes no decision', async () => {
    const [good, revoked, unknown] = [newKey(), newKey(), newKey()] as const
    const records = [recordOf(good), recordOf(revoked, { revokedAt: at(0) })]
    const liar = spied([], { find: async () => Object.create(records[0] ?? null) as KeyRecord })
    const outcomes = await polluted(planted, async () => {
      const verifier = verifierOf(spied(records).store)
      const all: string[] = []
      for (const key of [good, revoked, unknown]) all.push(await outcome(verifier, key))
      return [...all, await outcome(verifierOf(liar.store), good)]
    })
    expect(outcomes).toEqual(['ok', 'key_revoked', 'key_unknown', 'store_invalid_record'])
  })
})
