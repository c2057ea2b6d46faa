import {
  assertCovered,
  inventoryOf,
  notAnApplication,
  nothingSeen,
  ownMember as own,
  type CoverageOptions,
  type CoverageStep,
  type GuardedRoute,
  type SeenRoute,
} from '../src/adapter-kit.ts'

/** @throws {CoverageError} with a table of the routes that have neither a guard nor `publicRoute(reason)`. */
export function assertFastifyGuarded(app: object, options?: CoverageOptions): void {
  assertCovered(fastifyRoutes(app), options)
}

export function fastifyInventory(app: object, options?: CoverageOptions): readonly GuardedRoute[] {
  return inventoryOf(fastifyRoutes(app), options)
}

/** A route as it was when it was registered; its hooks are read later, for others may still add some. */
interface Registered {
  readonly methods: readonly string[]
  readonly url: string
  /** Registered as `/` under a prefix, which Fastify serves with and without the slash, and tells of once. */
  readonly twin: boolean
  readonly options: object
  readonly instance: object
}

interface Watch {
  /** By the options of the route, which every plugin on its instance is shown. */
  readonly routes: Map<object, Registered>
  ready: boolean
}

/** By the server, which is the same for all instances of one application. */
const watches = new WeakMap<object, Watch>()

interface Hookable {
  addHook(name: 'onRoute', hook: (this: object, route: object) => void): unknown
  addHook(name: 'onReady', hook: (done: () => void) => void): unknown
}

/** Called by the plugin: routes that are registered before it cannot be seen. */
export function watchRoutes(instance: object): void {
  const server = serverOf(instance)
  const watch = watches.get(server) ?? { routes: new Map<object, Registered>(), ready: false }
  watches.set(server, watch)
  const host = instance as Hookable
  host.addHook('onRoute', function see(route) {
    const url = String(own(route, 'url'))
    const prefixed = own(route, 'routePath') === '' && own(route, 'prefix') !== ''
    const methods = listOf(own(route, 'method')).map(String)
    watch.routes.set(route, { methods, url, twin: prefixed, options: route, instance: this })
  })
  host.addHook('onReady', (done) => {
    watch.ready = true
    done()
  })
}

function fastifyRoutes(app: object): readonly SeenRoute[] {
  const watch = watches.get(serverOf(app))
  if (watch?.ready === false) nothingSeen('Routes can still be added: call assertGuarded after `await app.ready()`.')
  const served = servedBy(app)
  const registered = [...(watch?.routes.values() ?? [])]
  const routes = registered.flatMap((route) => rowsOf(route, app, served))
  const unseen = unseenOf(served, registered, app)
  return [...distinct(routes), ...unseen, ...notFoundRows(app, registered), ...connectRows(app, registered)]
}

function serverOf(app: unknown): object {
  const server: unknown = isObject(app) ? Reflect.get(app, 'server') : undefined
  return isObject(server) ? server : notAnApplication('a Fastify instance')
}

function rowsOf(route: Registered, app: object, served: Served): readonly SeenRoute[] {
  const steps = stepsOf(route)
  const methods = isEvery(route.methods, app) ? ['ALL'] : route.methods
  const [path, twin] = [route.url, `${route.url}/`].map((each) => lookedUp(each, app))
  const hasTwin = route.twin && twin !== path && route.methods.every((method) => served.has(`${method} ${twin}`))
  return [route.url || '/', ...(hasTwin ? [`${route.url}/`] : [])].flatMap((each) =>
    methods.map((method) => ({ method, path: each, steps })),
  )
}

function isEvery(methods: readonly string[], app: object): boolean {
  const supported: unknown = Reflect.get(app, 'supportedMethods')
  return (
    Array.isArray(supported) && supported.length > 1 && supported.every((method) => methods.includes(String(method)))
  )
}

/** Fastify adds a HEAD route for each of the two spellings of a path, and tells of both. */
function distinct(routes: readonly SeenRoute[]): readonly SeenRoute[] {
  const seen = new Map<string, SeenRoute>()
  const isTwin = (a: SeenRoute, b: SeenRoute) =>
    a.steps.length === b.steps.length && a.steps.every(({ handle }, index) => handle === b.steps[index]?.handle)
  return routes.filter((route) => {
    const key = `${route.method} ${route.path}`
    const known = seen.get(key)
    seen.set(key, route)
    return known === undefined || !isTwin(known, route)
  })
}

const PHASES = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const

/** In the order in which Fastify runs them: hooks of the instance before those of the route, phase by phase. */
function stepsOf({ options, instance }: Pick<Registered, 'options' | 'instance'>): readonly CoverageStep[] {
  const hooks = hooksOf(instance)
  const steps = PHASES.flatMap((phase) =>
    asSteps('mount', own(hooks, phase)).concat(asSteps('route', own(options, phase))),
  )
  return steps.concat(asSteps('route', own(options, 'handler')))
}

function asSteps(place: 'mount' | 'route', handles: unknown): readonly CoverageStep[] {
  return listOf(handles).map((handle) => ({ place, handle }))
}

/** What `addHook` has collected on an instance; where Fastify keeps it elsewhere, none of it counts. */
function hooksOf(instance: unknown): unknown {
  return kept(instance, 'fastify.hooks')
}

/** A member that Fastify keeps by a symbol, of the instance or of the nearest one above it that has its own. */
function kept(instance: unknown, description: string): unknown {
  for (let each = instance; isObject(each); each = Reflect.getPrototypeOf(each)) {
    const symbol = Object.getOwnPropertySymbols(each).find((key) => key.description === description)
    if (symbol !== undefined) return Reflect.get(each, symbol)
  }
  return undefined
}

/** The handlers for unknown paths, Fastify's own left out. */
function notFoundRows(app: object, registered: readonly Registered[]): readonly SeenRoute[] {
  const instances = [app, ...registered.map(({ instance }) => instance)]
  const contexts = new Set(instances.map((instance) => kept(instance, 'fastify.404ContextKey')))
  return [...contexts].flatMap((context): readonly SeenRoute[] => {
    const handler = own(context, 'handler')
    const instance = own(context, 'server')
    if (typeof handler !== 'function' || !isObject(instance) || handler.name === 'basic404') return []
    const steps = stepsOf({ options: { handler }, instance })
    const prefix: unknown = Reflect.get(instance, 'prefix')
    return [{ method: 'ALL', path: `${typeof prefix === 'string' ? prefix : ''}/*`, steps, opaque: handler }]
  })
}

/** `app.use` of @fastify/middie and @fastify/express mounts what no hook tells of. */
function connectRows(app: object, registered: readonly Registered[]): readonly SeenRoute[] {
  const instances = [app, ...registered.map(({ instance }) => instance)]
  const has = instances.some((instance) => typeof Reflect.get(instance, 'use') === 'function')
  return has ? [{ method: 'USE', path: '*', steps: [], opaque: 'use' }] : []
}

/** How often the router has a method and path (constraints may tell several apart), with what it is shown as. */
type Served = ReadonlyMap<string, { readonly count: number; readonly method: string; readonly path: string }>

/** The router can be asked for its tree alone, as text. */
function servedBy(app: object): Served {
  const print: unknown = Reflect.get(app, 'printRoutes')
  const tree: unknown = typeof print === 'function' ? Reflect.apply(print, app, []) : undefined
  if (typeof tree !== 'string') return notAnApplication('a Fastify instance')
  const served = new Map<string, { count: number; method: string; path: string }>()
  const trail: string[] = []
  for (const line of tree.split('\n')) {
    const node = /^(?<indent>[ │]*)[└├]── (?<label>.*)$/u.exec(line)?.groups
    const { label, methods } = labelOf(node?.['label'] ?? line)
    if (node !== undefined) trail.splice((node['indent'] ?? '').length / 4, Infinity, label)
    const path = trail.join('')
    for (const method of methods) {
      const key = `${method} ${path}`
      served.set(key, { count: (served.get(key)?.count ?? 0) + 1, method, path })
    }
  }
  return served
}

/** `users/:id (GET, HEAD) {"host":"a"}` */
function labelOf(text: string): { readonly label: string; readonly methods: readonly string[] } {
  const match = /^(?<label>.*) \((?<methods>[A-Z-]+(?:, [A-Z-]+)*)\)(?: \{.*\})?$/u.exec(text)?.groups
  const label = match?.['label'] ?? text
  return { label: label === '(empty root node)' ? '' : label, methods: match?.['methods']?.split(', ') ?? [] }
}

/** What the router has more often than it was registered before our eyes. */
function unseenOf(served: Served, registered: readonly Registered[], app: object): readonly SeenRoute[] {
  const known = new Map<string, number>()
  for (const { methods, url, twin } of registered) {
    const paths = [url, ...(twin ? [`${url}/`] : [])].flatMap((path) => optionalPaths(lookedUp(path, app)))
    for (const key of paths.flatMap((path) => methods.map((method) => `${method} ${path}`))) {
      known.set(key, (known.get(key) ?? 0) + 1)
    }
  }
  return [...served.values()]
    .filter(({ count, method, path }) => spellings(path).every((each) => (known.get(`${method} ${each}`) ?? 0) < count))
    .map(({ method, path }) => ({ method, path, steps: [], unseen: true }))
}

/** Parameters with several names share a node, `:id|:name`. */
function spellings(path: string): readonly string[] {
  return path
    .split('/')
    .map((part) => (part.includes('|:') ? [part].concat(part.split('|')) : [part]))
    .reduce((paths, part) => paths.flatMap((start) => part.map((each) => `${start}/${each}`)), [''])
    .map((each) => each.slice(1))
}

/** A path as the router looks it up, by its options. */
function lookedUp(path: string, app: object): string {
  const config: unknown = Reflect.get(app, 'initialConfig')
  const is = (name: string) => own(own(config, 'routerOptions'), name) ?? own(config, name)
  const merged = is('ignoreDuplicateSlashes') === true ? path.replace(/\/{2,}/g, '/') : path
  const trimmed = is('ignoreTrailingSlash') === true && merged.length > 1 ? merged.replace(/\/$/, '') : merged
  const cased = is('caseSensitive') === false ? lowered(trimmed) : trimmed
  return (cased || '/').replaceAll('::', ':')
}

/** Names of parameters keep their case. */
function lowered(path: string): string {
  return path.replace(/:\w+|[A-Z]+/g, (part) => (part.startsWith(':') ? part : part.toLowerCase()))
}

/** `/a/:b?` is two routes. */
function optionalPaths(path: string): readonly string[] {
  const optional = /\/:[^/()]*?\?/.exec(path)?.[0]
  if (optional === undefined) return [path]
  return [path.replace(optional, optional.slice(0, -1)), path.replace(optional, '') || '/']
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
