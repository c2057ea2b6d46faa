import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  adapterKit,
  checkPublicReason,
  isMismatch,
  markGuard,
  markPublic,
  within,
  type AdapterKit,
  type AuditHandle,
  type AuthenticateOptions,
  type Auth,
  type Call,
  type Exchange,
  type Place,
  type GuardedRoute,
  type GuardOptions,
  type GuardRequest,
  type Principal,
  type Requirement,
  type ScopeList,
  type Verdict,
} from '../src/adapter-kit.ts'
import { assertExpressGuarded, expressInventory, type ExpressCoverageOptions } from './express-coverage.ts'
import { isObject } from './express-route-parts.ts'
import { recoverRoute, type ExpressRequestLike } from './express-route.ts'

export type {
  AuditHandle,
  AuthenticateOptions,
  CoverageOptions,
  GuardedRoute,
  GuardMode,
  GuardOptions,
  GuardRequest,
  PhiOption,
  Principal,
  Scope,
  ScopeList,
  ServerCaller,
  ServerHandler,
} from '../src/adapter-kit.ts'
export { mount, type ExpressMount } from './express-mount.ts'
export type { ExpressCoverageOptions } from './express-coverage.ts'

declare global {
  namespace Express {
    interface Request {
      /** Who is calling: set behind a guard. On optional and unguarded routes use `principalOf`. */
      readonly principal: Principal
      /** What the handler says about the PHI it touches; set behind a guard. */
      readonly audit: AuditHandle
    }
  }
}

/** Middleware for Express 4 and 5, typed structurally so that the parameters of the route are still inferred. */
export type ExpressGuard = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

/** The guards of one auth, for routes of Express; each is checked when it is made, and throws `GuardError`. */
export interface ExpressGuards {
  /** All of the scopes. Complete by itself: authenticates, decides and audits. */
  readonly requireScope: (scopes: ScopeList, options?: GuardOptions) => ExpressGuard
  /** At least one of the scopes. */
  readonly requireAnyScope: (scopes: ScopeList, options?: GuardOptions) => ExpressGuard
  /** An identity, no scope. */
  readonly authenticate: (options?: AuthenticateOptions) => ExpressGuard
  /** The caller's organization must be the one that the function names. */
  readonly requireOrganization: (organization: (request: GuardRequest) => unknown) => ExpressGuard
  /** Says that a route is open on purpose. Reads no credential and writes no event. */
  readonly publicRoute: (reason: string) => ExpressGuard
  /** Mounted last: authenticates, audits and answers 404 in our envelope. */
  readonly catchAll: () => ExpressGuard
  /** Of this `auth`; `null` before its guard and on an anonymous pass. */
  readonly principalOf: (request: IncomingMessage) => Principal | null
  /** For an application or router, once all routes are there: throws a table of those that nothing guards. */
  readonly assertGuarded: (app: object, options?: ExpressCoverageOptions) => void
  /** Every route, and what its guards ask for. */
  readonly routeInventory: (app: object, options?: ExpressCoverageOptions) => readonly GuardedRoute[]
}

/**
 * The guards of one `auth` for Express 4 and 5: `app.get(path, requireScope('read:patients'), handler)`. Put the body
 * parser after the guard on the route, so that the body of a refused request is never parsed.
 */
export function expressGuards(auth: Auth): ExpressGuards {
  const kit = adapterKit(auth)
  const { requirements } = kit
  const guard = (requirement: Requirement): ExpressGuard => {
    const answered = new WeakSet<object>()
    const handle: ExpressGuard = (request, response, next) => {
      const call = new ExpressCall(request, response, handle)
      const verdict = kit.guard(call, requirement)
      if (verdict instanceof Promise) {
        verdict.then((each) => proceed(kit, each, { call, next, handle, answered })).catch(next)
      } else {
        proceed(kit, verdict, { call, next, handle, answered })
      }
    }
    return markGuard(handle, requirement)
  }
  return Object.freeze({
    requireScope: (scopes: ScopeList, options?: GuardOptions) => guard(requirements.scope(scopes, options)),
    requireAnyScope: (scopes: ScopeList, options?: GuardOptions) => guard(requirements.anyScope(scopes, options)),
    authenticate: (options?: AuthenticateOptions) => guard(requirements.identity(options)),
    requireOrganization: (organization: (request: GuardRequest) => unknown) =>
      guard(requirements.organization(organization)),
    catchAll: () => guard(requirements.catchAll),
    publicRoute: (reason: string): ExpressGuard => {
      const pass: ExpressGuard = (_request, _response, next) => next()
      return markPublic(pass, checkPublicReason(reason))
    },
    principalOf: (request: IncomingMessage) => kit.principalOf(request),
    assertGuarded: assertExpressGuarded,
    routeInventory: expressInventory,
  })
}

interface Step {
  readonly call: Call
  readonly next: (error?: unknown) => void
  readonly handle: ExpressGuard
  /** Routes and applications that `answerMismatches` has seen this guard on. */
  readonly answered: WeakSet<object>
}

function proceed(kit: AdapterKit, verdict: Verdict, { call, next, handle, answered }: Step): void {
  if (verdict.kind === 'gone') return
  if (verdict.kind === 'refuse') {
    kit.send(verdict.exchange, verdict.answer)
    return
  }
  if (!kit.introduce(call.request, verdict.exchange)) {
    kit.conflict(call, 'PRINCIPAL_CONFLICT')
    return
  }
  const { route, app }: ExpressRequestLike = call.request
  const host = isObject(route) ? route : app
  if (isObject(host) && !answered.has(host)) {
    answered.add(host)
    answerMismatches(kit, { route, app }, handle)
  }
  if (kit.watches(verdict.exchange)) watchJson(kit, verdict.exchange, call.response)
  within(call.request, next)
}

/**
 * What `res.json` is given, directly or by `res.send(object)`, is shown before Express makes text of it. A wrapper that is
 * there already is called as it was; later ones call this one.
 */
function watchJson(kit: AdapterKit, exchange: Exchange, response: ServerResponse): void {
  const known = Object.hasOwn(response, 'json') ? jsonOf(response) : null
  const json = function (this: object, ...values: unknown[]): unknown {
    // Express 4 takes the status along, before the object or behind it.
    kit.show(exchange, values.length > 1 && typeof values[0] === 'number' ? values[1] : values[0])
    // Of now: a sub-application may have changed the prototype.
    return Reflect.apply(known ?? jsonOf(Object.getPrototypeOf(response)) ?? NOTHING, this, values)
  }
  if (known !== null || jsonOf(response) !== null) Reflect.set(response, 'json', json)
}

function jsonOf(response: object): ((...values: unknown[]) => unknown) | null {
  const json: unknown = Reflect.get(response, 'json')
  return typeof json === 'function' ? (json as (...values: unknown[]) => unknown) : null
}

const NOTHING = (): void => undefined

/** A class: an object with closures in it costs each request several times as much. */
class ExpressCall implements Call {
  readonly request: ExpressRequestLike
  readonly response: ServerResponse
  readonly #handle: ExpressGuard
  /** Of now: once a sub-application passes the request on, Express shows its parent. */
  readonly #app: unknown

  constructor(request: ExpressRequestLike, response: ServerResponse, handle: ExpressGuard) {
    this.request = request
    this.response = response
    this.#handle = handle
    this.#app = request.app
  }

  get url(): string {
    return this.request.originalUrl ?? this.request.url ?? ''
  }

  place(): Place {
    return recoverRoute(this.request, this.#handle, this.#app)
  }

  setHeader(name: string, value: string): void {
    this.response.setHeader(name, value)
  }
}

type ErrorHandler = (
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/** Routes and applications that answer `OrganizationMismatch` already, with the methods that they do so by. */
const answering = new WeakMap<object, Set<string>>()

/**
 * `auth.assertOrganization` throws in the handler, where only an error handler behind it can give our answer. One is added
 * when a guard first passes: to its route, for its own method; where it stands on no route (`app.use(guard)`), to the
 * application, behind all that is there.
 */
function answerMismatches(
  kit: AdapterKit,
  { route, app }: Pick<ExpressRequestLike, 'route' | 'app'>,
  handle: ExpressGuard,
): void {
  const ofRoute = isObject(route) ? guardMethod(route, handle) : null
  const [host, method] = ofRoute === null ? [app, 'use'] : [route, ofRoute]
  if (!isObject(host)) return
  const known = answering.get(host)
  if (known?.has(method) === true) return
  answering.set(host, (known ?? new Set<string>()).add(method))
  const onError: ErrorHandler = (error, request, _response, next) => {
    const refusal = isMismatch(error) ? kit.mismatch(request) : null
    if (refusal === null) next(error)
    else kit.send(refusal.exchange, refusal.answer)
  }
  const register: unknown = Reflect.get(host, method)
  if (typeof register === 'function') Reflect.apply(register, host, [onError])
}

/** The method that the guard stands on the route for; `null` where it does not stand there (`app.use(guard)`). */
function guardMethod(route: object, handle: ExpressGuard): string | null {
  const stack: unknown = Reflect.get(route, 'stack')
  if (!Array.isArray(stack)) return null
  const layer: unknown = stack.find((each: { handle?: unknown }) => each.handle === handle)
  if (typeof layer !== 'object' || layer === null) return null
  const method: unknown = Reflect.get(layer, 'method')
  return typeof method === 'string' ? method : 'all'
}
