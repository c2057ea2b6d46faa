import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AuthOptions } from '../../src/index.ts'
import { START } from '../keys/parts.ts'
import { keyPair, outagesOf, publishes, startKeyServer, type KeyPair, type KeyServer } from '../tokens/key-server.ts'
import { FRAMEWORKS, type Framework } from './frameworks.ts'
import { openWorld, type OutageWorld } from './outage-world.ts'
import { settled } from './raw-client.ts'
import { AUDIENCE, ISSUER, signToken } from './world.ts'

const A = keyPair('a')
const B = keyPair('b')
const TIMEOUT_MS = 200

/** Signed by this key, of the world's present, and good in all but what is said. */
function tokenOf({ privateKey, jwk }: KeyPair, { clock }: OutageWorld, more: { header?: object; claims?: object } = {}) {
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

const OUTAGES = outagesOf([A.jwk])
const worlds = (url: string): Partial<AuthOptions> => ({
  tokens: {
    issuer: ISSUER,
    audience: AUDIENCE,
    jwks: url,
    jwksCooldownSeconds: 5,
    jwksMaxAgeSeconds: 600,
    jwksMaxStaleSeconds: 3600,
    jwksTimeoutMs: TIMEOUT_MS,
  },
})

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

  const open = async (options: Partial<AuthOptions> = worlds(keys.url)): Promise<OutageWorld> => {
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
    // One server for all rows: each begins with a good set that has just been fetched.
    let shared: OutageWorld
    beforeAll(async () => {
      shared = await open()
    })

    test.each(OUTAGES)('%s: what is known keeps verifying, and nothing good is ever 401', async (_what, outage) => {
      world = shared
      wait(3600)
      expect(await outcome(good())).toBe('200 null')
      keys.become(outage)
      const [strays, cutOff] = [keys.strays(), keys.cutOff()]
      // The first call after half of its age: the fetch is in the background.
      wait(300)
      const before = keys.fetches()
      expect(await outcome(good())).toBe('200 null')
      await settled(() => keys.fetches() === before + 1)
      // Too old to be used unasked, and still served on.
      wait(300)
      const called = await world.call(good())
      expect(called.status).toBe(200)
      expect(called.ms).toBeLessThan(TIMEOUT_MS + 800)
      expect(await outcome(bogus())).toBe('503 jwks_unavailable')
      wait(2999)
      expect(await outcome(good())).toBe('200 null')
      // An hour after the last fetch that was of use, it is of none.
      wait(1)
      const late = await world.call(good())
      expect(late).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
      expect(late.headers).not.toHaveProperty('www-authenticate')
      expect(late.ms).toBeLessThan(TIMEOUT_MS + 800)
      expect((await world.eventOf(late)).reason).toBe('jwks_unavailable')
      expect(keys.strays()).toBe(strays)
      if (/never|MiB|one byte|stops/.test(_what)) expect(keys.cutOff()).toBeGreaterThan(cutOff)
      // In the cooldown nobody waits, and nothing is asked.
      expect(await fetches(async () => expect(await outcome(good())).toBe('503 jwks_unavailable'))).toBe(0)
      keys.become(publishes(A.jwk))
      wait(5)
      expect(await outcome(good())).toBe('200 null')
    })

    test.each(OUTAGES)('%s from the start: 503 within the deadline, and good once it answers', async (_what, outage) => {
      world = shared
      wait(3600)
      keys.become(outage)
      const token = good()
      const called = await world.call(token)
      expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
      expect(called.ms).toBeLessThan(TIMEOUT_MS + 800)
      keys.become(publishes(A.jwk))
      wait(5)
      expect(await outcome(token)).toBe('200 null')
    })
  })

  test('nobody listens at the URL: 503, not 401', async () => {
    const gone = await startKeyServer(publishes(A.jwk))
    await gone.close()
    world = await open(worlds(gone.url))
    expect(await outcome(good())).toBe('503 jwks_unavailable')
    await expect(world.auth.ready()).rejects.toMatchObject({ code: 'JWKS_UNREACHABLE' })
  })
})
