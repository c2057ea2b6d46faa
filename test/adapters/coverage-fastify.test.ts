import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { describe, expect, test } from 'vitest'
import { fastifyGuards, type CoverageOptions } from '../../adapters/fastify.ts'
import { CoverageError, GuardError } from '../../src/errors.ts'
import { askable, auth, lineOf } from './coverage-rows.ts'

interface Case {
  readonly name: string
  readonly settings?: FastifyServerOptions
  readonly build: (app: FastifyInstance) => CoverageOptions | void | Promise<CoverageOptions | void>
  readonly rows: readonly string[]
}

type Done = () => void

const guards = fastifyGuards(auth())
const other = fastifyGuards(auth())
const { authenticate, catchAll, plugin, publicRoute, requireAnyScope, requireScope } = guards

async function show(): Promise<string> {
  return 'shown'
}
const load = (_request: unknown, _reply: unknown, done: Done) => done()
const NO_HEAD = { exposeHeadRoutes: false }
const LATE = 'registered before the plugin, or beside it'

const CASES: readonly Case[] = [
  {
    name: 'one route among many has no guard; HEAD comes with GET',
    build: async (app) => {
      await app.register(plugin)
      app.get('/a', { onRequest: requireScope('read:patients') }, show)
      app.post('/a', { preHandler: requireAnyScope(['read:patients', 'write:patients']) }, show)
      app.get('/b', show)
      app.delete('/c/:id', { onRequest: [authenticate(), requireScope('write:patients')] }, show)
    },
    rows: [
      'GET /a | guarded all read:patients',
      'HEAD /a | guarded all read:patients',
      'POST /a | guarded any read:patients write:patients',
      'GET /b | open - | no guard',
      'HEAD /b | open - | no guard',
      'DELETE /c/:id | guarded all write:patients',
    ],
  },
  {
    name: 'a guard behind another hook of the route does not count',
    settings: NO_HEAD,
    build: async (app) => {
      await app.register(plugin)
      app.get('/a', { onRequest: [load, authenticate()] }, show)
      app.get('/b', { onRequest: load, preHandler: authenticate() }, show)
      app.get('/c', { onRequest: authenticate(), preHandler: [load, requireScope('read:patients')] }, show)
      app.get('/d', { preValidation: authenticate(), preHandler: load }, show)
      return { accept: ['nothing'] }
    },
    rows: [
      'GET /a | open - | guard stands behind `load`',
      'GET /b | open - | guard stands behind `load`',
      'GET /c | guarded identity',
      'GET /d | guarded identity',
    ],
  },
  {
    name: 'what is accepted by name',
    settings: NO_HEAD,
    build: async (app) => {
      await app.register(plugin)
      app.get('/a', { onRequest: [load, authenticate()] }, show)
      app.get('/b', { onRequest: load }, show)
      app.setNotFoundHandler(async function spa() {
        return 'page'
      })
      return { accept: ['load', 'spa', '/b'] }
    },
    rows: ['GET /a | guarded identity', 'GET /b | open - | no guard', 'ALL /* | open -'],
  },
  {
    name: 'a hook of the instance counts for its routes and those below, whenever it was added',
    settings: NO_HEAD,
    build: async (app) => {
      await app.register(plugin)
      app.addHook('onRequest', load)
      app.get('/outside', show)
      await app.register(async (scope) => {
        scope.get('/early', show)
        scope.addHook('onRequest', requireScope('read:patients'))
        scope.get('/late', { preHandler: authenticate() }, show)
        await scope.register(async (deep) => void deep.get('/deep/:id', show), { prefix: '/below' })
      })
      await app.register(async (scope) => {
        scope.addHook('onRequest', publicRoute('assets'))
        scope.get('/assets/:file', show)
      })
    },
    rows: [
      'GET /outside | open - | no guard',
      'GET /early | guarded all read:patients',
      'GET /late | guarded all read:patients',
      'GET /below/deep/:id | guarded all read:patients',
      'GET /assets/:file | open public (assets)',
    ],
  },
  {
    name: 'prefixes, and the two spellings of their root',
    build: async (app) => {
      await app.register(plugin)
      await app.register(
        async (scope) => {
          scope.get('/', { onRequest: authenticate() }, show)
          scope.get('/:id', { onRequest: authenticate() }, show)
        },
        { prefix: '/v1/orgs/:org' },
      )
      await app.register(async (scope) => void scope.post('/', show), { prefix: '/v2' })
    },
    rows: [
      'GET /v1/orgs/:org | guarded identity',
      'GET /v1/orgs/:org/ | guarded identity',
      'HEAD /v1/orgs/:org | guarded identity',
      'HEAD /v1/orgs/:org/ | guarded identity',
      'GET /v1/orgs/:org/:id | guarded identity',
      'HEAD /v1/orgs/:org/:id | guarded identity',
      'POST /v2 | open - | no guard',
      'POST /v2/ | open - | no guard',
    ],
  },
  {
    name: 'open on purpose, every method, lists of methods, and a guard of another auth',
    settings: NO_HEAD,
    build: async (app) => {
      await app.register(plugin)
      await app.register(other.plugin)
      app.get('/health', { onRequest: publicRoute('a probe has no key') }, show)
      app.all('/all', { onRequest: other.requireScope('read:patients') }, show)
      app.route({ method: ['PUT', 'PATCH'], url: '/two', onRequest: authenticate({ optional: true }), handler: show })
    },
    rows: [
      'GET /health | open public (a probe has no key)',
      'ALL /all | guarded all read:patients',
      'PUT /two | guarded optional',
      'PATCH /two | guarded optional',
    ],
  },
  {
    name: 'handlers for unknown paths',
    settings: NO_HEAD,
    build: async (app) => {
      await app.register(plugin)
      app.setNotFoundHandler(catchAll())
      app.get('/a', { onRequest: authenticate() }, show)
      await app.register(
        async (scope) => {
          scope.get('/b', { onRequest: authenticate() }, show)
          scope.setNotFoundHandler(async function page() {
            return 'page'
          })
        },
        { prefix: '/pages' },
      )
    },
    rows: [
      'GET /a | guarded identity',
      'GET /pages/b | guarded identity',
      'ALL /* | guarded catch-all',
      'ALL /pages/* | open - | cannot be read: `page`',
    ],
  },
  {
    name: 'routes that were registered before the plugin are unseen',
    settings: NO_HEAD,
    build: async (app) => {
      app.get('/early', { onRequest: authenticate() }, show)
      app.post('/shared/:id', show)
      await app.register(plugin)
      app.get('/late', { onRequest: authenticate() }, show)
      app.get('/shared/:name', { onRequest: authenticate() }, show)
    },
    rows: [
      'GET /late | guarded identity',
      'GET /shared/:name | guarded identity',
      `GET /early | open - | ${LATE}`,
      `POST /shared/:id|:name | open - | ${LATE}`,
    ],
  },
  {
    name: 'routes beside the scope of the plugin are unseen, also those that differ by a constraint alone',
    settings: NO_HEAD,
    build: async (app) => {
      await app.register(async (scope) => {
        await scope.register(plugin)
        scope.get('/in', { onRequest: authenticate() }, show)
        scope.get('/host', { onRequest: authenticate(), constraints: { host: 'a.example' } }, show)
      })
      await app.register(async (scope) => {
        scope.get('/beside', show)
        scope.get('/host', { constraints: { host: 'b.example' } }, show)
      })
    },
    rows: [
      'GET /in | guarded identity',
      'GET /host | guarded identity',
      `GET /host | open - | ${LATE}`,
      `GET /beside | open - | ${LATE}`,
    ],
  },
  {
    name: 'no plugin at all',
    settings: NO_HEAD,
    build: (app) => void app.get('/a', { onRequest: authenticate() }, show),
    rows: [`GET /a | open - | ${LATE}`],
  },
  {
    name: 'paths that the router rewrites are known again',
    settings: {
      exposeHeadRoutes: false,
      routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, caseSensitive: false },
    },
    build: async (app) => {
      await app.register(plugin)
      for (const url of [
        '/',
        '/UPPER/:Id',
        '/slash/',
        '/du//ple',
        '/opt/:id?',
        '/co::lon',
        String.raw`/n/:id(^\d+$)`,
        '/f/:a-:b.txt',
        '/w/*',
      ]) {
        app.get(url, { onRequest: authenticate() }, show)
      }
      await app.register(async (scope) => void scope.get('/', { onRequest: authenticate() }, show), { prefix: '/p' })
    },
    rows: [
      'GET / | guarded identity',
      'GET /UPPER/:Id | guarded identity',
      'GET /slash/ | guarded identity',
      'GET /du//ple | guarded identity',
      'GET /opt/:id? | guarded identity',
      'GET /co::lon | guarded identity',
      String.raw`GET /n/:id(^\d+$) | guarded identity`,
      'GET /f/:a-:b.txt | guarded identity',
      'GET /w/* | guarded identity',
      'GET /p | guarded identity',
    ],
  },
  {
    name: 'middleware that no hook tells of',
    settings: NO_HEAD,
    build: async (app) => {
      await app.register(plugin)
      app.decorate('use', () => undefined)
      app.get('/a', { onRequest: authenticate() }, show)
    },
    rows: ['GET /a | guarded identity', 'USE * | open - | cannot be read: `use`'],
  },
]

async function ready({ settings, build }: Pick<Case, 'settings' | 'build'>) {
  const app = Fastify(settings)
  const options = (await build(app)) ?? {}
  await app.ready()
  return { app, options }
}

describe('Fastify 5', () => {
  test.each(CASES)('$name', async (each) => {
    const { app, options } = await ready(each)
    expect(guards.routeInventory(app, options).map(lineOf)).toEqual(each.rows)
  })

  test.each(CASES)('$name: assertGuarded throws if a row has a problem', async (each) => {
    const { app, options } = await ready(each)
    const bad = each.rows.filter((row) => row.split(' | ').length === 3).map((row) => row.split(' | ').at(-1))
    const code = bad.length === 0 ? null : bad.includes(LATE) ? 'ROUTES_UNSEEN' : 'ROUTES_UNGUARDED'
    const { error } = thrownBy(() => guards.assertGuarded(app, options))
    expect([error?.code ?? null, error?.routes.map(({ problem }) => problem) ?? []]).toEqual([code, bad])
  })

  test.each(CASES)('$name: what counts as guarded refuses a call without a key', async (each) => {
    const { app, options } = await ready(each)
    const asked = guards
      .routeInventory(app, options)
      .filter((row) => row.guarded && row.mode !== 'optional' && askable(row))
    const answers = asked.map(async ({ method, path }) => {
      const headers = path === '/host' ? { host: 'a.example' } : {}
      const url = path.replaceAll(/:\w+|\*/g, 'x1')
      const { statusCode } = await app.inject({ method: method === 'ALL' ? 'POST' : method, url, headers })
      return statusCode
    })
    expect(await Promise.all(answers)).toEqual(asked.map(() => 401))
  })

  test('a child instance tells of the whole application', async () => {
    let child: FastifyInstance | undefined
    const { app } = await ready({
      settings: NO_HEAD,
      build: async (instance) => {
        await instance.register(plugin)
        instance.get('/a', { onRequest: authenticate() }, show)
        await instance.register(async (scope) => {
          child = scope
        })
      },
    })
    expect(guards.routeInventory(child ?? {})).toEqual(guards.routeInventory(app))
  })

  test('the guards that an onRoute hook of somebody else adds are seen', async () => {
    const { app } = await ready({
      settings: NO_HEAD,
      build: async (instance) => {
        await instance.register(plugin)
        instance.addHook('onRoute', (route) => {
          if (route.method === 'GET') route.onRequest = requireScope('read:patients')
        })
        instance.get('/a', show)
        instance.post('/a', show)
      },
    })
    expect(guards.routeInventory(app).map(lineOf)).toEqual([
      'GET /a | guarded all read:patients',
      'POST /a | open - | no guard',
    ])
  })

  test('before ready() more routes may come', async () => {
    const app = Fastify()
    await app.register(plugin)
    app.get('/a', { onRequest: authenticate() }, show)
    const { error } = thrownBy(() => guards.assertGuarded(app))
    expect([error?.code, error?.message]).toEqual([
      'ROUTES_UNSEEN',
      'Routes can still be added: call assertGuarded after `await app.ready()`.',
    ])
  })

  test('an application without routes asserts nothing', async () => {
    const { app } = await ready({
      build: async (instance) => {
        await instance.register(plugin)
      },
    })
    expect(thrownBy(() => guards.assertGuarded(app)).error?.code).toBe('ROUTES_UNSEEN')
  })

  test('the error shows a table, and what to do', async () => {
    const { app } = await ready({
      settings: NO_HEAD,
      build: async (instance) => {
        instance.get('/early', show)
        await instance.register(plugin)
        instance.get('/a', { onRequest: authenticate() }, show)
      },
    })
    expect(thrownBy(() => guards.assertGuarded(app)).error?.message).toBe(
      [
        '1 of 2 routes are not covered:',
        '  METHOD  PATH    PROBLEM',
        `  GET     /early  ${LATE}`,
        'Register the plugin on the root instance, before every route: `await app.register(plugin)`.',
      ].join('\n'),
    )
  })

  test.each([
    ['no instance', {}],
    ['nothing', null],
  ])('%s is a GuardError', (_name, app) => {
    expect(() => guards.assertGuarded(app as unknown as object)).toThrow(GuardError)
  })
})

function thrownBy(act: () => void): { readonly error?: CoverageError } {
  try {
    act()
    return {}
  } catch (error) {
    if (error instanceof CoverageError) return { error }
    throw error
  }
}
