import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose'
import { describe, expect, test } from 'vitest'
import { isBadSigningKey, loadSigningKey, signedBy, type SigningKey } from '../../src/tokens/signing-keys.ts'

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
const jwk = pair.privateKey.export({ format: 'jwk' })
const otherJwk = other.privateKey.export({ format: 'jwk' })
const pem = (key: KeyObject, type: 'pkcs1' | 'pkcs8' = 'pkcs8') => key.export({ format: 'pem', type }).toString()
const publicPem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()
const FROM = new Date('2026-03-18T12:00:00Z')

function loaded(given: unknown): SigningKey {
  const key = loadSigningKey(given)
  if (isBadSigningKey(key)) throw new Error(key.problem)
  return key
}

describe('a signing key', () => {
  test.each<readonly [what: string, given: unknown, from: number]>([
    ['PEM, PKCS#8', pem(pair.privateKey), Number.NEGATIVE_INFINITY],
    ['PEM, PKCS#1', pem(pair.privateKey, 'pkcs1'), Number.NEGATIVE_INFINITY],
    ['a JWK', jwk, Number.NEGATIVE_INFINITY],
    ['the JSON text of a JWK, as a file holds it', ` ${JSON.stringify(jwk)}\n`, Number.NEGATIVE_INFINITY],
    ['PEM with an instant', { key: pem(pair.privateKey), from: FROM }, FROM.getTime()],
    [
      'a JWK with an instant',
      { key: { ...jwk, alg: 'RS256', use: 'sig', key_ops: ['sign'] }, from: FROM },
      FROM.getTime(),
    ],
  ])('%s: its kid is the thumbprint of RFC 7638, and the same key publishes the same', async (_what, given, from) => {
    const key = loaded(given)
    expect(key.kid).toBe(await calculateJwkThumbprint(jwk, 'sha256'))
    expect(key.from).toBe(from)
    expect(key.jwk).toEqual({ kty: 'RSA', n: jwk.n, e: 'AQAB', kid: key.kid, alg: 'RS256', use: 'sig' })
    expect(JSON.parse(Buffer.from(key.header, 'base64url').toString())).toEqual({
      alg: 'RS256',
      typ: 'at+jwt',
      kid: key.kid,
    })
  })

  test("a JWK's own kid goes before the thumbprint", () => {
    expect(loaded({ ...jwk, kid: '2026-03' }).kid).toBe('2026-03')
  })

  test('signs what jose verifies', async () => {
    const key = loaded(jwk)
    const verified = await compactVerify(signedBy(key, '{"a":"ü"}'), await importJWK({ ...key.jwk }, 'RS256'))
    expect(new TextDecoder().decode(verified.payload)).toBe('{"a":"ü"}')
  })

  test('shows nothing private when it is printed', () => {
    const key = loaded(jwk)
    const shown = `${inspect(key, { depth: 9 })}${JSON.stringify(key)}`
    for (const secret of [jwk.d, jwk.p, jwk.q, jwk.dp]) expect(shown).not.toContain(secret)
  })

  test('reads no inherited member', () => {
    expect(loadSigningKey(Object.create(jwk))).toMatchObject({ problem: expect.stringContaining('expected') })
    expect(loadSigningKey(Object.create({ key: pem(pair.privateKey), from: FROM }))).toHaveProperty('problem')
  })
})

describe('no signing key is', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const three = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey
  const encrypted = pair.privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' })
  const { d: _d, ...withoutD } = jwk
  const { dp: _dp, ...withoutDp } = jwk

  test.each<readonly [what: string, given: unknown, problem: RegExp, member: string | null]>([
    ['nothing', undefined, /private RSA key/, null],
    ['null', null, /private RSA key/, null],
    ['a number', 5, /private RSA key/, null],
    ['any text', 'hunter2', /unencrypted private RSA key/, null],
    ['half a JSON text', '{"kty":"RSA"', /private RSA key/, null],
    ['a broken PEM', pem(pair.privateKey).slice(0, 400), /unencrypted private RSA key/, null],
    ['an encrypted PEM', encrypted.toString(), /unencrypted private RSA key/, null],
    ['a public PEM', publicPem, /not the public one/, null],
    ['a public JWK', pair.publicKey.export({ format: 'jwk' }), /not the public one/, null],
    ['a JWK without d', withoutD, /not the public one/, null],
    ['a JWK without all its parts', withoutDp, /all of n, e, d/, null],
    ['a JWK with parts of another key', { ...jwk, n: otherJwk.n }, /expected/, null],
    ['a JWK whose d is of another key', { ...jwk, d: otherJwk.d, dp: otherJwk.dp }, /expected/, null],
    ['a JWK for encryption', { ...jwk, use: 'enc' }, /for RS256/, null],
    ['a JWK for another algorithm', { ...jwk, alg: 'PS256' }, /for RS256/, null],
    ['a JWK that may verify alone', { ...jwk, key_ops: ['verify'] }, /may `sign`/, null],
    ['a JWK with a kid of another type', { ...jwk, kid: 5 }, /`kid`/, null],
    ['a JWK with an endless kid', { ...jwk, kid: 'x'.repeat(257) }, /`kid`/, null],
    ['an EC key', pem(ec), /private RSA key/, null],
    ['an EC JWK', ec.export({ format: 'jwk' }), /private RSA key/, null],
    ['an RSA-PSS key', pem(pss), /private RSA key/, null],
    ['a key of 1024 bits', pem(weak), /2048 bits/, null],
    ['a key with the exponent 3', pem(three), /65537/, null],
    ['an instant that is a text', { key: jwk, from: '2026-03-18' }, /a Date/, 'from'],
    ['an instant that is none', { key: jwk, from: new Date(Number.NaN) }, /a Date/, 'from'],
    ['a key in brackets without instant', { key: jwk }, /a Date/, 'from'],
    ['a bad key with an instant', { key: publicPem, from: FROM }, /not the public one/, 'key'],
    ['one member too many', { key: jwk, from: FROM, until: FROM }, /no other member/, null],
  ])('%s', (_what, given, problem, member) => {
    const key = loadSigningKey(given)
    expect(key).toEqual({ problem: expect.stringMatching(problem), member })
  })
})
