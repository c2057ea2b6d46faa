import { randomBytes } from 'node:crypto'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuthOptions } from '../../src/index.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { newKey, NO_FEED, recordOf, spied, START } from '../keys/parts.ts'
import { FRAMEWORKS } from './frameworks.ts'
import { onAll, onEvery, openWorld, type OutageWorld } from './outage-world.ts'
import { AUDIENCE, ISSUER, JWK, key16, signToken } from './world.ts'

const CACHED = newKey()
const KNOWN = newKey()
const EXPIRED = newKey()
const OTHER = newKey('test')

/** Times are those of the world's clock, which begins at `START`. */
const token = (claims: object = {}) =>
  signToken(
    { alg: 'RS256', typ: 'at+jwt', kid: 'k1' },
    {
      iss: ISSUER,
      aud: AUDIENCE,
      iat: START / 1000,
      exp: START / 1000 + 3600,
      sub: 'user_1',
      org: 'org_1',
      env: 'live',
      scope: 'read:patients',
      ...claims,
    },
  )

/** The good one with another signature. */
const forged = (good = token()) => `${good.split('.').slice(0, 2).join('.')}.${randomBytes(256).toString('base64url')}`

/** Its header is the documented one. */
const unnamed = (good: string) =>
  [Buffer.from('{"alg":"RS256","typ":"JWT"}').toString('base64url'), ...good.split('.').slice(1)].join('.')

function prepare(options: Partial<AuthOptions> = {}, keys: Partial<AuthOptions['keys']> = {}) {
  const spy = spied(
    [recordOf(CACHED), recordOf(KNOWN), recordOf(EXPIRED, { expiresAt: new Date(START) }), recordOf(OTHER)],
    { can: NO_FEED },
  )
  return {
    ...spy,
    options: {
      keys: { store: spy.store, ...keys },
      tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [JWK] } },
      ...options,
    } satisfies Partial<AuthOptions>,
  }
}

const MAX = 10
const few = (more: Partial<NonNullable<AuthOptions['failures']>> = {}) => ({ failures: { max: MAX, ...more } })

/** Calls one after the other; how often each outcome came. */
async function repeat(count: number, call: () => Promise<string>): Promise<Record<string, number>> {
  const outcomes: Record<string, number> = {}
  for (let index = 0; index < count; index += 1) {
    const outcome = await call()
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  return outcomes
}

describe('unknown keys of the 16-character form', () => {
  onEvery(
    'cost a look-up each for the first 100, and none after them until the window ends',
    prepare,
    async ({ call, eventOf, outcome, clock, handled }, { asked }) => {
      const statuses: number[] = []
      for (let index = 0; index < 100; index += 1) statuses.push((await call(key16())).status)
      expect(statuses).toEqual(Array.from({ length: 100 }, () => 401))
      expect(asked()).toBe(100)

      clock.advance(12_300)
      const refused = await call(key16())
      expect(refused).toMatchObject({ status: 429, code: 'RATE_LIMITED', retryAfter: '48' })
      expect(refused.headers).not.toHaveProperty('www-authenticate')
      expect(await eventOf(refused)).toMatchObject({ outcome: 'denied', reason: 'rate_limited' })
      expect(await repeat(20, () => outcome(key16()))).toEqual({ '429 rate_limited': 20 })
      expect([asked(), handled()]).toEqual([100, 0])

      clock.advance(47_699)
      expect(await call(newKey())).toMatchObject({ status: 429, retryAfter: '1' })
      expect(asked()).toBe(100)
      clock.advance(1)
      expect(await outcome(KNOWN)).toBe('200 null')
      expect(await outcome(key16())).toBe('401 key_unknown')
      expect(asked()).toBe(102)
    },
  )
})

describe('attempts at the same time', () => {
  /** Answers after a while, so that all of a burst are under way at once. */
  const slow = (keys: readonly string[] = []) => {
    const memory = memoryKeyStore(keys.map((key) => recordOf(key)))
    const spy = spied([], {
      can: NO_FEED,
      find: async (lookup, context) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return memory.find(lookup, context)
      },
    })
    return { ...spy, options: { ...few(), keys: { store: spy.store, timeoutMs: 5000 } } }
  }

  onEvery(
    'cost no more look-ups than the budget has',
    () => slow(),
    async ({ burst }, { asked }) => {
      const keys = Array.from({ length: 100 }, () => key16())
      expect(await burst(keys, 100)).toEqual({ 401: MAX, 429: 100 - MAX })
      expect(asked()).toBe(MAX)
    },
  )

  onAll(
    'are all served where their keys are good, however many more they are than the budget has',
    () => {
      const keys = Array.from({ length: 40 }, () => newKey())
      return { ...slow(keys), keys }
    },
    async ({ burst }, { keys, asked }) => {
      expect(await burst(keys, 40)).toEqual({ 200: 40 })
      expect(asked()).toBe(40)
    },
  )
})

describe('behind an address that is over its budget', () => {
  onAll(
    'everybody keeps his answer whose key is not to be looked up',
    () => prepare(few()),
    async ({ outcome, clock }, { asked }) => {
      const missed = newKey()
      expect(await outcome(CACHED)).toBe('200 null')
      expect(await outcome(missed)).toBe('401 key_unknown')
      expect(await repeat(MAX - 1, () => outcome(newKey()))).toEqual({ '401 key_unknown': MAX - 1 })
      const before = asked()
      expect(await outcome(KNOWN)).toBe('429 rate_limited')
      expect(await outcome(CACHED)).toBe('200 null')
      expect(await outcome(missed)).toBe('401 key_unknown')
      expect(await outcome(token())).toBe('200 null')
      expect(await outcome(forged())).toBe('401 jwt_signature')
      expect(await outcome(null)).toBe('401 credential_missing')
      expect(await outcome('hc_live_sk_short')).toBe('401 key_malformed')
      expect(await outcome(OTHER)).toBe('401 environment_mismatch')
      expect(asked()).toBe(before)
      // Stale counts as cached.
      clock.advance(30_000)
      expect(await outcome(CACHED)).toBe('200 null')
      expect(asked()).toBe(before + 1)
    },
  )

  onAll(
    'callers of other addresses are not concerned; of IPv6 the first 64 bits count',
    () => prepare({ ...few(), transport: { https: 'off', trustedProxies: 1 } }),
    async ({ outcome }) => {
      const from = (address: string) => ({ 'X-Forwarded-For': address })
      expect(await repeat(MAX, () => outcome(newKey(), from('198.51.100.7')))).toEqual({ '401 key_unknown': MAX })
      expect(await outcome(KNOWN, from('198.51.100.7'))).toBe('429 rate_limited')
      expect(await outcome(newKey(), from('::ffff:198.51.100.7'))).toBe('429 rate_limited')
      expect(await outcome(newKey(), from('198.51.100.8'))).toBe('401 key_unknown')
      let host = 0
      const neighbour = () => from(`2001:db8:1:2:${(host += 1).toString(16)}::1`)
      expect(await repeat(MAX, () => outcome(newKey(), neighbour()))).toEqual({ '401 key_unknown': MAX })
      expect(await outcome(KNOWN, neighbour())).toBe('429 rate_limited')
      expect(await outcome(KNOWN, from('2001:db8:1:3::1'))).toBe('200 null')
    },
  )
})

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))(
  'against the budget on %s',
  (_name, framework) => {
    const { options } = prepare(few())
    const missed = newKey()
    let world: OutageWorld

    beforeAll(async () => {
      world = await openWorld(framework, options)
    })

    afterAll(() => world.close())

    /** One of the present time of the world. */
    const now = (claims: (seconds: number) => object = () => ({})) => {
      const seconds = Math.floor(world.clock.now() / 1000)
      return token({ iat: seconds, exp: seconds + 3600, ...claims(seconds) })
    }
    const stranger = () => signToken({ alg: 'RS256', typ: 'JWT', kid: 'no' }, { iss: ISSUER })

    const kinds: readonly (readonly [string, 0 | 1, () => string | null, string])[] = [
      ['an anonymous call', 0, () => null, '401 credential_missing'],
      ['a malformed key', 0, () => newKey().slice(0, -1), '401 key_malformed'],
      ['junk', 0, () => 'junk', '401 key_malformed'],
      ['a key of the other environment', 0, () => OTHER, '401 environment_mismatch'],
      ['a malformed token', 0, () => 'eyJ.e30.AA', '401 jwt_malformed'],
      ['a token with a kid that nobody knows', 0, stranger, '401 jwt_unknown_key'],
      ['a good call', 0, () => CACHED, '200 null'],
      ['an unknown key', 1, () => newKey(), '401 key_unknown'],
      ['a miss from the cache', 1, () => missed, '401 key_unknown'],
      ['an expired key from the cache', 0, () => EXPIRED, '401 key_expired'],
      ['a token of another issuer', 0, () => now(() => ({ iss: 'https://other.example' })), '401 jwt_issuer'],
      ['a forged token', 1, () => forged(now()), '401 jwt_signature'],
      ['a forged token without kid', 1, () => forged(unnamed(now())), '401 jwt_unknown_key'],
      ['an expired token', 1, () => now((at) => ({ iat: at - 3600, exp: at - 60 })), '401 jwt_expired'],
      ['a token for somebody else', 1, () => now(() => ({ aud: 'https://other.example' })), '401 jwt_audience'],
      ['a token of the other environment', 1, () => now(() => ({ env: 'test' })), '401 environment_mismatch'],
    ]
    test.each(kinds)('%s counts for %d', async (_what, counts, credential, expected) => {
      // A new window, and nothing is cached any more.
      world.clock.advance(120_000)
      expect(await repeat(MAX - 1, () => world.outcome(credential()))).toEqual({ [expected]: MAX - 1 })
      expect(await world.outcome(newKey())).toBe('401 key_unknown')
      expect(await world.outcome(KNOWN)).toBe(counts === 1 ? '429 rate_limited' : '200 null')
    })
  },
)

describe('a limiter', () => {
  onAll(
    'of rate-limiter-flexible decides, and says for how long',
    () => prepare(few({ max: 3, limiter: new RateLimiterMemory({ points: MAX, duration: 60 }) })),
    async ({ call, outcome }, { asked }) => {
      // The call that is one too many for it is the one that it says so of.
      expect(await repeat(MAX + 1, () => outcome(newKey()))).toEqual({ '401 key_unknown': MAX + 1 })
      const refused = await call(KNOWN)
      expect(refused).toMatchObject({ status: 429, code: 'RATE_LIMITED' })
      expect(Number(refused.retryAfter)).toBeGreaterThan(30)
      expect(Number(refused.retryAfter)).toBeLessThanOrEqual(60)
      expect(asked()).toBe(MAX + 1)
    },
  )

  onAll(
    'shared by two servers counts for both',
    () => {
      const limiter = new RateLimiterMemory({ points: MAX, duration: 60 })
      return { ...prepare(few({ limiter })), limiter }
    },
    async ({ outcome }, { limiter }) => {
      for (let point = 0; point < MAX; point += 1) await limiter.consume('127.0.0.1')
      expect(await outcome(newKey())).toBe('401 key_unknown')
      expect(await outcome(KNOWN)).toBe('429 rate_limited')
    },
  )

  for (const [what, consume] of [
    ['rejects with an error', () => Promise.reject(new Error('redis is down'))],
    [
      'throws',
      () => {
        throw new Error('no connection')
      },
    ],
    ['never answers', () => new Promise(() => undefined)],
  ] as const) {
    onAll(
      `that ${what} leaves it to our own counter`,
      () => prepare(few({ limiter: { consume } })),
      async ({ call, outcome }, { asked }) => {
        expect(await repeat(MAX, () => outcome(newKey()))).toEqual({ '401 key_unknown': MAX })
        expect(await call(KNOWN)).toMatchObject({ status: 429, code: 'RATE_LIMITED', retryAfter: '60' })
        expect(asked()).toBe(MAX)
      },
    )
  }

  onEvery(
    'is asked with the address or its /64 alone, never with a key',
    () => {
      const keys: string[] = []
      const limiter = { consume: async (key: string) => void keys.push(key) }
      return { ...prepare({ ...few({ limiter }), transport: { https: 'off', trustedProxies: 1 } }), keys }
    },
    async ({ outcome }, { keys }) => {
      await outcome(newKey(), { 'X-Forwarded-For': '198.51.100.7' })
      await outcome(newKey(), { 'X-Forwarded-For': '2001:db8:1:2:3::4' })
      expect(keys).toEqual(['198.51.100.7', '2001:db8:1:2::/64'])
    },
  )
})
