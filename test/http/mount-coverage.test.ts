import Router from '@koa/router'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import { expect, test } from 'vitest'
import { expressGuards, mount as mountExpress } from '../../adapters/express.ts'
import { fastifyGuards, mount as mountFastify } from '../../adapters/fastify.ts'
import { koaGuards, mount as mountKoa } from '../../adapters/koa.ts'
import { createAuth, memoryKeyStore } from '../../src/index.ts'
import { handlerOf } from '../../src/server/handler.ts'
import { lineOf } from '../adapters/coverage-rows.ts'

const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
const handler = handlerOf(auth, async () => ({ status: 200, headers: {}, body: '' }))

test.each([
  ['4', express4],
  ['5', express],
])('a mounted handler counts as guarded in Express %s', (_version, create) => {
  const { assertGuarded, routeInventory, requireScope } = expressGuards(auth)
  const app = create()
  app.use(create.json())
  app.post('/v1/auth/token', mountExpress(handler))
  app.get('/v1/keys', requireScope('admin:org'), mountExpress(handler))
  app.post('/behind', create.json(), mountExpress(handler))
  expect(routeInventory(app).map(lineOf)).toEqual([
    'POST /v1/auth/token | guarded mount',
    'GET /v1/keys | guarded all admin:org',
    'POST /behind | open - | guard stands behind `jsonParser`',
  ])
  expect(() => assertGuarded(app)).toThrow(/1 of 3/)
  expect(() => assertGuarded(app, { accept: ['jsonParser'] })).not.toThrow()
})

test.each([
  ['2', Koa2],
  ['3', Koa],
])('a mounted handler counts as guarded in Koa %s', (_version, Application) => {
  const { assertGuarded, routeInventory } = koaGuards(auth)
  const router = new Router({ prefix: '/v1' })
  router.post('/auth/token', mountKoa(handler))
  const app = new Application().use(router.routes()).use(router.allowedMethods())
  expect(routeInventory(app).map(lineOf)).toEqual(['POST /v1/auth/token | guarded mount'])
  expect(() => assertGuarded(app)).not.toThrow()
})

test('a mounted handler counts as guarded in Fastify 5', async () => {
  const { assertGuarded, plugin, routeInventory } = fastifyGuards(auth)
  const app = Fastify()
  await app.register(plugin)
  await app.register(mountFastify('/auth/token', handler), { prefix: '/v1' })
  await app.register(mountFastify('/.well-known/jwks.json', handler, { method: 'GET' }))
  await app.ready()
  expect(routeInventory(app).map(lineOf)).toEqual([
    'POST /v1/auth/token | guarded mount',
    'GET /.well-known/jwks.json | guarded mount',
    'HEAD /.well-known/jwks.json | guarded mount',
  ])
  expect(() => assertGuarded(app)).not.toThrow()
  await app.close()
})

test('a mounted handler concerns no PHI', () => {
  const app = express()
  app.post('/v1/auth/token', mountExpress(handler))
  expect(expressGuards(auth).routeInventory(app)).toMatchObject([
    { guarded: true, phi: false, scopes: [], reason: null },
  ])
})
