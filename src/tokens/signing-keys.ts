import {
  constants,
  createPrivateKey,
  createPublicKey,
  hash,
  sign,
  verify,
  type JsonWebKey,
  type KeyObject,
  type SignKeyObjectInput,
} from 'node:crypto'
import { types } from 'node:util'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import { ownMember } from '../lib/own-member.ts'

/** What is published of a signing key (RFC 7517 section 4, RFC 7518 section 6.3.1). */
export interface PublicJwk {
  readonly kty: 'RSA'
  readonly n: string
  readonly e: string
  readonly kid: string
  readonly alg: 'RS256'
  readonly use: 'sig'
}

/** A private key that tokens are signed with from an instant on. Its text is not kept. */
export interface SigningKey {
  readonly kid: string
  /** Epoch milliseconds; `-Infinity`: from the beginning. */
  readonly from: number
  readonly jwk: PublicJwk
  /** The first segment of every token that it signs. */
  readonly header: string
  readonly input: SignKeyObjectInput
}

/** Why a key cannot sign; says nothing of the key itself. `member`: the part that is wrong, `null` for the whole. */
export interface BadSigningKey {
  readonly problem: string
  readonly member: 'key' | 'from' | null
}

const MIN_RSA_BITS = 2048
const RSA_EXPONENT = 65_537n
const PRIVATE_MEMBERS: readonly string[] = ['kty', 'n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi']
/** The longest that a verifier of ours reads. */
const KID = /^[\x21-\x7e]{1,256}$/

/** Reads a private RSA key: PEM, JWK, the JSON text of a JWK, or one of these with the `Date` from which on it signs. */
export function loadSigningKey(given: unknown): SigningKey | BadSigningKey {
  const key = ownMember(given, 'key')
  if (key === undefined) return load(given, Number.NEGATIVE_INFINITY)
  const other = Object.keys(Object(given)).some((name) => name !== 'key' && name !== 'from')
  if (other) return bad('expected `{ key, from }` and no other member.')
  const from = ownMember(given, 'from')
  const instant = types.isDate(from) ? new Date(from).getTime() : Number.NaN
  if (Number.isNaN(instant)) return bad('expected a Date from which on the key signs.', 'from')
  const loaded = load(key, instant)
  return isBadSigningKey(loaded) ? { ...loaded, member: 'key' } : loaded
}

export function isBadSigningKey(loaded: SigningKey | BadSigningKey): loaded is BadSigningKey {
  return Object.hasOwn(loaded, 'problem')
}

/** A compact JWS (RFC 7515 section 7.1) with this payload. One synchronous call: see docs/decisions/0002. */
export function signedBy({ header, input }: SigningKey, payload: string): string {
  const signed = `${header}.${Buffer.from(payload).toString('base64url')}`
  return `${signed}.${sign('sha256', Buffer.from(signed, 'latin1'), input).toString('base64url')}`
}

function bad(problem: string, member: BadSigningKey['member'] = null): BadSigningKey {
  return Object.freeze({ problem, member })
}

function load(given: unknown, from: number): SigningKey | BadSigningKey {
  const source = sourceOf(given)
  if (source === null) return bad('expected a private RSA key as PEM or JWK.')
  const key = typeof source === 'string' ? privateKeyOfPem(source) : privateKeyOfJwk(source)
  if (typeof key === 'string') return bad(key)
  const kid = typeof source === 'string' ? undefined : ownMember(source, 'kid')
  if (kid !== undefined && (typeof kid !== 'string' || !KID.test(kid)))
    return bad('expected a `kid` of 1 to 256 printable characters.')
  const weakness = weaknessOf(key)
  return weakness === null ? prepare(key, kid ?? null, from) : bad(weakness)
}

/** From an environment variable or a file, a JWK comes as text. */
function sourceOf(given: unknown): string | object | null {
  if (typeof given === 'object') return given
  if (typeof given !== 'string') return null
  if (!given.trimStart().startsWith('{')) return given
  try {
    const parsed: unknown = JSON.parse(given)
    return typeof parsed === 'object' ? parsed : null
  } catch {
    return null
  }
}

function privateKeyOfPem(text: string): KeyObject | string {
  try {
    return createPrivateKey(inheritingNothing({ key: text, format: 'pem' as const }))
  } catch {
    return /-----BEGIN (?:RSA )?PUBLIC KEY-----|-----BEGIN CERTIFICATE-----/.test(text)
      ? 'expected the private key, not the public one.'
      : 'expected an unencrypted private RSA key as PEM or JWK.'
  }
}

function privateKeyOfJwk(jwk: object): KeyObject | string {
  const read = (name: string) => ownMember(jwk, name)
  if (read('kty') !== 'RSA') return 'expected a private RSA key as PEM or JWK.'
  if (read('d') === undefined) return 'expected the private key, not the public one.'
  const [alg, use, operations] = [read('alg'), read('use'), read('key_ops')]
  if ((alg !== undefined && alg !== 'RS256') || (use !== undefined && use !== 'sig')) return 'expected a key for RS256.'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('sign')))
    return 'expected a key that may `sign`.'
  const members: JsonWebKey = inheritingNothing({})
  for (const name of PRIVATE_MEMBERS) members[name] = read(name)
  try {
    return createPrivateKey(inheritingNothing({ key: members, format: 'jwk' as const }))
  } catch {
    return 'expected an RSA JWK with all of n, e, d, p, q, dp, dq, qi.'
  }
}

/** RFC 7518 section 3.3: 2048 bits or more; verifiers of ours take no other exponent. */
function weaknessOf(key: KeyObject): string | null {
  if (key.asymmetricKeyType !== 'rsa') return 'expected a private RSA key as PEM or JWK.'
  const { modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < MIN_RSA_BITS) return 'expected an RSA key of at least 2048 bits.'
  return publicExponent === RSA_EXPONENT ? null : 'expected an RSA key with the exponent 65537.'
}

function prepare(key: KeyObject, ownKid: string | null, from: number): SigningKey | BadSigningKey {
  const publicKey = createPublicKey(key)
  const { n = '', e = '' }: { n?: string; e?: string } = publicKey.export(inheritingNothing({ format: 'jwk' as const }))
  const input = Object.freeze(inheritingNothing({ key, padding: constants.RSA_PKCS1_PADDING }))
  if (!fits(input, publicKey)) return bad('expected a private RSA key whose parts belong together.')
  const kid = ownKid ?? thumbprintOf(n, e)
  const jwk = Object.freeze({ kty: 'RSA', n, e, kid, alg: 'RS256', use: 'sig' } as const)
  const header = Buffer.from(`{"alg":"RS256","typ":"at+jwt","kid":${JSON.stringify(kid)}}`).toString('base64url')
  return Object.freeze({ kid, from, jwk, header, input })
}

/** Parts of two keys make one that signs what nobody can verify. */
function fits(input: SignKeyObjectInput, publicKey: KeyObject): boolean {
  const data = Buffer.from('A signature that proves nothing but itself.')
  try {
    const options = inheritingNothing({ key: publicKey, padding: constants.RSA_PKCS1_PADDING })
    return verify('sha256', data, options, sign('sha256', data, input))
  } catch {
    return false
  }
}

/** RFC 7638 section 3: required members alone, in the order of their names. */
function thumbprintOf(n: string, e: string): string {
  return hash('sha256', `{"e":${JSON.stringify(e)},"kty":"RSA","n":${JSON.stringify(n)}}`, 'base64url')
}
