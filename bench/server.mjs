// One server of the HTTP part, a process of its own: `node bench/server.mjs <framework> <guard>`; answers over IPC.
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Router from '@koa/router'
import fastifyJwt from '@fastify/jwt'
import express from 'express'
import { auth as oauth2, requiredScopes } from 'express-oauth2-jwt-bearer'
import Fastify from 'fastify'
import Koa from 'koa'
import koaJwt from 'koa-jwt'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { expressGuards } from '@healthcloud/auth/express'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { koaGuards } from '@healthcloud/auth/koa'

const [framework, guard] = process.argv.slice(2)
const { issuer, audience, jwk, publicPem, records, jwksPort } = JSON.parse(process.env.BENCH)
const SCOPE = 'read:patients'
const body = { id: '123', resourceType: 'Patient' }
let directory

/** Dates do not survive JSON. */
function revived(record) {
  return Object.assign(record, { environment: LIVE.has(guard) ? 'live' : 'test', createdAt: new Date(0) })
}

/** With a journal, whose lines are in the kernel, or on the disk, before a handler runs. */
const LIVE = new Map([
  ['live', 'written'],
  ['synced', 'synced'],
])

function ours() {
  const durability = LIVE.get(guard)
  const live = durability !== undefined
  if (live) directory = mkdtempSync(join(tmpdir(), 'hc-bench-'))
  return createAuth({
    environment: live ? 'live' : 'test',
    keys: {
      store: memoryKeyStore(records.map(revived)),
      cacheSeconds: 3600,
    },
    tokens: { issuer, audience, jwks: { keys: [jwk] } },
    transport: { https: 'off' },
    ...(live
      ? {
          audit: {
            directory,
            durability,
            pseudonymKeys: [{ id: 'k1', secret: Buffer.alloc(32, 1).toString('base64') }],
          },
        }
      : {}),
  })
}

/** What others do: the facts of the event as one line of pino, with a synchronous destination and without a chain. */
async function pinoLines() {
  const { default: pino } = await import('pino')
  directory = mkdtempSync(join(tmpdir(), 'hc-bench-'))
  const logger = pino(pino.destination({ dest: join(directory, 'pino.log'), sync: true }))
  return (request, reply) => logger.info({ audit: factsOf(request, reply) }, 'healthcloud.audit.access')
}

/** As many members as an event has, made anew for each call. */
function factsOf(request, reply) {
  const time = new Date().toISOString()
  return {
    v: 1,
    id: randomUUID(),
    kind: 'access',
    name: 'request',
    time,
    recorded: time,
    durationMs: reply.elapsedTime,
    outcome: 'success',
    reason: null,
    action: 'R',
    actor: {
      kind: 'api-key',
      org: request.principal.organizationId,
      keyId: request.principal.keyId,
      sub: null,
      jti: null,
    },
    target: null,
    env: 'live',
    scopes: { granted: [...request.principal.scopes], required: [SCOPE] },
    client: { ip: request.ip, via: 0 },
    http: { method: request.method, route: request.routeOptions.url, status: reply.statusCode, query: [], bytes: 36 },
    requestId: request.id,
    operation: null,
    purpose: null,
    phi: { interaction: 'read', types: ['Patient'], patients: [`pt_k1_${request.params.id}`], patientCount: 1 },
    delivered: 'full',
    count: 1,
    part: null,
    service: { name: 'bench', version: null, instance: 'host:1' },
  }
}

const FRAMEWORKS = {
  express: () => {
    const app = express()
    const handler = (_request, response) => void response.json(body)
    const guards = {
      bare: () => [],
      test: () => [expressGuards(ours()).requireScope(SCOPE)],
      live: () => [expressGuards(ours()).requireScope(SCOPE)],
      peer: () => [
        oauth2({ issuer, audience, jwksUri: `http://127.0.0.1:${jwksPort}/jwks`, tokenSigningAlg: 'RS256' }),
        requiredScopes(SCOPE),
      ],
    }
    app.get('/v1/patients/:id', ...guards[guard](), handler)
    app.use((error, _request, response, _next) => void response.status(error.status ?? 500).json({}))
    return app
  },
  koa: () => {
    const app = new Koa()
    app.silent = true
    const router = new Router()
    const handler = (context) => {
      context.body = body
    }
    const scoped = (context, next) => {
      if (!String(context.state.user.scope).split(' ').includes(SCOPE)) context.throw(403)
      return next()
    }
    const guards = {
      bare: () => [],
      test: () => [koaGuards(ours()).requireScope(SCOPE)],
      live: () => [koaGuards(ours()).requireScope(SCOPE)],
      peer: () => [koaJwt({ secret: publicPem, algorithms: ['RS256'], issuer, audience }), scoped],
    }
    router.get('/v1/patients/:id', ...guards[guard](), handler)
    app.use(router.routes())
    return app.callback()
  },
  fastify: async () => {
    const app = Fastify()
    const hooks = {
      bare: () => [],
      test: async () => {
        const { plugin, requireScope } = fastifyGuards(ours())
        await app.register(plugin)
        return [requireScope(SCOPE)]
      },
      peer: async () => {
        await app.register(fastifyJwt, {
          secret: { public: publicPem },
          verify: { algorithms: ['RS256'], allowedIss: issuer, allowedAud: audience },
        })
        return [
          async (request, reply) => {
            await request.jwtVerify()
            if (!request.user.scope.split(' ').includes(SCOPE)) return reply.code(403).send()
          },
        ]
      },
    }
    hooks.live = hooks.test
    hooks.synced = hooks.test
    hooks.pino = async () => {
      const log = await pinoLines()
      app.addHook('onResponse', async (request, reply) => log(request, reply))
      return hooks.test()
    }
    app.get('/v1/patients/:id', { onRequest: await hooks[guard]() }, () => body)
    await app.ready()
    return (request, response) => app.routing(request, response)
  },
}

const server = http.createServer(await FRAMEWORKS[framework]())
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('message', () => process.send({ cpu: process.cpuUsage() }))
process.on('disconnect', () => {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
  process.exit()
})
