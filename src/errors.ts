/** The documented page that every answer and every configuration error points to. */
export const DOCS_URL = 'https://healthcloud.ai/docs/api/authentication'

/**
 * `INVALID`: of the wrong form. `UNKNOWN_OPTION`: there is none of this name. `MISSING`: required here. `CONFLICT`: two that exclude each
 * other. `UNSUPPORTED`: not in this version, or not on this system.
 */
export type ConfigErrorCode =
  | 'CONFIG_INVALID'
  | 'CONFIG_UNKNOWN_OPTION'
  | 'CONFIG_MISSING'
  | 'CONFIG_CONFLICT'
  | 'CONFIG_UNSUPPORTED'

/** A mistake in the options, found at start. Never holds the offending value: it may be a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code: ConfigErrorCode
  /** Path of the option, such as `audit.directory`. */
  readonly option: string
  /** What to do about it. */
  readonly remedy: string
  readonly docsUrl: string = DOCS_URL

  constructor(code: ConfigErrorCode, option: string, { problem, remedy }: { problem: string; remedy: string }) {
    super(`${option}: ${problem} ${remedy}`)
    this.code = code
    this.option = option
    this.remedy = remedy
  }
}

/** What `auth.ready()` did not reach; `CLOSED`: `auth.close()` was called before. */
export type NotReadyCode = 'STORE_UNREACHABLE' | 'JWKS_UNREACHABLE' | 'JOURNAL_NOT_WRITABLE' | 'CLOSED'

/** `auth.ready()` found something out of reach. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError'
  readonly code: NotReadyCode
  readonly remedy: string
  readonly docsUrl: string = DOCS_URL

  constructor(code: NotReadyCode, { problem, remedy, cause }: { problem: string; remedy: string; cause?: unknown }) {
    super(`${problem} ${remedy}`, cause === undefined ? undefined : { cause })
    this.code = code
    this.remedy = remedy
  }
}

/**
 * `INVALID`: a member has the wrong form. `SCOPE_UNKNOWN`: declared nowhere. `EXISTS`: the store has this key. `ENVIRONMENT`: neither
 * live nor test, or a live key on a server that is not.
 */
export type KeyErrorCode = 'KEY_INVALID' | 'KEY_SCOPE_UNKNOWN' | 'KEY_EXISTS' | 'KEY_ENVIRONMENT'

/** `auth.keys` was asked for something that cannot be; nothing was written. */
export class KeyError extends Error {
  override readonly name = 'KeyError'
  readonly code: KeyErrorCode
  /** The member of the request that is wrong, such as `allowedCidrs[1]`. */
  readonly member: string

  constructor(code: KeyErrorCode, member: string, problem: string) {
    super(`${member}: ${problem}`)
    this.code = code
    this.member = member
  }
}

/** Why the key allows no such change: there is none, it is revoked, has expired, or was rotated before. */
export type KeyStateCode = 'KEY_UNKNOWN' | 'KEY_REVOKED' | 'KEY_EXPIRED' | 'KEY_REPLACED'

const KEY_STATES: Readonly<Record<KeyStateCode, string>> = Object.freeze({
  KEY_UNKNOWN: 'the store has no such key.',
  KEY_REVOKED: 'it is revoked. Make a new key.',
  KEY_EXPIRED: 'it has expired, and a rotation never extends an expiry. Make a new key.',
  KEY_REPLACED: 'it was rotated before. Rotate the key that replaced it (`replacedBy` of its record).',
})

/** `auth.keys` was asked for a change that this key does not allow any more; nothing was written. */
export class KeyStateError extends Error {
  override readonly name = 'KeyStateError'
  readonly code: KeyStateCode
  readonly keyId: string

  constructor(code: KeyStateCode, keyId: string) {
    super(`The key ${keyId} cannot be changed like this: ${KEY_STATES[code]}`)
    this.code = code
    this.keyId = keyId
  }
}

/** A store was asked for something that it cannot do. */
export class StoreCapabilityError extends Error {
  override readonly name = 'StoreCapabilityError'
  readonly code = 'STORE_CAPABILITY'
  readonly docsUrl: string = DOCS_URL
}

/** The record in the store is no longer the one that the change was made from. */
export class StoreConflict extends Error {
  override readonly name = 'StoreConflict'
  readonly code = 'STORE_CONFLICT'
}

/** Thrown by `auth.assertOrganization`; the adapters answer it as a denial. */
export class OrganizationMismatch extends Error {
  override readonly name = 'OrganizationMismatch'
  readonly code = 'ORGANIZATION_MISMATCH'
  readonly status = 403
  readonly statusCode = 403
  readonly expose = true

  constructor() {
    super('This credential belongs to another organization.')
  }
}

/** A guard was built or used wrongly: a mistake in the program, thrown when the route is built. */
export class GuardError extends Error {
  override readonly name = 'GuardError'
  readonly code: 'SCOPE_UNKNOWN' | 'SCOPE_EMPTY' | 'GUARD_OPTION' | 'NOT_AN_AUTH'
  readonly docsUrl: string = DOCS_URL

  constructor(code: 'SCOPE_UNKNOWN' | 'SCOPE_EMPTY' | 'GUARD_OPTION' | 'NOT_AN_AUTH', message: string) {
    super(message)
    this.code = code
  }
}

/** `assertGuarded` found routes that nothing guards, or that nobody saw. The message holds a table of them. */
export class CoverageError extends Error {
  override readonly name = 'CoverageError'
  /** `ROUTES_UNSEEN`: there are none, or they were registered where they could not be seen. */
  readonly code: 'ROUTES_UNGUARDED' | 'ROUTES_UNSEEN'
  readonly routes: readonly { readonly method: string; readonly path: string; readonly problem: string }[]
  readonly docsUrl: string = DOCS_URL

  constructor(code: CoverageError['code'], routes: CoverageError['routes'], message: string) {
    super(message)
    this.code = code
    this.routes = routes
  }
}

/** `REFUSED`: by the issuer. `UNAVAILABLE`: out of reach for now; asking again is worth while. `INVALID`: its answer is no token. */
export type ExchangeErrorCode = 'EXCHANGE_REFUSED' | 'EXCHANGE_UNAVAILABLE' | 'EXCHANGE_INVALID'

/**
 * An API key could not be exchanged for a token: the issuer refused, cannot be reached at the moment, or answered with
 * something that is no token. Never holds the key or a token. It has no `status`: frameworks answer with an error's status,
 * and an issuer's 401 about this server's key says nothing about who called this server.
 */
export class ExchangeError extends Error {
  override readonly name = 'ExchangeError'
  readonly code: ExchangeErrorCode
  /** The HTTP status that the issuer answered with; `null`: no answer. */
  readonly issuerStatus: number | null
  /** The issuer's own code, such as `UNAUTHORIZED`; `null` where it sent none that can be shown. */
  readonly issuerCode: string | null
  /** By which the issuer finds the exchange in its logs; `null` where it sent none that can be shown. */
  readonly requestId: string | null
  /** When to ask again, where that is worth while (`EXCHANGE_UNAVAILABLE`); nothing is sent before. */
  readonly retryAfterSeconds: number | null
  readonly remedy: string
  readonly docsUrl: string = DOCS_URL

  constructor(
    code: ExchangeErrorCode,
    details: Pick<ExchangeError, 'issuerStatus' | 'issuerCode' | 'requestId' | 'retryAfterSeconds' | 'remedy'> & {
      readonly problem: string
    },
  ) {
    super(`${details.problem} ${details.remedy}`)
    this.code = code
    this.issuerStatus = details.issuerStatus
    this.issuerCode = details.issuerCode
    this.requestId = details.requestId
    this.retryAfterSeconds = details.retryAfterSeconds
    this.remedy = details.remedy
  }
}
