import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express5, { type Express, type NextFunction, type Request, type Response } from 'express'
import express4 from 'express4'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { recoverRoute } from '../../adapters/express-route.ts'
import type { Place } from '../../src/adapter-kit.ts'

type Framework = typeof express5
type Guard = (request: Request, response: Response, next: NextFunction) => void
type Build = (express: Framework, guard: Guard) => (request: IncomingMessage, response: ServerResponse) => void

const FRAMEWORKS: readonly (readonly [number, Framework])[] = [
  [4, express4],
  [5, express5],
]

const POLLUTED = [
  'app',
  'parent',
  'route',
  'slash',
  'rawPath',
  'stack',
  'regexp',
  'keys',
  'fast_slash',
  'baseUrl',
  'originalUrl',
  'params',
  'res',
]

const everyObject: object = Object.prototype

const ok: Guard = (_request, response) => void response.send('ok')
const pass: Guard = (_request, _response, next) => next()

interface Seen {
  readonly status: number
  /** What the guard recovered before it passed; null where it never ran. */
  readonly guard: Place | null
  /** What it recovered once the response was over. */
  readonly end: Place | null
  /** What Express itself showed the guard. */
  readonly shown: unknown
}

/** A server whose only guard asks where it is, and asks again at the end; not for two requests at once. */
async function serve(framework: Framework, build: Build) {
  let seen: { guard: Place | null; end: Place | null; shown: unknown }
  let over: () => void
  const guard: Guard = (request, response, next) => {
    const { app: guardApp } = request
    seen.guard = recoverRoute(request, guard)
    seen.shown = request.params
    response.once('close', () => {
      seen.end = recoverRoute(request, guard, guardApp)
    })
    next()
  }
  const app = build(framework, guard)
  const server = http.createServer((request, response) => {
    response.once('close', () => setImmediate(over))
    app(request, response)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  const visit = async (path: string, method = 'GET'): Promise<Seen> => {
    seen = { guard: null, end: null, shown: null }
    const closed = new Promise<void>((resolve) => {
      over = resolve
    })
    const status = await new Promise<number>((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port, path, method, agent: false }, (response) => {
        response.resume().once('end', () => resolve(response.statusCode ?? 0))
      })
      request.once('error', reject).end()
    })
    await closed
    return { status, ...seen }
  }
  return {
    app,
    visit,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(resolve)
      }),
  }
}

async function visitOnce(
  framework: Framework,
  build: Build,
  [path, method]: readonly [string, (string | undefined)?],
): Promise<Seen> {
  const server = await serve(framework, build)
  try {
    return await server.visit(path, method)
  } finally {
    await server.close()
  }
}

interface Row {
  readonly name: string
  /** Both, where it is not said. */
  readonly version?: 4 | 5
  readonly build: Build
  readonly path: string
  readonly method?: string
  /** At the guard. */
  readonly template: string
  readonly params: Record<string, string>
  /** At the end, where it differs. */
  readonly end?: string
  readonly status?: number
}

function quiet(app: Express): Express {
  return app.set('env', 'test')
}

const rows: readonly Row[] = [
  {
    name: 'a route on the application',
    build: (express, guard) => express().get('/patients/:id', guard, ok),
    path: '/patients/17?name=x',
    template: '/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'the root route',
    build: (express, guard) => express().get('/', guard, ok),
    path: '/?a=/b',
    template: '/',
    params: {},
  },
  {
    name: 'two routers, the outer parameters hidden',
    build: (express, guard) => express().use('/orgs/:org', express.Router().get('/patients/:pid', guard, ok)),
    path: '/orgs/acme/patients/17',
    template: '/orgs/:org/patients/:pid',
    params: { org: 'acme', pid: '17' },
  },
  {
    name: 'three routers, the outer parameters hidden',
    build: (express, guard) => {
      const inner = express.Router().get('/observations/:oid', guard, ok)
      return express().use('/orgs/:org', express.Router().use('/patients/:pid', inner))
    },
    path: '/orgs/acme/patients/17/observations/3',
    template: '/orgs/:org/patients/:pid/observations/:oid',
    params: { org: 'acme', pid: '17', oid: '3' },
  },
  {
    name: 'three routers with merged parameters',
    build: (express, guard) => {
      const inner = express.Router({ mergeParams: true }).get('/observations/:oid', guard, ok)
      return express().use('/orgs/:org', express.Router({ mergeParams: true }).use('/patients/:pid', inner))
    },
    path: '/orgs/acme/patients/17/observations/3',
    template: '/orgs/:org/patients/:pid/observations/:oid',
    params: { org: 'acme', pid: '17', oid: '3' },
  },
  {
    name: 'the inner of two parameters of one name',
    build: (express, guard) => express().use('/orgs/:id', express.Router().get('/patients/:id', guard, ok)),
    path: '/orgs/outer/patients/inner',
    template: '/orgs/:id/patients/:id',
    params: { id: 'inner' },
  },
  {
    name: 'the root route of a router',
    build: (express, guard) => express().use('/orgs/:org', express.Router().get('/', guard, ok)),
    path: '/orgs/acme?x=1',
    template: '/orgs/:org',
    params: { org: 'acme' },
  },
  {
    name: 'a router without a path',
    build: (express, guard) => express().use(express.Router().get('/patients/:id', guard, ok)),
    path: '/patients/17',
    template: '/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'slashes at the ends of mount, route and request',
    build: (express, guard) => express().use('/orgs/', express.Router().get('/:org/', guard, ok)),
    path: '/orgs/acme/',
    template: '/orgs/:org',
    params: { org: 'acme' },
  },
  {
    name: 'a mount that takes the slash at the end',
    build: (express, guard) => express().use('/orgs/:org', express.Router().get('/', guard, ok)),
    path: '/orgs/acme/',
    template: '/orgs/:org',
    params: { org: 'acme' },
  },
  {
    name: 'another case than written',
    build: (express, guard) => express().use('/Orgs', express.Router().get('/Patients/:id', guard, ok)),
    path: '/oRGS/PATIENTS/AbC',
    template: '/Orgs/Patients/:id',
    params: { id: 'AbC' },
  },
  {
    name: 'the case of a router that is sensitive',
    build: (express, guard) => {
      const router = express.Router({ caseSensitive: true })
      return express().use(router.get('/Patients/:id', pass).get('/patients/:key', guard, ok))
    },
    path: '/patients/17',
    template: '/patients/:key',
    params: { key: '17' },
  },
  {
    name: 'the slash of a router that is strict',
    build: (express, guard) => {
      const router = express.Router({ strict: true })
      return express().use(router.get('/patients/:id', guard, ok).get('/patients/:key/', guard, ok))
    },
    path: '/patients/17/',
    template: '/patients/:key',
    params: { key: '17' },
  },
  {
    name: 'the matching member of a route list',
    build: (express, guard) => express().get(['/people/:person', ['/patients/:id', '/x']] as string[], guard, ok),
    path: '/patients/17',
    template: '/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'the first of two members of a route list that match',
    build: (express, guard) => express().get(['/:kind/:key', '/patients/:id'], guard, ok),
    path: '/patients/17',
    template: '/:kind/:key',
    params: { kind: 'patients', key: '17' },
  },
  {
    name: 'the matching member of a mount list',
    build: (express, guard) =>
      express().use(['/v1/:org', '/v2/tenants/:tenant/'], express.Router().get('/patients/:id', guard, ok)),
    path: '/v2/tenants/t1/patients/17',
    template: '/v2/tenants/:tenant/patients/:id',
    params: { tenant: 't1', id: '17' },
  },
  {
    name: 'the first member of a mount list',
    build: (express, guard) =>
      express().use(['/v1/:org', '/v2/tenants/:tenant'], express.Router().get('/patients/:id', guard, ok)),
    path: '/v1/acme/patients/17',
    template: '/v1/:org/patients/:id',
    params: { org: 'acme', id: '17' },
  },
  {
    name: 'a RegExp route',
    build: (express, guard) => express().get(/^\/patients\/(\d+)$/, guard, ok),
    path: '/patients/17',
    template: String.raw`^\/patients\/(\d+)$`,
    params: { 0: '17' },
  },
  {
    name: 'a RegExp mount and its route',
    build: (express, guard) => express().use(/^\/v[12]/, express.Router().get('/patients/:id', guard, ok)),
    path: '/v2/patients/17',
    template: String.raw`^\/v[12]/patients/:id`,
    params: { id: '17' },
  },
  {
    name: 'a RegExp with alternatives and a named group as mount',
    build: (express, guard) => express().use(/^\/a\/(?<org>\w+)|^\/b/, express.Router().get('/x', guard, ok)),
    path: '/a/acme/x',
    template: String.raw`^\/a\/(?<org>\w+)|^\/b/x`,
    params: { org: 'acme' },
  },
  {
    name: 'a RegExp route behind a mount with parameters',
    build: (express, guard) => express().use('/orgs/:org', express.Router().get(/^\/p\/(?<pid>\w+)$/, guard, ok)),
    path: '/orgs/acme/p/17',
    template: String.raw`/orgs/:org^\/p\/(?<pid>\w+)$`,
    params: { org: 'acme', pid: '17' },
  },
  {
    name: 'the RegExp in a route list',
    build: (express, guard) => express().get(['/patients/x', /^\/patients\/(\d+)$/], guard, ok),
    path: '/patients/17',
    template: String.raw`^\/patients\/(\d+)$`,
    params: { 0: '17' },
  },
  {
    name: 'the RegExp in a mount list',
    build: (express, guard) => express().use(['/a', /^\/b\d/], express.Router().get('/x', guard, ok)),
    path: '/b7/x',
    template: String.raw`^\/b\d/x`,
    params: {},
  },
  {
    name: 'a guard that is mounted before the route',
    build: (express, guard) => express().use('/orgs/:org', guard).get('/orgs/:key/patients/:pid', ok),
    path: '/orgs/acme/patients/17',
    template: '/orgs/:org',
    params: { org: 'acme' },
    end: '/orgs/:key/patients/:pid',
  },
  {
    name: 'a guard that is mounted in a router, before its route',
    build: (express, guard) =>
      express().use('/orgs/:org', express.Router().use('/patients/:pid', guard).get('/patients/:id/labs', ok)),
    path: '/orgs/acme/patients/17/labs',
    template: '/orgs/:org/patients/:pid',
    params: { org: 'acme', pid: '17' },
    end: '/orgs/:org/patients/:id/labs',
  },
  {
    name: 'a guard that is mounted with the router, before it',
    build: (express, guard) => express().use('/orgs/:org', guard, express.Router().get('/patients/:pid', ok)),
    path: '/orgs/acme/patients/17',
    template: '/orgs/:org',
    params: { org: 'acme' },
    end: '/orgs/:org/patients/:pid',
  },
  {
    name: 'a guard without a path, and nothing behind it',
    build: (express, guard) => express().use(guard),
    path: '/patients/17',
    template: '/',
    params: {},
    status: 404,
  },
  {
    name: 'a mounted guard, and nothing behind it',
    build: (express, guard) => express().use('/orgs/:org', guard),
    path: '/orgs/acme/patients/17',
    template: '/orgs/:org',
    params: { org: 'acme' },
    status: 404,
  },
  {
    name: 'a guard in no layer',
    build: (express, guard) => express().use('/orgs/:org', (request, response, next) => guard(request, response, next)),
    path: '/orgs/acme',
    template: '*',
    params: { org: 'acme' },
    status: 404,
  },
  {
    name: 'one guard in two mounts that both match but stand at different places of the path',
    build: (express, guard) => express().use('/orgs/:org', guard).use('/orgs/:id/patients', guard, ok),
    path: '/orgs/acme/patients',
    template: '/orgs/:id/patients',
    params: { id: 'acme' },
  },
  {
    name: 'a router that is mounted twice, at the mount that matches',
    build: (express, guard) => {
      const router = express.Router().get('/patients/:id', guard, ok)
      return express().use('/v1/:org', router).use('/v2', express.Router().use('/tenants/:tenant', router))
    },
    path: '/v2/tenants/t1/patients/17',
    template: '/v2/tenants/:tenant/patients/:id',
    params: { tenant: 't1', id: '17' },
  },
  {
    name: 'a router that is mounted twice at mounts that both match',
    build: (express, guard) => {
      const router = express.Router().get('/patients/:id', guard, ok)
      return express().use('/v1', router).use('/:version', router)
    },
    path: '/v1/patients/17',
    template: '*',
    params: { id: '17' },
  },
  {
    name: 'a router that is mounted twice at the same path',
    build: (express, guard) => {
      const router = express.Router().get('/patients/:id', guard, ok)
      return express().use('/v1', router).use('/v1', router)
    },
    path: '/v1/patients/17',
    template: '/v1/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'mounts that overlap but take different parts of the path',
    build: (express, guard) => {
      const router = express.Router().get(['/x', '/b/x'], guard, ok)
      return express()
        .use('/a/b', (request, response, next) =>
          request.query['deep'] === undefined ? next() : router(request, response, next),
        )
        .use('/a', router)
    },
    path: '/a/b/x',
    template: '/a/b/x',
    params: {},
  },
  {
    name: 'a router wrapped in a function',
    build: (express, guard) => {
      const router = express.Router().get('/patients/:id', guard, ok)
      return express().use('/v1', (request, response, next) => router(request, response, next))
    },
    path: '/v1/patients/17',
    template: '*',
    params: { id: '17' },
  },
  {
    name: 'a wrapped router that is also mounted where the URL could have gone',
    build: (express, guard) => {
      const router = express.Router().get(/^\/(?<rest>.*)$/, guard, ok)
      return express()
        .use('/a/:b', (request, response, next) => router(request, response, next))
        .use('/a', router)
    },
    path: '/a/1/x',
    template: '*',
    params: { rest: 'x' },
  },
  {
    name: 'a rewritten URL',
    build: (express, guard) =>
      express()
        .use((request, _response, next) => {
          request.url = '/patients/18'
          next()
        })
        .get('/patients/:id', guard, ok),
    path: '/patients/17',
    template: '*',
    params: { id: '18' },
  },
  {
    name: 'a URL rewritten in a router',
    build: (express, guard) =>
      express().use(
        '/orgs/:org',
        express
          .Router()
          .use((request, _response, next) => {
            request.url = request.url.replace('17', '18')
            next()
          })
          .get('/patients/:id', guard, ok),
      ),
    path: '/orgs/acme/patients/17',
    template: '*',
    params: { id: '18' },
  },
  {
    name: 'a sub-application',
    build: (express, guard) => {
      const sub = express().get('/patients/:pid', guard, ok)
      return express().use('/orgs/:org', sub)
    },
    path: '/orgs/acme/patients/17',
    template: '/orgs/:org/patients/:pid',
    params: { org: 'acme', pid: '17' },
  },
  {
    name: 'nested sub-applications, beside others, with a router inside',
    build: (express, guard) => {
      const inner = express().use('/patients/:pid', express.Router().get('/labs/:lab', guard, ok))
      const outer = express().use('/other', express()).use('/orgs/:org', inner)
      return express().use('/api', express()).use('/api/:version', outer)
    },
    path: '/api/v1/orgs/acme/patients/17/labs/3',
    template: '/api/:version/orgs/:org/patients/:pid/labs/:lab',
    params: { version: 'v1', org: 'acme', pid: '17', lab: '3' },
  },
  {
    name: 'a sub-application that is mounted twice',
    build: (express, guard) => {
      const sub = express().get('/patients/:pid', guard, ok)
      return express().use('/v1/:org', sub).use('/v2/:tenant', sub)
    },
    path: '/v1/acme/patients/17',
    template: '/v1/:org/patients/:pid',
    params: { org: 'acme', pid: '17' },
  },
  {
    name: 'a sub-application mounted by a list',
    build: (express, guard) => express().use(['/a/:x', '/b/:y'], express().use('/c/:z', guard, ok)),
    path: '/b/1/c/2/d',
    template: '/b/:y/c/:z',
    params: { y: '1', z: '2' },
  },
  {
    name: 'a sub-application beside one whose mount matches, too',
    build: (express, guard) => {
      const sub = express().get('/x', guard, ok)
      return express().use('/:any', express()).use('/v1', sub)
    },
    path: '/v1/x',
    template: '*',
    params: {},
  },
  {
    name: 'a sub-application that a plain router holds',
    build: (express, guard) => express().use('/api', express.Router().use('/sub', express().get('/x/:id', guard, ok))),
    path: '/api/sub/x/17',
    template: '*',
    params: { id: '17' },
  },
  {
    name: 'decoded parameters',
    build: (express, guard) => express().use('/orgs/:org', express.Router().get('/patients/:pid', guard, ok)),
    path: '/orgs/a%2Fb%20c/patients/%E2%82%AC%3F',
    template: '/orgs/:org/patients/:pid',
    params: { org: 'a/b c', pid: '€?' },
  },
  {
    name: 'a parameter that no one may plant',
    build: (express, guard) => express().get('/:__proto__/:constructor', guard, ok),
    path: '/a/b',
    template: '/:__proto__/:constructor',
    params: Object.fromEntries([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]),
  },
  {
    name: 'a bad escape, which no route behind the guard takes',
    build: (express, guard) => quiet(express()).use(guard).get('/patients/:id', ok),
    path: '/patients/%zz',
    template: '/',
    params: {},
    status: 400,
  },
  {
    name: 'a route that calls next() to another route',
    build: (express, guard) => express().get('/:page', pass).get('/patients', guard, ok),
    path: '/patients',
    template: '/patients',
    params: {},
  },
  {
    name: 'a guard whose route calls next() to another route',
    build: (express, guard) => express().get('/:page', guard, pass).get('/patients', ok),
    path: '/patients',
    template: '/:page',
    params: { page: 'patients' },
    end: '/patients',
  },
  {
    name: 'a guard that is mounted behind a route of a router that called next()',
    build: (express, guard) => express().use('/orgs', express.Router().get('/:org', pass)).use('/orgs/:id', guard, ok),
    path: '/orgs/acme',
    template: '/orgs/:id',
    params: { id: 'acme' },
  },
  {
    name: 'app.route()',
    build: (express, guard) => {
      const app = express()
      app.route('/patients/:id').all(guard).post(ok)
      return app
    },
    path: '/patients/17',
    method: 'POST',
    template: '/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'router.all()',
    build: (express, guard) => express().use('/v1', express.Router().all('/patients/:id', guard, ok)),
    path: '/v1/patients/17',
    method: 'DELETE',
    template: '/v1/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'HEAD on a GET route',
    build: (express, guard) => express().get('/patients/:id', guard, ok),
    path: '/patients/17',
    method: 'HEAD',
    template: '/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'a param callback that puts another value in place',
    build: (express, guard) => {
      const app = express()
      app.param('id', (request, _response, next) => {
        request.params['id'] = 'loaded'
        next()
      })
      return app.get('/patients/:id', guard, ok)
    },
    path: '/patients/17',
    template: '/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'a handler that throws, answered by an error handler of the application',
    build: (express, guard) => {
      const router = express.Router().get('/patients/:pid', guard, () => {
        throw new Error('no')
      })
      return quiet(express()).use('/orgs/:org', router)
    },
    path: '/orgs/acme/patients/17',
    template: '/orgs/:org/patients/:pid',
    params: { org: 'acme', pid: '17' },
    status: 500,
  },
  {
    name: 'a handler that throws, answered by an error handler on a mount of its own',
    build: (express, guard) =>
      express()
        .use(
          '/orgs/:org',
          express.Router().get('/p/:pid', guard, (_request, _response, next) => next(new Error('no'))),
        )
        .use('/orgs', (_error: unknown, _request: Request, response: Response, _next: NextFunction) => {
          response.sendStatus(503)
        }),
    path: '/orgs/acme/p/17',
    template: '/orgs/:org/p/:pid',
    params: { org: 'acme', pid: '17' },
    status: 503,
  },
  {
    name: 'a handler that calls next() after its answer',
    build: (express, guard) =>
      express().use(
        '/v1',
        express.Router().get('/patients/:id', guard, (_request, response, next) => {
          response.send('ok')
          next()
        }),
      ),
    path: '/v1/patients/17',
    template: '/v1/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'a handler that answers late',
    build: (express, guard) =>
      express().use(
        '/v1',
        express
          .Router()
          .get('/patients/:id', guard, (_request, response) => void setTimeout(() => response.send('ok'), 5)),
      ),
    path: '/v1/patients/17',
    template: '/v1/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'a request in absolute-form',
    build: (express, guard) => express().use('/orgs/:org', express.Router().get('/', guard, ok)),
    path: 'http://example.test/orgs/acme?x=1',
    template: '/orgs/:org',
    params: { org: 'acme' },
  },
  {
    name: 'a fragment that a client should not have sent',
    build: (express, guard) => express().get('/patients/:id', guard, ok),
    path: '/patients/17#x',
    template: '/patients/:id',
    params: { id: '17' },
  },
  {
    name: 'a backslash that the router turns around',
    build: (express, guard) => express().get('/patients/:id', guard, ok),
    path: '/patients\\17#',
    template: '*',
    params: { id: '17' },
  },
  {
    name: 'an expression that remembers where it stopped',
    build: (express, guard) => express().get(/^\/patients\/(\d+)$/g, guard, ok),
    path: '/patients/17',
    template: '*',
    params: { 0: '17' },
  },
  {
    name: 'an optional parameter that is there',
    version: 4,
    build: (express, guard) => express().use('/orgs/:org?', express.Router().get('/x/:id?', guard, ok)),
    path: '/orgs/acme/x/1',
    template: '/orgs/:org?/x/:id?',
    params: { org: 'acme', id: '1' },
  },
  {
    name: 'optional parameters that are not there',
    version: 4,
    build: (express, guard) => express().use('/orgs/:org?', express.Router().get('/x/:id?', guard, ok)),
    path: '/orgs/x/x',
    template: '/orgs/:org?/x/:id?',
    params: { org: 'x' },
  },
  {
    name: 'a custom pattern in a route',
    version: 4,
    build: (express, guard) => express().get(String.raw`/patients/:id(\d+)`, guard, ok),
    path: '/patients/17',
    template: String.raw`/patients/:id(\d+)`,
    params: { id: '17' },
  },
  {
    name: 'a custom pattern in a mount',
    version: 4,
    build: (express, guard) => express().use(String.raw`/orgs/:org(\d+)`, express.Router().get('/p/:pid', guard, ok)),
    path: '/orgs/17/p/18',
    template: '*',
    params: { org: '17', pid: '18' },
  },
  {
    name: 'parameters inside of segments, in a mount',
    version: 4,
    build: (express, guard) => express().use('/r/:from-:to/f.:ext', express.Router().get('/x', guard, ok)),
    path: '/r/a-b/f.json/x',
    template: '/r/:from-:to/f.:ext/x',
    params: { from: 'a', to: 'b', ext: 'json' },
  },
  {
    name: 'wildcards in mount and route',
    version: 4,
    build: (express, guard) => express().use('/f/*/d', express.Router().get('/x/*', guard, ok)),
    path: '/f/a/b/d/x/c/e',
    template: '/f/*/d/x/*',
    params: { 0: 'c/e' },
  },
  {
    name: 'a bare wildcard as route of a router',
    version: 4,
    build: (express, guard) => express().use('/orgs/:org', express.Router().get('*', guard, ok)),
    path: '/orgs/acme/a/b',
    template: '/orgs/:org/*',
    params: { org: 'acme', 0: '/a/b' },
  },
  {
    name: 'a mount that a dot ends',
    version: 4,
    build: (express, guard) => express().use(/^\/v(?<v>\d)/, express.Router().get('/.x', guard, ok)),
    path: '/v1.x',
    template: String.raw`^\/v(?<v>\d)/.x`,
    params: { v: '1' },
  },
  {
    name: 'an optional group that is there',
    version: 5,
    build: (express, guard) => express().use('/orgs{/:org}', express.Router().get('/x{/:id}', guard, ok)),
    path: '/orgs/acme/x/1',
    template: '/orgs{/:org}/x{/:id}',
    params: { org: 'acme', id: '1' },
  },
  {
    name: 'an optional group that is not there',
    version: 5,
    build: (express, guard) => express().use('/orgs', express.Router().get('/x{/:id}', guard, ok)),
    path: '/orgs/x',
    template: '/orgs/x{/:id}',
    params: {},
  },
  {
    name: 'a wildcard, its segments joined',
    version: 5,
    build: (express, guard) => express().use('/f/:org', express.Router().get('/x/*rest', guard, ok)),
    path: '/f/acme/x/a/b%2Fc/d',
    template: '/f/:org/x/*rest',
    params: { org: 'acme', rest: 'a/b/c/d' },
  },
]

describe.each(FRAMEWORKS)('Express %i', (version, framework) => {
  test.each(rows.filter((row) => row.version === undefined || row.version === version))(
    'recovers $name',
    async ({ build, path, method, template, params, end, status }) => {
      const seen = await visitOnce(framework, build, [path, method])
      expect({ status: seen.status, guard: seen.guard?.template, end: seen.end?.template }).toEqual({
        status: status ?? 200,
        guard: template,
        end: end ?? template,
      })
      expect(new Map(Object.entries(seen.guard?.params ?? {}))).toEqual(new Map(Object.entries(params)))
      expect(Object.getPrototypeOf(seen.guard?.params)).toBeNull()
      expect(Object.isFrozen(seen.guard?.params)).toBe(true)
    },
  )

  test('gives parameters that Express itself hides', async () => {
    const build: Build = (express, guard) =>
      express().use('/orgs/:org', express.Router().get('/patients/:pid', guard, ok))
    const seen = await visitOnce(framework, build, ['/orgs/acme/patients/17'])
    expect(seen.shown).toEqual({ pid: '17' })
    expect({ ...seen.guard?.params }).toEqual({ org: 'acme', pid: '17' })
  })

  test('runs no guard where a mount cannot be decoded', async () => {
    const build: Build = (express, guard) =>
      quiet(express()).use('/orgs/:org', express.Router().get('/patients/:pid', guard, ok))
    expect(await visitOnce(framework, build, ['/orgs/%zz/patients/17'])).toEqual({
      status: 400,
      guard: null,
      end: null,
      shown: null,
    })
  })

  test('never shows a concrete id in a template', async () => {
    const build: Build = (express, guard) => {
      const inner = express.Router().get('/observations/:oid', guard, ok)
      inner.get(['/labs/:lab', /^\/scans\/(?<scan>[^/]+)$/], guard, ok)
      const middle = express.Router().use('/patients/:pid', inner).use(['/people/:pid', '/persons/:person'], inner)
      const sub = express().use('/tenants/:tenant', middle).use('/guarded/:g', guard)
      const wrapped = express.Router().get('/w/:id', guard, ok)
      return express()
        .use('/orgs/:org', middle)
        .use('/api', sub)
        .use('/wrapped/:x', (request, response, next) => wrapped(request, response, next))
    }
    const shapes: readonly (readonly [(id: readonly string[]) => string, string, readonly string[]])[] = [
      [
        ([a, b, c]) => `/orgs/${a}/patients/${b}/observations/${c}`,
        '/orgs/:org/patients/:pid/observations/:oid',
        ['org', 'pid', 'oid'],
      ],
      [([a, b, c]) => `/orgs/${a}/people/${b}/labs/${c}/`, '/orgs/:org/people/:pid/labs/:lab', ['org', 'pid', 'lab']],
      [
        ([a, b, c]) => `/api/tenants/${a}/persons/${b}/scans/${c}`,
        String.raw`/api/tenants/:tenant/persons/:person^\/scans\/(?<scan>[^/]+)$`,
        ['tenant', 'person', 'scan'],
      ],
      [([a, b]) => `/api/guarded/${a}/${b}`, '/api/guarded/:g', ['g']],
      [([, b, c]) => `/wrapped/${b}/w/${c}?${b}=${c}`, '*', []],
    ]
    // A mark that stands in no template, whatever else the id holds.
    const id = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).map((text) => `~${text}~`)
    const server = await serve(framework, build)
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...shapes),
          fc.array(id, { minLength: 3, maxLength: 3 }),
          async ([url, template, names], ids) => {
            const seen = await server.visit(url(ids.map(encodeURIComponent)))
            expect([seen.guard?.template, seen.end?.template]).toEqual([template, template])
            expect(names.map((name) => seen.guard?.params[name])).toEqual(ids.slice(0, names.length))
          },
        ),
        { numRuns: 150 },
      )
    } finally {
      await server.close()
    }
  })

  test('keeps up with routers that change while they serve', async () => {
    let late: { router: ReturnType<Framework['Router']>; guard: Guard } | undefined
    const server = await serve(framework, (express, guard) => {
      const router = express.Router().get('/patients/:id', guard, ok)
      late = { router, guard }
      return express().use('/v1', router)
    })
    const app = server.app as Express
    const templateAt = async (path: string) => (await server.visit(path)).guard?.template
    const stack = () => (version === 4 ? Reflect.get(app, '_router').stack : app.router.stack) as unknown[]
    try {
      expect(await templateAt('/v1/patients/17')).toBe('/v1/patients/:id')
      late?.router.get('/labs/:lab', late.guard, ok)
      expect(await templateAt('/v1/labs/17')).toBe('/v1/labs/:lab')
      app.use('/v2/:org', late?.router ?? pass)
      expect(await templateAt('/v2/acme/labs/17')).toBe('/v2/:org/labs/:lab')
      app.use('/:version', late?.router ?? pass)
      expect(await templateAt('/v1/labs/17')).toBe('*')
      // Without the mount that served it, only the later one is left, and the list is shorter.
      stack().splice(-3, 1)
      expect(await templateAt('/v1/labs/17')).toBe('/:version/labs/:lab')
      app.use(pass)
      expect(await templateAt('/v1/labs/17')).toBe('/:version/labs/:lab')
      // Another layer in its place: the list is as long as before, and its last layer the same.
      app.use('/:generation', late?.router ?? pass)
      const swapped = stack().pop()
      stack().splice(-2, 1, swapped)
      expect(await templateAt('/v1/labs/17')).toBe('/:generation/labs/:lab')
    } finally {
      await server.close()
    }
  })

  test('writes to no layer and no expression', async () => {
    const expression = /^\/patients\/(\d+)$/y
    let before: unknown
    let after: unknown
    const build: Build = (express, guard) => {
      const app = express()
      const layers = () => {
        const { stack } = (version === 4 ? Reflect.get(app, '_router') : app.router) as {
          stack: Record<string, unknown>[]
        }
        return stack.map(({ params, path, keys, name }) => ({ params, path, keys, name, at: expression.lastIndex }))
      }
      return app
        .use('/:kind', guard)
        .get(expression, pass)
        .get('/patients/:id', (request, response) => {
          before = structuredClone(layers())
          recoverRoute(request, guard)
          // What another request left behind must not be ours.
          recoverRoute(
            Object.assign(Object.create(request), { originalUrl: '/patients/18', url: '/patients/18' }),
            guard,
          )
          after = structuredClone(layers())
          response.send('ok')
        })
    }
    expect((await visitOnce(framework, build, ['/patients/17'])).status).toBe(200)
    expect(after).toEqual(before)
  })

  test('keeps a bad escape as it is, or tells nothing', () => {
    const app = framework().get('/patients/:id', ok)
    const { stack } = (version === 4 ? Reflect.get(app, '_router') : app.router) as { stack: { route?: unknown }[] }
    const { route } = stack.at(-1) ?? {}
    const request = { app, route, originalUrl: '/patients/%zz', url: '/patients/%zz', params: { id: '%zz' } }
    const place = recoverRoute(request as never, null)
    expect(place.template).toBe(version === 4 ? '/patients/:id' : '*')
    expect({ ...place.params }).toEqual({ id: '%zz' })
  })

  test('tells what a router that keeps no paths still shows: routes, and mounts without a path', async () => {
    const forget = (app: Express) => {
      const routers: unknown[] = [version === 4 ? Reflect.get(app, '_router') : app.router]
      for (const router of routers) {
        for (const layer of Reflect.get(Object(router), 'stack') ?? []) {
          Reflect.deleteProperty(layer, 'rawPath')
          routers.push(layer.handle)
        }
      }
      return app
    }
    const build: Build = (express, guard) => {
      const router = express.Router().get(['/x/:a', '/patients/:id'], guard, ok)
      return forget(express().use(express.Router().use('/orgs/:org', router)).use(router))
    }
    const flat = await visitOnce(framework, build, ['/patients/17'])
    expect([flat.guard?.template, flat.guard?.params]).toEqual(['/patients/:id', { id: '17' }])
    const nested = await visitOnce(framework, build, ['/orgs/acme/patients/17'])
    expect(nested.guard?.template).toBe(version === 4 ? '/orgs/:org/patients/:id' : '*')
    expect(nested.guard?.params).toEqual({ org: 'acme', id: '17' })
  })

  test('follows sixteen routers and no more', async () => {
    const nest =
      (routers: number): Build =>
      (express, guard) => {
        let router = express.Router().get('/x', guard, ok)
        for (let depth = 2; depth < routers; depth += 1) router = express.Router().use('/a', router)
        return express().use('/a', router)
      }
    const url = (routers: number) => `${'/a'.repeat(routers - 1)}/x`
    expect((await visitOnce(framework, nest(16), [url(16)])).guard?.template).toBe(url(16))
    expect((await visitOnce(framework, nest(17), [url(17)])).guard?.template).toBe('*')
  })

  test('tells nothing of an application with more than ten thousand layers', async () => {
    const fill =
      (layers: number): Build =>
      (express, guard) => {
        const app = express().get('/x/:id', guard, ok)
        const { stack } = (version === 4 ? Reflect.get(app, '_router') : app.router) as { stack: unknown[] }
        while (stack.length < layers) stack.push(stack.at(-1))
        return app
      }
    const at = async (layers: number) => (await visitOnce(framework, fill(layers), ['/x/17'])).guard?.template
    expect([await at(10_000), await at(10_001)]).toEqual(['/x/:id', '*'])
  })

  test('stands routers and applications that are mounted in themselves', async () => {
    const build: Build = (express, guard) => {
      const router = express.Router()
      const app = express()
      Reflect.set(app, 'parent', app)
      return app.use('/r', router.use('/again', router).get('/x/:id', guard, ok))
    }
    expect((await visitOnce(framework, build, ['/r/again/again/x/17'])).guard?.template).toBe('/r/again/again/x/:id')
    const twice: Build = (express, guard) => {
      const router = express.Router()
      return express().use('/r', router.use('/a', router).use('/b', router).get('/x/:id', guard, ok))
    }
    const start = performance.now()
    expect((await visitOnce(framework, twice, ['/r/a/b/x/17'])).guard?.template).toBe('*')
    expect(performance.now() - start).toBeLessThan(2000)
  })

  test('finds what a sub-application left to its parent only if it is told where the guard ran', async () => {
    let untold: Place | undefined
    const build: Build = (express, guard) => {
      const sub = express().get('/x/:id', guard, (_request, _response, next) => next(new Error('no')))
      const onError = (_error: unknown, request: Request, response: Response, _next: NextFunction) => {
        response.once('finish', () => {
          untold = recoverRoute(request, guard)
        })
        response.sendStatus(503)
      }
      return express().use('/sub/:s', sub).use(onError)
    }
    const seen = await visitOnce(framework, build, ['/sub/1/x/17'])
    expect([seen.status, seen.guard?.template, seen.end?.template]).toEqual([503, '/sub/:s/x/:id', '/sub/:s/x/:id'])
    expect(untold?.template).toBe('*')
  })

  test.each(POLLUTED)('reads no %s that somebody has put on every object', async (name) => {
    const places: Place[] = []
    const look: Guard = (request, response, next) => {
      places.push(recoverRoute(request, look))
      Object.defineProperty(everyObject, name, { value: true, configurable: true, writable: true })
      try {
        places.push(recoverRoute(request, look))
      } finally {
        Reflect.deleteProperty(everyObject, name)
      }
      if (request.route === undefined) next()
      else response.send('ok')
    }
    const build: Build = (express) =>
      express().use('/orgs/:org', express.Router().use('/patients', look, express.Router().get('/:pid', look)))
    expect((await visitOnce(framework, build, ['/orgs/acme/patients/17'])).status).toBe(200)
    const mount = { template: '/orgs/:org/patients', params: { org: 'acme' } }
    const route = { template: '/orgs/:org/patients/:pid', params: { org: 'acme', pid: '17' } }
    expect(places).toEqual([mount, mount, route, route])
  })
})

describe('whatever it is given', () => {
  const thrower: object = new Proxy(() => undefined, {
    get: () => {
      throw new Error('get')
    },
    has: () => {
      throw new Error('has')
    },
    getOwnPropertyDescriptor: () => {
      throw new Error('descriptor')
    },
    ownKeys: () => {
      throw new Error('keys')
    },
  })
  const url = { originalUrl: '/x', url: '/x' }
  const withStack = (stack: unknown) => ({ ...url, route: url, app: { _router: { stack } } })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['a request that throws', thrower],
    ['a request without anything', {}],
    ['parameters that throw', { params: thrower }],
    ['an application that throws', { ...url, route: url, app: thrower }],
    ['a parent that throws', { ...url, route: url, app: { parent: thrower } }],
    ['a route that throws', { ...url, route: thrower, app: { _router: { stack: [{ route: thrower }] } } }],
    ['a router that throws', { ...url, route: url, app: { _router: thrower } }],
    ['a list that throws', withStack(thrower)],
    ['layers that throw', withStack([thrower])],
    ['layers that are none', withStack([null, 1, 'x', undefined, {}, [], () => undefined])],
    ['a layer without a way to match', withStack([{ route: url }])],
    ['matchers that throw', withStack([{ route: url, matchers: [thrower] }])],
    ['matchers that are none', withStack([{ route: url, matchers: [null, 1, {}] }])],
    ['a match without a path', withStack([{ route: url, matchers: [() => true, () => ({ params: {} })] }])],
    ['an expression without keys', withStack([{ route: url, regexp: /^(\/x)$/, keys: null }])],
    ['a URL that is none', { ...withStack([{ route: url, regexp: /^.*$/ }]), originalUrl: 'x', url: 7 }],
    ['the URL of OPTIONS *', { ...withStack([{ route: url, regexp: /^.*$/ }]), originalUrl: '*', url: '*' }],
  ])('never throws: %s', (_name, request) => {
    expect(recoverRoute(request as never, null)).toEqual({ template: '*', params: {} })
  })
})
