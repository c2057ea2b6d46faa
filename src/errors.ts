/** The documented page that every answer and every configuration error points to. */
export const DOCS_URL = 'https://healthcloud.ai/docs/api/authentication'

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
