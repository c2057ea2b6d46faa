import type { IncomingHttpHeaders } from 'node:http'
import type { AuditAction } from './audit/event.ts'
import { GuardError } from './errors.ts'
import { ownMember } from './lib/own-member.ts'
import { isScopeToken, type Scope, type ScopeCatalogue } from './scopes.ts'

/** What a function given to a guard sees: alike in all frameworks, never the body. */
export interface GuardRequest {
  /** Of every mount on the way, decoded. */
  readonly params: Readonly<Record<string, string>>
  /** Flat, without prototype; a repeated name is an array. */
  readonly query: Readonly<Record<string, string | readonly string[]>>
  readonly headers: IncomingHttpHeaders
  readonly method: string
}

/** What a route does with PHI, where scope and path do not say it. */
export interface PhiOption {
  /** FHIR resource type. */
  readonly type: string
  /** Default: by method. */
  readonly action?: AuditAction | undefined
  /** The patient's id. One that throws or gives no string leaves the patient open. */
  readonly patient?: ((request: GuardRequest) => unknown) | undefined
}

/** Of each guard that may let a call in. */
export interface GuardOptions {
  /** `false`: this route concerns no PHI. */
  readonly phi?: PhiOption | false | undefined
}

/** Of `authenticate`. */
export interface AuthenticateOptions extends GuardOptions {
  /** No credential passes as anonymous; a bad one is still refused. Default `false`. */
  readonly optional?: boolean | undefined
}

/** One scope, or a list of at least one. */
export type ScopeList = Scope | readonly [Scope, ...Scope[]]

/** What one guard asks of a request; checked when the route is built. */
export interface Requirement {
  readonly kind: 'all-scopes' | 'any-scope' | 'identity' | 'organization' | 'catch-all'
  readonly scopes: readonly string[]
  readonly optional: boolean
  readonly organization: ((request: GuardRequest) => unknown) | null
  readonly phi: PhiOption | false | null
}

const NOTHING: Omit<Requirement, 'kind'> = { scopes: [], optional: false, organization: null, phi: null }

export function requireScopes(
  kind: 'all-scopes' | 'any-scope',
  scopes: ScopeList,
  { options, catalogue }: { options: GuardOptions | undefined; catalogue: ScopeCatalogue },
): Requirement {
  const list: readonly unknown[] = Array.isArray(scopes) ? scopes : [scopes]
  if (list.length === 0) throw new GuardError('SCOPE_EMPTY', 'A scope guard needs at least one scope.')
  return Object.freeze({
    ...NOTHING,
    kind,
    scopes: Object.freeze(list.map((scope) => knownScope(scope, catalogue))),
    phi: phiOf(options),
  })
}

export function requireIdentity(options: AuthenticateOptions | undefined): Requirement {
  const optional = ownMember(options, 'optional')
  if (optional !== undefined && typeof optional !== 'boolean') {
    throw new GuardError('GUARD_OPTION', '`optional` of a guard is a boolean.')
  }
  return Object.freeze({ ...NOTHING, kind: 'identity', optional: optional === true, phi: phiOf(options) })
}

export function requireOrganization(organization: (request: GuardRequest) => unknown): Requirement {
  if (typeof organization !== 'function') {
    throw new GuardError('GUARD_OPTION', 'requireOrganization takes a function that gives the id of the organization.')
  }
  return Object.freeze({ ...NOTHING, kind: 'organization', organization })
}

export const CATCH_ALL: Requirement = Object.freeze({ ...NOTHING, kind: 'catch-all', phi: false })

/** A typo must not lock or open a route: it is found when the route is built. */
function knownScope(scope: unknown, catalogue: ScopeCatalogue): string {
  if (isScopeToken(scope) && catalogue.has(scope)) return scope
  throw new GuardError(
    'SCOPE_UNKNOWN',
    `Unknown scope ${JSON.stringify(scope)}. This auth knows ${catalogue.names().join(', ')}; ` +
      'a scope of your own is declared in `options.scopes`.',
  )
}

function phiOf(options: GuardOptions | undefined): PhiOption | false | null {
  const phi = ownMember(options, 'phi')
  if (phi === undefined) return null
  if (phi === false) return false
  const [type, action, patient] = [ownMember(phi, 'type'), ownMember(phi, 'action'), ownMember(phi, 'patient')]
  if (typeof type !== 'string' || !/^[A-Za-z]{1,64}$/.test(type)) {
    throw new GuardError(
      'GUARD_OPTION',
      '`phi` of a guard is false or { type, action?, patient? }, `type` a FHIR resource type.',
    )
  }
  if (action !== undefined && !isAction(action)) {
    throw new GuardError('GUARD_OPTION', '`phi.action` of a guard is one of C, R, U, D, E.')
  }
  if (patient !== undefined && typeof patient !== 'function') {
    throw new GuardError('GUARD_OPTION', '`phi.patient` of a guard is a function that gives the id of the patient.')
  }
  return Object.freeze({ type, action, patient: patient as PhiOption['patient'] })
}

function isAction(value: unknown): value is AuditAction {
  return typeof value === 'string' && /^[CRUDE]$/.test(value)
}
