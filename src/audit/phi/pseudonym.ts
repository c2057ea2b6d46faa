import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { inheritingNothing } from '../../lib/inheriting-nothing.ts'

/** One of `audit.pseudonymKeys`, decoded. */
export interface PseudonymKey {
  readonly id: string
  readonly secret: Buffer
}

/** Patients as they stand in events: the same patient of one organization always has the same pseudonym. */
export interface Pseudonyms {
  /** By the first key, which writes. */
  of(organizationId: string, patientId: string): string
  /** By every key, for a search in older events. */
  all(organizationId: string, patientId: string): string[]
}

/** Derived keys that are kept: one for each organization and pseudonym key. */
const MAX_DERIVED = 1000
/** Pseudonyms that are kept: callers come back to the same patients, and an HMAC costs more than all else in an event. */
const MAX_KNOWN = 10_000

/**
 * `pt_<id>_` and the first 22 characters of base64url(HMAC-SHA-256(K, `Patient/` + patient id)), where
 * K = HKDF-SHA-256(secret, no salt, `hc-audit:` + organization, 32 bytes): RFC 5869, RFC 2104. Two organizations' pseudonyms
 * of one id cannot be told to belong together. Without an identity the organization is the empty string.
 */
export function createPseudonyms(keys: readonly PseudonymKey[]): Pseudonyms {
  const [first, ...rest] = keys.map(createPseudonym)
  if (first === undefined) throw new TypeError('Pseudonyms need at least one key.')
  return Object.freeze({
    of: remembered(first),
    all: (organizationId: string, patientId: string) =>
      [first, ...rest].map((pseudonym) => pseudonym(organizationId, patientId)),
  })
}

/** Nothing that an organization and an id may hold can make two pairs one: the length of the first stands before both. */
function remembered(pseudonym: (organizationId: string, patientId: string) => string): Pseudonyms['of'] {
  const pseudonyms = new LRUCache<string, string>(inheritingNothing({ max: MAX_KNOWN }))
  const options = inheritingNothing({})
  return (organizationId, patientId) => {
    // Whoever has no identity must not drive out those of callers who have one.
    if (organizationId === '') return pseudonym(organizationId, patientId)
    const pair = `${organizationId.length}:${organizationId}${patientId}`
    const known = pseudonyms.get(pair, options)
    if (known !== undefined) return known
    const fresh = pseudonym(organizationId, patientId)
    pseudonyms.set(pair, fresh, options)
    return fresh
  }
}

function createPseudonym({ id, secret }: PseudonymKey): (organizationId: string, patientId: string) => string {
  const derived = new LRUCache<string, KeyObject>(inheritingNothing({ max: MAX_DERIVED }))
  // lru-cache reads its options, and writes into them: given none, it would use what a polluted `Object.prototype` holds.
  const options = inheritingNothing({})
  const keyOf = (organizationId: string): KeyObject => {
    const known = derived.get(organizationId, options)
    if (known !== undefined) return known
    const key = createSecretKey(new Uint8Array(hkdfSync('sha256', secret, '', `hc-audit:${organizationId}`, 32)))
    derived.set(organizationId, key, options)
    return key
  }
  return (organizationId, patientId) => {
    const mac = createHmac('sha256', keyOf(organizationId)).update(`Patient/${patientId}`).digest('base64url')
    return `pt_${id}_${mac.slice(0, 22)}`
  }
}
