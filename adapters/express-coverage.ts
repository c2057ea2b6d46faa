import { METHODS } from 'node:http'
import { types } from 'node:util'
import {
  assertCovered,
  beyond,
  guardKind,
  inventoryOf,
  notAnApplication,
  ownMember as own,
  type CoverageOptions,
  type CoverageStep,
  type GuardedRoute,
  type SeenRoute,
} from '../src/adapter-kit.ts'
import { alternativesOf } from './express-route-4.ts'
import { isObject, membersOf, sourceOf } from './express-route-parts.ts'

/** Of `assertGuarded` on Express. */
export interface ExpressCoverageOptions extends CoverageOptions {
  /** Applications that are mounted in this one: Express hides them in a function, and cannot be asked for them. */
  readonly apps?: readonly object[] | undefined
}

/** @throws {CoverageError} with a table of the routes that have neither a guard nor `publicRoute(reason)`. */
export function assertExpressGuarded(app: object, options?: ExpressCoverageOptions): void {
  assertCovered(expressRoutes(app, options), options)
}

export function expressInventory(app: object, options?: ExpressCoverageOptions): readonly GuardedRoute[] {
  return inventoryOf(expressRoutes(app, options), options)
}

/** Deeper than anybody nests routers: a router that holds itself ends here. */
const MAX_DEPTH = 32

/** Functions that stand before what is registered after them. */
interface Before {
  readonly steps: readonly CoverageStep[]
  /** Relative to the router that is walked; empty: everything in it. */
  readonly at: string
  /** Its router tells `/A` from `/a`, which a router below may not do. */
  readonly sensitive: boolean
}

/** A router, and how a request comes to it. */
interface Place {
  readonly router: unknown
  /** The application that it belongs to. */
  readonly app: object
  /** `null`: a mount on the way keeps no path. */
  readonly prefix: string | null
  readonly before: readonly Before[]
  readonly depth: number
}

interface Walk {
  readonly found: SeenRoute[]
  /** Mounted applications that were handed in. */
  readonly apps: readonly object[]
}

function expressRoutes(app: object, options: ExpressCoverageOptions | undefined): readonly SeenRoute[] {
  const apps = own(options, 'apps') ?? []
  if (!Array.isArray(apps) || !apps.every((each) => isObject(each))) {
    notAnApplication('`apps`, a list of the applications that are mounted in this one')
  }
  const walk: Walk = { found: [], apps }
  walkRouter({ router: routerOf(app), app, prefix: '', before: [], depth: 0 }, walk)
  return walk.found
}

/** Express 4 makes its router with the first route, and throws where Express 5 keeps it. */
function routerOf(app: unknown): unknown {
  if (Array.isArray(own(app, 'stack'))) return app
  const router = own(app, '_router') ?? (own(app, 'lazyrouter') === undefined ? own(app, 'router') : { stack: [] })
  if (Array.isArray(own(router, 'stack'))) return router
  return notAnApplication('an Express application or router')
}

function walkRouter(place: Place, walk: Walk): void {
  const before = [...place.before]
  for (const layer of membersOf(own(place.router, 'stack'))) {
    if (isLayer(layer)) before.push(...enter(layer, { ...place, before }, walk))
    else
      walk.found.push({
        method: 'USE',
        path: shown(place.prefix),
        steps: stepsFor('', before),
        opaque: 'unknown router',
      })
  }
}

function isLayer(layer: unknown): layer is object {
  const made = types.isRegExp(own(layer, 'regexp')) || Array.isArray(own(layer, 'matchers'))
  return made && typeof own(layer, 'handle') === 'function'
}

/** Goes through one layer; gives what stands before the layers after it. */
function enter(layer: object, place: Place, walk: Walk): readonly Before[] {
  const route = own(layer, 'route')
  return pathsOf(layer).flatMap((path) => {
    const params = paramSteps(layer, path, own(place.router, 'params'))
    const steps = [...stepsFor(path, place.before), ...params]
    if (route !== undefined) {
      const shownPath = shown(joined(place.prefix, path))
      for (const each of methodsOf(route)) {
        walk.found.push({ method: each.method, path: shownPath, steps: steps.concat(each.own) })
      }
      return []
    }
    return mount(layer, { ...place, path, params, steps }, walk)
  })
}

interface Mount extends Place {
  readonly path: string | null
  /** Callbacks for the parameters of its path. */
  readonly params: readonly CoverageStep[]
  /** All that runs before it. */
  readonly steps: readonly CoverageStep[]
}

function mount(layer: object, at: Mount, walk: Walk): readonly Before[] {
  const handle = own(layer, 'handle')
  const path = shown(joined(at.prefix, at.path))
  const kind = guardKind(handle)
  const child = kind === null ? childOf(layer, at, walk.apps) : null
  if (child !== null) {
    if (at.depth < MAX_DEPTH) walkRouter(child, walk)
    else walk.found.push({ method: 'USE', path, steps: at.steps, opaque: 'router that holds itself' })
    return []
  }
  // A function of four parameters sees errors only.
  if (typeof handle !== 'function' || handle.length > 3) return []
  const steps: readonly CoverageStep[] = [...at.params, { place: 'mount', handle }]
  if (kind === 'catch-all')
    walk.found.push({ method: 'ALL', path: joined(path === '/' ? '' : path, '/*') ?? '*', steps })
  if (kind === null) walk.found.push({ method: 'USE', path, steps: at.steps, opaque: handle })
  return at.path === null ? [] : [{ steps, at: at.path, sensitive: own(at.router, 'caseSensitive') === true }]
}

/** The router that the layer leads to, as a place to walk; `null`: it is a function that cannot be read. */
function childOf(layer: object, at: Mount, apps: readonly object[]): Place | null {
  const handle = own(layer, 'handle')
  const app = own(layer, 'name') === 'mounted_app' ? mountedApp(at, apps) : at.app
  if (app === null) return null
  const router = app === at.app ? handle : routerOf(app)
  if (!Array.isArray(own(router, 'stack'))) return null
  const params: readonly Before[] = at.params.length === 0 ? [] : [{ steps: at.params, at: '', sensitive: false }]
  const before = [...inside(at.path, at.before), ...params]
  return { router, app, prefix: joined(at.prefix, at.path), before, depth: at.depth + 1 }
}

/** The one of the applications handed in that says that it is mounted here. Two that say so cannot be told apart. */
function mountedApp({ app, path }: Mount, apps: readonly object[]): object | null {
  const here = apps.filter(
    (each) =>
      own(each, 'parent') === app &&
      membersOf(own(each, 'mountpath')).some((mountpath) => sourceOf(mountpath) === path),
  )
  return here.length === 1 ? (here[0] ?? null) : null
}

/** What stands before a mount, as its router sees it. */
function inside(path: string | null, before: readonly Before[]): readonly Before[] {
  return before.flatMap((each) => {
    const at = each.at === '' ? '' : path === null ? null : beyond(each.at, path)
    if (at === null || (at !== '' && each.sensitive)) return []
    return [{ ...each, at }]
  })
}

function stepsFor(path: string | null, before: readonly Before[]): readonly CoverageStep[] {
  return inside(path, before).flatMap(({ at, steps }) => (at === '' ? steps : []))
}

/** Every path of a layer, relative to its router; `null`: it is not kept. */
function pathsOf(layer: object): readonly (string | null)[] {
  const [route, regexp] = [own(layer, 'route'), own(layer, 'regexp')]
  if (route !== undefined) return membersOf(own(route, 'path')).flat(Infinity).map(sourceOf)
  if (own(layer, 'slash') === true || own(regexp, 'fast_slash') === true) return ['']
  if (!types.isRegExp(regexp)) return membersOf(own(layer, 'rawPath')).flat(Infinity).map(sourceOf)
  const parts = alternativesOf(regexp, membersOf(own(layer, 'keys')))
  if (parts === null) return [null]
  return parts.some(({ compiled }) => compiled) ? parts.map(({ template }) => template) : [regexp.source]
}

/** Its callbacks run before everything that the layer leads to. */
function paramSteps(layer: object, path: string | null, params: unknown): readonly CoverageStep[] {
  if (!isObject(params)) return []
  const keys = own(layer, 'keys')
  const named = Array.isArray(keys) ? new Set(keys.map((key) => String(own(key, 'name')))) : null
  return Object.keys(params)
    .filter((name) => (named === null ? mentions(path, name) : named.has(name)))
    .flatMap((name) => membersOf(own(params, name)))
    .map((handle) => ({ place: 'param' as const, handle }))
}

/** Whether a path of Express 5 has the parameter; where it cannot be told, it has. */
function mentions(path: string | null, name: string): boolean {
  if (path === null || path.includes(`"${name}"`) || path.includes(`<${name}>`)) return true
  return [...path.matchAll(/[:*]([\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*)/gu)].some(
    (match) => match[1] === name,
  )
}

interface RouteMethod {
  readonly method: string
  readonly own: readonly CoverageStep[]
}

/** One for each method that the route answers; `ALL` where functions for every method do. */
function methodsOf(route: unknown): readonly RouteMethod[] {
  const layers = membersOf(own(route, 'stack')).filter((layer) => {
    const handle = own(layer, 'handle')
    return typeof handle === 'function' && handle.length <= 3
  })
  const steps = (method: unknown): readonly CoverageStep[] =>
    layers
      .filter((layer) => own(layer, 'method') === undefined || own(layer, 'method') === method)
      .map((layer) => ({ place: 'route', handle: own(layer, 'handle') }))
  const methods = [...new Set(layers.map((layer) => own(layer, 'method')))].filter((each) => typeof each === 'string')
  const rows = methods.map((method) => ({ method: method.toUpperCase(), own: steps(method) }))
  // `app.all` registers for every method by itself; `route.all` without one.
  const [first] = rows
  if (first !== undefined && rows.length >= METHODS.length && rows.every((row) => areSame(row.own, first.own))) {
    return [{ ...first, method: 'ALL' }]
  }
  // Guards for every method before handlers for some answer no other method.
  const answersAll = methods.length === 0 || steps(undefined).some(({ handle }) => !isGuard(handle))
  return answersAll && layers.length > 0 ? [...rows, { method: 'ALL', own: steps(undefined) }] : rows
}

function areSame(steps: readonly CoverageStep[], others: readonly CoverageStep[]): boolean {
  return steps.length === others.length && steps.every(({ handle }, index) => handle === others[index]?.handle)
}

function isGuard(handle: unknown): boolean {
  const kind = guardKind(handle)
  return kind !== null && kind !== 'catch-all'
}

function joined(prefix: string | null, path: string | null): string | null {
  return prefix === null || path === null ? null : prefix + path
}

function shown(path: string | null): string {
  return path === null ? '*' : path || '/'
}
