import type { IncomingMessage } from 'node:http'
import { ownStrings, type Place } from '../src/adapter-kit.ts'
import { chainsTo, type Chain } from './express-route-chains.ts'
import { matchLayer } from './express-route-layer.ts'
import { own } from './express-route-parts.ts'

/** What is read of an Express request. */
export interface ExpressRequestLike extends IncomingMessage {
  readonly originalUrl?: string | undefined
  /** The route that was matched last; the routers that led to it are not kept by Express. */
  readonly route?: unknown
  /** The application that the request is in; its parent's again once a sub-application has passed it on. */
  readonly app?: unknown
}

/**
 * The full template and the parameters of every mount on the way: Express keeps neither, and `baseUrl` holds concrete ids.
 * Found by walking the routers from the root application down to the matched route or, before there is one, to the guard's
 * own mount. What is ambiguous or cannot be told (a router wrapped in a function, a rewritten URL, a mount whose path the
 * router does not keep) is `*`. Never throws. `app` is the application that the guard ran in, for a question that comes when
 * the request may have left it.
 */
export function recoverRoute(request: ExpressRequestLike, guard: unknown, app?: unknown): Place {
  try {
    return find(request, guard, app) ?? unplaced(request)
  } catch {
    return unplaced(request)
  }
}

/** A way through the routers, followed along the path as received. */
interface Trail {
  /** `null`: one of its mounts keeps no path. */
  template: string | null
  readonly params: Record<string, string>
  /** What the routers have set `baseUrl` to at its end, and what they have left of the path. */
  base: string
  path: string
}

/** Where the routers are now. */
interface State {
  readonly base: string
  readonly path: string
}

function find(request: ExpressRequestLike, guard: unknown, guardApp: unknown): Place | null {
  const received = pathOf(own(request, 'originalUrl'))
  const state = stateOf(request)
  if (received === null || state === null) return null
  const { app } = request
  const route = own(request, 'route')
  const inside = chainsTo(route ?? guard, app)
  const ways = inside.length > 0 || guardApp === undefined ? inside : chainsTo(route ?? guard, guardApp)
  const trails = trailsOf(ways, received)
  const here = trails.filter((trail) => isAt(trail, state))
  if (here.length > 0) return agreed(here)
  // Once an answer has begun, the routers may have left the route: an error handler answered, or `next()` was called.
  const left = hasAnswered(request) ? trails.filter((trail) => hasLeft(trail, state, received)) : []
  if (left.length > 0) return agreed(left)
  // A route that called `next()` stays on the request: the guard that asks stands behind it, on a mount of its own.
  if (route === undefined || ways.length === 0) return null
  return agreed(trailsOf(chainsTo(guard, app), received).filter((trail) => isAt(trail, state)))
}

function trailsOf(chains: readonly Chain[], received: string): readonly Trail[] {
  return chains.map((chain) => follow(chain, received)).filter((trail) => trail !== null)
}

function follow(chain: Chain, received: string): Trail | null {
  const trail =
    chain.parent === null
      ? { template: '', params: Object.create(null) as Record<string, string>, base: '', path: received }
      : follow(chain.parent, received)
  return trail !== null && enter(chain.layer, trail) ? trail : null
}

/** Goes through one layer as its router does; false where the router would pass it by. */
function enter(layer: object, trail: Trail): boolean {
  const match = matchLayer(layer, trail.path)
  if (match === null) return false
  if (own(layer, 'route') === undefined && !trim(layer, match.path, trail)) return false
  trail.template = joined(trail.template, match.template)
  for (const name of Object.keys(match.params)) {
    const value = own(match.params, name)
    if (typeof value === 'string') trail.params[name] = value
    else if (Array.isArray(value)) trail.params[name] = value.join('/')
  }
  return true
}

/** A mount takes its part off the path. It ends at the end of a segment; in Express 4 a dot ends one, too. */
function trim(layer: object, matched: string, trail: Trail): boolean {
  if (matched === '') return true
  const rest = trail.path.slice(matched.length)
  const next = rest.charAt(0)
  const ends = next === '' || next === '/' || (next === '.' && Object.hasOwn(layer, 'regexp'))
  if (!ends || !trail.path.startsWith(matched)) return false
  trail.base += matched.endsWith('/') ? matched.slice(0, -1) : matched
  trail.path = next === '/' ? rest : `/${rest}`
  return true
}

function joined(mounts: string | null, part: string | null): string | null {
  if (mounts === null || part === null) return null
  return mounts !== '' && part.startsWith('*') ? `${mounts}/${part}` : mounts + part
}

function agreed(trails: readonly Trail[]): Place | null {
  const [first] = trails
  if (first === undefined || trails.some(({ template }) => template !== first.template)) return null
  if (first.template === null && trails.length > 1) return null
  return { template: first.template === null ? '*' : first.template || '/', params: Object.freeze(first.params) }
}

function stateOf(request: ExpressRequestLike): State | null {
  const base = own(request, 'baseUrl') ?? ''
  const path = pathOf(own(request, 'url'))
  return path === null || typeof base !== 'string' ? null : { base, path }
}

/** That the routers are at the very end of the trail tells a rewritten URL, and overlapping mounts from one another. */
function isAt(trail: Trail, { base, path }: State): boolean {
  return trail.base === base && trail.path === path
}

/** The routers are at an outer mount of the trail again, and have not rewritten the URL. */
function hasLeft(trail: Trail, { base, path }: State, received: string): boolean {
  return trail.base.startsWith(base) && (base + path === received || (path === '/' && base === received))
}

function hasAnswered(request: ExpressRequestLike): boolean {
  const response = own(request, 'res')
  if (typeof response !== 'object' || response === null) return false
  return ['headersSent', 'writableEnded', 'destroyed'].some((name) => Reflect.get(response, name) === true)
}

/** Characters at which the routers leave their fast way and have the URL rewritten. */
const UNUSUAL = /[\t\n\f\r #\u00a0\ufeff]/
const PLAIN = /^(?:https?:\/\/[\w.:[\]-]+)?(?<path>\/[\w.~!$&()*+,;=:@%/-]*)?(?:[?#]|$)/i

/** The path without the query, in origin-form or absolute-form (RFC 9112 section 3.2); `null`: routers may read it otherwise. */
function pathOf(url: unknown): string | null {
  if (typeof url !== 'string' || url === '') return null
  if (!url.startsWith('/') || UNUSUAL.test(url)) {
    const plain = PLAIN.exec(url)
    return plain === null ? null : (plain.groups?.['path'] ?? '/')
  }
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

const NOWHERE: Place = Object.freeze({
  template: '*',
  params: Object.freeze(Object.create(null) as Record<string, string>),
})

function unplaced(request: ExpressRequestLike): Place {
  try {
    return { template: '*', params: Object.freeze(ownStrings(own(request, 'params'))) }
  } catch {
    return NOWHERE
  }
}
