import { sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { parseKeySet, verifies } from '../../src/tokens/key-set.ts'
import type { Algorithm } from '../../src/tokens/settings.ts'
import { ecKey, edKey, rsaKey, signSegments, type IssuerKey, type Jwk } from '../fixtures/issuer-keys.ts'
import { ALL_ALGORITHMS } from './token-world.ts'

const rsa = rsaKey('rsa')
const other = rsaKey('other')
const pss = rsaKey('pss', { algorithm: 'PS256' })
const ec = ecKey('ec')
const ed = edKey('ed')
const p384 = ecKey('p384', 'P-384')
const weak = rsaKey('weak', { modulusLength: 1024 })
const odd = rsaKey('odd', { publicExponent: 3 })

const without = (jwk: Jwk, ...names: string[]) =>
  Object.fromEntries(Object.entries(jwk).filter(([name]) => !names.includes(name)))
const algorithmsOf = (jwk: unknown, algorithms: readonly Algorithm[] = ALL_ALGORITHMS) =>
  parseKeySet([jwk], algorithms)?.map((key) => key.algorithm) ?? null

describe('a key set', () => {
  test.each<[name: string, jwk: Jwk, algorithms: readonly Algorithm[], expected: Algorithm]>([
    ['an RSA key for RS256', rsa.jwk, ALL_ALGORITHMS, 'RS256'],
    ['an RSA key for PS256', pss.jwk, ALL_ALGORITHMS, 'PS256'],
    ['a P-256 key', ec.jwk, ALL_ALGORITHMS, 'ES256'],
    ['an Ed25519 key', ed.jwk, ALL_ALGORITHMS, 'EdDSA'],
    ['an RSA key without alg', without(rsa.jwk, 'alg'), ['RS256'], 'RS256'],
    ['an RSA key without alg', without(rsa.jwk, 'alg'), ['PS256', 'RS256'], 'PS256'],
    ['a P-256 key without alg', without(ec.jwk, 'alg'), ALL_ALGORITHMS, 'ES256'],
    ['an Ed25519 key without alg', without(ed.jwk, 'alg'), ALL_ALGORITHMS, 'EdDSA'],
    ['a key without kid', without(rsa.jwk, 'kid'), ['RS256'], 'RS256'],
    ['a key with use: sig', { ...rsa.jwk, use: 'sig' }, ['RS256'], 'RS256'],
    ['a key with key_ops: verify', { ...rsa.jwk, key_ops: ['verify'] }, ['RS256'], 'RS256'],
    ['a key with members that are not known', { ...rsa.jwk, x5t: 'x', extra: [] }, ['RS256'], 'RS256'],
  ])('takes %s (%#)', (_name, jwk, algorithms, expected) => {
    expect(algorithmsOf(jwk, algorithms)).toEqual([expected])
  })

  test.each<[name: string, jwk: unknown]>([
    ['a number', 1],
    ['null', null],
    ['a list', []],
    ['an empty object', {}],
    ['an RSA key of 1024 bits', weak.jwk],
    ['an RSA key with exponent 3', odd.jwk],
    ['an RSA key with exponent 1', { ...rsa.jwk, e: 'AQ' }],
    ['an RSA key without modulus', without(rsa.jwk, 'n')],
    ['an RSA key with a modulus that is a number', { ...rsa.jwk, n: 7 }],
    ['an RSA key for RS384', { ...rsa.jwk, alg: 'RS384' }],
    ['an RSA key for encryption', { ...rsa.jwk, use: 'enc' }],
    ['an RSA key with alg: RSA-OAEP', { ...rsa.jwk, alg: 'RSA-OAEP' }],
    ['an RSA key with alg: null', { ...rsa.jwk, alg: null }],
    ['an RSA key that claims to be ES256', { ...rsa.jwk, alg: 'ES256' }],
    ['an RSA key that claims to be HS256', { ...rsa.jwk, alg: 'HS256' }],
    ['an RSA key that claims to be none', { ...rsa.jwk, alg: 'none' }],
    ['a key that signs', { ...rsa.jwk, key_ops: ['sign'] }],
    ['a key with key_ops that is a string', { ...rsa.jwk, key_ops: 'verify' }],
    ['a kid that is a number', { ...rsa.jwk, kid: 1 }],
    ['a private key', { ...rsa.privateKey.export({ format: 'jwk' }), kid: 'a' }],
    ['a private Ed25519 key', { ...ed.privateKey.export({ format: 'jwk' }), kid: 'a' }],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0', kid: 'a' }],
    ['a symmetric key for RS256', { kty: 'oct', k: 'c2VjcmV0', alg: 'RS256', kid: 'a' }],
    ['a P-384 key', p384.jwk],
    ['a P-384 key without alg', without(p384.jwk, 'alg')],
    ['a P-256 key with a point off the curve', { ...ec.jwk, x: ec.jwk['y'] }],
    ['an X25519 key', { ...ed.jwk, crv: 'X25519', alg: undefined }],
    ['an Ed25519 key that is cut', { ...ed.jwk, x: 'AAAA' }],
    ['members that are inherited', Object.create(rsa.jwk) as object],
  ])('passes over %s', (_name, jwk) => {
    expect(algorithmsOf(jwk)).toBeNull()
    expect(parseKeySet([jwk, other.jwk], ['RS256'])).toHaveLength(1)
  })

  test('passes over keys of algorithms that are not allowed', () => {
    expect(parseKeySet([rsa.jwk, ec.jwk, ed.jwk, pss.jwk], ['RS256'])?.map(({ kid }) => kid)).toEqual(['rsa'])
  })

  test.each<[name: string, keys: unknown]>([
    ['no list', { 0: rsa.jwk }],
    ['nothing', undefined],
    ['an empty list', []],
    ['no usable key', [weak.jwk, odd.jwk, p384.jwk]],
    ['two keys of one kid', [rsa.jwk, { ...other.jwk, kid: 'rsa' }]],
    ['one key twice', [rsa.jwk, ec.jwk, rsa.jwk]],
  ])('of %s is unusable', (_name, keys) => {
    expect(parseKeySet(keys, ALL_ALGORITHMS)).toBeNull()
  })

  test.each<[name: string, keys: readonly Jwk[], count: number]>([
    ['one kid for two algorithms', [rsa.jwk, { ...ec.jwk, kid: 'rsa' }], 2],
    ['two keys without kid', [without(rsa.jwk, 'kid'), without(other.jwk, 'kid')], 2],
    ['one kid twice, but for a key that is of no use', [rsa.jwk, { ...weak.jwk, kid: 'rsa' }], 1],
  ])('may hold %s', (_name, keys, count) => {
    expect(parseKeySet(keys, ALL_ALGORITHMS)).toHaveLength(count)
  })
})

describe('a key', () => {
  const DATA = 'eyJhIjoxfQ.eyJiIjoyfQ'
  const imported = (key: IssuerKey) => {
    const [found] = parseKeySet([key.jwk], ALL_ALGORITHMS) ?? []
    if (found === undefined) throw new Error('The key is of no use.')
    return found
  }
  const signatureOf = (key: IssuerKey, algorithm = key.algorithm) =>
    Buffer.from(signSegments(DATA, key, algorithm).slice(DATA.length + 1), 'base64url')

  test.each([
    ['RS256', rsa],
    ['PS256', pss],
    ['ES256', ec],
    ['EdDSA', ed],
  ])('of %s verifies what it signed, and nothing else', (_algorithm, key) => {
    const signature = signatureOf(key)
    expect(verifies(imported(key), DATA, signature)).toBe(true)
    expect(verifies(imported(key), `${DATA}x`, signature)).toBe(false)
    expect(verifies(imported(key), DATA.toLowerCase(), signature)).toBe(false)
  })

  test.each<[name: string, key: IssuerKey, signature: Buffer]>([
    ['RS256, a signature of PS256', rsa, signatureOf(rsa, 'PS256')],
    ['RS256, a signature of RS512', rsa, signatureOf(rsa, 'RS512')],
    ['PS256, a signature of RS256', pss, signatureOf(pss, 'RS256')],
    ['PS256, a signature of PS384', pss, signatureOf(pss, 'PS384')],
    [
      'PS256, a salt of another length',
      pss,
      sign('sha256', Buffer.from(DATA), { key: pss.privateKey, padding: 6, saltLength: 20 }),
    ],
    ['ES256, a signature in DER', ec, sign('sha256', Buffer.from(DATA), ec.privateKey)],
    ['ES256, a signature of zeros', ec, Buffer.alloc(64)],
    [
      'ES256, a signature of the group order',
      ec,
      Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'.repeat(2), 'hex'),
    ],
    ['EdDSA, a signature of zeros', ed, Buffer.alloc(64)],
    ['RS256, a signature of zeros', rsa, Buffer.alloc(256)],
    ['RS256, a signature of ones', rsa, Buffer.alloc(256, 255)],
    ['RS256, a zero in front', rsa, Buffer.concat([Buffer.alloc(1), signatureOf(rsa)])],
    ['RS256, a zero behind', rsa, Buffer.concat([signatureOf(rsa), Buffer.alloc(1)])],
    ['RS256, no signature', rsa, Buffer.alloc(0)],
    ['ES256, no signature', ec, Buffer.alloc(0)],
    ['EdDSA, no signature', ed, Buffer.alloc(0)],
    ['RS256, 6,000 bytes', rsa, Buffer.alloc(6000, 1)],
  ])('of %s, does not verify', (_name, key, signature) => {
    expect(verifies(imported(key), DATA, signature)).toBe(false)
  })

  test('verifies no signature with a bit changed, and none that is cut', () => {
    const signature = signatureOf(rsa)
    const flipped = Array.from({ length: 2048 }, (_each, bit) => {
      const copy = Buffer.from(signature)
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      return copy
    })
    const cut = Array.from({ length: 255 }, (_each, length) => signature.subarray(0, length))
    const key = imported(rsa)
    expect(verifies(key, DATA, signature)).toBe(true)
    expect([...flipped, ...cut].filter((each) => verifies(key, DATA, each))).toEqual([])
  })
})
