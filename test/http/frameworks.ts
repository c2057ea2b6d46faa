import http from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import Router from '@koa/router'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import { expressGuards } from '../../adapters/express.ts'
import { fastifyGuards } from '../../adapters/fastify.ts'
import { koaGuards } from '../../adapters/koa.ts'
import type { Auth, AuthenticateOptions, GuardOptions, GuardRequest, Principal, Scope } from '../../src/index.ts'
import type { AuditHandle } from '../../src/exchange/audit-notes.ts'

/** What a handler of the suite gets, alike on every framework. */
export interface Handled {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** What the framework's own property holds. */
  readonly principal: Principal
  readonly audit: AuditHandle
  readonly params: Readonly<Record<string, string>>
  /** The framework's own request, context or state holder: whatever a handler can tamper with. */
  readonly host: object
  /** By `principalOf` of the guards that this route was built with. */
  principalOf(): Principal | null
}

export interface Reply {
  readonly status?: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** A guard as a function of the guards of whatever framework runs. */
export type GuardOf = (guards: SuiteGuards) => unknown

export interface SuiteGuards {
  requireScope(scopes: Scope | readonly [Scope, ...Scope[]], options?: GuardOptions): unknown
  requireAnyScope(scopes: Scope | readonly [Scope, ...Scope[]], options?: GuardOptions): unknown
  authenticate(options?: AuthenticateOptions): unknown
  requireOrganization(organization: (request: GuardRequest) => unknown): unknown
  publicRoute(reason: string): unknown
}

export interface SuiteRoute {
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  /** In order; each of the auth with this index (default 0). */
  readonly guards: readonly (GuardOf | { readonly auth: number; readonly guard: GuardOf })[]
  /** `'taken'`: the handler has answered on Node's response by itself. */
  readonly handle: (handled: Handled) => Reply | 'taken' | Promise<Reply | 'taken'>
  /** Runs before the guards, with the framework's own request (Koa: the context). */
  readonly before?: (host: object, request: IncomingMessage) => void
}

export interface SuiteApp {
  readonly routes: readonly SuiteRoute[]
  /** Mount `catchAll()` of the first auth. Default true. */
  readonly catchAll?: boolean
}

export interface Framework {
  readonly name: string
  listener(auths: readonly Auth[], app: SuiteApp): Promise<{ listener: RequestListener; close(): Promise<void> }>
}

/** The five framework versions that are supported. */
export const FRAMEWORKS: readonly Framework[] = [
  expressFramework('Express 4', express4),
  expressFramework('Express 5', express),
  koaFramework('Koa 2', Koa2),
  koaFramework('Koa 3', Koa),
  fastifyFramework(),
]

const authAndGuard = (each: SuiteRoute['guards'][number]) =>
  typeof each === 'function' ? { auth: 0, guard: each } : each

function at<T>(list: readonly T[], index: number): T {
  const item = list[index]
  if (item === undefined) throw new RangeError(`no item ${index}`)
  return item
}

function expressFramework(name: string, create: typeof express): Framework {
  return {
    name,
    listener: async (auths, { routes, catchAll = true }) => {
      const app = create()
      const guards = auths.map((auth) => expressGuards(auth))
      for (const route of routes) {
        const method = (route.method ?? 'GET').toLowerCase() as 'get'
        const before: express.RequestHandler = (request, _response, next) => {
          route.before?.(request, request)
          next()
        }
        const chain = route.guards.map((each) => {
          const { auth, guard } = authAndGuard(each)
          return guard(at(guards, auth)) as express.RequestHandler
        })
        const last = authAndGuard(route.guards.at(-1) ?? (() => undefined)).auth
        const handler: express.RequestHandler = (request, response, next) => {
          const handled: Handled = {
            request,
            response,
            principal: request.principal,
            audit: request.audit,
            params: request.params as Record<string, string>,
            host: request,
            principalOf: () => at(guards, last).principalOf(request),
          }
          Promise.resolve()
            .then(() => route.handle(handled))
            .then((reply) => {
              if (reply === 'taken') return
              response.status(reply.status ?? 200).set(reply.headers ?? {})
              if (reply.body === undefined) response.end()
              else response.json(reply.body)
            })
            .catch(next)
        }
        app[method](route.path, before, ...chain, handler)
      }
      if (catchAll) app.use(at(guards, 0).catchAll() as express.RequestHandler)
      // An app without error handler prints the stack of what a handler threw.
      app.set('env', 'test')
      return { listener: app as unknown as RequestListener, close: async () => undefined }
    },
  }
}

function koaFramework(name: string, Application: typeof Koa): Framework {
  return {
    name,
    listener: async (auths, { routes, catchAll = true }) => {
      const app = new Application()
      app.silent = true
      const router = new Router()
      const guards = auths.map((auth) => koaGuards(auth))
      for (const route of routes) {
        const method = (route.method ?? 'GET').toLowerCase() as 'get'
        const chain = route.guards.map((each) => {
          const { auth, guard } = authAndGuard(each)
          return guard(at(guards, auth)) as never
        })
        const last = authAndGuard(route.guards.at(-1) ?? (() => undefined)).auth
        router[method](
          route.path,
          (context, next) => {
            route.before?.(context.state, context.req)
            return next()
          },
          ...chain,
          async (context) => {
            const reply = await route.handle({
              request: context.req,
              response: context.res,
              principal: context.state['principal'],
              audit: context.state['audit'],
              params: context.params,
              host: context.state,
              principalOf: () => at(guards, last).principalOf(context),
            })
            if (reply === 'taken') {
              context.respond = false
              return
            }
            context.set((reply.headers ?? {}) as Record<string, string>)
            context.status = reply.status ?? 200
            context.body = reply.body === undefined ? null : reply.body
            if (reply.body === undefined) context.status = reply.status ?? 200
          },
        )
      }
      app.use(router.routes())
      app.use(router.allowedMethods())
      if (catchAll) app.use(at(guards, 0).catchAll())
      const callback = app.callback()
      return { listener: (request, response) => void callback(request, response), close: async () => undefined }
    },
  }
}

function fastifyFramework(): Framework {
  return {
    name: 'Fastify 5',
    listener: async (auths, { routes, catchAll = true }) => {
      let listener: RequestListener | undefined
      const app = Fastify({
        serverFactory: (handler) => {
          listener = handler
          return http.createServer(handler)
        },
      })
      const guards = auths.map((auth) => fastifyGuards(auth))
      for (const { plugin } of guards) await app.register(plugin)
      for (const route of routes) {
        const chain = route.guards.map((each) => {
          const { auth, guard } = authAndGuard(each)
          return guard(at(guards, auth)) as never
        })
        const last = authAndGuard(route.guards.at(-1) ?? (() => undefined)).auth
        app.route({
          method: route.method ?? 'GET',
          url: route.path,
          onRequest: [
            (request, _reply, done) => {
              route.before?.(request, request.raw)
              done()
            },
            ...chain,
          ],
          handler: async (request, reply) => {
            const answered = await route.handle({
              request: request.raw,
              response: reply.raw,
              principal: request.principal,
              audit: request.audit,
              params: request.params as Record<string, string>,
              host: request,
              principalOf: () => at(guards, last).principalOf(request),
            })
            if (answered === 'taken') {
              reply.hijack()
              return reply
            }
            return reply
              .code(answered.status ?? 200)
              .headers(answered.headers ?? {})
              .send(answered.body)
          },
        })
      }
      if (catchAll) app.setNotFoundHandler(at(guards, 0).catchAll())
      await app.ready()
      if (listener === undefined) throw new Error('Fastify made no listener')
      return { listener, close: () => app.close() }
    },
  }
}

export interface RunningServer {
  readonly url: string
  readonly port: number
  readonly server: Server
  close(): Promise<void>
}

/** Serves on a port of this machine's loopback; with `tls`, over HTTPS. */
export async function serve(
  framework: Framework,
  auths: readonly Auth[],
  app: SuiteApp,
  tls?: { key: string; cert: string },
): Promise<RunningServer> {
  const { listener, close } = await framework.listener(auths, app)
  const server = tls === undefined ? http.createServer(listener) : https.createServer(tls, listener)
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    server,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => {
        server.close(resolve)
      })
      await close()
    },
  }
}
