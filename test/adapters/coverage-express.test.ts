import type { RequestListener } from 'node:http'
import express5, { type Express, type NextFunction, type Request, type Response } from 'express'
import express4 from 'express4'
import { describe, expect, test } from 'vitest'
import { expressGuards, type ExpressCoverageOptions } from '../../adapters/express.ts'
import { CoverageError, GuardError } from '../../src/errors.ts'
import { askable, auth, lineOf, statuses } from './coverage-rows.ts'

type Framework = typeof express5

interface Tools {
  readonly express: Framework
  readonly app: Express
}

interface Case {
  readonly name: string
  readonly build: (tools: Tools) => ExpressCoverageOptions | void
  readonly rows: readonly string[]
}

const show = (_request: Request, response: Response) => void response.send('shown')
const load = (_request: Request, _response: Response, next: NextFunction) => next()
const loadPatient = (_request: Request, _response: Response, next: NextFunction, _id: string) => next()
const report = (_error: unknown, _request: Request, response: Response, _next: NextFunction) =>
  void response.send('oops')

const guards = expressGuards(auth())
const other = expressGuards(auth())

const CASES: readonly Case[] = [
  {
    name: 'one route among many has no guard',
    build: ({ app }) => {
      app.get('/a', guards.requireScope('read:patients'), show)
      app.post('/a', guards.requireAnyScope(['read:patients', 'write:patients']), show)
      app.get('/b', show)
      app.delete('/c/:id', guards.authenticate(), show)
    },
    rows: [
      'GET /a | guarded all read:patients',
      'POST /a | guarded any read:patients write:patients',
      'GET /b | open - | no guard',
      'DELETE /c/:id | guarded identity',
    ],
  },
  {
    name: 'a guard behind a handler does not count',
    build: ({ app }) => {
      app.get('/a', show, guards.authenticate())
      app.get('/b', load, guards.authenticate(), show)
      app.get('/c', guards.authenticate(), load, guards.requireScope('read:patients'), show)
      app.get('/d', (_request: Request, _response: Response, next: NextFunction) => next(), guards.authenticate(), show)
    },
    rows: [
      'GET /a | open - | guard stands behind `show`',
      'GET /b | open - | guard stands behind `load`',
      'GET /c | guarded identity',
      'GET /d | open - | guard stands behind a function without a name',
    ],
  },
  {
    name: 'all ways to ask, together',
    build: ({ app }) => {
      const { requireScope, requireAnyScope, requireOrganization, authenticate } = guards
      app.get('/all', requireScope('read:patients'), requireScope(['read:patients', 'write:patients']), show)
      app.get('/mixed', requireScope('read:patients'), requireAnyScope(['write:patients', 'read:observations']), show)
      app.get(
        '/organization/:id',
        authenticate(),
        requireOrganization(({ params }) => params['id']),
        show,
      )
      app.get('/optional', authenticate({ optional: true }), show)
    },
    rows: [
      'GET /all | guarded all read:patients write:patients',
      'GET /mixed | guarded mixed read:patients write:patients read:observations',
      'GET /organization/:id | guarded organization',
      'GET /optional | guarded optional',
    ],
  },
  {
    name: 'a guard in an outer router counts for what comes after it, and for nothing before',
    build: ({ express, app }) => {
      const inner = express.Router()
      inner.get('/early', show)
      const deep = express.Router({ mergeParams: true })
      deep.get('/', show)
      deep.get('/patients/:pid', show)
      app.use('/before', inner)
      app.use(guards.requireScope('read:patients'))
      app.use('/orgs/:org', deep)
      app.get('/after', show)
    },
    rows: [
      'GET /before/early | open - | no guard',
      'GET /orgs/:org | guarded all read:patients',
      'GET /orgs/:org/patients/:pid | guarded all read:patients',
      'GET /after | guarded all read:patients',
    ],
  },
  {
    name: 'a mounted guard counts under its path alone',
    build: ({ express, app }) => {
      app.use('/api', guards.authenticate())
      app.use(['/x', '/y/:z'], guards.authenticate())
      const api = express.Router()
      api.get('/users', show)
      api.get('/users/:id/notes', show)
      app.use('/api', api)
      app.get('/api', show)
      app.get('/apis', show)
      app.get('/:any/users', show)
      app.get('/x/1', show)
      app.get('/y/2/3', show)
      app.get('/y/', show)
    },
    rows: [
      'GET /api/users | guarded identity',
      'GET /api/users/:id/notes | guarded identity',
      'GET /api | guarded identity',
      'GET /apis | open - | no guard',
      'GET /:any/users | open - | no guard',
      'GET /x/1 | guarded identity',
      'GET /y/2/3 | guarded identity',
      'GET /y | open - | no guard',
    ],
  },
  {
    name: 'a guard that is mounted deeper than the router it leads to',
    build: ({ express, app }) => {
      app.use('/api/admin', guards.authenticate())
      const api = express.Router()
      api.get('/admin/keys', show)
      api.get('/public', show)
      app.use('/api', api)
    },
    rows: ['GET /api/admin/keys | guarded identity', 'GET /api/public | open - | no guard'],
  },
  {
    name: 'an application that tells A from a does not guard a router that does not',
    build: ({ express, app }) => {
      app.enable('case sensitive routing')
      app.use('/api/admin', guards.authenticate())
      app.get('/api/admin/own', show)
      const api = express.Router()
      api.get('/admin/KEYS', show)
      app.use('/api', api)
    },
    rows: ['GET /api/admin/own | guarded identity', 'GET /api/admin/KEYS | open - | no guard'],
  },
  {
    name: 'a guard that is mounted after the routes, or in a router beside them',
    build: ({ express, app }) => {
      const beside = express.Router()
      beside.use(guards.authenticate())
      beside.get('/in', show)
      const later = express.Router()
      later.get('/a', show)
      later.use(guards.authenticate())
      app.use('/later', later)
      app.use('/beside', beside)
      app.get('/out', show)
    },
    rows: ['GET /later/a | open - | no guard', 'GET /beside/in | guarded identity', 'GET /out | open - | no guard'],
  },
  {
    name: 'open on purpose',
    build: ({ express, app }) => {
      app.get('/health', guards.publicRoute('a probe has no key'), show)
      app.get('/late', show, guards.publicRoute('too late'))
      const docs = express.Router()
      docs.use(guards.publicRoute('documentation'))
      docs.get('/', show)
      docs.get('/private', guards.authenticate(), show)
      app.use('/docs', docs)
    },
    rows: [
      'GET /health | open public (a probe has no key)',
      'GET /late | open - | guard stands behind `show`',
      'GET /docs | open public (documentation)',
      'GET /docs/private | guarded identity (documentation)',
    ],
  },
  {
    name: 'catchAll counts, mounted or as a route',
    build: ({ express, app }) => {
      app.get('/a', guards.authenticate(), show)
      const old = express.Router()
      old.all('/gone', guards.catchAll())
      old.use(guards.catchAll())
      app.use('/old', old)
      app.use(guards.catchAll())
    },
    rows: [
      'GET /a | guarded identity',
      'ALL /old/gone | guarded catch-all',
      'ALL /old/* | guarded catch-all',
      'ALL /* | guarded catch-all',
    ],
  },
  {
    name: 'callbacks for parameters that run before the guard',
    build: ({ express, app }) => {
      app.param('pid', loadPatient)
      app.get('/patients/:pid', guards.authenticate(), show)
      app.get('/other/:id', guards.authenticate(), show)
      app.get('/open/:pid', guards.publicRoute('demonstration'), show)
      const router = express.Router({ mergeParams: true })
      router.param('org', loadPatient)
      router.get('/x', guards.authenticate(), show)
      router.get('/:org', guards.authenticate(), show)
      app.use('/sub/:pid', router)
      app.use(guards.authenticate())
      app.get('/late/:pid', show)
    },
    rows: [
      'GET /patients/:pid | guarded identity | param callback `loadPatient` runs before the guard',
      'GET /other/:id | guarded identity',
      'GET /open/:pid | open public (demonstration)',
      'GET /sub/:pid/x | guarded identity | param callback `loadPatient` runs before the guard',
      'GET /sub/:pid/:org | guarded identity | param callback `loadPatient` runs before the guard',
      'GET /late/:pid | guarded identity',
    ],
  },
  {
    name: 'a callback for a parameter of the mount of the guard itself',
    build: ({ app }) => {
      app.param('pid', loadPatient)
      app.use('/patients/:pid', guards.authenticate())
      app.get('/patients/:pid/notes', show)
    },
    rows: ['GET /patients/:pid/notes | guarded identity | param callback `loadPatient` runs before the guard'],
  },
  {
    name: 'what is accepted by name',
    build: ({ app }) => {
      app.use(load)
      app.param('pid', loadPatient)
      app.get('/patients/:pid', guards.authenticate(), show)
      app.get('/limited', load, guards.authenticate(), show)
      app.get('/open', load, show)
      return { accept: ['load', 'loadPatient', '/open'] }
    },
    rows: [
      'USE / | open -',
      'GET /patients/:pid | guarded identity',
      'GET /limited | guarded identity',
      'GET /open | open - | no guard',
    ],
  },
  {
    name: 'parsers of Express itself need no name; other functions do, unless a guard stands before them',
    build: ({ express, app }) => {
      app.use(express.json(), express.urlencoded({ extended: false }))
      app.use(express.static('docs'))
      app.use('/legacy', load)
      app.use((_request: Request, _response: Response, next: NextFunction) => next())
      app.use('/behind', guards.authenticate(), load)
      app.use('/assets', guards.publicRoute('assets'), express.static('docs'))
      app.use(report)
      app.get('/a', guards.authenticate(), show)
      return { accept: ['/legacy'] }
    },
    rows: [
      'USE / | open - | cannot be read: `serveStatic`',
      'USE /legacy | open -',
      'USE / | open - | cannot be read: a function without a name',
      'USE /behind | guarded identity',
      'USE /assets | open public (assets)',
      'GET /a | guarded identity',
    ],
  },
  {
    name: 'a router in a function cannot be read',
    build: ({ express, app }) => {
      const router = express.Router()
      router.get('/a', show)
      app.use('/wrapped', (request: Request, response: Response, next: NextFunction) => router(request, response, next))
    },
    rows: ['USE /wrapped | open - | cannot be read: a function without a name'],
  },
  {
    name: 'mounted applications are read where they are handed in',
    build: ({ express, app }) => {
      const [known, unknown, inner] = [express(), express(), express()]
      inner.get('/i', show)
      inner.get('/j/:id', guards.authenticate(), show)
      known.use('/inner', inner)
      known.get('/k', guards.requireScope('read:patients'), show)
      app.use('/known', known)
      app.use('/unknown', unknown)
      app.use('/behind', guards.authenticate())
      app.use('/behind', express())
      return { apps: [known, inner] }
    },
    rows: [
      'GET /known/inner/i | open - | no guard',
      'GET /known/inner/j/:id | guarded identity',
      'GET /known/k | guarded all read:patients',
      'USE /unknown | open - | cannot be read: `mounted_app`',
      'USE /behind | guarded identity',
    ],
  },
  {
    name: 'app.all, app.route, lists of paths, and RegExps',
    build: ({ app }) => {
      app.all('/all', guards.authenticate(), show)
      app.route('/route').all(guards.authenticate()).get(show).post(show)
      app.route('/half').get(guards.authenticate(), show).put(show)
      app.route('/mixed').get(guards.authenticate(), show).all(show)
      app.get(['/l1', '/l2/:id'], guards.authenticate(), show)
      app.get(/^\/re\/(\d+)$/, guards.authenticate(), show)
      app.get(/^\/open/, show)
      app.get('/nested', [guards.authenticate(), load], show)
    },
    rows: [
      'ALL /all | guarded identity',
      'GET /route | guarded identity',
      'POST /route | guarded identity',
      'GET /half | guarded identity',
      'PUT /half | open - | no guard',
      'GET /mixed | guarded identity',
      'ALL /mixed | open - | no guard',
      'GET /l1 | guarded identity',
      'GET /l2/:id | guarded identity',
      String.raw`GET ^\/re\/(\d+)$ | guarded identity`,
      String.raw`GET ^\/open | open - | no guard`,
      'GET /nested | guarded identity',
    ],
  },
  {
    name: 'a guard of another auth counts, too',
    build: ({ app }) => {
      app.get('/mine', guards.requireScope('read:patients'), show)
      app.get('/theirs', other.requireScope('read:observations'), show)
      app.get('/both', guards.requireScope('read:patients'), other.requireScope('read:observations'), show)
    },
    rows: [
      'GET /mine | guarded all read:patients',
      'GET /theirs | guarded all read:observations',
      'GET /both | guarded all read:patients read:observations',
    ],
  },
]

describe.each([
  [4, express4],
  [5, express5],
] as const)('Express %i', (_version, express) => {
  const build = (each: Pick<Case, 'build'>) => {
    const app = express()
    const options = each.build({ express, app }) ?? {}
    return { app, options }
  }

  test.each(CASES)('$name', ({ build: make, rows }) => {
    const { app, options } = build({ build: make })
    expect(guards.routeInventory(app, options).map(lineOf)).toEqual(rows)
  })

  test.each(CASES)('$name: assertGuarded throws if a row has a problem, and tells of it', ({ build: make, rows }) => {
    const { app, options } = build({ build: make })
    const bad = rows.filter((row) => row.split(' | ').length === 3)
    if (bad.length === 0) {
      expect(guards.assertGuarded(app, options)).toBeUndefined()
      return
    }
    const error = thrownBy(() => guards.assertGuarded(app, options))
    expect(error.code).toBe('ROUTES_UNGUARDED')
    expect(error.routes.map(({ method, path, problem }) => `${method} ${path} | ${problem}`)).toEqual(
      bad.map((row) => row.replace(/ \| (open|guarded) .* \| /, ' | ')),
    )
  })

  test.each(CASES)('$name: what counts as guarded refuses a call without a key', async ({ build: make }) => {
    const { app, options } = build({ build: make })
    const rows = guards.routeInventory(app, options).filter((row) => row.guarded && row.mode !== 'optional')
    const asked = rows.filter(askable)
    expect(await statuses(app as RequestListener, asked)).toEqual(asked.map(() => 401))
  })

  test('what tells A from a is passed by in another spelling', async () => {
    const app = express()
    app.enable('case sensitive routing')
    app.use('/api/admin', guards.authenticate())
    const api = express.Router()
    api.get('/admin/keys', show)
    app.use('/api', api)
    const [row] = guards.routeInventory(app)
    expect(row?.problem).toBe('no guard')
    const spelled = ['/api/admin/keys', '/api/ADMIN/keys'].map((path) => Object.assign({}, row, { path }))
    expect(await statuses(app as RequestListener, spelled)).toEqual([401, 200])
  })

  test('a row in full', () => {
    const { app } = build({
      build: (tools) => {
        tools.app.get(
          '/a',
          guards.requireScope('read:observations', { phi: { type: 'Observation', action: 'R' } }),
          show,
        )
        tools.app.get('/b', guards.authenticate({ phi: false }), show)
      },
    })
    expect(guards.routeInventory(app)).toEqual([
      {
        method: 'GET',
        path: '/a',
        scopes: ['read:observations'],
        mode: 'all',
        phi: { type: 'Observation', action: 'R' },
        reason: null,
        guarded: true,
        problem: null,
      },
      {
        method: 'GET',
        path: '/b',
        scopes: [],
        mode: 'identity',
        phi: false,
        reason: null,
        guarded: true,
        problem: null,
      },
    ])
    expect(Object.isFrozen(guards.routeInventory(app))).toBe(true)
  })

  test('the error shows a table, and what to do', () => {
    const { app } = build({
      build: (tools) => {
        tools.app.get('/a', show)
        tools.app.use('/legacy', load)
        tools.app.get('/b', guards.authenticate(), show)
      },
    })
    expect(thrownBy(() => guards.assertGuarded(app)).message).toBe(
      [
        '2 of 3 routes are not covered:',
        '  METHOD  PATH     PROBLEM',
        '  GET     /a       no guard',
        '  USE     /legacy  cannot be read: `load`',
        'Put a guard first on the route, or say why it is open: publicRoute(reason). What cannot be read is accepted by ' +
          "name: assertGuarded(app, { accept: ['nameOfTheFunction'] }).",
      ].join('\n'),
    )
  })

  test('a router can be checked by itself; an application without routes asserts nothing', () => {
    const { app } = build({ build: () => undefined })
    const router = express.Router()
    router.get('/a', guards.authenticate(), show)
    expect(guards.routeInventory(router).map(lineOf)).toEqual(['GET /a | guarded identity'])
    expect(thrownBy(() => guards.assertGuarded(express.Router())).code).toBe('ROUTES_UNSEEN')
    expect(guards.routeInventory(app).map(lineOf)).toEqual([])
  })

  test('a router that holds itself, and one that is no router of Express', () => {
    const { app } = build({ build: () => undefined })
    const router = express.Router()
    router.use('/again', router)
    app.use(router)
    expect(guards.routeInventory(app).map(({ problem }) => problem)).toEqual([
      'cannot be read: `router that holds itself`',
    ])
    const connect = Object.assign(() => undefined, { stack: [{ route: '/x', handle: show }] })
    expect(guards.routeInventory(connect).map(({ problem }) => problem)).toEqual(['cannot be read: `unknown router`'])
  })

  test.each([
    ['no application', {}, {}],
    ['nothing', null, {}],
    ['a name that is none', express(), { accept: 'load' }],
    ['an empty name', express(), { accept: [''] }],
    ['apps that are none', express(), { apps: ['x'] }],
  ])('%s is a GuardError', (_name, app, options) => {
    expect(() => guards.assertGuarded(app as object, options as ExpressCoverageOptions)).toThrow(GuardError)
  })

  test('inherited options accept nothing', () => {
    const { app } = build({ build: (tools) => void tools.app.use(load) })
    const options = Object.create({ accept: ['load'] }) as ExpressCoverageOptions
    expect(() => guards.assertGuarded(app, options)).toThrow(CoverageError)
  })
})

function thrownBy(act: () => void): CoverageError {
  try {
    act()
  } catch (error) {
    if (error instanceof CoverageError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
