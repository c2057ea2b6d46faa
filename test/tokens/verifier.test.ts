import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { scopeCatalogue } from '../../src/scopes.ts'
import type { IssuingKeyState, TokenVerifier } from '../../src/tokens/verifier.ts'
import { ecKey, edKey, encode, rsaKey, signSegments, signTexts, signToken, type Jwk } from '../fixtures/issuer-keys.ts'
import {
  ALL_ALGORITHMS,
  goodClaims,
  movedClock,
  NOW,
  outcome,
  outcomeNow,
  tokenSettings,
  verifierOf,
} from './token-world.ts'

const rsa = rsaKey('rsa')
const stranger = rsaKey('rsa')
const pss = rsaKey('pss', { algorithm: 'PS256' })
const ec = ecKey('ec')
const ed = edKey('ed')

const verifier = verifierOf(tokenSettings([rsa.jwk]))
const forAll = verifierOf(tokenSettings([rsa.jwk, pss.jwk, ec.jwk, ed.jwk], { algorithms: ALL_ALGORITHMS }))
const verify = (token: string) => outcomeNow(verifier.verify(token))
const good = signToken(goodClaims(), rsa)

const denialOf = (found: ReturnType<typeof verifier.verify>) => {
  if (found instanceof Promise || found.ok) throw new Error('No denial at hand.')
  return found
}

describe('a good token', () => {
  test('is an identity with what the token says, and nothing more', () => {
    const claims = goodClaims({
      jti: 'tok_1',
      client_id: 'key_1',
      scope: 'exec:agents made:up read:patients',
      email: 'x',
    })
    const found = verifier.verify(signToken(claims, rsa))
    expect(found).toMatchObject({
      ok: true,
      kind: 'access-token',
      organizationId: 'org_1',
      subject: 'user_1',
      keyId: 'key_1',
      tokenId: 'tok_1',
      environment: 'live',
      scopes: new Set(['exec:agents', 'read:patients']),
      expiresAt: (NOW + 3600) * 1000,
      graceEnds: null,
      allowlist: null,
    })
    expect(Object.isFrozen(found)).toBe(true)
  })

  test.each<[clientId: string | undefined, keyId: string | null]>([
    ['key_1', 'key_1'],
    ['app_1', null],
    ['KEY_1', null],
    [undefined, null],
  ])('of client_id %s belongs to the key %s', (clientId, keyId) => {
    expect(verifier.verify(signToken(goodClaims({ client_id: clientId }), rsa))).toMatchObject({ keyId })
  })

  test('with the documented header, which has neither kid nor spaces, verifies', () => {
    const token = signTexts('{"alg":"RS256","typ":"JWT"}', JSON.stringify(goodClaims()), rsa)
    expect(token.startsWith('eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.')).toBe(true)
    expect(verify(token)).toBe('accepted')
  })

  test.each([rsa, pss, ec, ed])('of $algorithm verifies where that is allowed, with kid and without', (key) => {
    expect(outcomeNow(forAll.verify(signToken(goodClaims(), key)))).toBe('accepted')
    expect(outcomeNow(forAll.verify(signToken(goodClaims(), key, { kid: undefined })))).toBe('accepted')
  })

  test('may have spaces in its JSON, for they were signed', () => {
    expect(verify(signTexts(` {\n"alg":"RS256", "typ":"JWT"}`, JSON.stringify(goodClaims(), null, 2), rsa))).toBe(
      'accepted',
    )
  })

  test('is good on a test server when it says so', () => {
    const onTest = verifierOf(tokenSettings([rsa.jwk]), { environment: 'test' })
    expect(outcomeNow(onTest.verify(signToken(goodClaims({ env: 'test' }), rsa)))).toBe('accepted')
    expect(outcomeNow(onTest.verify(good))).toBe('environment_mismatch')
  })

  test('keeps the scopes of a partner, and drops those that nobody registered', () => {
    const own = scopeCatalogue({ 'read:labs': { description: 'Read labs', level: 'Standard' } })
    const partner = verifierOf(tokenSettings([rsa.jwk]), { catalogue: own })
    const found = partner.verify(signToken(goodClaims({ scope: ['read:labs', 'read:*', '__proto__'] }), rsa))
    expect(found).toMatchObject({ scopes: new Set(['read:labs']) })
  })
})

describe('a token of length', () => {
  const ofLength = (length: number) => {
    const without = signToken(goodClaims({ pad: '' }), rsa).length
    const size = Math.floor(((length - without) * 3) / 4)
    const token = [size, size + 1, size - 1, size + 2]
      .map((pad) => signToken(goodClaims({ pad: 'x'.repeat(pad) }), rsa))
      .find((each) => each.length === length)
    return token ?? 'x'.repeat(length)
  }

  test('8,192 is read, and of 8,193 is not', () => {
    expect(verify(ofLength(8192))).toBe('accepted')
    expect(verify(`${ofLength(8192)}A`)).toBe('credential_too_long')
    expect(verify('.'.repeat(1_000_000))).toBe('credential_too_long')
  })
})

describe('a forged token', () => {
  const [head = '', payload = '', signature = ''] = good.split('.')
  const headed = (members: object) => encode(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: 'rsa', ...members }))
  const hmac = (secret: string | Uint8Array, alg: string) => {
    const signed = `${headed({ alg })}.${payload}`
    return `${signed}.${createHmac(`sha${alg.slice(2)}`, secret)
      .update(signed)
      .digest('base64url')}`
  }
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const secrets: readonly [string, string | Uint8Array][] = [
    ['PEM', pem],
    ['PEM without its last line feed', pem.trimEnd()],
    ['PEM after a space', ` ${pem}`],
    ['PEM after a byte order mark', `\ufeff${pem}`],
    ['PEM with CR LF', pem.replaceAll('\n', '\r\n')],
    ['PKCS #1', rsa.publicKey.export({ type: 'pkcs1', format: 'pem' })],
    ['DER', rsa.publicKey.export({ type: 'spki', format: 'der' })],
    ['JWK', JSON.stringify(rsa.jwk)],
    ['JWKS', JSON.stringify({ keys: [rsa.jwk] })],
    ['modulus', Buffer.from(String(rsa.jwk['n']), 'base64url')],
    ['nothing', ''],
  ]

  test.each(secrets)('whose HMAC has our public key as its secret (%s) is refused', (_name, secret) => {
    for (const alg of ['HS256', 'HS384', 'HS512']) expect(verify(hmac(secret, alg))).toBe('jwt_algorithm')
    const mac = hmac(secret, 'HS256').split('.')[2] ?? ''
    expect(verify(`${head}.${payload}.${mac}`)).toBe('jwt_signature')
  })

  test.each(['none', 'None', 'NONE', 'nOnE', ''])('with alg %j is refused, signed or not', (alg) => {
    expect(verify(`${headed({ alg })}.${payload}.`)).toBe('jwt_algorithm')
    expect(verify(`${headed({ alg })}.${payload}.${signature}`)).toBe('jwt_algorithm')
    expect(verify(signToken(goodClaims(), rsa, { alg }))).toBe('jwt_algorithm')
  })

  test.each(['RS384', 'RS512', 'PS256', 'PS384', 'PS512'])('rightly signed by our key with %s is refused', (alg) => {
    expect(verify(signSegments(`${headed({ alg })}.${payload}`, rsa, alg))).toBe('jwt_algorithm')
  })

  test.each<[name: string, token: string, reason: string]>([
    ['ES256 under the kid of an RSA key', signToken(goodClaims(), ec, { kid: 'rsa' }), 'jwt_algorithm'],
    [
      'PS256 by a key that is for RS256',
      signSegments(`${headed({ alg: 'PS256' })}.${payload}`, rsa, 'PS256'),
      'jwt_algorithm',
    ],
    [
      'RS256 by a key that is for PS256',
      signToken(goodClaims(), { ...rsa, privateKey: pss.privateKey }, { kid: 'pss' }),
      'jwt_algorithm',
    ],
    ['EdDSA under an unknown kid', signToken(goodClaims(), ed, { kid: 'x' }), 'jwt_unknown_key'],
    ['RS256 with the signature of PS256', signSegments(`${head}.${payload}`, rsa, 'PS256'), 'jwt_signature'],
    [
      'ES256 with the signature of RS256',
      signSegments(`${headed({ alg: 'ES256', kid: 'ec' })}.${payload}`, rsa, 'RS256'),
      'jwt_signature',
    ],
  ])('whose algorithm is not that of its key is refused: %s', (_name, token, reason) => {
    expect(outcomeNow(forAll.verify(token))).toBe(reason)
  })

  test.each<[name: string, header: object]>([
    ['jwk', { jwk: stranger.jwk }],
    ['jku', { jku: 'http://127.0.0.1:1/jwks' }],
    ['x5u', { x5u: 'http://127.0.0.1:1/cert' }],
    ['x5c', { x5c: ['MIIB'] }],
    ['crit', { crit: ['exp'] }],
    ['b64', { b64: false, crit: ['b64'] }],
    ['zip', { zip: 'DEF' }],
    ['cty', { cty: 'JWT' }],
  ])('with %s in its header is refused, whoever signed it', (_name, header) => {
    expect(verify(signToken(goodClaims(), stranger, header))).toBe('jwt_malformed')
    expect(verify(signToken(goodClaims(), rsa, header))).toBe('jwt_malformed')
  })

  test.each<[name: string, token: string, reason: string]>([
    ['another key under our kid', signToken(goodClaims(), stranger), 'jwt_signature'],
    ['another key without kid', signToken(goodClaims(), stranger, { kid: undefined }), 'jwt_unknown_key'],
    ['an unknown kid', signToken(goodClaims(), rsa, { kid: 'x' }), 'jwt_unknown_key'],
    ['a kid that is a path', signToken(goodClaims(), rsa, { kid: '../../dev/null' }), 'jwt_unknown_key'],
    ['a kid that is SQL', signToken(goodClaims(), rsa, { kid: "' OR 1=1 --" }), 'jwt_unknown_key'],
    ['a kid named after a prototype', signToken(goodClaims(), rsa, { kid: '__proto__' }), 'jwt_unknown_key'],
    ['no signature', `${head}.${payload}.`, 'jwt_signature'],
    ['a signature that is cut', `${head}.${payload}.${signature.slice(0, -6)}`, 'jwt_signature'],
    [
      'the signature of another token',
      `${head}.${payload}.${signToken(goodClaims({ sub: 'x' }), rsa).split('.')[2]}`,
      'jwt_signature',
    ],
    [
      'other claims under a good signature',
      `${head}.${encode(JSON.stringify(goodClaims({ org: 'org_2' })))}.${signature}`,
      'jwt_signature',
    ],
    ['another header under a good signature', `${headed({ typ: 'JWT' })}.${payload}.${signature}`, 'jwt_signature'],
    ['an ID token', signToken(goodClaims({ nonce: 'x' }), rsa, { typ: 'id+jwt' }), 'jwt_type'],
  ])('is refused: %s', (_name, token, reason) => {
    expect(verify(token)).toBe(reason)
  })

  test.each<[name: string, token: string]>([
    ['padding', `${good}==`],
    ['a space', `${good} `],
    ['the alphabet of base64', `${head}.${payload}.${signature.replaceAll('-', '+').replaceAll('_', '/')}+`],
    ['a fourth part', `${good}.${signature}`],
    ['two parts', `${head}.${payload}`],
    ['exp twice', signTexts(Buffer.from(head, 'base64url'), `{"exp":1,${JSON.stringify(goodClaims()).slice(1)}`, rsa)],
    [
      'scope twice',
      signTexts(Buffer.from(head, 'base64url'), `{"scope":"admin:org",${JSON.stringify(goodClaims()).slice(1)}`, rsa),
    ],
    ['alg twice', signTexts('{"alg":"none","alg":"RS256","typ":"JWT"}', JSON.stringify(goodClaims()), rsa)],
    ['a list as payload', signTexts(Buffer.from(head, 'base64url'), '[]', rsa)],
    ['a byte order mark', signTexts(Buffer.from(head, 'base64url'), `\ufeff${JSON.stringify(goodClaims())}`, rsa)],
    ['no UTF-8', signTexts(Buffer.from(head, 'base64url'), Buffer.from('{"sub":"\xff"}', 'latin1'), rsa)],
    ['brackets in brackets', signTexts(Buffer.from(head, 'base64url'), `${'['.repeat(2500)}${']'.repeat(2500)}`, rsa)],
  ])('is malformed: %s', (_name, token) => {
    expect(verify(token)).toBe('jwt_malformed')
  })

  test('is no other text of a good one that has been seen', () => {
    expect(verify(good)).toBe('accepted')
    const others = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
      .map((last) => `${good.slice(0, -1)}${last}`)
      .filter((token) => token !== good)
    expect(new Set(others.map(verify))).toEqual(new Set(['jwt_malformed', 'jwt_signature']))
  })

  test('without kid costs four signatures at most, by the first keys that fit', () => {
    const keys = ['a', 'b', 'c', 'd', 'e'].map((kid) => rsaKey(kid))
    const many = verifierOf(tokenSettings([ec.jwk, ...keys.map(({ jwk }) => jwk)]))
    const found = keys.map((key) => outcomeNow(many.verify(signToken(goodClaims(), key, { kid: undefined }))))
    expect(found).toEqual(['accepted', 'accepted', 'accepted', 'accepted', 'jwt_unknown_key'])
  })
})

describe('no verifier is made', () => {
  test.each<[name: string, keys: readonly Jwk[]]>([
    ['without keys', []],
    ['with an empty key', [{}]],
    ['with a symmetric key', [{ kty: 'oct', k: '', alg: 'RS256' }]],
    ['with a key of another algorithm', [ec.jwk]],
  ])('%s', (_name, keys) => {
    expect(() => verifierOf(tokenSettings(keys))).toThrow(TypeError)
  })
})

describe('a token that was seen before', () => {
  test('is refused from the moment when it expires, tolerance included', () => {
    const clock = movedClock()
    const own = verifierOf(tokenSettings([rsa.jwk]), { clock })
    const token = signToken(goodClaims({ exp: NOW + 60 }), rsa)
    expect(outcomeNow(own.verify(token))).toBe('accepted')
    clock.advance(89.999)
    expect(outcomeNow(own.verify(token))).toBe('accepted')
    clock.advance(0.001)
    expect(outcomeNow(own.verify(token))).toBe('jwt_expired')
    expect(denialOf(own.verify(token)).actor).toMatchObject({ organizationId: 'org_1' })
  })

  test('is refused while the clock stands before its nbf', () => {
    const clock = movedClock()
    const own = verifierOf(tokenSettings([rsa.jwk]), { clock })
    const token = signToken(goodClaims({ nbf: NOW }), rsa)
    expect(outcomeNow(own.verify(token))).toBe('accepted')
    clock.advance(-31)
    expect(outcomeNow(own.verify(token))).toBe('jwt_not_yet_valid')
    clock.advance(1)
    expect(outcomeNow(own.verify(token))).toBe('accepted')
  })

  test('is the same identity, and no other token is', () => {
    const other = signToken(goodClaims({ sub: 'user_2' }), rsa)
    expect(verifier.verify(good)).toBe(verifier.verify(good))
    expect(verifier.verify(other)).not.toBe(verifier.verify(good))
    expect(verifier.verify(other)).toMatchObject({ subject: 'user_2' })
  })

  test('is forgotten when too many others came after it', () => {
    const small = verifierOf(tokenSettings([rsa.jwk]), { cacheEntries: 2 })
    const first = small.verify(good)
    expect(small.verify(good)).toBe(first)
    for (const sub of ['a', 'b']) void small.verify(signToken(goodClaims({ sub }), rsa))
    expect(small.verify(good)).not.toBe(first)
  })
})

describe('a refusal', () => {
  const claims = goodClaims({ jti: 'tok_1', client_id: 'key_1' })
  const actor = { organizationId: 'org_1', keyId: 'key_1', subject: 'user_1', tokenId: 'tok_1' }

  test.each<[reason: string, more: object]>([
    ['jwt_expired', { iat: NOW - 3600, exp: NOW - 60 }],
    ['jwt_not_yet_valid', { nbf: NOW + 60 }],
    ['jwt_lifetime', { exp: NOW + 4000 }],
    ['jwt_audience', { aud: 'https://other.example' }],
    ['environment_mismatch', { env: 'test' }],
  ])('with %s names whose token it is, once the signature was good', (reason, more) => {
    const signed = verifier.verify(signToken({ ...claims, ...more }, rsa))
    expect(signed).toEqual({
      ok: false,
      reason,
      credential: 'access-token',
      actor,
      scopes: null,
      retryAfterSeconds: null,
      cost: true,
    })
    expect(denialOf(verifier.verify(signToken({ ...claims, ...more }, stranger)))).toMatchObject({
      reason: 'jwt_signature',
      actor: null,
    })
  })

  test('names nobody where the token does not say who it is about', () => {
    const found = denialOf(verifier.verify(signToken({ ...claims, org: undefined }, rsa)))
    expect(found).toMatchObject({ reason: 'jwt_claims', actor: null, credential: 'access-token' })
  })
})

describe('the key that a token was issued to', () => {
  const named = signToken(goodClaims({ client_id: 'key_1' }), rsa)
  const unnamed = signToken(goodClaims({ client_id: 'app_1' }), rsa)
  const ruled = (mode: 'named' | 'always', state: () => IssuingKeyState | Promise<IssuingKeyState>) => {
    const asked: string[] = []
    const check = (keyId: string) => {
      asked.push(keyId)
      return state()
    }
    return { asked, own: verifierOf(tokenSettings([rsa.jwk]), { issuingKey: { mode, check } }) }
  }

  test.each<['named' | 'always', IssuingKeyState, string, string]>([
    ['named', 'good', 'accepted', 'accepted'],
    ['named', 'bad', 'jwt_issuing_key', 'accepted'],
    ['named', 'unavailable', 'store_unavailable', 'accepted'],
    ['always', 'good', 'accepted', 'jwt_issuing_key'],
    ['always', 'bad', 'jwt_issuing_key', 'jwt_issuing_key'],
    ['always', 'unavailable', 'store_unavailable', 'jwt_issuing_key'],
  ])('(%s) is %s: a token that names it is %s, one that names none %s', async (mode, state, ofNamed, ofUnnamed) => {
    for (const answer of [() => state, () => Promise.resolve(state)]) {
      const { own, asked } = ruled(mode, answer)
      for (let turn = 0; turn < 2; turn += 1) {
        expect(outcome(await own.verify(named))).toBe(ofNamed)
        expect(outcome(await own.verify(unnamed))).toBe(ofUnnamed)
      }
      expect(asked).toEqual(['key_1', 'key_1'])
    }
  })

  test('is asked about at every use, at once where it can answer at once', () => {
    let state: IssuingKeyState = 'good'
    const { own } = ruled('named', () => state)
    expect(outcomeNow(own.verify(named))).toBe('accepted')
    state = 'bad'
    expect(outcomeNow(own.verify(named))).toBe('jwt_issuing_key')
    expect(denialOf(own.verify(named)).actor).toEqual({
      organizationId: 'org_1',
      keyId: 'key_1',
      subject: 'user_1',
      tokenId: null,
    })
  })

  test('is not asked about before the signature was good', () => {
    const { own, asked } = ruled('named', () => 'bad')
    expect(outcomeNow(own.verify(signToken(goodClaims({ client_id: 'key_1' }), stranger)))).toBe('jwt_signature')
    expect(asked).toEqual([])
  })
})

describe('a polluted Object.prototype', () => {
  const rows: readonly [name: string, value: unknown][] = [
    ['ok', true],
    ['reason', 'jwt_expired'],
    ['optional', true],
    ['alg', 'RS256'],
    ['typ', 'at+jwt'],
    ['kid', 'rsa'],
    ['crit', []],
    ['jku', 'x'],
    ['cty', 'JWT'],
    ['iss', 'https://issuer.example'],
    ['aud', 'https://partner.example'],
    ['exp', NOW + 60],
    ['iat', NOW],
    ['nbf', NOW + 9999],
    ['sub', 'admin'],
    ['org', 'org_2'],
    ['env', 'live'],
    ['scope', 'admin:org'],
    ['jti', 'x'],
    ['client_id', 'key_9'],
    ['use', 'enc'],
    ['key_ops', []],
    ['k', 'AQAB'],
    ['kty', 'oct'],
    ['crv', 'P-256'],
    ['key', 'x'],
    ['format', 'pem'],
    ['padding', 3],
    ['saltLength', 0],
    ['dsaEncoding', 'der'],
    ['principal', null],
    ['status', 'x'],
    ['size', 5],
    ['ttl', 1],
    ['max', 0],
    ['maxSize', 1],
    ['allowStale', true],
  ]
  const without = (name: string) => signToken(goodClaims({ [name]: undefined }), rsa)
  const tokens: readonly [token: string, expected: string][] = [
    [good, 'accepted'],
    [signToken(goodClaims(), rsa, { kid: undefined }), 'accepted'],
    [signToken(goodClaims(), pss), 'accepted'],
    [signToken(goodClaims(), ec), 'accepted'],
    [signToken(goodClaims(), ed), 'accepted'],
    [signSegments(good.slice(0, good.lastIndexOf('.')), rsa, 'PS256'), 'jwt_signature'],
    [signToken(goodClaims(), stranger), 'jwt_signature'],
    [signToken(goodClaims(), rsa, { alg: undefined }), 'jwt_algorithm'],
    [signToken(goodClaims(), rsa, { typ: undefined }), 'jwt_type'],
    [signToken(goodClaims(), rsa, { kid: 'x' }), 'jwt_unknown_key'],
    [without('iss'), 'jwt_issuer'],
    [without('aud'), 'jwt_audience'],
    [without('exp'), 'jwt_claims'],
    [without('iat'), 'jwt_claims'],
    [without('sub'), 'jwt_claims'],
    [without('org'), 'jwt_claims'],
    [without('env'), 'jwt_claims'],
    [without('scope'), 'jwt_claims'],
  ]

  function polluted<T>(name: string, value: unknown, run: () => T): T {
    const shared: object = Object.prototype
    Object.defineProperty(shared, name, { value, writable: true, configurable: true, enumerable: true })
    try {
      return run()
    } finally {
      Reflect.deleteProperty(shared, name)
    }
  }

  const settings = tokenSettings([rsa.jwk, pss.jwk, ec.jwk, ed.jwk], { algorithms: ALL_ALGORITHMS })
  const expected = tokens.map(([, each]) => each)
  const decide = (own: TokenVerifier) =>
    tokens.map(([token]) => {
      const found = own.verify(token)
      if (found instanceof Promise) return 'promise'
      return Object.hasOwn(found, 'reason') ? (Reflect.get(found, 'reason') as string) : 'accepted'
    })

  test.each([...rows, ['d', 'AQAB'] as const])('(%s) changes no decision of a verifier', (name, value) => {
    const own = verifierOf(settings)
    expect(polluted(name, value, () => [decide(own), decide(own)])).toEqual([expected, expected])
  })

  test.each(rows)('(%s) changes nothing in the making of one', (name, value) => {
    expect(polluted(name, value, () => decide(verifierOf(settings)))).toEqual(expected)
  })

  test('(d) lets Node import no RSA key, and so opens nothing', () => {
    const found = polluted('d', 'AQAB', () => decide(verifierOf(settings)))
    const opened = found.filter((each, n) => each === 'accepted' && expected[n] !== 'accepted')
    expect([found[0], opened]).toEqual(['jwt_unknown_key', []])
  })

  test('gives an identity nothing that the token does not have', () => {
    const found = polluted('jti', 'x', () =>
      polluted('client_id', 'key_9', () => polluted('nbf', 0, () => verifierOf(tokenSettings([rsa.jwk])).verify(good))),
    )
    expect(found).toMatchObject({ tokenId: null, keyId: null, subject: 'user_1' })
  })
})
