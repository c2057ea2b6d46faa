import { createHmac, hkdfSync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { Agent, createServer, get, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import express4 from 'express4'
import Fastify, { type FastifyInstance } from 'fastify'
import Koa from 'koa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expressGuards } from '../../adapters/express.ts'
import { fastifyGuards, type FastifyGuard } from '../../adapters/fastify.ts'
import { koaGuards } from '../../adapters/koa.ts'
import { adapterKit, type Exchange } from '../../src/adapter-kit.ts'
import type { AuditEvent } from '../../src/index.ts'
import { FRAMEWORKS, serve, type RunningServer, type SuiteGuards, type SuiteRoute } from './frameworks.ts'
import { send } from './send.ts'
import { createWorld, DOCUMENTED_KEY, type World } from './world.ts'

const PATIENTS = 12_345
const PARALLEL = 100

/** Contract 9, pseudonyms; from the standard alone. */
const KEY = Buffer.from(hkdfSync('sha256', Buffer.alloc(32, 7), '', 'hc-audit:org_1', 32))
const pseudonym = (id: string) =>
  `pt_k1_${createHmac('sha256', KEY).update(`Patient/${id}`).digest('base64url').slice(0, 22)}`
const pseudonyms = (...ids: readonly string[]) => ids.map(pseudonym)

const observation = (patient: string) => ({ resourceType: 'Observation', subject: { reference: `Patient/${patient}` } })
const patient = (id: string) => ({ resourceType: 'Patient', id })
const bundle = (...resources: readonly object[]) => ({
  resourceType: 'Bundle',
  type: 'searchset',
  entry: resources.map((resource) => ({ resource })),
})

const SEARCH = bundle(
  ...Array.from({ length: 60 }, (_, at) => observation(`p${at % 7}`)),
  patient('p6'),
  patient('q1'),
  patient('q2'),
)
const BATCH = {
  resourceType: 'Bundle',
  type: 'batch-response',
  entry: [
    { response: { status: '201 Created', location: 'Patient/new/_history/1' } },
    { response: { status: '200 OK' }, resource: observation('7') },
    { response: { status: '404 Not Found' }, resource: { resourceType: 'OperationOutcome' } },
  ],
}

/** Code that is not given the request. */
const repository = (world: () => World) => ({
  async load(id: string): Promise<void> {
    await sleep(Math.random() * 10)
    world().auth.audit.touch(`Patient/${id}`)
    await new Promise((resolve) => {
      setImmediate(() => process.nextTick(resolve))
    })
    world().auth.audit.count(Number(id))
    world().auth.audit.purpose('TREAT')
  },
})

const reads = (guards: SuiteGuards) => guards.requireScope('read:observations')
const writes = (guards: SuiteGuards) => guards.requireScope('write:patients')
const anybody = (guards: SuiteGuards) => guards.authenticate()

function routesOf(world: () => World, exportPath: string): readonly SuiteRoute[] {
  const { load } = repository(world)
  const touched: SuiteRoute['handle'] = async ({ params }) => {
    await load(params['id'] ?? '')
    return { body: {} }
  }
  return [
    { path: '/fhir/Observation', guards: [reads], handle: () => ({ body: SEARCH }) },
    { path: '/fhir/Patient/:id', guards: [anybody], handle: ({ params }) => ({ body: patient(params['id'] ?? '') }) },
    { path: '/fhir/Encounter', guards: [anybody], handle: () => ({ body: bundle() }) },
    {
      path: '/fhir/Condition/:id',
      guards: [anybody],
      handle: () => ({ status: 404, body: { resourceType: 'OperationOutcome' } }),
    },
    { path: '/v1/patients/:id', guards: [anybody], handle: () => ({ status: 404, body: patient('8') }) },
    {
      path: '/v1/broken/:id',
      guards: [anybody],
      handle: async ({ params }) => {
        await load(params['id'] ?? '')
        return { status: 500, body: patient('8') }
      },
    },
    { path: '/v1/unchanged', guards: [anybody], handle: () => ({ status: 304, body: bundle(patient('7')) }) },
    { path: '/v1/list', guards: [anybody], handle: () => ({ body: [patient('7'), observation('8')] }) },
    { path: '/v1/plain', guards: [anybody], handle: () => ({ body: { id: '7', patients: [patient('7')] } }) },
    { path: '/v1/twice', guards: [anybody, reads], handle: () => ({ body: SEARCH }) },
    { path: '/v1/silent', guards: [(g) => g.authenticate({ phi: false })], handle: () => ({ body: patient('7') }) },
    {
      path: '/v1/text',
      guards: [anybody],
      handle: ({ response }) => {
        response.setHeader('Content-Type', 'application/fhir+json')
        response.end(JSON.stringify(patient('7')))
        return 'taken'
      },
    },
    {
      path: '/v1/hostile',
      guards: [anybody],
      handle: () => ({ body: { ...patient('7'), toJSON: () => ({ resourceType: 'Patient', id: '8' }) } }),
    },
    { method: 'PUT', path: '/fhir/Patient/:id', guards: [writes], handle: () => ({ status: 201, body: patient('7') }) },
    { method: 'POST', path: '/fhir/Patient', guards: [writes], handle: () => ({ body: patient('7') }) },
    { method: 'POST', path: '/fhir', guards: [writes], handle: () => ({ body: BATCH }) },
    {
      path: exportPath,
      guards: [anybody],
      handle: () => ({ status: 202 }),
    },
    {
      path: '/fhir/Patient',
      guards: [anybody],
      handle: () => ({ body: bundle(...Array.from({ length: PATIENTS }, (_, at) => patient(`b${at}`))) }),
    },
    { path: '/v1/touched/:id', guards: [anybody], handle: touched },
    { path: '/v1/touched-twice/:id', guards: [anybody, anybody], handle: touched },
    { path: '/v1/public/:id', guards: [(g) => g.publicRoute('a test')], handle: touched },
    { path: '/v1/two-auths/:id', guards: [{ auth: 1, guard: anybody }, anybody], handle: touched },
    { path: '/v1/other-auth/:id', guards: [{ auth: 1, guard: anybody }], handle: touched },
    { method: 'POST', path: '/v1/touched/:id', guards: [anybody], handle: touched },
    {
      path: '/v1/slow',
      guards: [anybody],
      handle: async ({ request }) => {
        await new Promise((resolve) => {
          request.socket.once('close', resolve)
        })
        await sleep(20)
        return { body: patient('7') }
      },
    },
  ]
}

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('%s', (_name, framework) => {
  let world: World
  let other: World
  let server: RunningServer
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })

  beforeAll(async () => {
    world = await createWorld()
    other = await createWorld()
    server = await serve(framework, [world.auth, other.auth], {
      // In Express 4 a path is half a regular expression.
      routes: routesOf(() => world, `/fhir/Group/:id/${framework.name === 'Express 4' ? '\\' : ''}$export`),
    })
  })

  afterAll(async () => {
    agent.destroy()
    await server.close()
    await world.close()
    await other.close()
  })

  let calls = 0
  async function ask(
    url: string,
    { method = 'GET', headers = [], key = world.keys['all'] ?? '' }: Partial<Sent> = {},
  ): Promise<{ status: number; id: string }> {
    const id = `capture-${(calls += 1)}`
    const writing = method === 'POST' || method === 'PUT'
    const { status } = await send(server.url, {
      // Kept connections: what one call leaves behind on its socket must not reach the next one.
      agent,
      method,
      path: url,
      headers: [
        ['Authorization', `Bearer ${key}`],
        ['X-Request-Id', id],
        ...headers,
        ...(writing ? ([['Content-Type', 'application/json']] as const) : []),
      ],
      ...(writing ? { body: '{}' } : {}),
    })
    return { status, id }
  }

  async function call(...asked: Parameters<typeof ask>): Promise<{ status: number; events: readonly AuditEvent[] }> {
    const { status, id } = await ask(...asked)
    return { status, events: (await world.flushed()).filter(({ requestId }) => requestId === id) }
  }

  interface Sent {
    method: string
    headers: readonly (readonly [string, string])[]
    key: string
  }

  async function eventOf(...asked: Parameters<typeof call>): Promise<AuditEvent | undefined> {
    const { events } = await call(...asked)
    expect(events).toHaveLength(1)
    return events[0]
  }

  test('a search of 60 observations of 7 patients, with 3 patients beside of whom 2 are new', async () => {
    expect(await eventOf('/fhir/Observation?patient=p1&code=1')).toMatchObject({
      action: 'E',
      outcome: 'success',
      delivered: 'full',
      phi: {
        interaction: 'search-type',
        types: ['Observation', 'Patient'],
        patients: pseudonyms('p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'q1', 'q2'),
        patientCount: 9,
        resourceCount: 63,
        bulk: false,
        attribution: 'body',
      },
    })
  })

  test.each<[string, string, Partial<Sent>, object, object]>([
    [
      'a read',
      '/fhir/Patient/7',
      {},
      { action: 'R' },
      { types: ['Patient'], patients: pseudonyms('7'), patientCount: 1, resourceCount: 1, attribution: 'body' },
    ],
    [
      'a list of resources where nothing else tells',
      '/v1/list',
      {},
      { action: 'R' },
      {
        interaction: null,
        types: ['Patient', 'Observation'],
        patients: pseudonyms('7', '8'),
        patientCount: 2,
        resourceCount: 2,
        attribution: 'body',
      },
    ],
    [
      'an empty search',
      '/fhir/Encounter?subject=Patient/1,2&_count=3',
      {},
      { action: 'E' },
      { types: ['Encounter'], patients: pseudonyms('1', '2'), patientCount: 2, resourceCount: 0, attribution: 'body' },
    ],
    [
      'JSON that is not FHIR',
      '/v1/plain',
      {},
      {},
      { types: [], patients: [], patientCount: null, resourceCount: null, attribution: 'none' },
    ],
    ['text', '/v1/text', {}, {}, { patients: [], attribution: 'none' }],
    ['two guards', '/v1/twice', {}, {}, { patientCount: 9, resourceCount: 63, attribution: 'body' }],
    [
      'a route without PHI that shows some',
      '/v1/silent',
      {},
      { action: 'R' },
      { types: ['Patient'], patients: pseudonyms('7'), attribution: 'body' },
    ],
    ['a body with a say in its text', '/v1/hostile', {}, { outcome: 'success' }, { patients: pseudonyms('7') }],
    [
      'HEAD',
      '/fhir/Patient/7',
      { method: 'HEAD' },
      { action: 'R', delivered: 'none', http: { method: 'HEAD' } },
      { patients: pseudonyms('7'), resourceCount: 1, attribution: 'body' },
    ],
    [
      '304',
      '/v1/unchanged',
      {},
      { action: 'R', delivered: 'none', outcome: 'success', http: { status: 304 } },
      { patients: pseudonyms('7'), resourceCount: 1, attribution: 'body' },
    ],
    [
      '404 of a patient',
      '/v1/patients/9',
      {},
      { outcome: 'error', reason: 'handler_error', http: { status: 404 } },
      { patients: pseudonyms('9'), patientCount: 1, resourceCount: null, attribution: 'route' },
    ],
    [
      '404 with an OperationOutcome',
      '/fhir/Condition/1?patient=9',
      {},
      { outcome: 'error' },
      { types: ['Condition'], patients: pseudonyms('9'), resourceCount: null, attribution: 'route' },
    ],
    [
      '500 after the handler has touched somebody',
      '/v1/broken/3',
      {},
      { outcome: 'error', purpose: 'TREAT', http: { status: 500 } },
      { types: ['Patient'], patients: pseudonyms('3'), resourceCount: 3, attribution: 'handler' },
    ],
    [
      'a PUT that created',
      '/fhir/Patient/7',
      { method: 'PUT' },
      { action: 'C', http: { status: 201 } },
      { interaction: 'create', patients: pseudonyms('7'), resourceCount: 1 },
    ],
    [
      'a creation',
      '/fhir/Patient',
      { method: 'POST' },
      { action: 'C' },
      { interaction: 'create', patients: pseudonyms('7') },
    ],
    [
      'a conditional creation of what was there',
      '/fhir/Patient',
      { method: 'POST', headers: [['If-None-Exist', 'identifier=a|1']] },
      { action: 'R' },
      { interaction: 'read', patients: pseudonyms('7') },
    ],
    [
      'a batch',
      '/fhir',
      { method: 'POST' },
      { action: 'E' },
      {
        interaction: 'batch',
        types: ['Patient', 'Observation'],
        patients: pseudonyms('new', '7'),
        resourceCount: 2,
        attribution: 'body',
      },
    ],
    [
      'an export',
      '/fhir/Group/1/$export',
      {},
      { action: 'E' },
      { interaction: 'operation', bulk: true, attribution: 'route' },
    ],
  ])('%s', async (_what, url, sent, event, phi) => {
    expect(await eventOf(url, sent)).toMatchObject({ ...event, phi })
  })

  test('who is refused is told with whom he asked for in the path', async () => {
    const denied = await eventOf('/v1/patients/9', { key: world.keys['revoked'] ?? '' })
    expect(denied).toMatchObject({ outcome: 'denied', phi: { patients: pseudonyms('9'), resourceCount: null } })
    const unknown = await eventOf('/fhir/Observation?patient=9', { key: world.keys['unknown'] ?? '' })
    expect(unknown).toMatchObject({ outcome: 'denied', phi: { types: ['Observation'], patients: [] } })
    const refused = await eventOf('/fhir/Observation?patient=9', { key: world.keys['good'] ?? '' })
    expect(refused).toMatchObject({ reason: 'scope_missing', phi: { patients: pseudonyms('9'), attribution: 'route' } })
  })

  test('nothing of a query but names and pseudonyms stands in the event', async () => {
    const event = await eventOf(
      '/fhir/Observation?patient=Patient/canary-1,https://a.example/Patient/canary-2&code=canary',
    )
    expect(JSON.stringify(event)).not.toContain('canary')
    expect(event?.http?.query).toEqual(['*'])
  })

  test(`${PATIENTS} patients are all named, in lines of at most 32 KiB`, async () => {
    const { events } = await call('/fhir/Patient')
    const named = events.flatMap(({ phi }) => phi?.patients ?? [])
    expect(named.toSorted()).toEqual(pseudonyms(...Array.from({ length: PATIENTS }, (_, at) => `b${at}`)).toSorted())
    expect(events.length).toBe(Math.ceil(PATIENTS / 500))
    for (const [at, { phi, part }] of events.entries()) {
      expect(phi).toMatchObject({ patientCount: PATIENTS, resourceCount: PATIENTS, bulk: true, attribution: 'body' })
      expect(part).toEqual(at === 0 ? null : { n: at + 1, of_id: events[0]?.id })
    }
    for (const line of journalLines(world.directory)) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(32_768)
  })

  test('1,500 patients in a query are all named, too', async () => {
    const ids = Array.from({ length: 1500 }, (_, at) => `c${at}`)
    const { events } = await call(`/fhir/Encounter?subject=${ids.join(',')}`)
    expect(events.flatMap(({ phi }) => phi?.patients ?? []).toSorted()).toEqual(pseudonyms(...ids).toSorted())
    for (const { phi } of events) expect(phi).toMatchObject({ patientCount: 1500, resourceCount: 0, bulk: true })
    for (const line of journalLines(world.directory)) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(32_768)
  })

  test('what is answered after the client has left was read all the same', async () => {
    const request = get(`${server.url}/v1/slow`, {
      headers: { authorization: `Bearer ${world.keys['all']}`, 'x-request-id': 'left' },
    })
    request.once('error', () => undefined)
    await once(request, 'finish')
    await sleep(50)
    request.destroy()
    await expect
      .poll(async () => (await world.flushed()).find(({ requestId }) => requestId === 'left'), { timeout: 5000 })
      .toMatchObject({
        outcome: 'aborted',
        delivered: 'none',
        http: { status: null },
        phi: { patients: pseudonyms('7'), resourceCount: 1, attribution: 'body' },
      })
  })

  test('unattributed calls are counted by their route', async () => {
    await call('/v1/plain')
    const before = world.auth.health().audit.unattributed
    await call('/v1/plain')
    await call('/v1/list')
    const after = world.auth.health().audit.unattributed
    expect(after['/v1/plain']).toBe((before['/v1/plain'] ?? 0) + 1)
    expect(after).not.toHaveProperty('/v1/list')
  })

  describe('auth.audit', () => {
    const told = { purpose: 'TREAT', phi: { types: ['Patient'], attribution: 'handler' } }

    test.each(['GET', 'POST'])('knows the call of code that is not given the request (%s)', async (method) => {
      const event = await eventOf('/v1/touched/17', { method })
      expect(event).toMatchObject({ ...told, phi: { patients: pseudonyms('17'), resourceCount: 17 } })
    })

    test.each(['/v1/touched', '/v1/touched-twice', '/v1/two-auths'])(
      `never takes one of ${PARALLEL} calls at once for another (%s)`,
      async (route) => {
        const patients = Array.from({ length: PARALLEL }, (_, at) => String(at + 1))
        const key = DOCUMENTED_KEY
        const asked = await Promise.all(patients.map((each) => ask(`${route}/${each}`, { key })))
        const events = new Map((await world.flushed()).map((event) => [event.requestId, event]))
        expect(asked.map(({ id }) => [events.get(id)?.phi?.patients, events.get(id)?.phi?.resourceCount])).toEqual(
          patients.map((each) => [pseudonyms(each), Number(each)]),
        )
      },
    )

    test('belongs to its own auth', async () => {
      await call('/v1/two-auths/5', { key: DOCUMENTED_KEY })
      const theirs = (await other.flushed()).find(({ http }) => http?.route === '/v1/two-auths/:id')
      expect(theirs).toMatchObject({ purpose: null, phi: { patients: [], attribution: 'none' } })
      expect((await call('/v1/other-auth/5', { key: DOCUMENTED_KEY })).status).toBe(500)
    })

    test('is a mistake where no guard stands', async () => {
      expect((await call('/v1/public/5')).status).toBe(500)
      for (const use of [
        () => world.auth.audit.touch('Patient/1'),
        () => world.auth.audit.count(1),
        () => world.auth.audit.purpose('TREAT'),
      ]) {
        expect(use).toThrow(TypeError)
        expect(use).toThrow('outside of a request that a guard of this auth has passed')
      }
    })

    test('says what is wrong as the handle on the request does', async () => {
      const { audit } = world.auth
      const { touch, count, purpose, flush } = audit
      expect(Object.isFrozen(audit)).toBe(true)
      expect([touch, count, purpose, flush].every((each) => typeof each === 'function')).toBe(true)
    })
  })
})

describe('in its framework', () => {
  let world: World
  beforeAll(async () => {
    world = await createWorld()
  })
  afterAll(() => world.close())

  /** The event of one call to the application. */
  async function eventOf(listener: RequestListener, url: string, body?: object): Promise<AuditEvent | undefined> {
    const server = createServer(listener)
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const { port } = server.address() as AddressInfo
    const before = (await world.flushed()).length
    await send(`http://127.0.0.1:${port}`, {
      path: url,
      headers: [['Authorization', `Bearer ${world.keys['all']}`], ...(body === undefined ? [] : [JSON_TYPE])],
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
    server.closeAllConnections()
    await new Promise((resolve) => {
      server.close(resolve)
    })
    const events = (await world.flushed()).slice(before)
    expect(events).toHaveLength(1)
    return events[0]
  }
  const JSON_TYPE = ['Content-Type', 'application/json'] as const
  const shown = (event: AuditEvent | undefined) => [
    event?.http?.status,
    event?.phi?.patients,
    event?.phi?.resourceCount,
  ]

  describe.each([
    ['Express 4', express4],
    ['Express 5', express],
  ])('%s', (_name, create) => {
    const guard: express.RequestHandler = (request, response, next) =>
      expressGuards(world.auth).authenticate()(request, response, next)
    const appOf = (...handlers: express.RequestHandler[]) => {
      const app = create()
      app.set('env', 'test')
      app.use('/', ...handlers)
      return app as unknown as RequestListener
    }

    test('an object goes through res.send, too, and counts once', async () => {
      const app = appOf(guard, (_request, response) => void response.send(SEARCH))
      expect(shown(await eventOf(app, '/'))).toEqual([200, expect.objectContaining({ length: 9 }), 63])
    })

    test('a status set on the way counts', async () => {
      const app = appOf(guard, (_request, response) => void response.status(422).json(SEARCH))
      expect(shown(await eventOf(app, '/'))).toEqual([422, [], null])
    })

    test('text, bytes and what is sent raw are not parsed', async () => {
      const text = JSON.stringify(patient('7'))
      const ways: ((response: express.Response) => unknown)[] = [
        (response) => response.type('json').send(text),
        (response) => response.send(Buffer.from(text)),
        (response) => response.end(text),
        (response) => response.json(text),
      ]
      for (const way of ways) {
        const app = appOf(guard, (_request, response) => void way(response))
        expect(shown(await eventOf(app, '/'))).toEqual([200, [], null])
      }
    })

    test('wrappers around it are called, before it and behind it, and see their own', async () => {
      const seen: string[] = []
      const wrapper =
        (mark: string, change: (body: unknown) => unknown): express.RequestHandler =>
        (_request, response, next) => {
          const json = response.json.bind(response)
          response.json = (body) => {
            seen.push(mark)
            return json(change(body))
          }
          next()
        }
      const app = appOf(
        wrapper('outer', (body) => ({ data: body })),
        guard,
        wrapper('inner', () => patient('8')),
        (_request, response) => void response.json(patient('7')),
      )
      expect(shown(await eventOf(app, '/'))).toEqual([200, pseudonyms('8'), 1])
      expect(seen).toEqual(['inner', 'outer'])
    })

    test('an answer whose json cannot be wrapped is answered all the same', async () => {
      const freeze: express.RequestHandler = (_request, response, next) => {
        Object.defineProperty(response, 'json', { value: response.json, writable: false, configurable: false })
        next()
      }
      const app = appOf(freeze, guard, (_request, response) => void response.json(patient('7')))
      expect(shown(await eventOf(app, '/'))).toEqual([200, [], null])
    })

    test('a sub-application answers in its own way', async () => {
      const sub = create()
      const own: string[] = []
      const { json } = sub.response
      sub.response.json = function (body) {
        own.push('sub')
        return Reflect.apply(json, this, [body])
      }
      sub.use((_request, response) => void response.json(patient('7')))
      const app = create()
      app.use(guard)
      app.use('/sub', sub)
      expect(shown(await eventOf(app as unknown as RequestListener, '/sub/x'))).toEqual([200, pseudonyms('7'), 1])
      expect(own).toEqual(['sub'])
    })

    test('an error after the answer shows nothing more', async () => {
      const app = appOf(guard, (_request, response) => {
        response.json(patient('7'))
        expect(() => response.json(patient('8'))).toThrow(/headers/)
      })
      expect(shown(await eventOf(app, '/'))).toEqual([200, pseudonyms('7'), 1])
    })

    test('auth.audit knows the call behind a body parser', async () => {
      const app = appOf(guard, create.json(), async (request, response) => {
        await sleep(1)
        world.auth.audit.touch(`Patient/${String(Reflect.get(request.body as object, 'id'))}`)
        response.end()
      })
      expect(shown(await eventOf(app, '/', { id: '7' }))).toEqual([200, pseudonyms('7'), null])
    })

    test('auth.audit knows the call in its error handler', async () => {
      const app = create()
      app.use(guard, () => {
        throw new Error('no')
      })
      app.use(((_error, _request, response, _next) => {
        world.auth.audit.touch('Patient/7')
        response.status(500).end()
      }) as express.ErrorRequestHandler)
      expect(shown(await eventOf(app as unknown as RequestListener, '/'))).toEqual([500, pseudonyms('7'), null])
    })
  })

  test('what is answered when the event is written already continues it', () => {
    const recorded = { late: [] }
    const exchange = {
      house: { recorder: { wanted: true } },
      call: { response: { headersSent: false, statusCode: 200 } },
      recorded,
    }
    adapterKit(world.auth).show(exchange as unknown as Exchange, bundle(patient('7'), observation('8')))
    expect(recorded.late).toEqual([
      { type: 'Patient', id: '7' },
      { type: 'Patient', id: '8' },
    ])
  })

  test('in Express 4 the status may come with the object', async () => {
    // It says so on stderr unless somebody listens.
    const quiet = () => undefined
    process.on('deprecation', quiet)
    for (const values of [
      [203, SEARCH],
      [SEARCH, 203],
    ]) {
      const app = express4()
      app.use(expressGuards(world.auth).authenticate() as express.RequestHandler)
      app.use((_request, response) => void Reflect.apply(response.json, response, values))
      const event = await eventOf(app, '/')
      expect([event?.http?.status, event?.phi?.resourceCount]).toEqual([203, 63])
    }
    process.off('deprecation', quiet)
  })

  describe('Koa', () => {
    const appOf = (...middleware: Koa.Middleware[]) => {
      const app = new Koa()
      app.silent = true
      for (const each of middleware) app.use(each)
      const callback = app.callback()
      return ((request, response) => void callback(request, response)) as RequestListener
    }
    const guard: Koa.Middleware = (context, next) => koaGuards(world.auth).authenticate()(context, next)

    test('the body counts as it is when the first guard has it back', async () => {
      const app = appOf(
        (context, next) =>
          next().then(() => {
            context.body = { data: context.body }
          }),
        guard,
        async (context, next) => {
          await next()
          context.body = [context.body, patient('8')]
        },
        guard,
        (context) => {
          context.body = patient('7')
        },
      )
      expect(shown(await eventOf(app, '/'))).toEqual([200, pseudonyms('7', '8'), 2])
    })

    test('a status that is set behind the first guard counts', async () => {
      const app = appOf(
        (context, next) =>
          next().then(() => {
            context.status = 404
          }),
        guard,
        (context) => {
          context.body = patient('7')
        },
      )
      expect(shown(await eventOf(app, '/'))).toEqual([404, [], null])
    })

    test.each<[string, (context: Koa.Context) => void]>([
      ['text', (context) => void (context.body = JSON.stringify(patient('7')))],
      ['bytes', (context) => void (context.body = Buffer.from(JSON.stringify(patient('7'))))],
      ['an error', (context) => context.throw(404)],
      [
        'an error behind the body',
        (context) => {
          context.body = patient('7')
          throw new Error('no')
        },
      ],
    ])('%s shows nothing', async (_what, handle) => {
      expect((await eventOf(appOf(guard, handle), '/'))?.phi?.patients).toEqual([])
    })
  })

  describe('Fastify', () => {
    test.each<[string, (reply: { send(payload: unknown): unknown }) => unknown, string[]]>([
      ['an object that is returned', () => patient('7'), ['7']],
      ['an object that is sent', (reply) => reply.send(patient('7')), ['7']],
      ['text', () => JSON.stringify(patient('7')), []],
      ['bytes', () => Buffer.from(JSON.stringify(patient('7'))), []],
    ])('%s', async (_what, answer, patients) => {
      const { listener, close } = await fastify((app, guard) =>
        app.get('/', { onRequest: guard }, (_request, reply) => answer(reply)),
      )
      expect((await eventOf(listener, '/'))?.phi?.patients).toEqual(pseudonyms(...patients))
      await close()
    })

    test('guards of an instance below, and its own hooks and schema', async () => {
      const { listener, close } = await fastify((app, guard) =>
        app.register((below, _options, done) => {
          below.addHook('onRequest', guard)
          below.addHook('preSerialization', (_request, _reply, payload, next) => next(null, { data: payload }))
          below.get('/', { schema: { response: { 200: { type: 'object', properties: {} } } } }, () => patient('7'))
          done()
        }),
      )
      expect((await eventOf(listener, '/'))?.phi?.patients).toEqual(pseudonyms('7'))
      await close()
    })

    test.each(['preValidation', 'preHandler', 'handler', 'onSend'])(
      'auth.audit knows the call in %s',
      async (place) => {
        const touch = () => world.auth.audit.touch('Patient/7')
        const { listener, close } = await fastify((app, guard) =>
          app.post(
            '/',
            {
              onRequest: guard,
              preValidation: async () => void (place === 'preValidation' && touch()),
              preHandler: async () => void (place === 'preHandler' && touch()),
              onSend: async () => void (place === 'onSend' && touch()),
            },
            async () => {
              await sleep(1)
              if (place === 'handler') touch()
              return 'done'
            },
          ),
        )
        expect(shown(await eventOf(listener, '/', { large: 'x'.repeat(500_000) }))).toEqual([
          200,
          pseudonyms('7'),
          null,
        ])
        await close()
      },
    )

    async function fastify(build: (app: FastifyInstance, guard: FastifyGuard) => unknown) {
      let listener: RequestListener = () => undefined
      const app = Fastify({
        serverFactory: (handler) => {
          listener = handler
          return createServer(handler)
        },
      })
      const guards = fastifyGuards(world.auth)
      await app.register(guards.plugin)
      build(app, guards.authenticate())
      await app.ready()
      return { listener, close: () => app.close() }
    }
  })
})

function journalLines(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^\d{8}\.jsonl$/.test(entry.name))
    .flatMap((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'utf8').split('\n'))
}
