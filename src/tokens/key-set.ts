import { constants, createPublicKey, verify, type KeyObject } from 'node:crypto'
import type { Algorithm } from './settings.ts'

/** A public key, and the one algorithm that it verifies: the algorithm belongs to the key, not to the token. */
export interface PublicKey {
  readonly kid: string | null
  readonly algorithm: Algorithm
  readonly key: KeyObject
}

/** Keys in force; `null` where they are out of reach. */
export type Keys = readonly PublicKey[] | null

export interface KeySet {
  /** The keys in force. A promise only where they must be fetched first. */
  current(): Keys | Promise<Keys>
  /** Asked when no key in force fits a token: newer keys, `'none'` where the ones in force are as new as can be, `null` out of reach. */
  newer(): Keys | 'none' | Promise<Keys | 'none'>
  /** Rejects where no usable set can be had. */
  ready(signal: AbortSignal): Promise<void>
  health(): KeySetHealth
}

export interface KeySetHealth {
  readonly source: 'local' | 'remote'
  readonly keys: number
  /** Seconds since the last successful fetch; `null`: none yet, or a local set. */
  readonly ageSeconds: number | null
  /** The last fetch failed. */
  readonly degraded: boolean
}

/** RFC 7517 section 4.1 and 4.4: which key type each algorithm needs. */
const KEY_OF: Readonly<Record<Algorithm, { readonly kty: string; readonly crv: string | undefined }>> = {
  RS256: { kty: 'RSA', crv: undefined },
  PS256: { kty: 'RSA', crv: undefined },
  ES256: { kty: 'EC', crv: 'P-256' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
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

function importKey(jwk: unknown, algorithms: readonly Algorithm[]): PublicKey | null {
  if (typeof jwk !== 'object' || jwk === null) return null
  const read = (name: string): unknown => (Object.hasOwn(jwk, name) ? Reflect.get(jwk, name) : undefined)
  const kid = read('kid')
  const algorithm = algorithmOf(read, algorithms)
  if (algorithm === null || !isForVerifying(read) || (kid !== undefined && typeof kid !== 'string')) return null
  try {
    const members = Object.fromEntries(['kty', 'n', 'e', 'crv', 'x', 'y'].map((name) => [name, read(name)]))
    const key = createPublicKey({ key: members as never, format: 'jwk' })
    return isStrong(key) ? Object.freeze({ kid: kid ?? null, algorithm, key }) : null
  } catch {
    return null
  }
}

function algorithmOf(read: (name: string) => unknown, algorithms: readonly Algorithm[]): Algorithm | null {
  const alg = read('alg')
  const fits = (each: Algorithm) => KEY_OF[each].kty === read('kty') && KEY_OF[each].crv === (KEY_OF[each].crv && read('crv'))
  return algorithms.find((each) => fits(each) && (alg === undefined || alg === each)) ?? null
}

/** RFC 7517 sections 4.2 and 4.3. A private or symmetric key does not belong into a published set, and is not touched. */
function isForVerifying(read: (name: string) => unknown): boolean {
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

/** One synchronous call: a thread pool costs more than it saves (docs/decisions/0002). */
export function verifies({ algorithm, key }: PublicKey, signed: string, signature: Buffer): boolean {
  const data = Buffer.from(signed, 'latin1')
  try {
    switch (algorithm) {
      case 'RS256':
        return verify('sha256', data, key, signature)
      case 'PS256':
        return verify('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }, signature)
      case 'ES256':
        return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature)
      case 'EdDSA':
        return verify(null, data, key, signature)
    }
  } catch {
    return false
  }
}
