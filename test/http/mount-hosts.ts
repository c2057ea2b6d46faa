import http from 'node:http'
import type { IncomingMessage, RequestListener } from 'node:http'
import Router from '@koa/router'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import { mount as mountExpress } from '../../adapters/express.ts'
import { mount as mountFastify } from '../../adapters/fastify.ts'
import { mount as mountKoa } from '../../adapters/koa.ts'
import type { ServerHandler } from '../../src/server/handler.ts'
import { serve, type RunningServer } from './frameworks.ts'

export interface Mounted {
  /** Default POST. */
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly handler: ServerHandler
}

export interface MountOptions {
  /** What reads bodies before the mounted route. Default: nothing. */
  readonly parser?: 'parser' | 'swallow' | undefined
  /** Headers that middleware sets before. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A host with mounted handlers, and `POST /host`, a route of its own behind its own parser, which answers the body as parsed. */
export interface MountHost {
  readonly name: string
  serve(mounts: readonly Mounted[], options?: MountOptions): Promise<RunningServer>
}

export const MOUNT_HOSTS: readonly MountHost[] = [
  expressHost('Express 4', express4),
  expressHost('Express 5', express),
  koaHost('Koa 2', Koa2),
  koaHost('Koa 3', Koa),
  fastifyHost(),
]

function running(
  name: string,
  make: () => Promise<{ listener: RequestListener; close(): Promise<void> }>,
): Promise<RunningServer> {
  return serve({ name, listener: make }, [], { routes: [] })
}

function expressHost(name: string, create: typeof express): MountHost {
  return {
    name,
    serve: (mounts, { parser, headers = {} } = {}) =>
      running(name, async () => {
        const app = create()
        app.set('env', 'test')
        app.use((_request, response, next) => {
          response.set(headers)
          next()
        })
        if (parser === 'parser') app.use(create.json(), create.urlencoded({ extended: true }))
        if (parser === 'swallow') app.use((request, _response, next) => void swallow(request).then(() => next(), next))
        const nested = create.Router()
        for (const { method = 'POST', path, handler } of mounts) {
          nested[method === 'GET' ? 'get' : 'post'](path.replace('/v1', ''), mountExpress(handler))
        }
        app.use('/v1', nested)
        app.post('/host', create.json(), (request, response) => void response.json(request.body))
        return { listener: app as unknown as RequestListener, close: async () => undefined }
      }),
  }
}

async function swallow(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

/** As the usual parsers for Koa do: the parsed body on Koa's request, `{}` where the type is none of theirs. */
async function parseAsKoaDoes(context: Koa.Context): Promise<void> {
  const type = context.request.type
  let body: unknown = {}
  if (type === 'application/json') body = JSON.parse((await swallow(context.req)) || '{}')
  else if (type.endsWith('urlencoded')) body = Object.fromEntries(new URLSearchParams(await swallow(context.req)))
  Object.assign(context.request, { body })
}

function koaHost(name: string, Application: typeof Koa): MountHost {
  return {
    name,
    serve: (mounts, { parser, headers = {} } = {}) =>
      running(name, async () => {
        const app = new Application()
        app.silent = true
        app.use(async (context, next) => {
          context.set(headers)
          await next()
          // Middleware that has its own idea of the answer comes too late.
          context.status = 202
        })
        if (parser === 'parser') {
          app.use(async (context, next) => {
            await parseAsKoaDoes(context)
            await next()
          })
        }
        if (parser === 'swallow') {
          app.use(async (context, next) => {
            await swallow(context.req)
            await next()
          })
        }
        const router = new Router({ prefix: '/v1' })
        for (const { method = 'POST', path, handler } of mounts) {
          router[method === 'GET' ? 'get' : 'post'](path.replace('/v1', ''), mountKoa(handler))
        }
        app.use(router.routes()).use(router.allowedMethods())
        app.use(async (context) => {
          if (context.path !== '/host') return
          if (parser !== 'parser') await parseAsKoaDoes(context)
          context.body = Reflect.get(context.request, 'body')
        })
        const callback = app.callback()
        return { listener: (request, response) => void callback(request, response), close: async () => undefined }
      }),
  }
}

function fastifyHost(): MountHost {
  return {
    name: 'Fastify 5',
    serve: (mounts, { parser, headers = {} } = {}) =>
      running('Fastify 5', async () => {
        let listener: RequestListener | undefined
        const app = Fastify({
          serverFactory: (handler) => {
            listener = handler
            return http.createServer(handler)
          },
        })
        app.addHook('onRequest', async (_request, reply) => void reply.headers(headers))
        if (parser === 'swallow') app.addHook('onRequest', async (request) => void (await swallow(request.raw)))
        if (parser === 'parser') {
          app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
            done(null, Object.fromEntries(new URLSearchParams(String(body)))),
          )
        }
        for (const { method, path, handler } of mounts) {
          await app.register(mountFastify(path.replace('/v1', ''), handler, method === undefined ? {} : { method }), {
            prefix: '/v1',
          })
        }
        app.post('/host', async (request) => request.body)
        await app.ready()
        if (listener === undefined) throw new Error('Fastify made no listener')
        return { listener, close: () => app.close() }
      }),
  }
}
