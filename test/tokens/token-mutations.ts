import { ecKey, edKey, encode, rsaKey, signSegments, type Jwk } from '../fixtures/issuer-keys.ts'

/** A small seeded generator (mulberry32): the same seed makes the same mutations, under keys that are new in each run. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const ISSUER = 'https://issuer.example'
export const AUDIENCE = 'https://partner.example'

const issuerKeys = [rsaKey('a'), rsaKey('b'), rsaKey('p', { algorithm: 'PS256' }), ecKey('e'), edKey('d')]
const stranger = rsaKey('a')

export const JWKS: { keys: Jwk[] } = { keys: issuerKeys.map(({ jwk }) => jwk) }

export interface Generated {
  readonly token: string
  /** Header or claims were mutated, and signed by the key that they began with when they had their final text. */
  readonly validlySigned: boolean
}

type Random = () => number
type Members = Record<string, unknown>

function pick<T>(random: Random, list: readonly T[]): T {
  // Some lists hold `undefined`, so that it cannot tell a bad index.
  return list.at(Math.floor(random() * list.length)) as T
}

/** Values that a claim of any name may be replaced by. */
const ODD: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  2 ** 53,
  '',
  ' ',
  'x',
  '1',
  [],
  [''],
  {},
  { a: 1 },
  [null],
  ['a', 'a'],
  '__proto__',
  'constructor',
]

const CLAIMS = ['iss', 'aud', 'exp', 'iat', 'nbf', 'sub', 'org', 'env', 'scope', 'jti', 'client_id'] as const

/** One mutation of the claims. The first few leave the token good. */
const CLAIM_MUTATIONS: readonly ((claims: Members, random: Random, now: number) => void)[] = [
  (claims, random) =>
    void (claims['scope'] = pick(random, [
      '',
      'read:patients',
      'read:patients exec:agents',
      ['read:patients'],
      [],
      'made:up',
    ])),
  (claims, random) => void (claims['aud'] = pick(random, [AUDIENCE, [AUDIENCE], ['https://x.example', AUDIENCE]])),
  (claims, random) =>
    void (claims[pick(random, ['extra', 'name', 'email', 'azp', 'cnf', 'nonce'])] = pick(random, ODD)),
  (claims, random, now) => void (claims['nbf'] = now + pick(random, [-100, 0, 29, 30])),
  (claims) => void delete claims['jti'],
  (claims) => void delete claims['client_id'],
  (claims, random) =>
    void (claims['sub'] = pick(random, ['user_1', 'ü', '\u2028', '"', '\\', '\u0000', 'a'.repeat(256)])),
  (claims, random) => void (claims[pick(random, CLAIMS)] = pick(random, ODD)),
  (claims, random) => void delete claims[pick(random, CLAIMS)],
  (claims, random, now) =>
    void (claims['exp'] = now + pick(random, [-3600, -31, -30, -29, 0, 1, 3570, 3600, 3601, 7200])),
  (claims, random, now) => void (claims['iat'] = now + pick(random, [-3600, -60, 0, 29, 30, 31, 600])),
  (claims, random) =>
    void (claims['iss'] = pick(random, [`${ISSUER}/`, ISSUER.toUpperCase(), [ISSUER], 'https://other.example'])),
  (claims, random) =>
    void (claims['aud'] = pick(random, ['https://other.example', [], [1, AUDIENCE], { 0: AUDIENCE }])),
  (claims, random) => void (claims['scope'] = pick(random, ['a  b', 'a,b', ' a', 'a ', ['a b'], [1], { 0: 'a' }, 'ä'])),
  (claims, random) => void (claims['env'] = pick(random, ['test', 'LIVE', 'live ', ['live']])),
]

const HEADER_MUTATIONS: readonly ((header: Members, random: Random) => void)[] = [
  (header) => void delete header['kid'],
  (header, random) => void (header['kid'] = pick(random, ['a', 'b', 'p', 'e', 'd'])),
  (header, random) => void (header['typ'] = pick(random, ['JWT', 'jwt', 'AT+JWT', 'application/at+jwt', 'at+jwt'])),
  (header, random) => void (header[pick(random, ['x5t', 'extra', 'x5t#S256'])] = pick(random, ODD)),
  (header, random) => void (header['kid'] = pick(random, ['z', '', '../../dev/null', 'a'.repeat(300), 1, ['a'], null])),
  (header, random) =>
    void (header['alg'] = pick(random, [
      'none',
      'HS256',
      'RS384',
      'RS512',
      'PS256',
      'ES256',
      'EdDSA',
      'rs256',
      '',
      null,
      ['RS256'],
    ])),
  (header, random) => void (header['typ'] = pick(random, ['id+jwt', 'logout+jwt', '', null, 'dpop+jwt'])),
  (header, random) =>
    void (header[pick(random, ['crit', 'b64', 'zip', 'jku', 'jwk', 'x5u', 'x5c'])] = pick(random, [
      [],
      ['b64'],
      false,
      'DEF',
      'https://x.example',
      {},
    ])),
]

/** Mutations of the JSON text that the object does not show. */
const TEXT_MUTATIONS: readonly ((text: string, random: Random) => string)[] = [
  (text) => ` ${text}\n`,
  (text) => text.replace('{', '{ '),
  (text) => text.replace(/"(\w)/, (_all, first: string) => `"\\u00${first.charCodeAt(0).toString(16)}`),
  (text, random) =>
    text.replace(
      '{',
      `{"${pick(random, ['exp', 'scope', 'alg', 'kid', 'sub', 'org'])}":${pick(random, ['1', '"x"', '9999999999'])},`,
    ),
  (text, random) =>
    text.replace(
      /}$/,
      `,"${pick(random, ['exp', 'scope', 'alg', '__proto__'])}":${pick(random, ['1', '"x"', '{"scope":"admin:org"}'])}}`,
    ),
  (text) => `\ufeff${text}`,
  (text) => text.slice(0, -1),
  (text) => `[${text}]`,
  (text) => `${text}{}`,
]

/** Mutations of the whole token after it was signed. */
const TOKEN_MUTATIONS: readonly ((token: string, random: Random) => string)[] = [
  (token, random) => replaceAt(token, Math.floor(random() * token.length), pick(random, [...'ABab01-_.=+/ '])),
  (token) => `${token}=`,
  (token) => `${token}.`,
  (token, random) => token.slice(0, -1 - Math.floor(random() * 3)),
  (token, random) =>
    replaceAt(
      token,
      token.length - 1,
      pick(random, [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']),
    ),
  (token) => token.replaceAll('-', '+').replaceAll('_', '/'),
  (token) => `${token.slice(0, token.lastIndexOf('.'))}.`,
]

function replaceAt(text: string, at: number, character: string): string {
  return `${text.slice(0, at)}${character}${text.slice(at + 1)}`
}

/** A token with none, one or several mutations; most are validly signed after them. */
export function generateToken(random: Random, nowMs: number): Generated {
  const now = Math.floor(nowMs / 1000)
  const signer = pick(random, issuerKeys)
  const header: Members = { alg: signer.algorithm, typ: 'at+jwt', kid: signer.kid }
  const claims: Members = {
    iss: ISSUER,
    aud: AUDIENCE,
    iat: now,
    exp: now + 3600,
    sub: 'user_1',
    org: 'org_1',
    env: 'live',
    scope: 'read:patients',
    jti: 'tok_1',
    client_id: 'key_1',
  }
  const [plainHead, plainBody] = [JSON.stringify(header), JSON.stringify(claims)]
  const rounds = random() < 0.05 ? 0 : 1 + Math.floor(random() * 2)
  for (let round = 0; round < rounds; round += 1) {
    // Half of them among the ones that keep a token good, so that enough are accepted to be compared.
    if (random() < 0.6)
      pick(random, random() < 0.5 ? CLAIM_MUTATIONS.slice(0, 7) : CLAIM_MUTATIONS)(claims, random, now)
    else pick(random, random() < 0.5 ? HEADER_MUTATIONS.slice(0, 4) : HEADER_MUTATIONS)(header, random)
  }
  let [head, body] = [JSON.stringify(header), JSON.stringify(claims)]
  if (random() < 0.1) head = pick(random, TEXT_MUTATIONS)(head, random)
  if (random() < 0.15) body = pick(random, TEXT_MUTATIONS)(body, random)
  const good = random() < 0.8
  const signed = signSegments(`${encode(head)}.${encode(body)}`, good ? signer : stranger)
  const mutated = head !== plainHead || body !== plainBody
  if (random() < 0.88) return { token: signed, validlySigned: good && mutated }
  return { token: pick(random, TOKEN_MUTATIONS)(signed, random), validlySigned: false }
}
