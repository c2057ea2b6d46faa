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

/** @throws {CoverageError} with a table of the routes that have neither a guard nor `publicRoute(reason)`. */
export function assertKoaGuarded(app: object, options?: CoverageOptions): void {
  assertCovered(koaRoutes(app), options)
}

export function koaInventory(app: object, options?: CoverageOptions): readonly GuardedRoute[] {
  return inventoryOf(koaRoutes(app), options)
}

/** Of an application, of a router (or what its `routes()` gives), or of a list of them. */
function koaRoutes(target: unknown): readonly SeenRoute[] {
  if (Array.isArray(target) && target.length > 0) return target.flatMap(koaRoutes)
  const middleware = own(target, 'middleware')
  if (Array.isArray(middleware)) return ofApplication(middleware)
  const router = routerOf(target)
  return router === null
    ? notAnApplication('a Koa application, a router of @koa/router or a list of them')
    : ofRouter(router, [])
}

/** Of a function that dispatches to a router, or of the router itself. */
function routerOf(target: unknown): object | null {
  const router = own(target, 'router') ?? target
  return typeof router === 'object' && router !== null && Array.isArray(own(router, 'stack')) ? router : null
}

function ofApplication(middleware: readonly unknown[]): readonly SeenRoute[] {
  const answersMethods = new Set(middleware.map(allowedMethodsText))
  const before: CoverageStep[] = []
  return middleware.flatMap((handle) => {
    const router = routerOf(handle)
    if (router !== null) return ofRouter(router, [...before])
    before.push({ place: 'mount', handle })
    return answersMethods.has(String(handle)) ? [] : ofMounted(handle, '/', [...before])
  })
}

/** `allowedMethods()` gives a function without a name that runs no handler: it is known by its text. */
function allowedMethodsText(handle: unknown): string | null {
  const router = routerOf(handle)
  const make: unknown = router === null ? undefined : Reflect.get(router, 'allowedMethods')
  return typeof make === 'function' ? String(Reflect.apply(make, router, [])) : null
}

/** A function that stands before others; `steps` end with it. */
function ofMounted(handle: unknown, path: string, steps: readonly CoverageStep[]): readonly SeenRoute[] {
  const kind = guardKind(handle)
  if (kind === 'catch-all')
    return [{ method: 'ALL', path: path === '*' ? path : `${path.replace(/\/$/, '')}/*`, steps }]
  if (kind !== null) return []
  return [{ method: 'USE', path, steps: steps.slice(0, -1), opaque: convertedName(handle) ?? handle }]
}

/** Koa 2 wraps a generator function, and keeps its name. */
function convertedName(handle: unknown): string | null {
  const name = own(handle, '_name')
  return typeof name === 'string' && name !== '' ? name : null
}

/** Only a string or a RegExp is a path; routers of other makers are not read. */
interface Layer {
  readonly path: string | RegExp
  readonly methods: readonly string[]
  readonly regexp: RegExp
  readonly steps: readonly CoverageStep[]
  /** Ends where its path ends; otherwise everything below it matches, too. */
  readonly exact: boolean
}

function ofRouter(router: object, before: readonly CoverageStep[]): readonly SeenRoute[] {
  const stack = own(router, 'stack')
  const layers = Array.isArray(stack) ? stack.map(layerOf) : []
  // Such a router runs one layer for each request: what is mounted with `use` stands before nothing.
  const exclusive = own(router, 'exclusive') === true
  const routes = layers.flatMap((layer, index): readonly SeenRoute[] => {
    if (layer === null) return [{ method: 'USE', path: '*', steps: before, opaque: 'unknown router' }]
    const earlier = exclusive ? [] : layers.slice(0, index).filter((each) => each !== null && each.methods.length === 0)
    return ofLayer(layer, { before, mounted: earlier.filter((each) => each !== null) })
  })
  const unmatched = notFoundHandlers(router).map((handle): CoverageStep => ({ place: 'mount', handle }))
  return [...routes, ...unmatched.flatMap((step) => ofMounted(step.handle, '*', [...before, step]))]
}

function layerOf(layer: unknown): Layer | null {
  const [path, methods, regexp, stack] = ['path', 'methods', 'regexp', 'stack'].map((name) => own(layer, name))
  if ((typeof path !== 'string' && !types.isRegExp(path)) || !types.isRegExp(regexp)) return null
  if (!Array.isArray(methods) || !Array.isArray(stack)) return null
  return {
    path,
    regexp,
    methods: methods.map(String),
    exact: own(own(layer, 'opts'), 'end') !== false,
    steps: stack.map((handle) => stepOf(handle, methods.length === 0 ? 'mount' : 'route')),
  }
}

/** The router puts callbacks for parameters first into the stack of the route, wrapped. */
function stepOf(handle: unknown, place: 'mount' | 'route'): CoverageStep {
  const callback = own(handle, '_originalFn')
  return callback === undefined ? { place, handle } : { place: 'param', handle: callback }
}

function ofLayer(
  layer: Layer,
  { before, mounted }: { before: readonly CoverageStep[]; mounted: readonly Layer[] },
): readonly SeenRoute[] {
  const path = baseOf(layer) || '/'
  const steps = [
    ...before,
    ...mounted.filter((each) => covers(each, layer)).flatMap((each) => each.steps),
    ...layer.steps,
  ]
  if (layer.methods.length === 0) {
    const ahead = steps.length - layer.steps.length
    return layer.steps.flatMap(({ place, handle }, index) =>
      place === 'param' ? [] : ofMounted(handle, path, steps.slice(0, ahead + index + 1)),
    )
  }
  const hint = mounted.some((each) => differsInCase(each, layer)) ? CASE : undefined
  return methodsOf(layer.methods).map((method) => ({ method, path, steps, hint }))
}

const CASE = 'one mounted with `router.use` under a prefix matches the path as written only, and the route in any case'

const ANYWHERE = String.raw`(?:\/|$)`
const BELOW = /(?:\(\?:\\\/\|\$\)|\{\/\*\w+\})$/

/** Whether whatever matches the route runs through what is mounted. */
function covers(mounted: Layer, route: Layer): boolean {
  if (mounted.regexp.source === ANYWHERE) return true
  return matchesPath(mounted, route) && !differsInCase(mounted, route)
}

function matchesPath(mounted: Layer, route: Layer): boolean {
  if (typeof mounted.path !== 'string') return false
  const [base, path] = [baseOf(mounted), baseOf(route)]
  if (beyond(base, path) !== '') return false
  return !mounted.exact || (route.exact && beyond(path, base) === '')
}

/** Under a prefix without parameters the router compiles `use` to an expression that tells `/A` from `/a`, and routes not. */
function differsInCase(mounted: Layer, route: Layer): boolean {
  return (
    mounted.regexp.source !== ANYWHERE &&
    !mounted.regexp.ignoreCase &&
    route.regexp.ignoreCase &&
    matchesPath(mounted, route)
  )
}

/** HEAD comes with GET, and has the same functions. */
function methodsOf(methods: readonly string[]): readonly string[] {
  if (METHODS.every((method) => methods.includes(method))) return ['ALL']
  return [...new Set(methods)].filter((method) => method !== 'HEAD' || !methods.includes('GET'))
}

/** As its author wrote it: the router adds to the path of what is mounted. */
function baseOf({ path, methods }: Layer): string {
  if (typeof path !== 'string') return path.source
  return methods.length === 0 ? path.replace(BELOW, '') : path
}

/** What the router runs for a path that it does not have. */
function notFoundHandlers(router: object): readonly unknown[] {
  const handlers = own(own(router, '_events'), '_handlers')
  return types.isMap(handlers) ? [...handlers.values()].flat() : []
}
