// The same routes on every framework that is supported, by the package as it is shipped.
import http from 'node:http'
import Router from '@koa/router'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import { expressGuards } from '@healthcloud/auth/express'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { koaGuards } from '@healthcloud/auth/koa'

/** `routes`: `{ method, path, guard: (guards) => guard, handle: ({ params, audit, host }) => { status?, body } }`. */
export const FRAMEWORKS = {
  'Express 4': (auth, routes) => onExpress(express4, auth, routes),
  'Express 5': (auth, routes) => onExpress(express, auth, routes),
  'Koa 2': (auth, routes) => onKoa(Koa2, auth, routes),
  'Koa 3': (auth, routes) => onKoa(Koa, auth, routes),
  'Fastify 5': onFastify,
}

async function onExpress(create, auth, routes) {
  const app = create()
  const guards = expressGuards(auth)
  for (const { method, path, guard, handle } of routes) {
    app[method](path, guard(guards), (request, response, next) => {
      void Promise.resolve()
        .then(() => handle({ params: request.params, audit: request.audit, host: request }))
        .then(({ status = 200, body }) => response.status(status).json(body))
        .catch(next)
    })
  }
  app.use(guards.catchAll())
  // An app without an error handler prints what a handler threw: that is the host's own doing.
  app.set('env', 'test')
  return http.createServer(app)
}

async function onKoa(Application, auth, routes) {
  const app = new Application()
  app.silent = true
  const router = new Router()
  const guards = koaGuards(auth)
  for (const { method, path, guard, handle } of routes) {
    router[method](path, guard(guards), async (context) => {
      const { status = 200, body } = await handle({
        params: context.params,
        audit: context.state.audit,
        host: context.state,
      })
      context.status = status
      context.body = body
    })
  }
  app.use(router.routes())
  app.use(router.allowedMethods())
  app.use(guards.catchAll())
  return http.createServer(app.callback())
}

async function onFastify(auth, routes) {
  let server = null
  const app = Fastify({
    serverFactory: (handler) => {
      server = http.createServer(handler)
      return server
    },
  })
  const { plugin, ...guards } = fastifyGuards(auth)
  await app.register(plugin)
  for (const { method, path, guard, handle } of routes) {
    app.route({
      method: method.toUpperCase(),
      url: path,
      onRequest: guard(guards),
      handler: async (request, reply) => {
        const { status = 200, body } = await handle({ params: request.params, audit: request.audit, host: request })
        return reply.code(status).send(body)
      },
    })
  }
  app.setNotFoundHandler(guards.catchAll())
  await app.ready()
  return server
}
