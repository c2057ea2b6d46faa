import type { IncomingMessage, ServerResponse } from 'node:http'
import type {} from 'fastify'
import {
  adapterKit,
  checkPublicReason,
  isMismatch,
  markGuard,
  markPublic,
  ownStrings,
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
import { assertFastifyGuarded, fastifyInventory, watchRoutes } from './fastify-coverage.ts'
import { takeOver, type FastifyReplyLike } from './fastify-reply.ts'

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
export { mount, type FastifyMountInstance, type FastifyMountOptions, type FastifyMountPlugin } from './fastify-mount.ts'
export type { FastifyReplyLike } from './fastify-reply.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling: set behind a guard. On optional and unguarded routes use `principalOf`. */
    readonly principal: Principal
    /** What the handler says about the PHI it touches; set behind a guard. */
    readonly audit: AuditHandle
  }
}

/** What a guard reads of Fastify's request, whatever its generics; `raw` is Node's. */
export interface FastifyRequestLike {
  readonly raw: object
  readonly server: object
  readonly originalUrl: string
  readonly params: unknown
  readonly is404: boolean
  readonly routeOptions: { readonly url?: string | undefined; readonly handler?: unknown }
}

/** An `onRequest` hook of a route, in callback style, so that the body of a refused request is never parsed. */
export type FastifyGuard = (request: FastifyRequestLike, reply: FastifyReplyLike, done: (error?: Error) => void) => void

/** A not-found handler. */
export type FastifyNotFoundHandler = (request: FastifyRequestLike, reply: FastifyReplyLike) => void

/** A Fastify instance, whatever its server, type provider and logger. */
export interface FastifyInstanceLike {
  readonly decorate: (...args: never[]) => unknown
  readonly hasDecorator: (...args: never[]) => unknown
  readonly addHook: (...args: never[]) => unknown
}

/** The slice of it that the plugin uses. */
interface Instance {
  decorate(name: string | symbol, value: unknown): unknown
  hasDecorator(name: string | symbol): boolean
  addHook(name: 'onRequest', hook: FastifyGuard): unknown
  addHook(name: 'preSerialization', hook: FastifyAnswerHook): unknown
  addHook(name: 'onRoute', hook: (route: FastifyRouteLike) => void): unknown
}

type FastifyAnswerHook = (
  request: FastifyRequestLike,
  reply: FastifyReplyLike,
  payload: unknown,
  done: (error: Error | null, payload: unknown) => void,
) => void

type ErrorHandler = (this: unknown, error: unknown, request: FastifyRequestLike, reply: FastifyReplyLike) => unknown

interface FastifyRouteLike {
  errorHandler?: ErrorHandler | undefined
}

/** For `await app.register(plugin)`, on every instance whose routes are guarded, or one above it. */
export type FastifyAuthPlugin = (instance: FastifyInstanceLike, options: object, done: (error?: Error) => void) => void

/** The guards of one auth, for routes of Fastify; each is checked when it is made, and throws `GuardError`. */
export interface FastifyGuards {
  readonly plugin: FastifyAuthPlugin
  /** All of the scopes. Complete by itself: authenticates, decides and audits. */
  readonly requireScope: (scopes: ScopeList, options?: GuardOptions) => FastifyGuard
  /** At least one of the scopes. */
  readonly requireAnyScope: (scopes: ScopeList, options?: GuardOptions) => FastifyGuard
  /** An identity, no scope. */
  readonly authenticate: (options?: AuthenticateOptions) => FastifyGuard
  /** The caller's organization must be the one that the function names. */
  readonly requireOrganization: (organization: (request: GuardRequest) => unknown) => FastifyGuard
  /** Says that a route is open on purpose. Reads no credential and writes no event. */
  readonly publicRoute: (reason: string) => FastifyGuard
  /** For `setNotFoundHandler`: authenticates, audits and answers 404 in our envelope, before a body is parsed. */
  readonly catchAll: () => FastifyNotFoundHandler
  /** Of this `auth`; `null` before its guard and on an anonymous pass. */
  readonly principalOf: (request: { readonly raw: object }) => Principal | null
  /** For an instance, after `await app.ready()`: throws a table of the routes that nothing guards. */
  readonly assertGuarded: (app: object, options?: CoverageOptions) => void
  /** Every route, and what its guards ask for; after `await app.ready()`. */
  readonly routeInventory: (app: object, options?: CoverageOptions) => readonly GuardedRoute[]
}

/** What the helpers below share: one `auth`, and how its plugin is recognised. */
interface Adapter {
  readonly kit: AdapterKit
  /** Decorates the instances that this `auth`'s plugin is registered on; inherited by the instances below. */
  readonly mark: symbol
  readonly notFoundHandlers: WeakSet<object>
}

/** The guards of one `auth` for Fastify 5: `app.get(path, { onRequest: requireScope('read:patients') }, handler)`. */
export function fastifyGuards(auth: Auth): FastifyGuards {
  const adapter: Adapter = { kit: adapterKit(auth), mark: Symbol('healthcloud.auth'), notFoundHandlers: new WeakSet() }
  const { requirements } = adapter.kit
  const guard = (requirement: Requirement): FastifyGuard =>
    markGuard<FastifyGuard>((request, reply, done) => run(adapter, requirement, { request, reply, done }), requirement)
  return Object.freeze({
    plugin: pluginOf(adapter),
    requireScope: (scopes: ScopeList, options?: GuardOptions) => guard(requirements.scope(scopes, options)),
    requireAnyScope: (scopes: ScopeList, options?: GuardOptions) => guard(requirements.anyScope(scopes, options)),
    authenticate: (options?: AuthenticateOptions) => guard(requirements.identity(options)),
    requireOrganization: (organization: (request: GuardRequest) => unknown) =>
      guard(requirements.organization(organization)),
    catchAll: () => notFoundHandler(adapter),
    publicRoute: (reason: string) =>
      markPublic<FastifyGuard>((_request, _reply, done) => done(), checkPublicReason(reason)),
    principalOf: (request: { readonly raw: object }) => adapter.kit.principalOf(request.raw as IncomingMessage),
    assertGuarded: assertFastifyGuarded,
    routeInventory: fastifyInventory,
  })
}

interface Step {
  readonly request: FastifyRequestLike
  readonly reply: FastifyReplyLike
  readonly done: (error?: Error) => void
}

function run(adapter: Adapter, requirement: Requirement, step: Step): void {
  const call = new FastifyCall(step)
  if (!hasPlugin(step.request.server, adapter.mark)) {
    takeOver(step.reply)
    adapter.kit.conflict(call, 'PLUGIN_MISSING')
    return
  }
  const verdict = adapter.kit.guard(call, requirement)
  if (verdict instanceof Promise) verdict.then((each) => proceed(adapter.kit, each, { call, step })).catch(step.done)
  else proceed(adapter.kit, verdict, { call, step })
}

function proceed(kit: AdapterKit, verdict: Verdict, { call, step }: { call: Call; step: Step }): void {
  const { request, reply, done } = step
  if (verdict.kind === 'pass') {
    if (kit.introduce(request, verdict.exchange)) {
      // Fastify keeps the context across the parsing of the body by itself.
      within(request.raw, done)
      return
    }
    takeOver(reply)
    kit.conflict(call, 'PRINCIPAL_CONFLICT')
    return
  }
  takeOver(reply)
  if (verdict.kind === 'refuse') kit.send(verdict.exchange, verdict.answer)
}

/** A class: an object with closures in it costs each request several times as much. */
class FastifyCall implements Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly #request: FastifyRequestLike
  readonly #reply: FastifyReplyLike

  constructor({ request, reply }: Step) {
    this.request = request.raw as IncomingMessage
    this.response = reply.raw as ServerResponse
    this.#request = request
    this.#reply = reply
  }

  get url(): string {
    return this.#request.originalUrl
  }

  place(): Place {
    return { template: templateOf(this.#request), params: ownStrings(this.#request.params) }
  }

  setHeader(name: string, value: string): void {
    this.#reply.header(name, value)
  }
}

function templateOf(request: FastifyRequestLike): string {
  const { url } = request.routeOptions
  return url === undefined || request.is404 ? '*' : withoutTrailingSlash(url)
}

function hasPlugin(server: object, mark: symbol): boolean {
  return Reflect.get(server, mark) === true
}

/** Not encapsulated (`skip-override`): its hooks and its mark hold for the instance that it is registered on. */
function pluginOf(adapter: Adapter): FastifyAuthPlugin {
  const plugin: FastifyAuthPlugin = (host, _options, done) => {
    const instance = host as unknown as Instance
    if (!instance.hasDecorator(adapter.mark)) {
      instance.decorate(adapter.mark, true)
      instance.addHook('onRequest', answerNotFound(adapter))
      instance.addHook('preSerialization', showAnswer(adapter.kit))
      instance.addHook('onRoute', (route) => answerMismatches(adapter.kit, route))
      watchRoutes(host)
    }
    done()
  }
  return Object.assign(plugin, {
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: '@healthcloud/auth',
    [Symbol.for('plugin-meta')]: { name: '@healthcloud/auth', fastify: '5.x' },
  })
}

/** An unknown path is answered before its body is parsed: the not-found handler itself would come after. */
function answerNotFound(adapter: Adapter): FastifyGuard {
  return (request, reply, done) => {
    const handler = request.is404 ? request.routeOptions.handler : undefined
    if (typeof handler === 'function' && adapter.notFoundHandlers.has(handler)) {
      run(adapter, adapter.kit.requirements.catchAll, { request, reply, done })
    } else {
      done()
    }
  }
}

/** Fastify calls it for objects alone, before it makes text of them. */
function showAnswer(kit: AdapterKit): FastifyAnswerHook {
  return (request, _reply, payload, done) => {
    const exchange = kit.exchangeOf(request.raw as IncomingMessage)
    if (exchange !== null) kit.show(exchange, payload)
    done(null, payload)
  }
}

function notFoundHandler(adapter: Adapter): FastifyNotFoundHandler {
  const handle: FastifyNotFoundHandler = (request, reply) => {
    run(adapter, adapter.kit.requirements.catchAll, { request, reply, done: () => undefined })
  }
  // Fastify binds a not-found handler to its instance; ours needs no `this`, and stays recognisable by identity.
  Object.defineProperty(handle, 'bind', { value: () => handle })
  adapter.notFoundHandlers.add(handle)
  return markGuard(handle, adapter.kit.requirements.catchAll)
}

/** `auth.assertOrganization` throws in the handler; our answer is given by the route's error handler, before the host's. */
function answerMismatches(kit: AdapterKit, route: FastifyRouteLike): void {
  const theirs = route.errorHandler
  route.errorHandler = function onError(error, request, reply) {
    const refusal = isMismatch(error) ? kit.mismatch(request.raw as IncomingMessage) : null
    if (refusal !== null) {
      takeOver(reply)
      kit.send(refusal.exchange, refusal.answer)
      return undefined
    }
    if (theirs !== undefined) return theirs.call(this, error, request, reply)
    throw error
  }
}
