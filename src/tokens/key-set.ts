import {
  constants,
  createPublicKey,
  verify,
  type JsonWebKey,
  type KeyObject,
  type VerifyKeyObjectInput,
} from 'node:crypto'
import { MAX_TOKEN_LENGTH } from './compact.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import type { Algorithm } from './settings.ts'

/** A public key, and the one algorithm that it verifies: the algorithm belongs to the key, not to the token. */
export interface PublicKey {
  readonly kid: string | null
  readonly algorithm: Algorithm
  readonly key: KeyObject
  /** How `node:crypto` is to verify with it. */
  readonly input: VerifyKeyObjectInput
}

/** Keys in force; `null` where they are out of reach. */
export type Keys = readonly PublicKey[] | null

export interface KeySet {
  /** The keys in force. A promise only where they must be fetched first. */
  current(): Keys | Promise<Keys>
  /** Asked when no key in force fits a token: newer keys, `'none'` where the ones in force are as new as can be, `null` out of reach. */
  newer(): Keys | 'none' | Promise<Keys>
  /** Rejects where no usable set can be had, or when the signal ends the wait. */
  ready(signal: AbortSignal): Promise<void>
  health(): KeySetHealth
}

/** Of `auth.health().tokens`: the key set as it is held. Nothing is fetched for this. */
export interface KeySetHealth {
  readonly source: 'local' | 'remote'
  /** Usable ones. */
  readonly keys: number
  /** Seconds since the last successful fetch; `null`: none yet, or a local set. */
  readonly ageSeconds: number | null
  /** The last fetch failed. */
  readonly degraded: boolean
}

interface Method {
  /** RFC 7517 section 4.1 `kty`. */
  readonly kty: string
  /** RFC 7518 section 6.2.1.1 and RFC 8037 section 2 `crv`. */
  readonly crv: string | undefined
  readonly hash: string | null
  readonly options: Omit<VerifyKeyObjectInput, 'key'>
}

const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING } = constants

/** RFC 7518 section 3.1 and RFC 8037 section 3.1. RFC 7518 section 3.5: the salt of PS256 is as long as the hash. */
const METHODS: Readonly<Record<Algorithm, Method>> = {
  RS256: { kty: 'RSA', crv: undefined, hash: 'sha256', options: { padding: RSA_PKCS1_PADDING } },
  PS256: { kty: 'RSA', crv: undefined, hash: 'sha256', options: { padding: RSA_PKCS1_PSS_PADDING, saltLength: 32 } },
  ES256: { kty: 'EC', crv: 'P-256', hash: 'sha256', options: { dsaEncoding: 'ieee-p1363' } },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', hash: null, options: {} },
}

const MIN_RSA_BITS = 2048
const RSA_EXPONENT = 65_537n

/**
 * The usable public keys of a JWK set (RFC 7517 section 5). Keys that are of no use here are passed over, as section 5
 * asks. `null`: no usable key, or two of one `kid` and algorithm, so that a broken answer never replaces a good set.
 */
export function parseKeySet(keys: unknown, algorithms: readonly Algorithm[]): readonly PublicKey[] | null {
  if (!Array.isArray(keys)) return null
  const usable = keys.map((jwk: unknown) => importKey(jwk, algorithms)).filter((key) => key !== null)
  const names = usable.filter(({ kid }) => kid !== null).map(({ kid, algorithm }) => `${algorithm} ${kid}`)
  return usable.length === 0 || new Set(names).size < names.length ? null : Object.freeze(usable)
}

type Read = (name: string) => unknown

function importKey(jwk: unknown, algorithms: readonly Algorithm[]): PublicKey | null {
  if (typeof jwk !== 'object' || jwk === null) return null
  const read: Read = (name) => (Object.hasOwn(jwk, name) ? Reflect.get(jwk, name) : undefined)
  const kid = read('kid')
  const algorithm = algorithmOf(read, algorithms)
  if (algorithm === null || !isForVerifying(read) || (kid !== undefined && typeof kid !== 'string')) return null
  const key = publicKey(read)
  if (key === null || !isStrong(key)) return null
  // With a polluted `Object.prototype.padding` the signature would be taken for another kind.
  const input = inheritingNothing({ key, ...METHODS[algorithm].options })
  return Object.freeze({ kid: kid ?? null, algorithm, key, input: Object.freeze(input) })
}

/** Public members alone are read, and none that is inherited. */
function publicKey(read: Read): KeyObject | null {
  const members: JsonWebKey = inheritingNothing({})
  for (const name of ['kty', 'n', 'e', 'crv', 'x', 'y']) members[name] = read(name)
  try {
    return createPublicKey(inheritingNothing({ key: members, format: 'jwk' as const }))
  } catch {
    return null
  }
}

/** The one that the key names, or else the first allowed one that it can be used with. */
function algorithmOf(read: Read, algorithms: readonly Algorithm[]): Algorithm | null {
  const [alg, kty, crv] = [read('alg'), read('kty'), read('crv')]
  const fits = (each: Algorithm) => METHODS[each].kty === kty && (METHODS[each].crv ?? crv) === crv
  return algorithms.find((each) => fits(each) && (alg === undefined || alg === each)) ?? null
}

/** RFC 7517 sections 4.2 and 4.3. A private or symmetric key does not belong into a published set, and is not touched. */
function isForVerifying(read: Read): boolean {
  const [use, operations] = [read('use'), read('key_ops')]
  if (read('d') !== undefined || read('k') !== undefined) return false
  if (use !== undefined && use !== 'sig') return false
  return operations === undefined || (Array.isArray(operations) && operations.includes('verify'))
}

/** RFC 7518 section 3.3: 2048 bits or more. Another exponent than 65537 is a mistake, or an attack. */
function isStrong(key: KeyObject): boolean {
  if (key.asymmetricKeyType !== 'rsa') return true
  const { modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {}
  return modulusLength >= MIN_RSA_BITS && publicExponent === RSA_EXPONENT
}

/** Verifying is synchronous, and so one piece of memory serves all. */
const scratch = Buffer.alloc(MAX_TOKEN_LENGTH)

/** One synchronous call: a thread pool costs more than it saves (docs/decisions/0002). */
export function verifies({ algorithm, input }: PublicKey, signed: string, signature: Buffer): boolean {
  if (signed.length > scratch.length) return false
  const data = scratch.subarray(0, scratch.write(signed, 'latin1'))
  try {
    return verify(METHODS[algorithm].hash, data, input, signature)
  } catch {
    return false
  }
}
