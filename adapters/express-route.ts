import type { IncomingMessage } from 'node:http'
import { matchLayer, type Layer } from './express-layer.ts'
import { ownStrings, withoutTrailingSlash, type Place } from '../src/adapter-kit.ts'

/** What is read of an Express request. */
export interface ExpressRequestLike extends IncomingMessage {
  readonly originalUrl?: string | undefined
  /** The route that was matched last; the routers that led to it are not kept by Express. */
  readonly route?: unknown
  readonly app?: unknown
  readonly params?: unknown
}

/** Bounds of one walk: what lies beyond is not told. */
const MAX_DEPTH = 16
const MAX_LAYERS = 10_000

/** What a walk looks for: the matched route or, before there is one, the guard's own mount. */
interface Search {
  readonly route: unknown
  readonly guard: unknown
  /** From the root application down to the one that the request is in. */
  readonly apps: readonly object[]
  readonly found: Place[]
  visited: number
}

interface Position {
  readonly template: string
  readonly params: Readonly<Record<string, string>>
  /** What is left of the path. */
  readonly path: string
  readonly depth: number
  /** Which of `apps` this is in. */
  readonly app: number
}

const UNKNOWN_MOUNT = '\u0000'

/**
 * Walks the routers from the root application down to the matched route, and gives the template and the parameters of
 * every mount on the way: Express keeps neither, and `baseUrl` holds concrete ids. What is ambiguous or cannot be told (a
 * router wrapped in a function, a rewritten URL, a router that keeps no paths) is `*`. Never throws.
 */
export function recoverRoute(request: ExpressRequestLike, guard: unknown): Place {
  const place = search(request, guard)
  return place ?? { template: '*', params: ownStrings(request.params) }
}

function search(request: ExpressRequestLike, guard: unknown): Place | null {
  try {
    const apps = applicationsOf(request.app)
    const [root] = apps
    if (root === undefined) return null
    const found: Place[] = []
    const start: Position = { template: '', params: {}, path: pathOf(request), depth: 0, app: 0 }
    walk(stackOf(routerOf(root)), start, { route: request.route, guard, apps, found, visited: 0 })
    const [first] = found
    if (first === undefined || found.some(({ template }) => template !== first.template)) return null
    return first.template.includes(UNKNOWN_MOUNT) ? null : { ...first, template: withoutTrailingSlash(first.template) || '/' }
  } catch {
    return null
  }
}

function walk(stack: readonly Layer[], at: Position, seeking: Search): void {
  if (at.depth > MAX_DEPTH) return
  for (const layer of stack) {
    seeking.visited += 1
    if (seeking.visited > MAX_LAYERS) throw new RangeError('too many layers')
    if (isTarget(layer, seeking)) arrive(layer, at, seeking)
    else if (layer.route === undefined) descend(layer, at, seeking)
  }
}

function isTarget(layer: Layer, { route, guard }: Search): boolean {
  return route === undefined ? layer.handle === guard : layer.route === route
}

function arrive(layer: Layer, at: Position, { found }: Search): void {
  const match = matchLayer(layer, at.path)
  if (match === null) return
  found.push({ template: `${at.template}${match.template ?? UNKNOWN_MOUNT}`, params: merged(at.params, match.params) })
}

function descend(layer: Layer, at: Position, seeking: Search): void {
  const inner = innerStack(layer, at, seeking)
  if (inner === null) return
  const match = matchLayer(layer, at.path)
  if (match === null || !isAtBoundary(at.path, match.path)) return
  const rest = at.path.slice(match.path.length)
  walk(
    inner.stack,
    {
      template: withoutSlash(`${at.template}${match.template ?? UNKNOWN_MOUNT}`),
      params: merged(at.params, match.params),
      path: rest.startsWith('/') ? rest : `/${rest}`,
      depth: at.depth + 1,
      app: inner.app,
    },
    seeking,
  )
}

/** The layers behind a mounted router, or behind the mounted application that the request went into. */
function innerStack(layer: Layer, at: Position, { apps }: Search): { stack: readonly Layer[]; app: number } | null {
  if (typeof layer.handle !== 'function') return null
  if (Array.isArray(Reflect.get(layer.handle, 'stack'))) return { stack: stackOf(layer.handle), app: at.app }
  const next = apps[at.app + 1]
  return layer.name === 'mounted_app' && next !== undefined ? { stack: stackOf(routerOf(next)), app: at.app + 1 } : null
}

/** A mount ends at a segment's end, as the router itself sees to. */
function isAtBoundary(path: string, matched: string): boolean {
  const next = path.charAt(matched.length)
  return next === '' || next === '/' || matched.endsWith('/')
}

function merged(outer: Position['params'], inner: Position['params']): Position['params'] {
  return Object.assign(Object.create(null), outer, inner) as Position['params']
}

function withoutSlash(template: string): string {
  return template.endsWith('/') ? template.slice(0, -1) : template
}

/** The path as received, in origin-form or absolute-form (RFC 9112 section 3.2), without the query. */
function pathOf({ originalUrl, url }: ExpressRequestLike): string {
  const text = originalUrl ?? url ?? '/'
  const end = text.search(/[?#]/)
  const path = end === -1 ? text : text.slice(0, end)
  return path.startsWith('/') ? path : path.replace(/^[a-z][a-z\d+.-]*:\/\/[^/]*/i, '') || '/'
}

function applicationsOf(app: unknown): readonly object[] {
  const apps: object[] = []
  for (let each: unknown = app; isObject(each) && apps.length <= MAX_DEPTH; each = Reflect.get(each, 'parent')) {
    apps.unshift(each)
  }
  return apps
}

/** Express 4 keeps its router in `_router`, and throws where Express 5 keeps it. */
function routerOf(app: object): unknown {
  return Reflect.get(app, '_router') ?? Reflect.get(app, 'router')
}

function stackOf(router: unknown): readonly Layer[] {
  const stack: unknown = isObject(router) ? Reflect.get(router, 'stack') : undefined
  return Array.isArray(stack) ? (stack as readonly Layer[]) : []
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
