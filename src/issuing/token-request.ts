import { types } from 'node:util'
import { KeyError } from '../errors.ts'
import { ownMember } from '../lib/own-member.ts'

/** A token to be ended before its time. */
export interface RevokeToken {
  /** RFC 7519 section 4.1.7 `jti` of the token: 1 to 256 characters. Never the token itself. */
  readonly jti: string
  /** When the token expires. Left out: the longest that one can live. */
  readonly expiresAt?: Date | undefined
  /** Who asks for it, for the audit event: `[A-Za-z0-9._@:+-]{1,128}`. */
  readonly by: string
}

/** A credential in the wrong member would be stored and written into the journal. */
const LOOKS_LIKE_A_CREDENTIAL = /hc_(?:live|test)_|eyJ[^.]*\.[^.]*\./i

/** Own members alone. @throws {KeyError} that names the member and never shows its value. */
export function readRevokeToken(request: unknown): { jti: string; expiresAt: number | null; by: string } {
  if (typeof request !== 'object' || request === null) {
    throw new KeyError('KEY_INVALID', 'request', 'expected an object with jti, expiresAt, by.')
  }
  const other = Object.keys(request).find((name) => !['jti', 'expiresAt', 'by'].includes(name))
  if (other !== undefined) {
    const member = /^[A-Za-z]{1,40}$/.test(other) ? other : 'request'
    throw new KeyError('KEY_INVALID', member, 'is not taken here, but jti, expiresAt, by.')
  }
  return {
    jti: readText(request, 'jti', {
      form: /^[^\p{Cc}]{1,256}$/u,
      is: '1 to 256 characters without control characters',
    }),
    expiresAt: readInstant(ownMember(request, 'expiresAt')),
    by: readText(request, 'by', { form: /^[A-Za-z0-9._@:+-]{1,128}$/, is: '[A-Za-z0-9._@:+-]{1,128}' }),
  }
}

function readText(request: object, member: string, { form, is }: { form: RegExp; is: string }): string {
  const value = ownMember(request, member)
  if (typeof value !== 'string' || !form.test(value)) throw new KeyError('KEY_INVALID', member, `expected ${is}.`)
  if (LOOKS_LIKE_A_CREDENTIAL.test(value))
    throw new KeyError('KEY_INVALID', member, 'holds what looks like a credential.')
  return value
}

function readInstant(value: unknown): number | null {
  if (value === undefined || value === null) return null
  const ms = types.isDate(value) ? new Date(value).getTime() : Number.NaN
  if (Number.isNaN(ms)) throw new KeyError('KEY_INVALID', 'expiresAt', 'expected a Date.')
  return ms
}
