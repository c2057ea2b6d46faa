import { deny, type Denial } from '../decision.ts'
import type { CredentialKind } from '../principal.ts'
import { rawValues } from './raw-headers.ts'

/** What a request presents, as far as its form tells. */
export type Credential =
  | { readonly ok: true; readonly kind: 'none' }
  | { readonly ok: true; readonly kind: CredentialKind; readonly text: string }

/** Characters; longer ones are refused before anything reads them. */
const MAX_LENGTH = 8192

const NO_CREDENTIAL: Credential = Object.freeze({ ok: true, kind: 'none' })

/** RFC 9110 section 5.6.2 `token`: what an authentication scheme is made of. */
const SCHEME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/

/** RFC 9110 section 11.2 `token68`, whose second half can only be `=`: one pass, no backtracking. */
const TOKEN68 = /^[\w\-.~+/]+=*$/

/**
 * The credential of a request: one `Authorization` header with the scheme `Bearer` (RFC 6750 section 2.1; RFC 9110
 * section 11.1: in any case) and one or more spaces. Query, cookie, form and other headers are never read.
 */
export function readCredential(rawHeaders: readonly string[]): Credential | Denial {
  const values = rawValues(rawHeaders, 'authorization')
  const [value] = values
  if (value === undefined) return NO_CREDENTIAL
  if (values.length > 1) return deny('credential_duplicate')
  const space = value.indexOf(' ')
  if (space === -1) return deny(value.length > MAX_LENGTH ? 'credential_too_long' : 'credential_malformed')
  if (!isBearer(value, space)) return denyScheme(value, space)
  return credentialOf(withoutSpaces(value, space))
}

/** Which kind of credential a text without scheme is, if it can be one at all. */
export function credentialOf(text: string): Credential | Denial {
  if (typeof text !== 'string') return NO_CREDENTIAL
  if (text.length > MAX_LENGTH) return deny('credential_too_long', hasTokenForm(text) ? 'access-token' : null)
  if (!TOKEN68.test(text)) return deny('credential_malformed')
  return { ok: true, kind: hasTokenForm(text) ? 'access-token' : 'api-key', text }
}

/** Three parts between dots (RFC 7515 section 7.1), empty ones included, and none of our keys. */
function hasTokenForm(text: string): boolean {
  const first = text.indexOf('.')
  if (first === -1) return false
  const second = text.indexOf('.', first + 1)
  return second !== -1 && text.indexOf('.', second + 1) === -1 && !text.startsWith('hc_')
}

function isBearer(value: string, space: number): boolean {
  return space === 6 && (value.startsWith('Bearer') || value.slice(0, 6).toLowerCase() === 'bearer')
}

/** `Bearer: key` names no scheme at all. */
function denyScheme(value: string, space: number): Denial {
  return deny(space <= 64 && SCHEME.test(value.slice(0, space)) ? 'scheme_unsupported' : 'credential_malformed')
}

function withoutSpaces(value: string, space: number): string {
  let start = space + 1
  let end = value.length
  while (start < end && value.charCodeAt(start) === 32) start += 1
  while (end > start && value.charCodeAt(end - 1) === 32) end -= 1
  return value.slice(start, end)
}
