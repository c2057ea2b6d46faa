import type { RequestListener } from 'node:http'
import Router, { type RouterOptions } from '@koa/router'
import Koa from 'koa'
import Koa2 from 'koa2'
import { describe, expect, test } from 'vitest'
import { koaGuards, type CoverageOptions } from '../../adapters/koa.ts'
import { CoverageError, GuardError } from '../../src/errors.ts'
import { askable, auth, lineOf, statuses } from './coverage-rows.ts'

interface Case {
  readonly name: string
  readonly build: (app: Koa) => CoverageOptions | void
  readonly rows: readonly string[]
}

const guards = koaGuards(auth())
const other = koaGuards(auth())

const show = (context: Koa.ParameterizedContext) => {
  context.body = 'shown'
}
const pass = (_context: unknown, next: Koa.Next) => next()
const load = (_context: unknown, next: Koa.Next) => next()
const loadPatient = (_id: string, _context: unknown, next: Koa.Next) => next()

function routed(app: Koa, build: (router: Router) => unknown, options: RouterOptions = {}): void {
  const router = new Router(options)
  build(router)
  app.use(router.routes())
}

const CASES: readonly Case[] = [
  {
    name: 'one route among many has no guard',
    build: (app) =>
      routed(app, (router) => {
        router.get('/a', guards.requireScope('read:patients'), show)
        router.post('/a', guards.requireAnyScope(['read:patients', 'write:patients']), show)
        router.get('/b', show)
        router.delete('/c/:id', guards.authenticate(), show)
      }),
    rows: [
      'GET /a | guarded all read:patients',
      'POST /a | guarded any read:patients write:patients',
      'GET /b | open - | no guard',
      'DELETE /c/:id | guarded identity',
    ],
  },
  {
    name: 'a guard behind a handler does not count',
    build: (app) =>
      routed(app, (router) => {
        router.get('/a', show, guards.authenticate())
        router.get('/b', load, guards.authenticate(), show)
        router.get('/c', guards.authenticate(), load, guards.requireScope('read:patients'), show)
      }),
    rows: [
      'GET /a | open - | guard stands behind `show`',
      'GET /b | open - | guard stands behind `load`',
      'GET /c | guarded identity',
    ],
  },
  {
    name: 'a guard of the application counts for the routers after it',
    build: (app) => {
      routed(app, (router) => router.get('/before', show))
      app.use(guards.requireScope('read:patients'))
      app.use(pass)
      routed(app, (router) => router.get('/after', show))
    },
    rows: [
      'GET /before | open - | no guard',
      'USE / | guarded all read:patients',
      'GET /after | guarded all read:patients',
    ],
  },
  {
    name: 'router.use(guard) counts for the routes after it, in this router alone',
    build: (app) => {
      routed(app, (router) => {
        router.get('/early', show)
        router.use(guards.authenticate())
        router.get('/late', show)
        router.get(/^\/re$/, show)
      })
      routed(app, (router) => router.get('/elsewhere', show))
    },
    rows: [
      'GET /early | open - | no guard',
      'GET /late | guarded identity',
      String.raw`GET ^\/re$ | guarded identity`,
      'GET /elsewhere | open - | no guard',
    ],
  },
  {
    name: 'router.use(path, guard) counts under its path',
    build: (app) =>
      routed(app, (router) => {
        router.use('/api', guards.authenticate())
        router.use(['/x', '/y/:z'], guards.authenticate())
        router.use('/', guards.requireScope('read:patients'))
        for (const path of ['/api', '/api/users/:id', '/apis', '/:any/users', '/x/1', '/y/2/3', '/y', '/']) {
          router.get(path, show)
        }
      }),
    rows: [
      'GET /api | guarded identity',
      'GET /api/users/:id | guarded identity',
      'GET /apis | open - | no guard',
      'GET /:any/users | open - | no guard',
      'GET /x/1 | guarded identity',
      'GET /y/2/3 | guarded identity',
      'GET /y | open - | no guard',
      'GET / | guarded all read:patients',
    ],
  },
  {
    name: 'router.use(guard) under a prefix is passed by in another spelling',
    build: (app) => {
      const build = (router: Router) => router.use(guards.authenticate()).get('/x', show)
      routed(app, build, { prefix: '/a' })
      routed(app, build, { prefix: '/orgs/:org' })
      routed(app, build, { prefix: '/s', sensitive: true })
      routed(app, (router) => router.get('/x', guards.authenticate(), show), { prefix: '/b' })
    },
    rows: [
      'GET /a/x | open - | no guard: one mounted with `router.use` under a prefix matches the path as written only, and the route in any case',
      'GET /orgs/:org/x | guarded identity',
      'GET /s/x | guarded identity',
      'GET /b/x | guarded identity',
    ],
  },
  {
    name: 'nested routers with prefixes',
    build: (app) => {
      const patients = new Router({ prefix: '/patients' })
      patients.get('/:pid', guards.requireScope('read:patients'), show)
      patients.get('/:pid/open', show)
      const orgs = new Router({ prefix: '/orgs/:org' })
      orgs.use('/x/:y', patients.routes())
      orgs.use(guards.authenticate())
      orgs.use(patients.routes())
      app.use(orgs.routes()).use(orgs.allowedMethods())
    },
    rows: [
      'GET /orgs/:org/x/:y/patients/:pid | guarded all read:patients',
      'GET /orgs/:org/x/:y/patients/:pid/open | open - | no guard',
      'GET /orgs/:org/patients/:pid | guarded all read:patients',
      'GET /orgs/:org/patients/:pid/open | guarded identity',
    ],
  },
  {
    name: 'open on purpose, and catchAll',
    build: (app) => {
      routed(app, (router) => {
        router.get('/health', guards.publicRoute('a probe has no key'), show)
        router.get('/late', show, guards.publicRoute('too late'))
      })
      app.use(guards.catchAll())
    },
    rows: [
      'GET /health | open public (a probe has no key)',
      'GET /late | open - | guard stands behind `show`',
      'ALL /* | guarded catch-all',
    ],
  },
  {
    name: 'callbacks for parameters that run before the guard',
    build: (app) => {
      routed(app, (router) => {
        router.param('pid', loadPatient)
        router.get('/patients/:pid', guards.authenticate(), show)
        router.get('/other/:id', guards.authenticate(), show)
        router.get('/open/:pid', guards.publicRoute('demonstration'), show)
        router.use(guards.authenticate())
        router.get('/late/:pid', show)
      })
    },
    rows: [
      'GET /patients/:pid | guarded identity | param callback `loadPatient` runs before the guard',
      'GET /other/:id | guarded identity',
      'GET /open/:pid | open public (demonstration)',
      'GET /late/:pid | guarded identity',
    ],
  },
  {
    name: 'what is accepted by name',
    build: (app) => {
      app.use(load)
      app.use(pass)
      routed(app, (router) => {
        router.param('pid', loadPatient)
        router.use('/mounted', pass)
        router.get('/patients/:pid', guards.authenticate(), show)
        router.get('/limited', load, guards.authenticate(), show)
        router.get('/open', load, show)
      })
      return { accept: ['load', 'loadPatient', '/open', '/mounted', '/'] }
    },
    rows: [
      'USE / | open -',
      'USE / | open - | cannot be read: `pass`',
      'USE /mounted | open -',
      'GET /patients/:pid | guarded identity',
      'GET /limited | guarded identity',
      'GET /open | open - | no guard',
    ],
  },
  {
    name: 'a function without a name cannot be accepted',
    build: (app) => {
      app.use((_context, next) => next())
      routed(app, (router) => router.get('/a', guards.authenticate(), show))
    },
    rows: ['USE / | open - | cannot be read: a function without a name', 'GET /a | guarded identity'],
  },
  {
    name: 'a router that runs one layer for each request has no use for use',
    build: (app) => {
      routed(app, (router) => router.use(guards.authenticate()).get('/a', show), { exclusive: true })
    },
    rows: ['GET /a | open - | no guard'],
  },
  {
    name: 'what a router runs for a path that it does not have',
    build: (app) => {
      routed(app, (router) => router.get('/b', guards.authenticate(), show).on('not-found', guards.catchAll()))
      routed(app, (router) => router.get('/a', guards.authenticate(), show).on('not-found', show))
    },
    rows: [
      'GET /b | guarded identity',
      'ALL * | guarded catch-all',
      'GET /a | guarded identity',
      'USE * | open - | cannot be read: `show`',
    ],
  },
  {
    name: 'router.all, lists of paths, and a guard of another auth',
    build: (app) =>
      routed(app, (router) => {
        router.all('/all', other.requireScope('read:patients'), show)
        router.get(['/l1', '/l2/:id'], guards.authenticate(), other.requireScope('read:patients'), show)
        router.register('/two', ['put', 'patch'], [guards.authenticate(), show])
      }),
    rows: [
      'ALL /all | guarded all read:patients',
      'GET /l1 | guarded all read:patients',
      'GET /l2/:id | guarded all read:patients',
      'PUT /two | guarded identity',
      'PATCH /two | guarded identity',
    ],
  },
  {
    name: 'a path that goes on, behind one that ends',
    build: (app) =>
      routed(app, (router) => {
        router.use('/', guards.authenticate())
        router.get('/{*rest}', show)
      }),
    rows: ['GET /{*rest} | open - | no guard'],
  },
]

function listenerOf(app: { callback(): (...call: Parameters<RequestListener>) => Promise<void> }): RequestListener {
  const callback = app.callback()
  return (request, response) => void callback(request, response)
}

describe.each([
  [2, Koa2],
  [3, Koa],
] as const)('Koa %i', (_version, Application) => {
  const build = (each: Pick<Case, 'build'>) => {
    const app = new Application()
    return { app, options: each.build(app) ?? {} }
  }

  test.each(CASES)('$name', ({ build: make, rows }) => {
    const { app, options } = build({ build: make })
    expect(guards.routeInventory(app, options).map(lineOf)).toEqual(rows)
  })

  test.each(CASES)('$name: assertGuarded throws if a row has a problem', ({ build: make, rows }) => {
    const { app, options } = build({ build: make })
    const bad = rows.filter((row) => row.split(' | ').length === 3).map((row) => row.split(' | ').at(-1))
    expect(problemsOf(() => guards.assertGuarded(app, options))).toEqual(bad)
  })

  test.each(CASES)('$name: what counts as guarded refuses a call without a key', async ({ build: make }) => {
    const { app, options } = build({ build: make })
    const asked = guards.routeInventory(app, options).filter((row) => row.guarded && askable(row))
    expect(await statuses(listenerOf(app), asked)).toEqual(asked.map(() => 401))
  })

  test('the other spelling is served without a key', async () => {
    const app = new Application()
    routed(app, (router) => router.use(guards.authenticate()).get('/x', show), { prefix: '/a' })
    const [row] = guards.routeInventory(app)
    const spelled = ['/a/x', '/A/x'].map((path) => Object.assign({}, row, { path }))
    expect(await statuses(listenerOf(app), spelled)).toEqual([401, 200])
  })

  test('routers can be checked by themselves, one or several', () => {
    const [one, two] = [new Router(), new Router({ prefix: '/two' })]
    one.get('/a', guards.authenticate(), show)
    two.get('/b', show)
    expect(guards.assertGuarded(one)).toBeUndefined()
    expect(guards.routeInventory([one, two.routes()]).map(lineOf)).toEqual([
      'GET /a | guarded identity',
      'GET /two/b | open - | no guard',
    ])
  })

  test('a generator function keeps its name where Koa 2 converts it', () => {
    const old = Object.assign(pass.bind(null), { _name: 'oldStyle' })
    const app = new Application()
    app.use(old)
    expect(guards.routeInventory(app).map(({ problem }) => problem)).toEqual(['cannot be read: `oldStyle`'])
    expect(guards.assertGuarded(app, { accept: ['oldStyle'] })).toBeUndefined()
  })

  test.each([
    ['no application', {}],
    ['nothing', undefined],
    ['no router at all', []],
    ['a list with something else in it', [new Router(), 1]],
  ])('%s is a GuardError', (_name, app) => {
    expect(() => guards.assertGuarded(app as object)).toThrow(GuardError)
  })

  test('an application without routes asserts nothing', () => {
    expect(() => guards.assertGuarded(new Application())).toThrow(CoverageError)
  })
})

function problemsOf(act: () => void): readonly string[] {
  try {
    act()
    return []
  } catch (error) {
    if (error instanceof CoverageError) return error.routes.map(({ problem }) => problem)
    throw error
  }
}
