import { isToken68 } from './options.ts'
import { isScopeToken } from '../scopes.ts'
import { own, parseObject } from '../tokens/json-object.ts'

/** What an issuer granted. */
export interface Grant {
  readonly accessToken: string
  /** From the moment that it was asked for. */
  readonly lifeSeconds: number
  readonly scopes: readonly string[]
}

/** What an issuer says of a refusal, as far as it can be shown. */
export interface Refusal {
  readonly issuerCode: string | null
  readonly requestId: string | null
}

const MAX_LIFE_SECONDS = 86_400

/**
 * The documented answer, or what is wrong with it: `token_type` Bearer, `access_token`, `expires_in` up to a day, `scope` with
 * no more in it than was asked for, and `issued_at`, where there is one, in UTC. Further members mean nothing (RFC 6749
 * section 5.1).
 */
export function readGrant(text: string, asked: readonly string[]): Grant | string {
  const answer = parseObject(text)
  if (answer === null) return 'something else than one JSON object'
  const [type, accessToken, seconds] = ['token_type', 'access_token', 'expires_in'].map((name) => own(answer, name))
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') return 'a token_type that is not Bearer'
  if (!isToken68(accessToken)) return 'an access_token that is no bearer token'
  if (!isLife(seconds)) return `an expires_in that is no whole number of seconds from 1 to ${MAX_LIFE_SECONDS}`
  const scopes = scopesOf(own(answer, 'scope'))
  if (scopes === null) return 'a scope that is no list of scopes with one space between'
  if (!scopes.every((scope) => asked.includes(scope))) return 'a scope that was not asked for'
  if (!isInstant(own(answer, 'issued_at'))) return 'an issued_at that is no instant in UTC'
  return Object.freeze({ accessToken, lifeSeconds: Math.min(seconds, claimedLife(accessToken) ?? seconds), scopes })
}

function isLife(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_LIFE_SECONDS
}

/** RFC 6749 section 3.3; a token without any scope is none. */
function scopesOf(value: unknown): readonly string[] | null {
  const scopes = typeof value === 'string' ? value.split(' ') : []
  return scopes.length > 0 && scopes.every(isScopeToken) ? Object.freeze([...new Set(scopes)]) : null
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/

function isInstant(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && INSTANT.test(value) && !Number.isNaN(Date.parse(value)))
}

/**
 * How long a JWT says that it lives: a difference, so that no clock but the issuer's counts. It can only shorten, and is not
 * verified; `null` where it cannot be read, as a token is the issuer's own affair (RFC 9068 section 6).
 */
function claimedLife(token: string): number | null {
  const [, payload, ...rest] = token.split('.')
  if (payload === undefined || rest.length !== 1) return null
  const claims = parseObject(Buffer.from(payload, 'base64url').toString('utf8'))
  const [exp, iat] = claims === null ? [] : [own(claims, 'exp'), own(claims, 'iat')]
  const life = Number.isSafeInteger(exp) && Number.isSafeInteger(iat) ? Number(exp) - Number(iat) : 0
  return life > 0 ? life : null
}

/** Our envelope, or the error of RFC 6749 section 5.2. What could hold the key, in whatever form, is left out. */
export function readRefusal(text: string, key: string): Refusal {
  const answer = parseObject(text)
  const error = answer === null ? undefined : own(answer, 'error')
  const read = (name: string) =>
    typeof error === 'object' && error !== null && Object.hasOwn(error, name) ? Reflect.get(error, name) : undefined
  const harmless = (value: unknown, form: RegExp) =>
    typeof value === 'string' && form.test(value) && !echoes(value, key) ? value : null
  return {
    issuerCode: harmless(typeof error === 'string' ? error : read('code'), /^[A-Za-z][A-Za-z_]{1,39}$/),
    requestId: harmless(read('requestId'), /^[\w.-]{1,64}$/),
  }
}

/** Whether a text gives away the key, its body or any other credential of its kind: plain, in hex, or in base64 at any offset. */
function echoes(text: string, key: string): boolean {
  if (/hc_(?:live|test)_|eyJ/i.test(text)) return true
  const [lower, base64] = [text.toLowerCase(), text.replaceAll('-', '+').replaceAll('_', '/')]
  return [key, key.slice(key.lastIndexOf('_') + 1)].some((secret) => {
    const bytes = Buffer.from(secret)
    return (
      lower.includes(secret.toLowerCase()) ||
      lower.includes(bytes.toString('hex')) ||
      [0, 1, 2].some((offset) => base64.includes(base64At(bytes, offset)))
    )
  })
}

/** What base64 makes of these bytes behind so many others, without the characters that depend on their neighbours. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
}
