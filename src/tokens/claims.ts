import type { Reason } from '../decision.ts'
import type { Environment } from '../principal.ts'
import { isScopeToken, type ScopeCatalogue } from '../scopes.ts'
import { createBoundedCache } from './bounded-cache.ts'
import { own, type JsonObject } from './json-object.ts'
import type { TokenSettings } from './settings.ts'

/** The named claims of a token, and no others. */
export interface Claims {
  readonly subject: string
  readonly organization: string
  readonly environment: Environment
  /** Those that are known. */
  readonly scopes: ReadonlySet<string>
  /** RFC 7519 section 4.1.4, seconds. */
  readonly expires: number
  /** RFC 7519 section 4.1.5, seconds. */
  readonly notBefore: number | null
  readonly tokenId: string | null
  /** The API key that the token was exchanged for (`client_id`), or whatever client it was issued to. */
  readonly issuedTo: string | null
}

export type BadClaim = Extract<
  Reason,
  'jwt_issuer' | 'jwt_audience' | 'jwt_claims' | 'jwt_expired' | 'jwt_not_yet_valid' | 'jwt_lifetime'
>

export interface ClaimsReader {
  /** Checks issuer, audience and every claim that is required (RFC 9068 section 4); `now` in epoch milliseconds. */
  read(payload: JsonObject, now: number): Claims | BadClaim
  /** Who the token is about; its times are not checked. */
  identity(payload: JsonObject): Claims | BadClaim
}

export function createClaimsReader(settings: TokenSettings, catalogue: ScopeCatalogue): ClaimsReader {
  const readScopes = createScopeReader(catalogue)
  const identity = (payload: JsonObject) => readIdentity(payload, settings, readScopes)
  return Object.freeze({
    read: (payload: JsonObject, now: number) => {
      if (own(payload, 'iss') !== settings.issuer) return 'jwt_issuer'
      if (!names(own(payload, 'aud'), settings.audience)) return 'jwt_audience'
      return checkTimes(payload, settings, now) ?? identity(payload)
    },
    identity,
  })
}

/** The issuer as it is claimed, before anything is verified: another's token must not even cause a fetch. */
export function claimsIssuer(payload: JsonObject, issuer: string): boolean {
  return own(payload, 'iss') === issuer
}

/** RFC 7519 section 4.1.3: a string, or a list of strings, with one of ours. */
function names(aud: unknown, ours: readonly string[]): boolean {
  if (typeof aud === 'string') return ours.includes(aud)
  return Array.isArray(aud) && aud.every((each) => typeof each === 'string') && aud.some((each) => ours.includes(each))
}

function checkTimes(payload: JsonObject, settings: TokenSettings, now: number): BadClaim | null {
  const exp = own(payload, 'exp')
  const iat = own(payload, 'iat')
  const nbf = own(payload, 'nbf')
  if (!isSeconds(exp) || !isSeconds(iat) || (nbf !== undefined && !isSeconds(nbf))) return 'jwt_claims'
  const tolerance = settings.clockToleranceSeconds
  if (exp - iat > settings.maxLifetimeSeconds) return 'jwt_lifetime'
  if (isExpired(exp, tolerance, now)) return 'jwt_expired'
  return isEarly(iat, tolerance, now) || (nbf !== undefined && isEarly(nbf, tolerance, now))
    ? 'jwt_not_yet_valid'
    : null
}

export function isExpired(exp: number, toleranceSeconds: number, now: number): boolean {
  return now >= (exp + toleranceSeconds) * 1000
}

export function isEarly(from: number, toleranceSeconds: number, now: number): boolean {
  return Math.floor(now / 1000) < from - toleranceSeconds
}

/** RFC 7519 section 2 NumericDate, whole seconds alone. */
function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function readIdentity(payload: JsonObject, { claims }: TokenSettings, readScopes: ScopeReader): Claims | BadClaim {
  const subject = own(payload, 'sub')
  const organization = own(payload, claims.organization)
  const environment = own(payload, claims.environment)
  const scopes = readScopes(own(payload, claims.scope))
  const tokenId = own(payload, 'jti')
  const issuedTo = own(payload, claims.issuingKey)
  const nbf = own(payload, 'nbf')
  if (!isName(subject) || !isName(organization) || scopes === null) return 'jwt_claims'
  if (environment !== 'live' && environment !== 'test') return 'jwt_claims'
  if ((tokenId !== undefined && !isName(tokenId)) || (issuedTo !== undefined && !isName(issuedTo))) return 'jwt_claims'
  return {
    subject,
    organization,
    environment,
    scopes,
    expires: Number(own(payload, 'exp')),
    notBefore: nbf === undefined ? null : Number(nbf),
    tokenId: tokenId ?? null,
    issuedTo: issuedTo ?? null,
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 256
}

/** The known ones of the scopes that a claim names; `null`: it is no list of scopes. */
type ScopeReader = (claim: unknown) => ReadonlySet<string> | null

/** An issuer writes few combinations of scopes, and many tokens with each. */
const MAX_REMEMBERED = 256

/** RFC 6749 section 3.3: scope-tokens with one space between them; or, as some issuers write it, a list of them. */
function createScopeReader(catalogue: ScopeCatalogue): ScopeReader {
  const remembered = createBoundedCache<ReadonlySet<string>>(MAX_REMEMBERED)
  const read = (claim: unknown) => {
    const list: unknown = claim === '' ? [] : typeof claim === 'string' ? claim.split(' ') : claim
    return Array.isArray(list) && list.every((each) => isScopeToken(each)) ? catalogue.known(list) : null
  }
  return (claim) => {
    if (typeof claim !== 'string') return read(claim)
    const known = remembered.get(claim)
    if (known !== undefined) return known
    const scopes = read(claim)
    if (scopes !== null) remembered.set(claim, scopes)
    return scopes
  }
}
