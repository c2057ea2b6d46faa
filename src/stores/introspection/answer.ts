import type { KeyRecord } from '../../keys/store.ts'

/** Own members of a JSON object, each written once. */
export type Members = ReadonlyMap<string, unknown>

/**
 * The object that a text holds, or `null`: no JSON, no object, or a member written twice, at any depth. Readers that take
 * the first and readers that take the last would see two answers.
 */
export function readMembers(text: string): Members | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
    return countMembers(JSON.stringify(value)) === countMembers(text) ? new Map(Object.entries(value)) : null
  } catch {
    // What nests so deep that it cannot be written again is nobody's answer either.
    return null
  }
}

/** In a text that is JSON, each colon outside of strings is a member. */
function countMembers(text: string): number {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '').split(':').length
}

/**
 * The key that an active answer (RFC 7662 section 2.2) describes, filed under the digest that was asked for. Not checked:
 * whoever asked the store checks what it hands out. A member that is missing or wrong stays so, since a record with a hole
 * in it is refused whole, and a guess in its place would be a partial identity.
 */
export function recordOf(answer: Members, digest: string): KeyRecord {
  const broken = answer.get('active') !== true || !isBearer(answer.get('token_type'))
  const record: { readonly [K in keyof KeyRecord]: unknown } = {
    id: broken ? null : answer.get('key_id'),
    organizationId: answer.get('org'),
    environment: answer.get('env'),
    scopes: scopesOf(answer.get('scope')),
    allowedCidrs: answer.get('allowed_cidrs'),
    expiresAt: numericDate(answer.get('exp') ?? null),
    validUntil: deadlineOf(answer.get('valid_until')),
    // Optional in RFC 7662, and no decision hangs on it.
    createdAt: numericDate(answer.get('iat') ?? 0),
    digest,
    // Nothing below is the endpoint's to tell: an active key is not revoked.
    revokedAt: null,
    revokedReason: null,
    rotatedAt: null,
    replacedBy: null,
    lastUsedAt: null,
    name: '',
    hint: '',
    createdBy: '',
  }
  return record as KeyRecord
}

/** A key is sent as a bearer credential: one of another type must be proved in a way that nobody here asks for. */
function isBearer(type: unknown): boolean {
  return type === undefined || type === null || (typeof type === 'string' && type.toLowerCase() === 'bearer')
}

const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/

/** RFC 6749 section 3.3; the empty text is a key without scopes. */
function scopesOf(scope: unknown): readonly string[] | undefined {
  if (scope === '') return []
  return typeof scope === 'string' && SCOPE.test(scope) ? scope.split(' ') : undefined
}

/** The end of the year 9999: what lies beyond was written in milliseconds. */
const LAST_SECOND = 253_402_300_799

/** RFC 7519 section 2, whole seconds. */
function numericDate(value: unknown): Date | null | undefined {
  if (value === null) return null
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= LAST_SECOND
  return fits ? new Date(value * 1000) : undefined
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/

/** ISO 8601 UTC, as HealthCloud writes instants in JSON, or a NumericDate, as RFC 7662 writes its own. */
function deadlineOf(value: unknown): Date | null | undefined {
  if (typeof value !== 'string') return numericDate(value)
  const date = new Date(INSTANT.test(value) ? value : Number.NaN)
  // A day that its month has not would be taken for one of the next.
  return Number.isNaN(date.getTime()) || date.getUTCDate() !== Number(value.slice(8, 10)) ? undefined : date
}
