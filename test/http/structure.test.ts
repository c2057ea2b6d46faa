import http from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import Router from '@koa/router'
import express from 'express'
import express4 from 'express4'
import Fastify, { type FastifyInstance } from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import { afterEach, describe, expect, test } from 'vitest'
import { expressGuards } from '../../adapters/express.ts'
import { fastifyGuards } from '../../adapters/fastify.ts'
import { koaGuards } from '../../adapters/koa.ts'
import type { AuditEvent } from '../../src/index.ts'
import { FRAMEWORKS, serve, type SuiteApp } from './frameworks.ts'
import { send, type Answered, type Sent } from './send.ts'
import { createWorld, type World } from './world.ts'

const DOCS = 'https://healthcloud.ai/docs/api/authentication'
const envelope = (code: string, message: string, requestId: string) =>
  `{"error":{"code":"${code}","message":"${message}","requestId":"${requestId}","docsUrl":"${DOCS}"}}`
const KEY_401 = (requestId: string) => envelope('UNAUTHORIZED', 'Invalid or expired API key.', requestId)
const FORBIDDEN = (requestId: string) =>
  envelope('ORGANIZATION_MISMATCH', 'This credential belongs to another organization.', requestId)

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const each of cleanups.splice(0).toReversed()) await each()
})

async function newWorld(): Promise<World> {
  const world = await createWorld()
  cleanups.push(() => world.close())
  return world
}

/** Serves a listener of the host's own making. */
async function listen(listener: RequestListener): Promise<string> {
  const server = http.createServer(listener)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  cleanups.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => {
      server.close(resolve)
    })
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function listenFastify(app: FastifyInstance): Promise<string> {
  cleanups.push(() => app.close())
  return app.listen({ port: 0, host: '127.0.0.1' })
}

async function listenSuite(world: World, name: string, app: SuiteApp, more: readonly World[] = []): Promise<string> {
  const framework = FRAMEWORKS.find((each) => each.name === name)
  if (framework === undefined) throw new RangeError(name)
  const server = await serve(framework, [world.auth, ...more.map(({ auth }) => auth)], app)
  cleanups.push(() => server.close())
  return server.url
}

const koaListener = (app: Koa): RequestListener => {
  app.silent = true
  const callback = app.callback()
  return (request, response) => void callback(request, response)
}

function ask(
  url: string,
  world: World,
  { key, id = 'r-1', ...more }: Sent & { key?: string; id?: string },
): Promise<Answered> {
  return send(url, {
    ...more,
    headers: [
      ...(key === undefined ? [] : ([['Authorization', `Bearer ${world.keys[key] ?? key}`]] as const)),
      ['X-Request-Id', id],
      ...(more.headers ?? []),
    ],
  })
}

async function eventOf(world: World, id = 'r-1'): Promise<AuditEvent> {
  const events = (await world.flushed()).filter(({ requestId }) => requestId === id)
  expect(events).toHaveLength(1)
  const [event] = events
  if (event === undefined) throw new Error('no event')
  return event
}

function expectOurs(answer: Answered, status: number, body: string): void {
  expect([answer.status, answer.body]).toEqual([status, body])
  expect(answer.headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'content-length': String(Buffer.byteLength(body)),
  })
  for (const name of ['etag', 'content-encoding', 'transfer-encoding', 'last-modified'])
    expect(answer.headers).not.toHaveProperty(name)
}

const EXPRESSES = [
  ['Express 4', express4],
  ['Express 5', express],
] as const
const KOAS = [
  ['Koa 2', Koa2],
  ['Koa 3', Koa],
] as const
const handlerOf = (guard: unknown) => guard as express.RequestHandler
const middlewareOf = (guard: unknown) => guard as Koa.Middleware

describe.each(EXPRESSES)('%s: the host cannot change our answer', (_name, create) => {
  test('with json spaces, escapes, a replacer, weak ETags, a json of its own and a view engine', async () => {
    const world = await newWorld()
    const { requireScope, catchAll } = expressGuards(world.auth)
    const app = create()
    app.set('json spaces', 4)
    app.set('json escape', true)
    app.set('json replacer', () => 'replaced')
    app.set('etag', 'strong')
    app.use((_request, response, next) => {
      response.json = (() => response.status(200).send('overridden')) as typeof response.json
      response.set('ETag', '"theirs"').set('Last-Modified', new Date(0).toUTCString()).set('X-Theirs', 'kept')
      next()
    })
    app.get(
      '/v1/patients/:id',
      handlerOf(requireScope('read:patients')),
      (_request, response) => void response.end('served'),
    )
    app.use(handlerOf(catchAll()))
    const url = await listen(app)
    const answer = await ask(url, world, { path: '/v1/patients/1' })
    expectOurs(answer, 401, KEY_401('r-1'))
    expect(answer.headers['x-theirs']).toBe('kept')
    const notModified = await ask(url, world, { path: '/v1/patients/1', headers: [['If-None-Match', '*']] })
    expectOurs(notModified, 401, KEY_401('r-1'))
    expectOurs(
      await ask(url, world, { path: '/nowhere', key: 'good' }),
      404,
      envelope('NOT_FOUND', 'No such resource.', 'r-1'),
    )
    expect((await ask(url, world, { path: '/v1/patients/1', key: 'good' })).body).toBe('served')
  })
})

describe('Fastify 5: the host cannot change our answer', () => {
  test('with a response schema for 4xx, serializers, an onSend hook and an error handler', async () => {
    const world = await newWorld()
    const { plugin, requireScope, catchAll } = fastifyGuards(world.auth)
    const app = Fastify()
    let sendHooks = 0
    await app.register(plugin)
    app.setReplySerializer(() => '"serialised"')
    app.setErrorHandler(async () => 'handled')
    app.addHook('onRequest', async (_request, reply) => void reply.header('X-Theirs', 'kept'))
    app.addHook('onSend', async () => {
      sendHooks += 1
      return '"sent"'
    })
    app.addHook('preSerialization', async () => ({ changed: true }))
    const schema = {
      response: { '4xx': { type: 'object', properties: { other: { type: 'string' } }, additionalProperties: false } },
    }
    app.get('/v1/patients/:id', { onRequest: requireScope('read:patients'), schema }, async () => ({ served: true }))
    app.setNotFoundHandler(catchAll())
    const url = await listenFastify(app)
    const answer = await ask(url, world, { path: '/v1/patients/1' })
    expectOurs(answer, 401, KEY_401('r-1'))
    expect([answer.headers['x-theirs'], sendHooks]).toEqual(['kept', 0])
    expectOurs(
      await ask(url, world, { path: '/nowhere', key: 'good' }),
      404,
      envelope('NOT_FOUND', 'No such resource.', 'r-1'),
    )
    expect((await ask(url, world, { path: '/v1/patients/1', key: 'good' })).body).toBe('"sent"')
  })

  test('a HEAD route that it made itself is guarded like its GET', async () => {
    const world = await newWorld()
    const { plugin, requireScope } = fastifyGuards(world.auth)
    const app = Fastify({ exposeHeadRoutes: true })
    await app.register(plugin)
    let handled = 0
    app.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, async () => {
      handled += 1
      return { served: true }
    })
    const url = await listenFastify(app)
    const refused = await ask(url, world, { method: 'HEAD', path: '/v1/patients/1' })
    expect([refused.status, refused.body, refused.headers['www-authenticate'], handled]).toEqual([
      401,
      '',
      'Bearer realm="healthcloud"',
      0,
    ])
    expect((await ask(url, world, { method: 'HEAD', path: '/v1/patients/1', key: 'good', id: 'r-2' })).status).toBe(200)
    expect(await eventOf(world, 'r-2')).toMatchObject({
      action: 'R',
      outcome: 'success',
      http: { method: 'HEAD', route: '/v1/patients/:id', bytes: 0 },
    })
  })
})

describe.each(KOAS)('%s', (_name, create) => {
  test('allowedMethods cannot overwrite our answer, and answers alone what no guard sees', async () => {
    const world = await newWorld()
    const { requireScope, catchAll } = koaGuards(world.auth)
    const app = new create()
    const router = new Router()
    router.get('/v1/patients/:id', middlewareOf(requireScope('read:patients')), (context) => {
      context.body = 'served'
    })
    app.use(router.routes()).use(router.allowedMethods()).use(middlewareOf(catchAll()))
    const url = await listen(koaListener(app))
    expectOurs(await ask(url, world, { path: '/v1/patients/1' }), 401, KEY_401('r-1'))
    expectOurs(
      await ask(url, world, { path: '/v1/nowhere', key: 'good' }),
      404,
      envelope('NOT_FOUND', 'No such resource.', 'r-1'),
    )
    expectOurs(await ask(url, world, { path: '/v1/nowhere' }), 401, KEY_401('r-1'))
    for (const method of ['POST', 'PURGE']) {
      const answer = await ask(url, world, { method, path: '/v1/patients/1', id: `m-${method}` })
      expectOurs(answer, 401, KEY_401(`m-${method}`))
      expect(await eventOf(world, `m-${method}`)).toMatchObject({
        outcome: 'denied',
        http: { method, route: '*', status: 401 },
      })
    }
    expect((await ask(url, world, { path: '/v1/patients/1', key: 'good' })).body).toBe('served')
  })

  test('a guard on the router guards every route of it, and names the route', async () => {
    const world = await newWorld()
    const { requireScope } = koaGuards(world.auth)
    const app = new create()
    const router = new Router({ prefix: '/v1' })
    router.use(middlewareOf(requireScope('read:patients')))
    router.get('/patients/:id', (context) => {
      context.body = context.state['principal'].organizationId
    })
    app.use(router.routes())
    const url = await listen(koaListener(app))
    expect((await ask(url, world, { path: '/v1/patients/77-secret', key: 'good' })).body).toBe('org_1')
    expect(await eventOf(world)).toMatchObject({ http: { route: '/v1/patients/:id' }, phi: { patientCount: 1 } })
    expect((await ask(url, world, { path: '/v1/patients/1' })).status).toBe(401)
  })
})

/** `/orgs/:org/patients/:pid` through real nested routers. */
const NESTED: readonly (readonly [string, (world: World) => Promise<string>])[] = [
  ...EXPRESSES.map(
    ([name, create]) =>
      [
        name,
        async (world: World) => {
          const { requireOrganization, requireScope } = expressGuards(world.auth)
          const app = create()
          const [orgs, patients] = [create.Router({ mergeParams: false }), create.Router()]
          patients.get(
            '/:pid',
            handlerOf(requireOrganization(({ params }) => params['org'])),
            handlerOf(requireScope('read:patients')),
            (request, response) => {
              response.json({ params: request.params, org: request.principal.organizationId })
            },
          )
          orgs.use('/:org/patients', patients)
          app.use('/orgs', orgs)
          return listen(app)
        },
      ] as const,
  ),
  ...KOAS.map(
    ([name, create]) =>
      [
        name,
        async (world: World) => {
          const { requireOrganization, requireScope } = koaGuards(world.auth)
          const app = new create()
          const [root, orgs, patients] = [new Router(), new Router(), new Router()]
          patients.get(
            '/:pid',
            middlewareOf(requireOrganization(({ params }) => params['org'])),
            middlewareOf(requireScope('read:patients')),
            (context) => {
              context.body = { params: context['params'], org: context.state['principal'].organizationId }
            },
          )
          orgs.use('/:org/patients', patients.routes())
          root.use('/orgs', orgs.routes())
          app.use(root.routes())
          return listen(koaListener(app))
        },
      ] as const,
  ),
  [
    'Fastify 5',
    async (world) => {
      const { plugin, requireOrganization, requireScope } = fastifyGuards(world.auth)
      const app = Fastify()
      await app.register(plugin)
      await app.register(
        async (orgs) => {
          await orgs.register(
            async (patients) => {
              patients.get(
                '/:pid',
                { onRequest: [requireOrganization(({ params }) => params['org']), requireScope('read:patients')] },
                async (request) => ({ params: request.params, org: request.principal.organizationId }),
              )
            },
            { prefix: '/:org/patients' },
          )
        },
        { prefix: '/orgs' },
      )
      return listenFastify(app)
    },
  ],
]

describe.each(NESTED)('%s: parameters of mounts nested two deep', (_name, start) => {
  test('reach the guard, make the template, and stand in no event', async () => {
    const world = await newWorld()
    const url = await start(world)
    const passed = await ask(url, world, { path: '/orgs/org_1/patients/pid-9c41-secret?_count=1', key: 'good' })
    expect(passed.status).toBe(200)
    expect(JSON.parse(passed.body)).toMatchObject({ params: { pid: 'pid-9c41-secret' }, org: 'org_1' })
    const event = await eventOf(world)
    expect(event).toMatchObject({
      outcome: 'success',
      http: { route: '/orgs/:org/patients/:pid', query: ['_count'] },
      phi: { types: ['Patient'], patientCount: 1, attribution: 'route' },
    })
    const refused = await ask(url, world, {
      path: '/orgs/org_2-secret/patients/pid-9c41-secret',
      key: 'good',
      id: 'r-2',
    })
    expectOurs(refused, 403, FORBIDDEN('r-2'))
    const denied = await eventOf(world, 'r-2')
    expect(denied).toMatchObject({
      outcome: 'denied',
      reason: 'organization_mismatch',
      actor: { org: 'org_1' },
      http: { route: '/orgs/:org/patients/:pid', status: 403 },
    })
    expect((await ask(url, world, { path: '/orgs/org%5F1/patients/1', key: 'good', id: 'r-3' })).status).toBe(200)
    expect(JSON.stringify(await world.flushed())).not.toMatch(/secret|pid-9c41|org_2/)
  })
})

const PATHS: readonly (readonly [string, (world: World) => Promise<string>])[] = [
  ...EXPRESSES.map(
    ([name, create]) =>
      [
        name,
        async (world: World) => {
          const { requireScope } = expressGuards(world.auth)
          const app = create()
          app.get(
            ['/a/patients/:id', '/b/patients/:id'],
            handlerOf(requireScope('read:patients')),
            (_request, response) => void response.end('array'),
          )
          app.get(
            /^\/c\/patients\/(\d+)$/,
            handlerOf(requireScope('read:patients')),
            (_request, response) => void response.end('regexp'),
          )
          app.get('/d/', handlerOf(requireScope('read:patients')), (_request, response) => void response.end('slash'))
          return listen(app)
        },
      ] as const,
  ),
  ...KOAS.map(
    ([name, create]) =>
      [
        name,
        async (world: World) => {
          const { requireScope } = koaGuards(world.auth)
          const app = new create()
          const router = new Router()
          router.get(['/a/patients/:id', '/b/patients/:id'], middlewareOf(requireScope('read:patients')), (context) => {
            context.body = 'array'
          })
          router.get(/^\/c\/patients\/(\d+)$/, middlewareOf(requireScope('read:patients')), (context) => {
            context.body = 'regexp'
          })
          router.get('/d/', middlewareOf(requireScope('read:patients')), (context) => {
            context.body = 'slash'
          })
          app.use(router.routes())
          return listen(koaListener(app))
        },
      ] as const,
  ),
  [
    'Fastify 5',
    async (world) => {
      const { plugin, requireScope } = fastifyGuards(world.auth)
      const app = Fastify()
      await app.register(plugin)
      for (const path of ['/a/patients/:id', '/b/patients/:id'])
        app.get(path, { onRequest: requireScope('read:patients') }, async () => 'array')
      app.get('/c/patients/:id(^\\d+$)', { onRequest: requireScope('read:patients') }, async () => 'regexp')
      app.get('/d/', { onRequest: requireScope('read:patients') }, async () => 'slash')
      return listenFastify(app)
    },
  ],
]

/** So long that no hash and no id of an event holds it by chance. */
const PATIENT = '47110815471108154711'

describe.each(PATHS)('%s: routes', (name, start) => {
  const regexp = name.startsWith('Fastify') ? '/c/patients/:id(^\\d+$)' : '^\\/c\\/patients\\/(\\d+)$'

  test.each([
    [`/a/patients/${PATIENT}`, 'array', '/a/patients/:id'],
    [`/b/patients/${PATIENT}`, 'array', '/b/patients/:id'],
    [`/c/patients/${PATIENT}`, 'regexp', regexp],
    ['/d/', 'slash', '/d'],
  ])('%s', async (path, body, route) => {
    const world = await newWorld()
    const url = await start(world)
    expect((await ask(url, world, { path, key: 'good' })).body).toBe(body)
    const event = await eventOf(world)
    expect(event.http?.route).toBe(route)
    expect(JSON.stringify(event)).not.toContain(PATIENT)
    expect((await ask(url, world, { path, id: 'r-2' })).status).toBe(401)
    expect((await eventOf(world, 'r-2')).http?.route).toBe(route)
  })
})

describe.each(FRAMEWORKS.map(({ name }) => [name] as const))('%s', (name) => {
  test('several guards of one auth on one request: one exchange, one event, all scopes, all params', async () => {
    const world = await newWorld()
    let identities = 0
    const url = await listenSuite(world, name, {
      routes: [
        {
          path: '/orgs/:org/patients/:id',
          guards: [
            (g) => g.authenticate(),
            (g) => g.requireScope('read:patients'),
            (g) => g.requireAnyScope(['read:observations', 'read:patients']),
            (g) => g.requireOrganization(({ params }) => params['org']),
          ],
          handle: ({ principal, principalOf }) => {
            identities += Number(principal === principalOf())
            return { body: {} }
          },
        },
      ],
    })
    expect((await ask(url, world, { path: '/orgs/org_1/patients/1', key: 'good' })).status).toBe(200)
    expect(identities).toBe(1)
    expect((await eventOf(world)).scopes.required).toEqual(['read:patients', 'read:observations'])
  })

  test('two auths on one request: two events, one request id, the principal of the last, each principalOf its own', async () => {
    const [world, other] = [await newWorld(), await newWorld()]
    // One credential that both take, in two organizations.
    await other.store.insert({
      ...((await world.store.list({ organizationId: 'org_1' })).find(({ id }) => id === 'key_good') as never as object),
      id: 'key_twin',
      organizationId: 'org_twin',
    } as never)
    let seen: readonly unknown[] = []
    const url = await listenSuite(
      world,
      name,
      {
        routes: [
          {
            path: '/v1/patients/:id',
            guards: [
              (g) => g.requireScope('read:patients'),
              { auth: 1, guard: (g) => g.requireScope('read:patients') },
            ],
            handle: ({ principal, principalOf }) => {
              seen = [principal.organizationId, principalOf()?.organizationId]
              return { body: {} }
            },
          },
          {
            path: '/v1/reversed/:id',
            guards: [
              { auth: 1, guard: (g) => g.requireScope('read:patients') },
              (g) => g.requireScope('read:patients'),
            ],
            handle: ({ principal, principalOf }) => {
              seen = [principal.organizationId, principalOf()?.organizationId]
              return { body: {} }
            },
          },
        ],
      },
      [other],
    )
    const answer = await send(url, {
      path: '/v1/patients/1',
      headers: [['Authorization', `Bearer ${world.keys['good']}`]],
    })
    expect([answer.status, seen]).toEqual([200, ['org_twin', 'org_twin']])
    const [mine, theirs] = [await world.flushed(), await other.flushed()]
    expect([mine.length, theirs.length]).toEqual([1, 1])
    expect([mine[0]?.requestId, theirs[0]?.requestId]).toEqual([
      answer.headers['x-request-id'],
      answer.headers['x-request-id'],
    ])
    expect([mine[0]?.actor.org, theirs[0]?.actor.org]).toEqual(['org_1', 'org_twin'])
    await ask(url, world, { path: '/v1/reversed/1', key: 'good' })
    expect(seen).toEqual(['org_1', 'org_1'])
    // Refused by the second: the first has passed, and both say what was answered.
    const refused = await ask(url, world, { path: '/v1/patients/1', key: 'all', id: 'r-9' })
    expectOurs(refused, 401, KEY_401('r-9'))
    expect(await eventOf(other, 'r-9')).toMatchObject({ outcome: 'denied', reason: 'key_unknown' })
    expect(await eventOf(world, 'r-9')).toMatchObject({
      outcome: 'error',
      http: { status: 401 },
      actor: { keyId: 'key_all' },
    })
  })

  test.each([
    ['a handler that throws', false],
    ['an async handler that rejects', true],
  ])('assertOrganization in %s: 403 in our envelope, audited as denied', async (_what, late) => {
    const world = await newWorld()
    let after = 0
    const url = await listenSuite(world, name, {
      routes: [
        {
          method: 'POST',
          path: '/v1/import/:id',
          guards: [(g) => g.requireScope('read:patients')],
          handle: async ({ principal, params }) => {
            if (late) await new Promise((resolve) => setTimeout(resolve, 5))
            world.auth.assertOrganization(principal, params['id'] ?? '')
            after += 1
            return { body: { served: true } }
          },
        },
      ],
    })
    for (let n = 0; n < 3; n += 1) {
      const post = { method: 'POST', key: 'good', body: '{}', headers: [['Content-Type', 'application/json']] } as const
      const refused = await ask(url, world, { ...post, path: '/v1/import/org_2', id: `no-${n}` })
      expectOurs(refused, 403, FORBIDDEN(`no-${n}`))
      expect(refused.headers['x-request-id']).toBe(`no-${n}`)
      expect(await eventOf(world, `no-${n}`)).toMatchObject({
        outcome: 'denied',
        reason: 'organization_mismatch',
        actor: { org: 'org_1', keyId: 'key_good' },
        http: { route: '/v1/import/:id', status: 403 },
      })
      expect(after).toBe(n)
      expect((await ask(url, world, { ...post, path: '/v1/import/org_1', id: `yes-${n}` })).body).toBe(
        '{"served":true}',
      )
      expect(await eventOf(world, `yes-${n}`)).toMatchObject({ outcome: 'success', reason: null })
    }
  })

  test('an OrganizationMismatch on a route without guard is the host’s own error, and names nobody', async () => {
    const world = await newWorld()
    const url = await listenSuite(world, name, {
      catchAll: false,
      routes: [
        {
          path: '/open',
          guards: [(g) => g.publicRoute('for the test')],
          handle: () => {
            world.auth.assertOrganization({ organizationId: 'org_1' } as never, 'org_2')
            return { body: {} }
          },
        },
      ],
    })
    const answer = await ask(url, world, { path: '/open' })
    expect([answer.status, answer.body.includes('org_')]).toEqual([403, false])
    expect(await world.flushed()).toEqual([])
  })
})

describe.each(EXPRESSES)('%s: an error of assertOrganization that is handed on by next', (_name, create) => {
  test('is answered by us, whatever error handler the host has', async () => {
    const world = await newWorld()
    const { requireScope } = expressGuards(world.auth)
    const app = create()
    const router = create.Router()
    router
      .route('/patients/:id')
      .get(handlerOf(requireScope('read:patients')), (request, _response, next) => {
        try {
          world.auth.assertOrganization(request.principal, 'org_2')
          next()
        } catch (error) {
          next(error)
        }
      })
      .post(handlerOf(requireScope('read:patients')), (_request, _response, next) => next(new Error('theirs')))
    app.use('/v1', router)
    app.use(
      ((_error, _request, response, _next) => void response.status(418).end('the host')) as express.ErrorRequestHandler,
    )
    const url = await listen(app)
    for (const id of ['r-1', 'r-2']) {
      expectOurs(await ask(url, world, { path: '/v1/patients/1', key: 'good', id }), 403, FORBIDDEN(id))
      expect(await eventOf(world, id)).toMatchObject({
        outcome: 'denied',
        reason: 'organization_mismatch',
        http: { route: '/v1/patients/:id' },
      })
    }
    const theirs = await ask(url, world, { method: 'POST', path: '/v1/patients/1', key: 'good', id: 'r-3' })
    expect([theirs.status, theirs.body]).toEqual([418, 'the host'])
    expect(await eventOf(world, 'r-3')).toMatchObject({
      outcome: 'error',
      reason: 'handler_error',
      http: { status: 418 },
    })
  })

  test('the body of a refused request is not parsed where the parser stands behind the guard', async () => {
    const world = await newWorld()
    const { requireScope } = expressGuards(world.auth)
    const app = create()
    let parsed = 0
    const count: express.RequestHandler = (_request, _response, next) => {
      parsed += 1
      next()
    }
    app.post(
      '/v1/patients',
      handlerOf(requireScope('write:patients')),
      count,
      create.json(),
      (request, response) => void response.json(request.body),
    )
    const url = await listen(app)
    const post = (key: string | null) =>
      ask(url, world, {
        method: 'POST',
        path: '/v1/patients',
        body: '{"broken',
        headers: [['Content-Type', 'application/json']],
        ...(key === null ? {} : { key }),
      })
    expect([(await post(null)).status, (await post('good')).status, parsed]).toEqual([401, 403, 0])
    expect([(await post('all')).status, parsed]).toEqual([400, 1])
  })
})

describe('Fastify 5: the plugin', () => {
  const missing = (id: string) =>
    envelope('PLUGIN_MISSING', 'The authentication plugin is not registered on this instance.', id)

  test.each<
    readonly [string, (app: FastifyInstance, world: World, mount: (scope: FastifyInstance) => void) => Promise<void>]
  >([
    ['is not registered at all', async (app, _world, mount) => mount(app)],
    [
      'is registered on a sibling alone',
      async (app, world, mount) => {
        await app.register(async (sibling) => {
          await sibling.register(fastifyGuards(world.auth).plugin)
        })
        await app.register(async (scope) => mount(scope))
      },
    ],
    [
      'is another auth’s',
      async (app, _world, mount) => {
        await app.register(fastifyGuards((await newWorld()).auth).plugin)
        mount(app)
      },
    ],
    [
      'is of the same auth, but of other guards',
      async (app, world, mount) => {
        await app.register(fastifyGuards(world.auth).plugin)
        mount(app)
      },
    ],
  ])('%s: 500 PLUGIN_MISSING, and the handler does not run', async (_what, build) => {
    const world = await newWorld()
    const { requireScope } = fastifyGuards(world.auth)
    const app = Fastify()
    let handled = 0
    await build(app, world, (scope) => {
      scope.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, async () => {
        handled += 1
        return {}
      })
    })
    const url = await listenFastify(app)
    for (const key of [undefined, 'good'])
      expectOurs(
        await ask(url, world, { path: '/v1/patients/1', ...(key === undefined ? {} : { key }) }),
        500,
        missing('r-1'),
      )
    expect(handled).toBe(0)
  })

  test('holds for the instances below, also when it is registered twice', async () => {
    const world = await newWorld()
    const { plugin, requireScope, catchAll } = fastifyGuards(world.auth)
    const app = Fastify()
    await app.register(plugin)
    await app.register(plugin)
    await app.register(
      async (scope) => {
        await scope.register(plugin)
        scope.get('/patients/:id', { onRequest: requireScope('read:patients') }, async (request) => {
          world.auth.assertOrganization(request.principal, 'org_2')
        })
      },
      { prefix: '/v1' },
    )
    app.setNotFoundHandler(catchAll())
    const url = await listenFastify(app)
    expectOurs(await ask(url, world, { path: '/v1/patients/1', key: 'good' }), 403, FORBIDDEN('r-1'))
    expect(await eventOf(world)).toMatchObject({ reason: 'organization_mismatch' })
    expectOurs(
      await ask(url, world, { path: '/nowhere', key: 'good', id: 'r-2' }),
      404,
      envelope('NOT_FOUND', 'No such resource.', 'r-2'),
    )
    await eventOf(world, 'r-2')
  })

  test('leaves the host’s error handlers theirs', async () => {
    const world = await newWorld()
    const { plugin, requireScope } = fastifyGuards(world.auth)
    const app = Fastify()
    await app.register(plugin)
    app.setErrorHandler(async (_error, _request, reply) => reply.code(418).send('the instance'))
    const guarded = { onRequest: requireScope('read:patients') }
    app.get(
      '/own',
      { ...guarded, errorHandler: (_error, _request, reply) => void reply.code(419).send('the route') },
      async () => {
        throw new Error('theirs')
      },
    )
    app.get('/plain', guarded, async () => {
      throw new Error('theirs')
    })
    const url = await listenFastify(app)
    expect((await ask(url, world, { path: '/own', key: 'good' })).body).toBe('the route')
    expect((await ask(url, world, { path: '/plain', key: 'good' })).body).toBe('the instance')
  })

  test('answers an unknown path before its body is looked at', async () => {
    const world = await newWorld()
    const { plugin, catchAll } = fastifyGuards(world.auth)
    const app = Fastify({ bodyLimit: 64 })
    let parsed = 0
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
      parsed += 1
      done(null, body)
    })
    await app.register(plugin)
    app.setNotFoundHandler(catchAll())
    const url = await listenFastify(app)
    const bodies: readonly (readonly [string, string])[] = [
      ['application/json', '{"broken'],
      ['application/json', JSON.stringify('x'.repeat(1000))],
      ['application/unheard-of', 'x'],
      ['', 'x'],
    ]
    for (const [type, body] of bodies) {
      const headers = type === '' ? [] : ([['Content-Type', type]] as const)
      expectOurs(await ask(url, world, { method: 'POST', path: '/nowhere/1', body, headers }), 401, KEY_401('r-1'))
      expectOurs(
        await ask(url, world, { method: 'POST', path: '/nowhere/1', body, headers, key: 'good' }),
        404,
        envelope('NOT_FOUND', 'No such resource.', 'r-1'),
      )
    }
    expect(parsed).toBe(0)
    expect(await world.flushed()).toHaveLength(bodies.length * 2)
  })

  test('the body of a refused request is never parsed, that of a passed one is', async () => {
    const world = await newWorld()
    const { plugin, requireScope } = fastifyGuards(world.auth)
    const app = Fastify({ bodyLimit: 64 })
    await app.register(plugin)
    let parsed = 0
    app.addContentTypeParser('application/fhir+json', { parseAs: 'string' }, (_request, body, done) => {
      parsed += 1
      done(null, body)
    })
    app.post('/v1/patients', { onRequest: requireScope('write:patients') }, async (request) => ({ body: request.body }))
    const url = await listenFastify(app)
    const post = (key: string | undefined, body: string) =>
      ask(url, world, {
        method: 'POST',
        path: '/v1/patients',
        body,
        headers: [['Content-Type', 'application/fhir+json']],
        ...(key === undefined ? {} : { key }),
      })
    expect([(await post(undefined, 'x')).status, (await post('good', 'x'.repeat(1000))).status, parsed]).toEqual([
      401, 403, 0,
    ])
    expect([(await post('all', 'x')).body, parsed]).toEqual(['{"body":"x"}', 1])
    expect((await post('all', 'x'.repeat(1000))).status).toBe(413)
  })

  test('takes injected requests, and writes their events', async () => {
    const world = await newWorld()
    const { plugin, requireScope } = fastifyGuards(world.auth)
    const app = Fastify()
    cleanups.push(() => app.close())
    await app.register(plugin)
    app.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, async (request) => ({
      org: request.principal.organizationId,
    }))
    const refused = await app.inject({ url: '/v1/patients/1', headers: { 'x-request-id': 'r-1' } })
    expect([refused.statusCode, refused.body, refused.headers['www-authenticate']]).toEqual([
      401,
      KEY_401('r-1'),
      'Bearer realm="healthcloud"',
    ])
    const passed = await app.inject({
      url: '/v1/patients/1',
      headers: { ...world.bearer(world.keys['good'] ?? ''), 'x-request-id': 'r-2' },
    })
    expect([passed.statusCode, passed.json(), passed.headers['x-request-id']]).toEqual([200, { org: 'org_1' }, 'r-2'])
    expect(await eventOf(world, 'r-1')).toMatchObject({ outcome: 'denied', http: { status: 401 } })
    expect(await eventOf(world, 'r-2')).toMatchObject({
      outcome: 'success',
      http: { status: 200, route: '/v1/patients/:id' },
    })
  })
})
