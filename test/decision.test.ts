import { describe, expect, test } from 'vitest'
import { answerTo, deny, type Reason } from '../src/decision.ts'

const BARE = 'Bearer realm="healthcloud"'
const INVALID = 'Bearer realm="healthcloud", error="invalid_token"'
const KEY = 'Invalid or expired API key.'
const TOKEN = 'Invalid or expired access token.'

type Row = readonly [
  reason: Reason,
  status: number,
  code: string,
  message: string,
  challenge: string | null,
  retryAfter: number | null,
]

/** Section 5 of the contract for what a caller without credential, or with one that is no JWT, is told. */
const ROWS: readonly Row[] = [
  ['credential_missing', 401, 'UNAUTHORIZED', KEY, BARE, null],
  ['scheme_unsupported', 401, 'UNAUTHORIZED', KEY, BARE, null],
  ['credential_malformed', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['credential_too_long', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['credential_not_accepted', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['key_malformed', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['key_unknown', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['key_expired', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['key_revoked', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['key_rotated_out', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['environment_mismatch', 401, 'UNAUTHORIZED', KEY, INVALID, null],
  ['jwt_malformed', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_algorithm', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_type', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_unknown_key', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_signature', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_expired', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_not_yet_valid', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_lifetime', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_issuer', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_audience', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_claims', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_revoked', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['jwt_issuing_key', 401, 'UNAUTHORIZED', TOKEN, INVALID, null],
  ['credential_duplicate', 400, 'INVALID_REQUEST', 'The request is malformed.', null, null],
  ['request_malformed', 400, 'INVALID_REQUEST', 'The request is malformed.', null, null],
  ['ip_not_allowed', 403, 'IP_NOT_ALLOWED', 'This address is not allowed for this API key.', null, null],
  [
    'organization_mismatch',
    403,
    'ORGANIZATION_MISMATCH',
    'This credential belongs to another organization.',
    null,
    null,
  ],
  [
    'https_required',
    403,
    'HTTPS_REQUIRED',
    'HTTPS is required. A credential sent over plain HTTP must be rotated.',
    null,
    null,
  ],
  ['rate_limited', 429, 'RATE_LIMITED', 'Too many failed attempts.', null, null],
  ['store_unavailable', 503, 'AUTH_UNAVAILABLE', 'Temporarily unavailable.', null, 1],
  ['store_invalid_record', 503, 'AUTH_UNAVAILABLE', 'Temporarily unavailable.', null, 1],
  ['jwks_unavailable', 503, 'AUTH_UNAVAILABLE', 'Temporarily unavailable.', null, 1],
  ['closing', 503, 'AUTH_UNAVAILABLE', 'Temporarily unavailable.', null, 1],
  ['audit_unavailable', 503, 'AUDIT_UNAVAILABLE', 'Temporarily unavailable.', null, 1],
  ['not_found', 404, 'NOT_FOUND', 'No such resource.', null, null],
]

/** Reasons that are of events alone, or are answered with scopes (below). */
const OTHERS: readonly Reason[] = [
  'scope_missing',
  'scope_invalid',
  'handler_error',
  'client_aborted',
  'process_interrupted',
]

test('the table and the reasons that are told apart are the closed union of the contract', () => {
  const listed = [...ROWS.map(([reason]) => reason), ...OTHERS]
  expect(listed).toHaveLength(41)
  expect(new Set(listed).size).toBe(41)
})

describe('without a credential of ours', () => {
  test.each(ROWS)('%s: %i %s', (reason, status, code, message, challenge, retryAfterSeconds) => {
    expect(answerTo(deny(reason))).toEqual({ status, code, message, challenge, retryAfterSeconds })
  })
})

describe('with an API key', () => {
  test.each(ROWS.filter(([reason]) => !reason.startsWith('jwt_')))(
    '%s: %i %s',
    (reason, status, code, message, challenge, retryAfterSeconds) => {
      expect(answerTo(deny(reason, 'api-key'))).toEqual({ status, code, message, challenge, retryAfterSeconds })
    },
  )
})

describe('with a token', () => {
  test.each(ROWS.filter(([reason]) => !reason.startsWith('key_')))(
    '%s: %i %s, and never the message for keys',
    (reason, status, code, message, challenge, retryAfterSeconds) => {
      expect(answerTo(deny(reason, 'access-token'))).toEqual({
        status,
        code,
        message: message === KEY ? TOKEN : message,
        challenge,
        retryAfterSeconds,
      })
    },
  )
})

describe('scopes', () => {
  test.each([
    [['write:patients'], ['write:patients'], 'Missing scope: write:patients.', 'write:patients'],
    [['b:b'], ['a:a', 'b:b'], 'Missing scope: b:b.', 'a:a b:b'],
    [['a:a', 'b:b'], ['a:a', 'b:b', 'c:c'], 'Missing scopes: a:a, b:b.', 'a:a b:b c:c'],
  ])('missing %j of %j', (missing, required, message, scope) => {
    for (const kind of ['api-key', 'access-token'] as const) {
      expect(answerTo(deny('scope_missing', kind, { scopes: { missing, required } }))).toEqual({
        status: 403,
        code: 'INSUFFICIENT_SCOPE',
        message,
        challenge: `Bearer realm="healthcloud", error="insufficient_scope", scope="${scope}"`,
        retryAfterSeconds: null,
      })
    }
  })
})

describe('the rest of a failure window', () => {
  test('is what a rate-limited caller waits', () => {
    expect(answerTo(deny('rate_limited', 'api-key', { retryAfterSeconds: 42 }))).toMatchObject({
      status: 429,
      retryAfterSeconds: 42,
      challenge: null,
    })
  })
})

test('a denial cannot be changed', () => {
  expect(() => Object.assign(deny('key_unknown'), { ok: true })).toThrow(TypeError)
})
