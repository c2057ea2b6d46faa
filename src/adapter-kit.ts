import type { IncomingMessage } from 'node:http'
import { bodyPhi } from './audit/phi/body.ts'
import { handleOf, touchLate } from './exchange/audit-handle.ts'
import type { AuditHandle } from './exchange/audit-notes.ts'
import { houseOf, type Auth } from './auth.ts'
import type { Answer } from './decision.ts'
import { answerTo, deny } from './decision.ts'
import { GuardError, OrganizationMismatch } from './errors.ts'
import type { Call, Exchange } from './exchange/exchange.ts'
import { guard, type Verdict } from './guard.ts'
import type { House } from './house.ts'
import { createStamp } from './lib/stamp.ts'
import { enter, exchangeOf } from './exchange/open-exchange.ts'
import type { Principal } from './principal.ts'
import {
  CATCH_ALL,
  requireIdentity,
  requireOrganization,
  requireScopes,
  type AuthenticateOptions,
  type GuardOptions,
  type GuardRequest,
  type Requirement,
  type ScopeList,
} from './requirement.ts'
import { sendAnswer } from './send-answer.ts'

export { within, type AuditHandle } from './exchange/audit-notes.ts'
export type { Auth } from './auth.ts'
export { passHeaders } from './guard.ts'
export { ownMember } from './lib/own-member.ts'
export type { Call, Exchange, Place } from './exchange/exchange.ts'
export { checkMountMethod, serverOf, type Serve } from './mounting/mount.ts'
export type { ServerCaller, ServerHandler } from './server/handler.ts'
export type { Verdict } from './guard.ts'
export type { Principal } from './principal.ts'
export type {
  AuthenticateOptions,
  GuardOptions,
  GuardRequest,
  PhiOption,
  Requirement,
  ScopeList,
} from './requirement.ts'
export {
  assertCovered,
  beyond,
  guardKind,
  inventoryOf,
  markGuard,
  markMount,
  markPublic,
  notAnApplication,
  nothingSeen,
  type CoverageOptions,
  type CoverageStep,
  type GuardedRoute,
  type GuardMode,
  type SeenRoute,
} from './route-coverage.ts'
export type { Scope } from './scopes.ts'

/** All that an adapter needs of one `auth`: it builds requirements, runs the guard and sends answers. */
export interface AdapterKit {
  requirements: {
    scope(scopes: ScopeList, options: GuardOptions | undefined): Requirement
    anyScope(scopes: ScopeList, options: GuardOptions | undefined): Requirement
    identity(options: AuthenticateOptions | undefined): Requirement
    organization(organization: (request: GuardRequest) => unknown): Requirement
    catchAll: Requirement
  }
  /** Runs one guard. Synchronous where the identity is cached; never rejects. */
  guard(call: Call, requirement: Requirement): Verdict | Promise<Verdict>
  /** Writes our answer to Node's response, past whatever the framework would do to it. */
  send(exchange: Exchange, answer: Answer): void
  /** Answers 500 for a mistake in the host's program. */
  conflict(call: Call, code: ConflictCode): void
  /** Defines `principal` and `audit` on the request (or state); false where someone else's property is in the way. */
  introduce(target: object, exchange: Exchange): boolean
  /** `null` before a guard, on an anonymous pass, and of a caller who was refused. */
  principalOf(request: IncomingMessage): Principal | null
  /** The exchange of this auth on the request; `null` where none of its guards has run. */
  exchangeOf(request: IncomingMessage): Exchange | null
  /**
   * True for the first guard of an exchange that asks, where events are wanted: it alone hands over the answer, so that
   * nothing is looked at twice.
   */
  watches(exchange: Exchange): boolean
  /** Looks at what the handler answers with, before it is serialised. Changes nothing, never throws. */
  show(exchange: Exchange, body: unknown): void
  /** The handler turned out to serve another organization's data: an answer of ours, and a denial in the event. */
  mismatch(request: IncomingMessage): { exchange: Exchange; answer: Answer } | null
}

export type ConflictCode = 'PRINCIPAL_CONFLICT' | 'PLUGIN_MISSING'

const CONFLICTS: Readonly<Record<ConflictCode, string>> = {
  PRINCIPAL_CONFLICT: 'Another part of this server owns the principal of the request.',
  PLUGIN_MISSING: 'The authentication plugin is not registered on this instance.',
}

/** @throws {GuardError} where `auth` is not what this copy of the package's `createAuth` returned. */
export function adapterKit(auth: Auth): AdapterKit {
  const house = houseOf(auth)
  if (house === undefined) {
    throw new GuardError('NOT_AN_AUTH', 'The guards need what createAuth of this copy of @healthcloud/auth returned.')
  }
  const catalogue = house.catalogue
  return Object.freeze({
    requirements: Object.freeze({
      scope: (scopes: ScopeList, options: GuardOptions | undefined) =>
        requireScopes('all-scopes', scopes, { options, catalogue }),
      anyScope: (scopes: ScopeList, options: GuardOptions | undefined) =>
        requireScopes('any-scope', scopes, { options, catalogue }),
      identity: requireIdentity,
      organization: requireOrganization,
      catchAll: CATCH_ALL,
    }),
    guard: (call: Call, requirement: Requirement) => guard(house, call, requirement),
    send: (exchange: Exchange, answer: Answer) => {
      const { request, response } = exchange.call
      sendAnswer(response, answer, { house, requestId: exchange.requestId, head: request.method === 'HEAD' })
    },
    conflict: (call: Call, code: ConflictCode) => {
      const exchange = enter(house, call)
      exchange.denial = deny('handler_error')
      const answer = { status: 500, code, message: CONFLICTS[code], challenge: null, retryAfterSeconds: null }
      const { requestId } = exchange
      sendAnswer(call.response, answer, { house, requestId, head: call.request.method === 'HEAD' })
    },
    introduce: createIntroduction(house),
    principalOf: (request: IncomingMessage) => {
      const exchange = exchangeOf(house, request)
      return exchange === null || exchange.denial !== null ? null : (exchange.identity?.principal ?? null)
    },
    exchangeOf: (request: IncomingMessage) => exchangeOf(house, request),
    watches: (exchange: Exchange) => {
      if (!house.recorder.wanted || exchange.watched) return false
      exchange.watched = true
      return true
    },
    show: showAnswer,
    mismatch: (request: IncomingMessage) => {
      const exchange = exchangeOf(house, request)
      if (exchange === null || exchange.identity === null) return null
      exchange.denial = deny('organization_mismatch', exchange.identity.kind)
      return { exchange, answer: answerTo(exchange.denial) }
    },
  })
}

/** Errors show nobody's data, and after the header was sent nothing is shown any more. Text and streams are not parsed. */
function showAnswer(exchange: Exchange, answer: unknown): void {
  if (typeof answer !== 'object' || answer === null || !exchange.house.recorder.wanted) return
  const { response } = exchange.call
  if (response.headersSent || response.statusCode >= 400) return
  const body = bodyPhi(answer)
  if (body === null) return
  exchange.body = body
  // The client has left long ago, and the event is written: it is continued.
  if (exchange.recorded !== null) for (const id of body.patients) touchLate(exchange, { type: 'Patient', id })
}

/** What `auth.assertOrganization` throws, told from every other error of a handler. */
export function isMismatch(error: unknown): boolean {
  return error instanceof OrganizationMismatch
}

/** Route parameters as a host keeps them: own members that are strings. */
export function ownStrings(params: unknown): Readonly<Record<string, string>> {
  const strings: Record<string, string> = Object.create(null)
  if (typeof params !== 'object' || params === null) return strings
  for (const name of Object.keys(params)) {
    const value: unknown = Reflect.get(params, name)
    if (typeof value === 'string') strings[name] = value
  }
  return strings
}

export function withoutTrailingSlash(template: string): string {
  return template.length > 1 && template.endsWith('/') ? template.slice(0, -1) : template
}

/**
 * Accessors without setter, anew for each request: what someone else put there is never trusted, the last guard wins, and
 * assignment throws in strict code. `configurable`, so that the guard of a second `auth` can take its turn. The getters are
 * the same functions for all requests: a new pair a request would give each request a hidden class of its own.
 */
function createIntroduction(house: House): (target: object, exchange: Exchange) => boolean {
  // Of the objects that stand beside Node's request: Koa's state, Fastify's request.
  const introduced = createStamp<Exchange>()
  const find = (target: object) => introduced.get(target) ?? exchangeOf(house, target)
  const principal = accessor(function (this: object): Principal | null {
    return find(this)?.identity?.principal ?? null
  })
  const audit = accessor(function (this: object): AuditHandle | null {
    const exchange = find(this)
    return exchange === null ? null : handleOf(exchange)
  })
  return (target, exchange) => {
    try {
      Object.defineProperty(target, 'principal', principal)
      Object.defineProperty(target, 'audit', audit)
    } catch {
      return false
    }
    if (target !== exchange.call.request) introduced.set(target, exchange)
    return true
  }
}

/** Without prototype: inherited members of a descriptor count, and those of a polluted prototype must not. */
function accessor(get: (this: object) => unknown): PropertyDescriptor {
  return Object.freeze(Object.assign(Object.create(null), { get, configurable: true, enumerable: true }))
}

/** `publicRoute(reason)`: checked when the route is built; reads no credential and writes no event. */
export function checkPublicReason(reason: string): string {
  if (typeof reason === 'string' && reason.trim() !== '') return reason
  throw new GuardError('GUARD_OPTION', 'publicRoute takes the reason why this route is open to everybody.')
}
