import type { CredentialKind } from './principal.ts'

/** Why a call did not end well: for the audit event alone, never for the caller. A closed union, public through the event. */
export type Reason =
  | 'credential_missing'
  | 'credential_malformed'
  | 'credential_duplicate'
  | 'credential_too_long'
  | 'credential_not_accepted'
  | 'scheme_unsupported'
  | 'key_malformed'
  | 'key_unknown'
  | 'key_expired'
  | 'key_revoked'
  | 'key_rotated_out'
  | 'environment_mismatch'
  | 'jwt_malformed'
  | 'jwt_algorithm'
  | 'jwt_type'
  | 'jwt_unknown_key'
  | 'jwt_signature'
  | 'jwt_expired'
  | 'jwt_not_yet_valid'
  | 'jwt_lifetime'
  | 'jwt_issuer'
  | 'jwt_audience'
  | 'jwt_claims'
  | 'jwt_revoked'
  | 'jwt_issuing_key'
  | 'scope_missing'
  | 'scope_invalid'
  | 'request_malformed'
  | 'ip_not_allowed'
  | 'organization_mismatch'
  | 'https_required'
  | 'rate_limited'
  | 'store_unavailable'
  | 'store_invalid_record'
  | 'jwks_unavailable'
  | 'audit_unavailable'
  | 'closing'
  | 'not_found'
  | 'handler_error'
  | 'client_aborted'
  | 'process_interrupted'

/** The part of an identity that a refusal may still name in the audit event: a revoked key has an owner. */
export interface KnownActor {
  readonly organizationId: string
  readonly keyId: string | null
  readonly subject: string | null
  readonly tokenId: string | null
}

/** A refusal as a value. `reason` is for the audit event, `answerTo` makes what the caller sees. */
export interface Denial {
  readonly ok: false
  readonly reason: Reason
  /** What the caller presented; `null` where it was no credential of ours. Chooses between the two 401 messages. */
  readonly credential: CredentialKind | null
  readonly actor: KnownActor | null
  /** Scopes for `INSUFFICIENT_SCOPE`: those missing (for the message) and all required ones (for the challenge). */
  readonly scopes: { readonly missing: readonly string[]; readonly required: readonly string[] } | null
  readonly retryAfterSeconds: number | null
  /** It took a look-up, a cached miss or a signature check to find out: such refusals count as failed attempts. */
  readonly cost: boolean
}

export function deny(
  reason: Reason,
  credential: CredentialKind | null = null,
  more: Partial<Pick<Denial, 'actor' | 'scopes' | 'retryAfterSeconds' | 'cost'>> = {},
): Denial {
  const nothing = { actor: null, scopes: null, retryAfterSeconds: null, cost: false }
  return Object.freeze({ ok: false, reason, credential, ...nothing, ...more })
}

/** What the caller is told. */
export interface Answer {
  readonly status: number
  readonly code: string
  readonly message: string
  /** RFC 6750 section 3: the value of `WWW-Authenticate`, or `null` for none. */
  readonly challenge: string | null
  readonly retryAfterSeconds: number | null
}

type Face = Pick<Answer, 'status' | 'code' | 'message'>

const UNAUTHORIZED: Face = { status: 401, code: 'UNAUTHORIZED', message: 'Invalid or expired API key.' }
const BAD_TOKEN: Face = { status: 401, code: 'UNAUTHORIZED', message: 'Invalid or expired access token.' }
const INVALID_REQUEST: Face = { status: 400, code: 'INVALID_REQUEST', message: 'The request is malformed.' }
const UNAVAILABLE: Face = { status: 503, code: 'AUTH_UNAVAILABLE', message: 'Temporarily unavailable.' }

/** A forgotten reason is a compile error. */
const FACES: Readonly<Record<Reason, Face>> = {
  credential_missing: UNAUTHORIZED,
  credential_malformed: UNAUTHORIZED,
  credential_duplicate: INVALID_REQUEST,
  credential_too_long: UNAUTHORIZED,
  credential_not_accepted: UNAUTHORIZED,
  scheme_unsupported: UNAUTHORIZED,
  key_malformed: UNAUTHORIZED,
  key_unknown: UNAUTHORIZED,
  key_expired: UNAUTHORIZED,
  key_revoked: UNAUTHORIZED,
  key_rotated_out: UNAUTHORIZED,
  environment_mismatch: UNAUTHORIZED,
  jwt_malformed: BAD_TOKEN,
  jwt_algorithm: BAD_TOKEN,
  jwt_type: BAD_TOKEN,
  jwt_unknown_key: BAD_TOKEN,
  jwt_signature: BAD_TOKEN,
  jwt_expired: BAD_TOKEN,
  jwt_not_yet_valid: BAD_TOKEN,
  jwt_lifetime: BAD_TOKEN,
  jwt_issuer: BAD_TOKEN,
  jwt_audience: BAD_TOKEN,
  jwt_claims: BAD_TOKEN,
  jwt_revoked: BAD_TOKEN,
  jwt_issuing_key: BAD_TOKEN,
  scope_missing: { status: 403, code: 'INSUFFICIENT_SCOPE', message: '' },
  scope_invalid: { status: 400, code: 'INVALID_SCOPE', message: '' },
  request_malformed: INVALID_REQUEST,
  ip_not_allowed: { status: 403, code: 'IP_NOT_ALLOWED', message: 'This address is not allowed for this API key.' },
  organization_mismatch: {
    status: 403,
    code: 'ORGANIZATION_MISMATCH',
    message: 'This credential belongs to another organization.',
  },
  https_required: {
    status: 403,
    code: 'HTTPS_REQUIRED',
    message: 'HTTPS is required. A credential sent over plain HTTP must be rotated.',
  },
  rate_limited: { status: 429, code: 'RATE_LIMITED', message: 'Too many failed attempts.' },
  store_unavailable: UNAVAILABLE,
  store_invalid_record: UNAVAILABLE,
  jwks_unavailable: UNAVAILABLE,
  audit_unavailable: { status: 503, code: 'AUDIT_UNAVAILABLE', message: 'Temporarily unavailable.' },
  closing: UNAVAILABLE,
  not_found: { status: 404, code: 'NOT_FOUND', message: 'No such resource.' },
  handler_error: { status: 500, code: 'INTERNAL_ERROR', message: 'Internal error.' },
  client_aborted: { status: 499, code: 'CLIENT_ABORTED', message: 'The client left.' },
  process_interrupted: { status: 500, code: 'INTERNAL_ERROR', message: 'Internal error.' },
}

/** RFC 6750 section 3.1: no error code where no bearer credential was sent. */
const NOT_SENT: ReadonlySet<Reason> = new Set(['credential_missing', 'scheme_unsupported'])

/** The answer for a denial: which of the two 401 messages, which scopes, which challenge. */
export function answerTo(denial: Denial): Answer {
  const face = faceOf(denial)
  return {
    status: face.status,
    code: face.code,
    message: denial.scopes === null ? face.message : scopeMessage(denial.scopes.missing),
    challenge: challengeOf(denial, face.status),
    retryAfterSeconds: face.status === 503 ? 1 : denial.retryAfterSeconds,
  }
}

function faceOf(denial: Denial): Face {
  const face = FACES[denial.reason]
  return face.status === 401 && denial.credential === 'access-token' ? BAD_TOKEN : face
}

function scopeMessage(missing: readonly string[]): string {
  return `Missing scope${missing.length === 1 ? '' : 's'}: ${missing.join(', ')}.`
}

function challengeOf(denial: Denial, status: number): string | null {
  if (status === 401) {
    return NOT_SENT.has(denial.reason)
      ? 'Bearer realm="healthcloud"'
      : 'Bearer realm="healthcloud", error="invalid_token"'
  }
  if (denial.reason !== 'scope_missing' || denial.scopes === null) return null
  return `Bearer realm="healthcloud", error="insufficient_scope", scope="${denial.scopes.required.join(' ')}"`
}
