import type { Reason } from '../decision.ts'
import { own, type JsonObject } from './json-object.ts'
import type { Algorithm } from './settings.ts'

export interface Header {
  readonly ok: true
  readonly algorithm: Algorithm
  /** `null`: the token names no key, as the documented one does. */
  readonly kid: string | null
}

export interface HeaderRules {
  readonly algorithms: readonly Algorithm[]
  /** Lower case, without `application/`. */
  readonly types: ReadonlySet<string>
}

/** RFC 7515 section 4.1 and RFC 7797: each would let the token say how it is to be read, or by which key. */
const REFUSED = ['crit', 'b64', 'zip', 'jku', 'jwk', 'x5u', 'x5c'] as const

const MAX_KID = 256

export type BadHeader = {
  readonly ok: false
  readonly reason: Extract<Reason, 'jwt_malformed' | 'jwt_algorithm' | 'jwt_type'>
}

/** What a header says, as far as it is listened to. */
export function readHeader(header: JsonObject, rules: HeaderRules): Header | BadHeader {
  if (REFUSED.some((name) => Object.hasOwn(header, name)) || isNested(own(header, 'cty'))) return MALFORMED
  const kid = own(header, 'kid')
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID)) return MALFORMED
  const alg = own(header, 'alg')
  const algorithm = rules.algorithms.find((each) => each === alg)
  if (algorithm === undefined) return BAD_ALGORITHM
  const typ = own(header, 'typ')
  if (typeof typ !== 'string' || !rules.types.has(mediaType(typ))) return BAD_TYPE
  return Object.freeze({ ok: true, algorithm, kid: kid ?? null })
}

const MALFORMED: BadHeader = Object.freeze({ ok: false, reason: 'jwt_malformed' })
const BAD_ALGORITHM: BadHeader = Object.freeze({ ok: false, reason: 'jwt_algorithm' })
const BAD_TYPE: BadHeader = Object.freeze({ ok: false, reason: 'jwt_type' })

/** RFC 7519 section 5.2: a nested JWT says so here, and is not taken. */
function isNested(cty: unknown): boolean {
  return cty !== undefined && (typeof cty !== 'string' || mediaType(cty) === 'jwt')
}

/** RFC 7515 section 4.1.9: media types are case-insensitive, and `application/` may be left out. */
export function mediaType(typ: string): string {
  const lower = typ.toLowerCase()
  return lower.startsWith('application/') ? lower.slice('application/'.length) : lower
}
