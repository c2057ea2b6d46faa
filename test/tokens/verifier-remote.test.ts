import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { RemoteSettings } from '../../src/tokens/settings.ts'
import type { TokenVerifier } from '../../src/tokens/verifier.ts'
import { encode, rsaKey, signToken, type IssuerKey } from '../fixtures/issuer-keys.ts'
import { outagesOf, publishes, startKeyServer, type KeyServer } from './key-server.ts'
import {
  goodClaims,
  movedClock,
  NOW,
  outcome,
  outcomeNow,
  tokenSettings,
  verifierOf,
  type MovedClock,
} from './token-world.ts'

const [a, b] = [rsaKey('a'), rsaKey('b')]

let server: KeyServer
let clock: MovedClock
let serial = 0
let before = 0

beforeAll(async () => {
  server = await startKeyServer(publishes(a.jwk))
})

beforeEach(() => {
  server.become(publishes(a.jwk))
  before = server.fetches()
  clock = movedClock()
})

afterAll(() => server.close())

/** How often this test has asked the URL. */
const requests = () => server.fetches() - before

function remoteVerifier(more: Partial<RemoteSettings> = {}): TokenVerifier {
  const remote: RemoteSettings = {
    kind: 'remote',
    url: new URL(server.url),
    cooldownSeconds: 5,
    maxAgeSeconds: 600,
    maxStaleSeconds: 86_400,
    timeoutMs: 2000,
    fetch,
    ...more,
  }
  return verifierOf(tokenSettings([], { jwks: remote }), { clock })
}

/** A token that no verifier has seen, good for an hour from the moved clock's now. */
function freshToken(key: IssuerKey = a, header: object = {}): string {
  const iat = Math.floor(clock.now() / 1000)
  serial += 1
  return signToken(goodClaims({ iat, exp: iat + 3600, jti: `tok_${serial}` }), key, header)
}

const check = async (verifier: TokenVerifier, token: string) => outcome(await verifier.verify(token))

/** A token under this kid whose signature was never good: making one costs nothing. */
function bogusToken(kid: string): string {
  const header = JSON.stringify({ alg: 'RS256', typ: 'JWT', kid })
  return `${encode(header)}.${encode(JSON.stringify(goodClaims()))}.${encode(Buffer.alloc(256, 1))}`
}

/** Lets a fetch in the background end. */
async function settled(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !condition(); turn += 1) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
}

describe('a verifier with a remote key set', () => {
  test('is fetched at the first token, and then serves at once', async () => {
    const verifier = remoteVerifier()
    expect(requests()).toBe(0)
    const first = verifier.verify(freshToken())
    expect(first).toBeInstanceOf(Promise)
    expect(outcome(await first)).toBe('accepted')
    expect(outcomeNow(verifier.verify(freshToken()))).toBe('accepted')
    expect(requests()).toBe(1)
  })

  test('is fetched once for a thousand tokens at once', async () => {
    const verifier = remoteVerifier()
    const token = freshToken()
    const found = await Promise.all(Array.from({ length: 1000 }, () => check(verifier, token)))
    expect(new Set(found)).toEqual(new Set(['accepted']))
    expect(requests()).toBe(1)
  })

  test('is loaded by ready(), and not once more for that', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    await verifier.ready(AbortSignal.timeout(1000))
    expect(requests()).toBe(1)
    expect(verifier.health()).toEqual({ source: 'remote', keys: 1, ageSeconds: 0, degraded: false })
    expect(outcomeNow(verifier.verify(freshToken()))).toBe('accepted')
  })

  test('that does not answer ends ready() with its signal', async () => {
    server.become(() => undefined)
    const verifier = remoteVerifier()
    const start = performance.now()
    await expect(verifier.ready(AbortSignal.timeout(50))).rejects.toThrow('in time')
    expect(performance.now() - start).toBeLessThan(1000)
  })

  test('is fetched by the fetch that is given', async () => {
    const asked: unknown[] = []
    const verifier = remoteVerifier({
      url: new URL('https://issuer.example/jwks'),
      fetch: (input) => {
        asked.push(input)
        return Promise.resolve(Response.json({ keys: [a.jwk] }))
      },
    })
    expect(await check(verifier, freshToken())).toBe('accepted')
    expect(asked).toEqual([new URL('https://issuer.example/jwks')])
    expect(requests()).toBe(0)
  })

  test.each<[name: string, fetch: RemoteSettings['fetch']]>([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['never answers and heeds no signal', () => new Promise(() => undefined)],
    ['answers with a body that never ends', () => Promise.resolve(new Response(new ReadableStream()))],
  ])('cannot be had by a fetch that %s', async (_name, own) => {
    expect(await check(remoteVerifier({ fetch: own, timeoutMs: 100 }), freshToken())).toBe('jwks_unavailable')
  })

  test('is refreshed in the background at half its age', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    clock.advance(299)
    expect(outcomeNow(verifier.verify(freshToken()))).toBe('accepted')
    clock.advance(1)
    server.become(publishes(a.jwk, b.jwk))
    const token = freshToken()
    for (let turn = 0; turn < 100; turn += 1) expect(outcomeNow(verifier.verify(token))).toBe('accepted')
    await settled(() => verifier.health().keys === 2)
    expect(requests()).toBe(2)
    expect(outcomeNow(verifier.verify(freshToken(b)))).toBe('accepted')
  })

  test('is fetched anew before use when it is older than its age', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    clock.advance(600)
    server.become(publishes(b.jwk))
    expect(await check(verifier, freshToken(a))).toBe('jwt_unknown_key')
    expect(requests()).toBe(2)
    expect(outcomeNow(verifier.verify(freshToken(b)))).toBe('accepted')
  })
})

describe.each(outagesOf([a.jwk]))('a key set whose URL %s', (_name, outage) => {
  test('is 503 at first, not a verdict, within its deadline and with one fetch a cooldown', async () => {
    server.become(outage)
    const verifier = remoteVerifier({ timeoutMs: 250 })
    const start = performance.now()
    expect(await check(verifier, freshToken())).toBe('jwks_unavailable')
    expect(performance.now() - start).toBeLessThan(1500)
    for (let turn = 0; turn < 20; turn += 1) expect(await check(verifier, freshToken())).toBe('jwks_unavailable')
    await expect(verifier.ready(AbortSignal.timeout(1000))).rejects.toThrow('No usable key set could be fetched.')
    expect(requests()).toBe(1)
    server.become(publishes(a.jwk))
    clock.advance(5)
    expect(await check(verifier, freshToken())).toBe('accepted')
  })

  test('replaces no good set, and makes no good token a 401', async () => {
    const verifier = remoteVerifier({ timeoutMs: 250, maxStaleSeconds: 3600 })
    await verifier.ready(AbortSignal.timeout(1000))
    const cached = freshToken()
    expect(await check(verifier, cached)).toBe('accepted')
    server.become(outage)
    clock.advance(300)
    expect(await check(verifier, freshToken(b))).toBe('jwks_unavailable')
    expect(await check(verifier, freshToken(b))).toBe('jwks_unavailable')
    expect(requests()).toBe(2)
    expect(verifier.health()).toMatchObject({ keys: 1, degraded: true })
    clock.advance(1000)
    for (const token of [cached, freshToken(), freshToken()]) expect(await check(verifier, token)).toBe('accepted')
    expect([requests(), server.strays()]).toEqual([3, 0])
    // In the cooldown nobody waits.
    expect(outcomeNow(verifier.verify(freshToken()))).toBe('accepted')
    clock.advance(3600 - 1301)
    expect(await check(verifier, freshToken())).toBe('accepted')
    clock.advance(1)
    const lastMoment = freshToken()
    expect(await check(verifier, lastMoment)).toBe('jwks_unavailable')
    expect(verifier.health()).toMatchObject({ keys: 0, degraded: true })
    server.become(publishes(a.jwk))
    clock.advance(5)
    expect(await check(verifier, lastMoment)).toBe('accepted')
  })
})

describe('a good key set that is answered', () => {
  test.each([201, 204, 400, 404, 500, 503])('with %i is not taken', async (status) => {
    server.become((response) => {
      response.statusCode = status
      publishes(a.jwk)(response)
    })
    expect(await check(remoteVerifier(), freshToken())).toBe('jwks_unavailable')
  })

  test('again, leaves what was verified by it verified', async () => {
    const verifier = remoteVerifier()
    const token = freshToken()
    const identity = await verifier.verify(token)
    clock.advance(600)
    expect(await verifier.verify(token)).toBe(identity)
    expect(requests()).toBe(2)
  })
})

describe('a key set behind a redirect', () => {
  test.each([301, 302, 303, 307, 308])('of %i is not followed', async (status) => {
    const target = await startKeyServer(publishes(a.jwk))
    server.become((response) => void response.writeHead(status, { location: target.url }).end())
    expect(await check(remoteVerifier(), freshToken())).toBe('jwks_unavailable')
    expect([requests(), target.fetches()]).toEqual([1, 0])
    await target.close()
  })
})

describe('a key set that nobody serves', () => {
  test('is 503', async () => {
    const gone = await startKeyServer(publishes(a.jwk))
    await gone.close()
    expect(await check(remoteVerifier({ url: new URL(gone.url) }), freshToken())).toBe('jwks_unavailable')
  })
})

describe('a key set of', () => {
  const padded = (bytes: number) => {
    const text = JSON.stringify({ keys: [a.jwk] })
    return text.padEnd(bytes, ' ')
  }

  test.each([
    [1_048_576, 'accepted'],
    [1_048_577, 'jwks_unavailable'],
  ])('%i bytes: %s', async (bytes, expected) => {
    server.become((response) => void response.end(padded(bytes)))
    expect(await check(remoteVerifier(), freshToken())).toBe(expected)
  })
})

describe('an unknown kid', () => {
  test('is 401 without a fetch within the cooldown after a successful one, and then causes one', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    clock.advance(4.999)
    expect(outcomeNow(verifier.verify(freshToken(b)))).toBe('jwt_unknown_key')
    expect(requests()).toBe(1)
    clock.advance(0.001)
    expect(await check(verifier, freshToken(b))).toBe('jwt_unknown_key')
    expect(requests()).toBe(2)
  })

  test('is 503 without a fetch within the cooldown after a failed one', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    clock.advance(5)
    server.become((response) => void response.writeHead(500).end())
    expect(await check(verifier, freshToken(b))).toBe('jwks_unavailable')
    clock.advance(4.999)
    server.become(publishes(a.jwk, b.jwk))
    expect(outcomeNow(verifier.verify(freshToken(b)))).toBe('jwks_unavailable')
    expect(outcomeNow(verifier.verify(freshToken(a)))).toBe('accepted')
    expect(requests()).toBe(2)
    clock.advance(0.001)
    expect(await check(verifier, freshToken(b))).toBe('accepted')
  })

  test('that is bogus delays a key that was rotated in by no more than the cooldown', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    clock.advance(100)
    expect(await check(verifier, freshToken(a, { kid: 'bogus' }))).toBe('jwt_unknown_key')
    server.become(publishes(b.jwk))
    for (let second = 0; second < 5; second += 1) {
      expect(await check(verifier, freshToken(b))).toBe('jwt_unknown_key')
      expect(await check(verifier, freshToken(a, { kid: `bogus ${second}` }))).toBe('jwt_unknown_key')
      clock.advance(1)
    }
    expect(await check(verifier, freshToken(b))).toBe('accepted')
    expect(requests()).toBe(3)
  })

  test('of a key that is published while an older answer is on its way is delayed by no more either', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    clock.advance(100)
    const held: (() => void)[] = []
    server.become((response) => held.push(() => publishes(a.jwk)(response)))
    const bogus = check(verifier, freshToken(a, { kid: 'bogus' }))
    await settled(() => held.length === 1)
    server.become(publishes(b.jwk))
    clock.advance(5)
    for (const answer of held) answer()
    expect(await bogus).toBe('jwt_unknown_key')
    expect(await check(verifier, freshToken(b))).toBe('accepted')
  })

  test('causes one fetch a cooldown, however many there are', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    for (let second = 0; second < 20; second += 1) {
      const batch = Array.from({ length: 500 }, (_each, n) => check(verifier, bogusToken(`${second}-${n}`)))
      expect(new Set(await Promise.all(batch))).toEqual(new Set(['jwt_unknown_key']))
      clock.advance(1)
    }
    expect(requests()).toBe(4)
  })

  test('causes one fetch a cooldown while the key set is down, and good tokens go on', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    server.become((response) => void response.writeHead(500).end())
    clock.advance(5)
    for (let second = 0; second < 20; second += 1) {
      const batch = Array.from({ length: 500 }, (_each, n) => check(verifier, bogusToken(`${second}-${n}`)))
      expect(new Set(await Promise.all(batch))).toEqual(new Set(['jwks_unavailable']))
      expect(await check(verifier, freshToken())).toBe('accepted')
      clock.advance(1)
    }
    expect(requests()).toBe(5)
  })

  test.each<[name: string, claims: object, header: object, reason: string]>([
    ['another issuer', { iss: 'https://evil.example' }, {}, 'jwt_issuer'],
    ['no issuer', { iss: undefined }, {}, 'jwt_issuer'],
    ['another algorithm', {}, { alg: 'HS256' }, 'jwt_algorithm'],
    ['another type', {}, { typ: 'id+jwt' }, 'jwt_type'],
    ['a jku', {}, { jku: 'http://127.0.0.1:1/jwks' }, 'jwt_malformed'],
  ])('of a token of %s causes no fetch', (_name, claims, header, reason) => {
    const token = signToken(goodClaims(claims), b, header)
    expect(outcomeNow(remoteVerifier().verify(token))).toBe(reason)
    expect(requests()).toBe(0)
  })

  test('is what a token without kid counts as that no key verifies', async () => {
    const verifier = remoteVerifier()
    await verifier.ready(AbortSignal.timeout(1000))
    expect(outcomeNow(verifier.verify(freshToken(b, { kid: undefined })))).toBe('jwt_unknown_key')
    expect(outcomeNow(verifier.verify(freshToken(a, { kid: undefined })))).toBe('accepted')
    clock.advance(5)
    server.become(publishes(a.jwk, b.jwk))
    expect(await check(verifier, freshToken(b, { kid: undefined }))).toBe('accepted')
    expect(requests()).toBe(2)
  })
})

describe('a key that is taken out of the set', () => {
  test('stops verifying, for tokens that were seen before too', async () => {
    const verifier = remoteVerifier()
    server.become(publishes(a.jwk, b.jwk))
    const [ofA, ofB] = [freshToken(a), freshToken(b)]
    expect([await check(verifier, ofA), await check(verifier, ofB)]).toEqual(['accepted', 'accepted'])
    server.become(publishes(b.jwk))
    clock.advance(300)
    expect(outcomeNow(verifier.verify(ofA))).toBe('accepted')
    await settled(() => verifier.health().keys === 1)
    expect(outcomeNow(verifier.verify(ofA))).toBe('jwt_unknown_key')
    expect(outcomeNow(verifier.verify(ofB))).toBe('accepted')
  })

  test('stops verifying when another takes its name', async () => {
    const verifier = remoteVerifier()
    const token = freshToken(a)
    expect(await check(verifier, token)).toBe('accepted')
    server.become(publishes({ ...b.jwk, kid: 'a' }))
    clock.advance(600)
    expect(await check(verifier, token)).toBe('jwt_signature')
    expect(outcomeNow(verifier.verify(freshToken(b, { kid: 'a' })))).toBe('accepted')
  })

  test('verifies again when it comes back', async () => {
    const verifier = remoteVerifier()
    const token = signToken(goodClaims({ iat: NOW, exp: NOW + 3600 }), a)
    expect(await check(verifier, token)).toBe('accepted')
    server.become(publishes(b.jwk))
    clock.advance(600)
    expect(await check(verifier, token)).toBe('jwt_unknown_key')
    server.become(publishes(a.jwk))
    clock.advance(600)
    expect(await check(verifier, token)).toBe('accepted')
  })
})
