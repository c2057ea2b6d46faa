import type { AuditAction } from './audit/event.ts'
import { ownMember } from './lib/own-member.ts'
import { CoverageError, GuardError } from './errors.ts'
import type { Requirement } from './requirement.ts'

/**
 * What guards ask for on one route: `mixed` is more than one list of scopes, of which at least one is "any of"; `mount` is
 * a handler of ours that asks for what it needs by itself.
 */
export type GuardMode =
  | 'all'
  | 'any'
  | 'mixed'
  | 'identity'
  | 'optional'
  | 'organization'
  | 'catch-all'
  | 'mount'
  | 'public'

/** A route as its framework has it, and what stands before its first handler. */
export interface GuardedRoute {
  /** `GET`…; `ALL`: every method; `USE`: a function that is mounted for every method and every path below. */
  readonly method: string
  /** The full template; of a RegExp its source; `*` where the framework keeps none. */
  readonly path: string
  /** Of all its guards. */
  readonly scopes: readonly string[]
  readonly mode: GuardMode | null
  /** What its guards say about PHI; `null`: nothing, scope and path say it. */
  readonly phi: { readonly type: string; readonly action: AuditAction | null } | false | null
  /** Of `publicRoute(reason)`. */
  readonly reason: string | null
  /** A guard of this package stands before the first handler. */
  readonly guarded: boolean
  /** Why the route does not count as guarded or public. */
  readonly problem: string | null
}

/** Of `assertGuarded`. */
export interface CoverageOptions {
  /**
   * What cannot be read and is right all the same: functions by their name, mounted functions also by their path below
   * `/`. Never for a route that has no guard: that is what `publicRoute(reason)` is for.
   */
  readonly accept?: readonly string[] | undefined
}

interface GuardMark {
  readonly kind: Requirement['kind'] | 'mount' | 'public'
  readonly scopes: readonly string[]
  readonly optional: boolean
  readonly phi: Requirement['phi']
  readonly reason: string | null
}

/** One for all auths: a guard of any of them counts. */
const marks = new WeakMap<object, GuardMark>()

/** Makes a guard readable for coverage; gives back the function itself. */
export function markGuard<T extends object>(handle: T, { kind, scopes, optional, phi }: Requirement): T {
  marks.set(handle, Object.freeze({ kind, scopes, optional, phi, reason: null }))
  return handle
}

/** Makes what `publicRoute(reason)` gives readable for coverage; gives back the function itself. */
export function markPublic<T extends object>(handle: T, reason: string): T {
  marks.set(handle, Object.freeze({ kind: 'public', scopes: [], optional: false, phi: null, reason }))
  return handle
}

/** Makes what `mount(handler)` gives readable for coverage; gives back the function itself. */
export function markMount<T extends object>(handle: T): T {
  marks.set(handle, Object.freeze({ kind: 'mount', scopes: [], optional: false, phi: false, reason: null }))
  return handle
}

function markOf(handle: unknown): GuardMark | undefined {
  return typeof handle === 'function' ? marks.get(handle) : undefined
}

/** How coverage sees a function: one of this package's, or anything else. */
export function guardKind(handle: unknown): GuardMark['kind'] | null {
  return markOf(handle)?.kind ?? null
}

/** One function on the way to a route's handler. */
export interface CoverageStep {
  /** `mount`: for other routes, too; `param`: for a parameter of the path; `route`: the route's own. */
  readonly place: 'mount' | 'param' | 'route'
  readonly handle: unknown
}

/** A route as an adapter found it. */
export interface SeenRoute {
  readonly method: string
  readonly path: string
  /** In the order in which they run; only what certainly runs for every request of the route. */
  readonly steps: readonly CoverageStep[]
  /** Set where it is no route but something mounted that cannot be read: what it is. */
  readonly opaque?: unknown
  /** Why guards that seem to stand before it do not count. */
  readonly hint?: string | undefined
  /** The framework serves it, and nobody saw how it was registered. */
  readonly unseen?: boolean
}

/** What frameworks put there themselves, and parsers and headers that never serve a route. Static files are no such thing. */
const HARMLESS: ReadonlySet<string> = new Set([
  'query',
  'expressInit',
  'jsonParser',
  'urlencodedParser',
  'textParser',
  'rawParser',
  'bodyParser',
  'cookieParser',
  'compression',
  'corsMiddleware',
  'cors',
  'helmetMiddleware',
  'helmet',
])

/** Every route of the application, and what guards it. Frozen; in the order of registration. */
export function inventoryOf(seen: readonly SeenRoute[], options: CoverageOptions | undefined): readonly GuardedRoute[] {
  const accepted = acceptedOf(options)
  return Object.freeze(
    seen
      .filter(({ opaque }) => opaque === undefined || !HARMLESS.has(nameOf(opaque)))
      .map((route) => Object.freeze(judged(route, accepted))),
  )
}

/** @throws {CoverageError} with a table of the routes that have neither a guard nor `publicRoute(reason)`. */
export function assertCovered(seen: readonly SeenRoute[], options: CoverageOptions | undefined): void {
  const routes = inventoryOf(seen, options)
  const open = routes.filter(({ problem }) => problem !== null)
  if (seen.length === 0) nothingSeen('No route was found: call assertGuarded when all routes are there.')
  if (open.length === 0) return
  const unseen = open.some(({ problem }) => problem === UNSEEN)
  const remedy = unseen ? REMEDY_UNSEEN : REMEDY
  throw new CoverageError(
    unseen ? 'ROUTES_UNSEEN' : 'ROUTES_UNGUARDED',
    open.map(({ method, path, problem }) => ({ method, path, problem: problem ?? '' })),
    `${open.length} of ${routes.length} routes are not covered:\n${tableOf(open)}\n${remedy}`,
  )
}

const UNSEEN = 'registered before the plugin, or beside it'
const REMEDY_UNSEEN = 'Register the plugin on the root instance, before every route: `await app.register(plugin)`.'
const REMEDY =
  'Put a guard first on the route, or say why it is open: publicRoute(reason). What cannot be read is accepted by name: ' +
  "assertGuarded(app, { accept: ['nameOfTheFunction'] })."

function judged(route: SeenRoute, accepted: ReadonlySet<string>): GuardedRoute {
  const weighed = weigh(route.steps, accepted)
  const { counted } = weighed
  const reasons = counted.map(({ reason }) => reason).filter((reason) => reason !== null)
  return {
    method: route.method,
    path: route.path,
    scopes: Object.freeze([...new Set(counted.flatMap(({ scopes }) => scopes))]),
    mode: modeOf(counted),
    phi: phiOf(counted),
    reason: reasons.length === 0 ? null : reasons.join('; '),
    guarded: isGuarded(counted),
    problem: problemOf(route, weighed, accepted),
  }
}

interface Weighed {
  /** The guards before the first handler. */
  readonly counted: readonly GuardMark[]
  /** The first handler. */
  readonly first: unknown
  /** A parameter's callback that runs before the first of the guards. */
  readonly early: unknown
  /** A guard stands behind the first handler. */
  readonly late: boolean
}

function weigh(steps: readonly CoverageStep[], accepted: ReadonlySet<string>): Weighed {
  const counted: GuardMark[] = []
  let early: unknown
  for (const [index, { place, handle }] of steps.entries()) {
    const mark = markOf(handle)
    if (mark !== undefined) counted.push(mark)
    else if (!accepted.has(nameOf(handle))) {
      if (place === 'param' && counted.length === 0) early ??= handle
      if (place === 'route') {
        return { counted, early, first: handle, late: steps.slice(index + 1).some((step) => markOf(step.handle)) }
      }
    }
  }
  return { counted, early, first: undefined, late: false }
}

function problemOf(
  route: SeenRoute,
  { counted, first, early, late }: Weighed,
  accepted: ReadonlySet<string>,
): string | null {
  if (route.unseen === true) return UNSEEN
  if (early !== undefined && isGuarded(counted)) return `param callback ${described(early)} runs before the guard`
  if (counted.length > 0) return null
  if (late) return `guard stands behind ${described(first)}`
  if (route.opaque === undefined) return route.hint === undefined ? 'no guard' : `no guard: ${route.hint}`
  if (accepted.has(nameOf(route.opaque))) return null
  // `/` and `*` are where everything is mounted: they name nothing.
  if (route.path.length > 1 && accepted.has(route.path)) return null
  return `cannot be read: ${described(route.opaque)}`
}

function isGuarded(counted: readonly GuardMark[]): boolean {
  return counted.some(({ kind }) => kind !== 'public')
}

function modeOf(counted: readonly GuardMark[]): GuardMode | null {
  const kinds = counted.map(({ kind, optional }) => (kind === 'identity' && optional ? 'optional' : kind))
  const lists = kinds.filter((kind) => kind === 'all-scopes' || kind === 'any-scope')
  if (lists.length > 0) {
    if (!lists.includes('any-scope')) return 'all'
    return lists.length === 1 ? 'any' : 'mixed'
  }
  const modes = ['catch-all', 'organization', 'identity', 'optional', 'mount', 'public'] as const
  return modes.find((mode) => kinds.includes(mode)) ?? null
}

/** As in the event: the last guard that says something. */
function phiOf(counted: readonly GuardMark[]): GuardedRoute['phi'] {
  const phi = counted.findLast((mark) => mark.phi !== null)?.phi ?? null
  if (phi === null || phi === false) return phi
  return Object.freeze({ type: phi.type, action: phi.action ?? null })
}

/** As its author wrote it; empty where it has none. */
export function nameOf(handle: unknown): string {
  if (typeof handle === 'string') return handle
  const name: unknown = typeof handle === 'function' ? handle.name : undefined
  return typeof name === 'string' ? name.replace(/^bound /, '') : ''
}

function described(handle: unknown): string {
  const name = nameOf(handle)
  return name === '' ? 'a function without a name' : `\`${name}\``
}

function tableOf(routes: readonly GuardedRoute[]): string {
  const rows = [['METHOD', 'PATH', 'PROBLEM'], ...routes.map((each) => [each.method, each.path, each.problem ?? ''])]
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`).join('\n')
}

function acceptedOf(options: CoverageOptions | undefined): ReadonlySet<string> {
  const accept = ownMember(options, 'accept')
  if (accept === undefined) return new Set()
  if (!Array.isArray(accept) || !accept.every((name) => typeof name === 'string' && name !== '')) {
    throw new GuardError(
      'GUARD_OPTION',
      '`accept` is a list of names of functions, or of paths that they are mounted at.',
    )
  }
  return new Set(accept as readonly string[])
}

const LITERAL = /^[\w.~%@,;=&'-]+$/
const PARAMETER = /^:[A-Za-z_]\w*$/

/**
 * Whether everything that matches `path` runs through what is mounted at `mount`: the part of the mount that lies deeper
 * than the path, empty where the path is covered; `null`: it is another path, or it cannot be told.
 */
export function beyond(mount: string, path: string): string | null {
  const [outer, inner] = [segmentsOf(mount), segmentsOf(path)]
  const covers = outer.every((segment, index) => index >= inner.length || isCovered(segment, inner[index] ?? ''))
  if (!covers) return null
  const rest = outer.slice(inner.length)
  return rest.length === 0 ? '' : `/${rest.join('/')}`
}

function segmentsOf(path: string): readonly string[] {
  if (path === '' || path === '/') return []
  // What begins otherwise is a RegExp or a wildcard: as a segment it covers nothing and is covered by nothing.
  return path.startsWith('/') ? path.slice(1).split('/') : ['*']
}

function isCovered(mount: string, path: string): boolean {
  if (PARAMETER.test(mount)) return PARAMETER.test(path) || LITERAL.test(path)
  return mount === path && LITERAL.test(mount)
}

/** @throws {CoverageError} */
export function nothingSeen(message: string): never {
  throw new CoverageError('ROUTES_UNSEEN', [], message)
}

/** @throws {GuardError} */
export function notAnApplication(what: string): never {
  throw new GuardError('GUARD_OPTION', `assertGuarded and routeInventory take ${what}.`)
}
