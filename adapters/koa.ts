import type { IncomingMessage, ServerResponse } from 'node:http'
import type {} from 'koa'
import {
  adapterKit,
  checkPublicReason,
  isMismatch,
  markGuard,
  markPublic,
  ownStrings,
  passHeaders,
  within,
  withoutTrailingSlash,
  type AdapterKit,
  type AuditHandle,
  type AuthenticateOptions,
  type Auth,
  type Call,
  type Place,
  type CoverageOptions,
  type GuardedRoute,
  type GuardOptions,
  type GuardRequest,
  type Principal,
  type Requirement,
  type ScopeList,
  type Verdict,
} from '../src/adapter-kit.ts'
import { assertKoaGuarded, koaInventory } from './koa-coverage.ts'

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
export { mount, type KoaMount, type KoaMountContext } from './koa-mount.ts'

declare module 'koa' {
  interface DefaultState {
    /** Who is calling: set behind a guard. On optional and unguarded routes use `principalOf`. */
    readonly principal: Principal
    /** What the handler says about the PHI it touches; set behind a guard. */
    readonly audit: AuditHandle
  }
}

/** What a guard reads of Koa's context; every `ParameterizedContext` of Koa 2 and 3 fits. */
export interface KoaContextLike {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly state: object
  readonly originalUrl: string
  respond?: boolean | undefined
  set(field: string, value: string): void
}

/** Middleware of a route: calls `next` for a caller who passes, and answers everybody else itself. */
export type KoaGuard = (context: KoaContextLike, next: () => Promise<unknown>) => Promise<unknown>

/** The guards of one auth, for routes of Koa; each is checked when it is made, and throws `GuardError`. */
export interface KoaGuards {
  /** All of the scopes. Complete by itself: authenticates, decides and audits. */
  readonly requireScope: (scopes: ScopeList, options?: GuardOptions) => KoaGuard
  /** At least one of the scopes. */
  readonly requireAnyScope: (scopes: ScopeList, options?: GuardOptions) => KoaGuard
  /** An identity, no scope. */
  readonly authenticate: (options?: AuthenticateOptions) => KoaGuard
  /** The caller's organization must be the one that the function names. */
  readonly requireOrganization: (organization: (request: GuardRequest) => unknown) => KoaGuard
  /** Says that a route is open on purpose. Reads no credential and writes no event. */
  readonly publicRoute: (reason: string) => KoaGuard
  /** After the routers: authenticates, audits and answers 404 in our envelope. */
  readonly catchAll: () => KoaGuard
  /** Of this `auth`; `null` before its guard and on an anonymous pass. */
  readonly principalOf: (context: { readonly req: IncomingMessage }) => Principal | null
  /** For an application, a router or a list of routers, once all routes are there: throws a table of those unguarded. */
  readonly assertGuarded: (app: object, options?: CoverageOptions) => void
  /** Every route, and what its guards ask for. */
  readonly routeInventory: (app: object, options?: CoverageOptions) => readonly GuardedRoute[]
}

/** The guards of one `auth` for Koa 2 and 3: `router.get(path, requireScope('read:patients'), handler)`. */
export function koaGuards(auth: Auth): KoaGuards {
  const kit = adapterKit(auth)
  const { requirements } = kit
  const guard = (requirement: Requirement): KoaGuard =>
    markGuard<KoaGuard>((context, next) => {
      const call = new KoaCall(context)
      const verdict = kit.guard(call, requirement)
      return verdict instanceof Promise
        ? verdict.then((each) => proceed(kit, each, { call, context, next }))
        : proceed(kit, verdict, { call, context, next })
    }, requirement)
  return Object.freeze({
    requireScope: (scopes: ScopeList, options?: GuardOptions) => guard(requirements.scope(scopes, options)),
    requireAnyScope: (scopes: ScopeList, options?: GuardOptions) => guard(requirements.anyScope(scopes, options)),
    authenticate: (options?: AuthenticateOptions) => guard(requirements.identity(options)),
    requireOrganization: (organization: (request: GuardRequest) => unknown) =>
      guard(requirements.organization(organization)),
    catchAll: () => guard(requirements.catchAll),
    publicRoute: (reason: string) => markPublic<KoaGuard>((_context, next) => next(), checkPublicReason(reason)),
    principalOf: (context: { readonly req: IncomingMessage }) => kit.principalOf(context.req),
    assertGuarded: assertKoaGuarded,
    routeInventory: koaInventory,
  })
}

interface Step {
  readonly call: Call
  readonly context: KoaContextLike
  readonly next: () => Promise<unknown>
}

/** Our answers go to Node's response, so that `allowedMethods()` and whatever else runs after us cannot overwrite them. */
function proceed(kit: AdapterKit, verdict: Verdict, { call, context, next }: Step): Promise<unknown> {
  if (verdict.kind === 'pass') {
    if (kit.introduce(context.state, verdict.exchange)) return follow(kit, context, { verdict, next })
    context.respond = false
    kit.conflict(call, 'PRINCIPAL_CONFLICT')
    return Promise.resolve()
  }
  context.respond = false
  if (verdict.kind === 'refuse') kit.send(verdict.exchange, verdict.answer)
  return Promise.resolve()
}

/** Koa alone lets a guard see when the handler is done, what it has set as body, and what it threw. */
function follow(
  kit: AdapterKit,
  context: KoaContextLike,
  { verdict, next }: { verdict: Extract<Verdict, { kind: 'pass' }>; next: Step['next'] },
): Promise<unknown> {
  const { exchange } = verdict
  const watches = kit.watches(exchange)
  return within(context.req, next).then(
    () => {
      if (watches) kit.show(exchange, Reflect.get(context, 'body'))
      exchange.handlerDone = true
    },
    (error: unknown) => {
      exchange.handlerDone = true
      const refusal = isMismatch(error) ? kit.mismatch(context.req) : null
      if (refusal === null) {
        keepHeaders(context.res, passHeaders(exchange))
        throw error
      }
      context.respond = false
      kit.send(refusal.exchange, refusal.answer)
    },
  )
}

/** Koa takes every header off the answer to an error; those of ours that it lacks then are put back as it goes out. */
function keepHeaders(response: ServerResponse, headers: ReturnType<typeof passHeaders>): void {
  const { writeHead } = response
  response.writeHead = (...head: unknown[]) => {
    response.writeHead = writeHead
    for (const [name, value] of headers) if (!response.hasHeader(name)) response.setHeader(name, value)
    return Reflect.apply(writeHead, response, head) as ServerResponse
  }
}

/** A class: an object with closures in it costs each request several times as much. */
class KoaCall implements Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly #context: KoaContextLike

  constructor(context: KoaContextLike) {
    this.request = context.req
    this.response = context.res
    this.#context = context
  }

  get url(): string {
    return this.#context.originalUrl
  }

  place(): Place {
    return { template: templateOf(this.#context), params: ownStrings(Reflect.get(this.#context, 'params')) }
  }

  setHeader(name: string, value: string): void {
    this.#context.set(name, value)
  }
}

/** @koa/router keeps the full template of the matched route, nested prefixes included. */
function templateOf(context: KoaContextLike): string {
  const matched: unknown = Reflect.get(context, '_matchedRoute')
  if (matched instanceof RegExp) return matched.source
  return typeof matched === 'string' ? withoutTrailingSlash(matched) : '*'
}
