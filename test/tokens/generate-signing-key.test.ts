import { createPrivateKey, createPublicKey } from 'node:crypto'
import { inspect } from 'node:util'
import { calculateJwkThumbprint, importJWK, jwtVerify, SignJWT } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'
import { generateSigningKey, type GeneratedSigningKey } from '../../src/tokens/generate-signing-key.ts'
import { isBadSigningKey, loadSigningKey } from '../../src/tokens/signing-keys.ts'
import { polluted } from '../keys/parts.ts'

describe.each([2048, 3072] as const)('a signing key of %i bits', (bits) => {
  let made: GeneratedSigningKey

  beforeAll(async () => {
    made = await generateSigningKey(bits)
  })

  test('has that many, and the exponent 65537', () => {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(made.pem)
    expect(asymmetricKeyType).toBe('rsa')
    expect(asymmetricKeyDetails).toEqual({ modulusLength: bits, publicExponent: 65_537n })
    expect(made.bits).toBe(bits)
  })

  test('is a private JWK for RS256 with all of its members, and nothing else', () => {
    expect(Object.keys(made.jwk)).toEqual(['kty', 'kid', 'alg', 'use', 'n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'])
    expect(made.jwk).toMatchObject({ kty: 'RSA', kid: made.kid, alg: 'RS256', use: 'sig', e: 'AQAB' })
  })

  test('is named by its RFC 7638 thumbprint, as jose computes it', async () => {
    expect(made.kid).toBe(await calculateJwkThumbprint({ ...made.jwk }, 'sha256'))
  })

  test('is one key in both forms: what jose signs with the JWK, the PEM verifies', async () => {
    const token = await new SignJWT({ a: 1 })
      .setProtectedHeader({ alg: 'RS256', kid: made.kid })
      .sign(await importJWK({ ...made.jwk }, 'RS256'))
    expect((await jwtVerify(token, createPublicKey(made.pem))).payload).toEqual({ a: 1 })
    expect(made.pem).toMatch(/^-----BEGIN PRIVATE KEY-----\n[\s\S]+\n-----END PRIVATE KEY-----\n$/)
  })

  test('is read in each form, and as JSON text, under the same name', () => {
    const kids = [made.jwk, JSON.stringify(made.jwk), made.pem].map((form) => {
      const loaded = loadSigningKey(form)
      return isBadSigningKey(loaded) ? loaded.problem : loaded.kid
    })
    expect(kids).toEqual([made.kid, made.kid, made.kid])
  })

  test('shows its name alone', () => {
    const shown = `${inspect(made, { showHidden: true, depth: 9 })}${JSON.stringify(made)}${inspect({ ...made })}`
    expect(JSON.parse(JSON.stringify(made))).toEqual({ kid: made.kid, bits })
    for (const secret of [made.jwk.d, made.jwk.p, made.jwk.qi, 'PRIVATE KEY']) expect(shown).not.toContain(secret)
  })
})

test('no two are the same', async () => {
  const [one, two] = await Promise.all([generateSigningKey(), generateSigningKey()])
  expect(one.kid).not.toBe(two.kid)
})

test('a polluted prototype chooses neither form nor strength', async () => {
  const members = {
    cipher: 'aes-256-cbc',
    passphrase: 'x',
    hashAlgorithm: 'sha1',
    type: 'pkcs1',
    privateKeyEncoding: {},
  }
  const { pem, jwk } = await polluted(members, () => generateSigningKey())
  expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
  expect(createPrivateKey(pem).asymmetricKeyDetails).toMatchObject({ modulusLength: 2048 })
  expect(jwk.alg).toBe('RS256')
})
