import { generateKeyPairSync } from 'node:crypto'
import * as fc from 'fast-check'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { createIdentity, type Identity, type IdentityFacts } from '../../src/principal.ts'
import { SCOPES } from '../../src/scopes.ts'
import { createKeySchedule } from '../../src/tokens/key-schedule.ts'
import { createMinter, type MinterSettings } from '../../src/tokens/mint.ts'
import { isBadSigningKey, loadSigningKey } from '../../src/tokens/signing-keys.ts'
import { AUDIENCE, ISSUER, movedClock, NOW } from './token-world.ts'

const key = loadSigningKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }))
if (isBadSigningKey(key)) throw new Error(key.problem)
const schedule = createKeySchedule([key], 3600)
const jwks = createLocalJWKSet({ keys: [{ ...key.jwk }] })

function identity(more: Partial<IdentityFacts> = {}): Identity {
  return createIdentity({
    kind: 'api-key',
    organizationId: 'org_"1"',
    subject: 'key_1',
    keyId: 'key_1',
    tokenId: null,
    environment: 'live',
    scopes: new Set(Object.keys(SCOPES)),
    expiresAt: null,
    graceEnds: null,
    allowlist: null,
    ...more,
  })
}

function minter(more: Partial<MinterSettings> = {}) {
  return createMinter({
    issuer: ISSUER,
    audience: AUDIENCE,
    schedule,
    lifetimeSeconds: 3600,
    clock: movedClock(),
    ...more,
  })
}

function minted(...given: Parameters<ReturnType<typeof minter>>) {
  const token = minter()(...given)
  if (typeof token === 'string') throw new Error(token)
  return token
}

const verified = (token: string) =>
  jwtVerify(token, jwks, {
    issuer: ISSUER,
    audience: AUDIENCE,
    typ: 'at+jwt',
    algorithms: ['RS256'],
    currentDate: new Date(NOW * 1000),
  })

describe('a minted token', () => {
  test('is what RFC 9068 asks for, with our claims and no others, for jose', async () => {
    const token = minted(identity(), ['read:patients', 'exec:agents'])
    const { payload, protectedHeader } = await verified(token.accessToken)
    expect(protectedHeader).toEqual({ alg: 'RS256', typ: 'at+jwt', kid: key.kid })
    expect(payload).toEqual({
      iss: ISSUER,
      aud: AUDIENCE,
      iat: NOW,
      exp: NOW + 3600,
      sub: 'key_1',
      client_id: 'key_1',
      org: 'org_"1"',
      env: 'live',
      scope: 'read:patients exec:agents',
      jti: token.tokenId,
    })
    expect(token).toMatchObject({ issuedAt: NOW, expiresInSeconds: 3600, scopes: ['read:patients', 'exec:agents'] })
    expect(token.tokenId).toMatch(/^tok_[\da-f]{32}$/)
  })

  test('for several audiences has them as a list', async () => {
    const token = minter({ audience: [AUDIENCE, 'https://b.example'] })(identity(), ['exec:agents'])
    if (typeof token === 'string') throw new Error(token)
    expect((await verified(token.accessToken)).payload.aud).toEqual([AUDIENCE, 'https://b.example'])
  })

  test('has an id of its own each time', () => {
    const ids = Array.from({ length: 50 }, () => minted(identity(), ['exec:agents']).tokenId)
    expect(new Set(ids).size).toBe(50)
  })

  test('holds no claim that somebody put on a prototype', async () => {
    const prototypes = [Object.prototype, Array.prototype, String.prototype]
    for (const prototype of prototypes) Object.assign(prototype, { toJSON: () => 'admin:org' })
    try {
      const token = minted(identity(), ['read:patients'])
      for (const prototype of prototypes) Reflect.deleteProperty(prototype, 'toJSON')
      expect((await verified(token.accessToken)).payload).toMatchObject({ scope: 'read:patients', org: 'org_"1"' })
    } finally {
      for (const prototype of prototypes) Reflect.deleteProperty(prototype, 'toJSON')
    }
  })

  test.each<readonly [what: string, ends: Partial<IdentityFacts>, seconds: number | string]>([
    ['a key without end', {}, 3600],
    ['a key that ends in an hour', { expiresAt: (NOW + 3600) * 1000 }, 3600],
    ['a key that ends in ten minutes', { expiresAt: (NOW + 600) * 1000 }, 600],
    ['a rotated key with ten minutes left', { graceEnds: (NOW + 600) * 1000 }, 600],
    ['a key with two ends', { graceEnds: (NOW + 600) * 1000, expiresAt: (NOW + 60) * 1000 }, 60],
    ['parts of a second', { expiresAt: (NOW + 600) * 1000 + 999 }, 600],
    ['less than a second of a key', { expiresAt: NOW * 1000 + 999 }, 'key_expired'],
    ['less than a second of a rotated key', { graceEnds: NOW * 1000 + 999 }, 'key_rotated_out'],
  ])('of %s never outlives it', (_what, ends, seconds) => {
    const token = minter()(identity(ends), ['exec:agents'])
    expect(typeof token === 'string' ? token : token.expiresInSeconds).toBe(seconds)
  })

  test('whatever the key and the clock: lifetime ≤ min(configured, 3600, rest of the key)', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3600 }),
        fc.integer({ min: 0, max: 7_200_000 }),
        fc.option(fc.integer({ min: 1, max: 7_200_000 })),
        fc.option(fc.integer({ min: 1, max: 7_200_000 })),
        (lifetimeSeconds, offset, expires, grace) => {
          const now = NOW * 1000 + offset
          const clock = { now: () => now, monotonicMs: () => 0 }
          const ends = {
            expiresAt: expires === null ? null : now + expires,
            graceEnds: grace === null ? null : now + grace,
          }
          const token = minter({ lifetimeSeconds, clock })(identity(ends), ['exec:agents'])
          const rest = Math.min(expires ?? Number.POSITIVE_INFINITY, grace ?? Number.POSITIVE_INFINITY)
          if (typeof token === 'string') {
            expect(rest).toBeLessThan(1000)
            return
          }
          expect(token.expiresInSeconds).toBeLessThanOrEqual(lifetimeSeconds)
          expect(token.expiresInSeconds * 1000).toBeLessThanOrEqual(rest)
          expect(token.expiresInSeconds).toBeGreaterThan(0)
          expect((token.issuedAt + token.expiresInSeconds) * 1000).toBeLessThanOrEqual(now + rest)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('is signed by the key whose turn it is', () => {
    const next = loadSigningKey({
      key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
      from: new Date((NOW + 60) * 1000),
    })
    if (isBadSigningKey(next)) throw new Error(next.problem)
    const clock = movedClock()
    const mint = minter({ schedule: createKeySchedule([key, next], 3600), clock })
    const kid = () => {
      const token = mint(identity(), ['exec:agents'])
      if (typeof token === 'string') throw new Error(token)
      return decodeProtectedHeader(token.accessToken).kid
    }
    expect(kid()).toBe(key.kid)
    clock.advance(60)
    expect(kid()).toBe(next.kid)
    clock.advance(-1)
    expect(kid()).toBe(key.kid)
  })
})
