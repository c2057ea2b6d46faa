import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AuthOptions } from '../../src/index.ts'
import {
  keyPair,
  outagesOf,
  publishes,
  startKeyServer,
  type Behaviour,
  type KeyPair,
  type KeyServer,
} from '../tokens/key-server.ts'
import { FRAMEWORKS } from './frameworks.ts'
import { onAll, openWorld, type OutageWorld } from './outage-world.ts'
import { settled } from './raw-client.ts'
import { AUDIENCE, ISSUER, signToken } from './world.ts'

const A = keyPair('a')
const B = keyPair('b')
/** Of those that wait. Long, where nobody is to wait: this machine may be busy. */
const TIMEOUT_MS = 500
const NO_HURRY_MS = 15_000

/** Signed by this key, of the world's present, and good in all but what is said. */
function tokenOf(
  { privateKey, jwk }: KeyPair,
  { clock }: OutageWorld,
  more: { header?: object; claims?: object } = {},
) {
  const iat = Math.floor(clock.now() / 1000)
  return signToken(
    { alg: 'RS256', typ: 'at+jwt', kid: jwk['kid'], ...more.header },
    {
      iss: ISSUER,
      aud: AUDIENCE,
      iat,
      exp: iat + 3600,
      sub: 'user_1',
      org: 'org_1',
      env: 'live',
      scope: 'read:patients',
      ...more.claims,
    },
    privateKey,
  )
}

/** One of each sort; the key set's own tests have them all. */
const SHOWN = /drops|empty|500|MiB|never|one byte|redirects|page|broken|two keys/
const OUTAGES = outagesOf([A.jwk]).filter(([what]) => SHOWN.test(what))
const optionsFor = (url: string, jwksTimeoutMs = NO_HURRY_MS): Partial<AuthOptions> => ({
  tokens: {
    issuer: ISSUER,
    audience: AUDIENCE,
    jwks: url,
    jwksCooldownSeconds: 5,
    jwksMaxAgeSeconds: 600,
    jwksMaxStaleSeconds: 3600,
    jwksTimeoutMs,
  },
})

interface Case {
  readonly world: OutageWorld
  readonly keys: KeyServer
  readonly outage: Behaviour
}

/** From a good set to one that is of no use any more, and back. */
async function expectRideOut({ world, keys, outage }: Case): Promise<void> {
  const { clock } = world
  const good = () => world.outcome(tokenOf(A, world))
  const bogus = () => world.outcome(tokenOf(B, world, { header: { kid: `bogus-${Math.random()}` } }))
  keys.become(publishes(A.jwk))
  clock.advance(3_600_000)
  expect(await good()).toBe('200 null')
  keys.become(outage)
  const [before, strays] = [keys.fetches(), keys.strays()]
  // The first call after half of its age: the fetch is in the background.
  clock.advance(300_000)
  expect(await good()).toBe('200 null')
  await settled(() => keys.fetches() === before + 1)
  // Too old to be used unasked, and still served on.
  clock.advance(300_000)
  expect(await good()).toBe('200 null')
  expect(await bogus()).toBe('503 jwks_unavailable')
  clock.advance(2_999_999)
  expect(await good()).toBe('200 null')
  // An hour after the last fetch that was of use, it is of none.
  clock.advance(1)
  const late = await world.call(tokenOf(A, world))
  expect(late).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
  expect(late.headers).not.toHaveProperty('www-authenticate')
  expect((await world.eventOf(late)).reason).toBe('jwks_unavailable')
  expect(keys.strays()).toBe(strays)
  // In the cooldown nobody waits, and nothing is asked.
  const asked = keys.fetches()
  expect(await good()).toBe('503 jwks_unavailable')
  expect(keys.fetches()).toBe(asked)
  keys.become(publishes(A.jwk))
  clock.advance(5000)
  expect(await good()).toBe('200 null')
}

async function expectLateStart({ world, keys, outage }: Case): Promise<void> {
  keys.become(outage)
  world.clock.advance(3_600_000)
  const token = tokenOf(A, world)
  expect(await world.call(token)).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
  keys.become(publishes(A.jwk))
  world.clock.advance(5000)
  expect(await world.outcome(token)).toBe('200 null')
}

/** Those that never come to their end. */
const isEndless = ([what]: readonly [string, Behaviour]) => /never|one byte/.test(what)

const ENDING = OUTAGES.filter((each) => !isEndless(each))

for (const [what, outage] of OUTAGES.filter(isEndless)) {
  const prepare = async () => {
    const keys = await startKeyServer(outage)
    return { keys, options: optionsFor(keys.url, TIMEOUT_MS) }
  }
  onAll(
    `a key set whose URL ${what} costs a call its deadline, and no good token is 401`,
    prepare,
    async (world, { keys }) => {
      try {
        const called = await world.call(tokenOf(A, world))
        expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
        expect(called.ms).toBeGreaterThan(TIMEOUT_MS - 10)
        expect(called.ms).toBeLessThan(TIMEOUT_MS + 1000)
        await expectRideOut({ world, keys, outage })
        await settled(() => keys.cutOff() > 0)
      } finally {
        await keys.close()
      }
    },
  )
}

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('%s', (_name, framework) => {
  const opened: OutageWorld[] = []
  let keys: KeyServer
  let world: OutageWorld

  beforeAll(async () => {
    keys = await startKeyServer(publishes(A.jwk))
  })

  beforeEach(() => keys.become(publishes(A.jwk)))

  afterAll(async () => {
    for (const each of opened) await each.close()
    await keys.close()
  })

  const open = async (options = optionsFor(keys.url)): Promise<OutageWorld> => {
    const fresh = await openWorld(framework, options)
    opened.push(fresh)
    return fresh
  }
  const outcome = (token: string) => world.outcome(token)
  const good = () => tokenOf(A, world)
  const bogus = () => tokenOf(B, world, { header: { kid: `bogus-${Math.random()}` } })
  const wait = (seconds: number) => world.clock.advance(seconds * 1000)
  /** Runs, and says how often the key set was fetched meanwhile. */
  const fetches = async (run: () => Promise<unknown>): Promise<number> => {
    const before = keys.fetches()
    await run()
    return keys.fetches() - before
  }

  describe('a key set whose URL', () => {
    // One server for all rows: each begins with a set that is of no use any more.
    let shared: OutageWorld
    beforeAll(async () => {
      shared = await open()
    })

    test.each(ENDING)('%s: what is known keeps verifying, and nothing good is ever 401', (_what, outage) =>
      expectRideOut({ world: shared, keys, outage }),
    )

    test.each(ENDING)('%s from the start: 503, and good once it answers', (_what, outage) =>
      expectLateStart({ world: shared, keys, outage }),
    )
  })

  test('nobody listens at the URL: 503, not 401', async () => {
    const gone = await startKeyServer(publishes(A.jwk))
    await gone.close()
    world = await open(optionsFor(gone.url))
    expect(await outcome(good())).toBe('503 jwks_unavailable')
    await expect(world.auth.ready()).rejects.toMatchObject({ code: 'JWKS_UNREACHABLE' })
  })

  describe('a key set that is rotated', () => {
    beforeEach(async () => {
      world = await open()
      expect(await fetches(async () => expect(await outcome(good())).toBe('200 null'))).toBe(1)
    })

    test('verifies with the new key after the cooldown at the latest, whatever bogus kids come in between', async () => {
      wait(5)
      expect(await fetches(async () => expect(await outcome(bogus())).toBe('401 jwt_unknown_key'))).toBe(1)
      keys.become(publishes(A.jwk, B.jwk))
      const fresh = tokenOf(B, world)
      const inBetween = async () => {
        expect(await outcome(fresh)).toBe('401 jwt_unknown_key')
        expect(await outcome(bogus())).toBe('401 jwt_unknown_key')
        world.clock.advance(4999)
        expect(await outcome(bogus())).toBe('401 jwt_unknown_key')
        expect(await outcome(fresh)).toBe('401 jwt_unknown_key')
      }
      expect(await fetches(inBetween)).toBe(0)
      world.clock.advance(1)
      expect(await fetches(async () => expect(await outcome(fresh)).toBe('200 null'))).toBe(1)
      expect(await outcome(good())).toBe('200 null')
    })

    test('while its URL is down, answers 503 and not 401 to what it may hold by now', async () => {
      wait(5)
      keys.become((response) => response.destroy())
      const fresh = tokenOf(B, world)
      expect(await fetches(async () => expect(await outcome(bogus())).toBe('503 jwks_unavailable'))).toBe(1)
      keys.become(publishes(A.jwk, B.jwk))
      world.clock.advance(4999)
      expect(await fetches(async () => expect(await outcome(fresh)).toBe('503 jwks_unavailable'))).toBe(0)
      expect(await outcome(good())).toBe('200 null')
      world.clock.advance(1)
      expect(await fetches(async () => expect(await outcome(fresh)).toBe('200 null'))).toBe(1)
    })

    test('no longer verifies with a key that it does not hold any more, what was cached included', async () => {
      const [old, fresh] = [good(), tokenOf(B, world)]
      expect(await outcome(old)).toBe('200 null')
      keys.become(publishes(B.jwk))
      wait(300)
      // The set in force answers, and is replaced behind its back.
      expect(await fetches(async () => expect(await outcome(old)).toBe('200 null'))).toBe(1)
      await settled(() => world.auth.health().tokens?.ageSeconds === 0)
      expect(await outcome(old)).toBe('401 jwt_unknown_key')
      expect(await outcome(fresh)).toBe('200 null')
    })

    test('may hold a broken key beside the good one', async () => {
      keys.become(publishes({ ...B.jwk, n: '!' }, { kty: 'oct', kid: 'c', k: 'AAAA' }, A.jwk))
      wait(600)
      expect(await outcome(good())).toBe('200 null')
      expect(await outcome(tokenOf(B, world))).toBe('401 jwt_unknown_key')
    })

    test('is fetched once in the background at half of its age, and nobody waits for it', async () => {
      keys.become(() => undefined)
      world.clock.advance(299_999)
      expect(await fetches(async () => expect(await outcome(good())).toBe('200 null'))).toBe(0)
      world.clock.advance(1)
      const before = keys.fetches()
      const token = good()
      const calls = await Promise.all(Array.from({ length: 20 }, () => world.call(token)))
      expect(new Set(calls.map(({ status }) => status))).toEqual(new Set([200]))
      await settled(() => keys.fetches() > before)
      expect(keys.fetches() - before).toBe(1)
    })
  })

  test('2,000 tokens with kids that nobody knows cause one fetch a cooldown', async () => {
    world = await open()
    await outcome(good())
    wait(5)
    const tokens = Array.from({ length: 1000 }, (_, index) =>
      [{ alg: 'RS256', typ: 'JWT', kid: `k${index}-${Math.random()}` }, { iss: ISSUER }, 'A'.repeat(256)]
        .map((part) => Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url'))
        .join('.'),
    )
    for (let round = 0; round < 2; round += 1) {
      expect(await fetches(async () => expect(await world.burst(tokens, 10)).toEqual({ '401': 1000 }))).toBe(1)
      wait(5)
    }
    expect(await outcome(good())).toBe('200 null')
  })

  test('a token of another issuer causes no fetch', async () => {
    world = await open()
    const foreign = () => tokenOf(B, world, { claims: { iss: 'https://other.example' } })
    expect(await fetches(async () => expect(await outcome(foreign())).toBe('401 jwt_issuer'))).toBe(0)
    await outcome(good())
    wait(600)
    expect(await fetches(async () => expect(await outcome(foreign())).toBe('401 jwt_issuer'))).toBe(0)
  })
})
