import { isObject, own } from './express-route-parts.ts'

/** A layer and the mounts that lead to it, innermost first. */
export interface Chain {
  readonly parent: Chain | null
  readonly layer: object
  /** Where it stood when the routers were walked. */
  readonly stack: readonly unknown[]
  readonly index: number
}

/** All that can be reached from one root application, as it was when it was walked. */
interface Survey {
  /** By the route of the layer or, where it has none, by its handler. */
  readonly chains: ReadonlyMap<unknown, readonly Chain[]>
  readonly apps: readonly object[]
  readonly routers: readonly unknown[]
  /** Every list of layers on the way, with what tells whether one was added or taken out. */
  readonly stacks: readonly { readonly stack: readonly unknown[]; readonly length: number; readonly last: unknown }[]
}

/** Bounds of a walk. What is mounted deeper is not told; of an application with more layers, nothing is. */
const MAX_DEPTH = 16
const MAX_LAYERS = 10_000
const NONE: readonly Chain[] = Object.freeze([])

/** By the innermost application. Routers are walked once, and anew when they have changed. */
const surveys = new WeakMap<object, Survey>()

/** Every way from the root application to the layers of a route (or of a handler that is mounted with `use`). */
export function chainsTo(target: unknown, app: unknown): readonly Chain[] {
  const apps = applicationsOf(app)
  const [innermost] = apps.slice(-1)
  if (innermost === undefined || !isObject(target)) return NONE
  const known = surveys.get(innermost)
  if (known !== undefined && isCurrent(known, apps)) {
    const chains = known.chains.get(target) ?? NONE
    if (chains.every(isInPlace)) return chains
  }
  const fresh = survey(apps)
  surveys.set(innermost, fresh)
  return fresh.chains.get(target) ?? NONE
}

/** From the root application down. Those that are mounted with `app.use` know their parent. */
function applicationsOf(app: unknown): readonly object[] {
  const apps: object[] = []
  for (let each = app; isObject(each) && apps.length < MAX_DEPTH; each = own(each, 'parent')) apps.unshift(each)
  return apps
}

/** Express 4 keeps its router in `_router`, and throws where Express 5 keeps it. */
function routerOf(app: unknown): unknown {
  return own(app, '_router') ?? own(app, 'router')
}

function isCurrent({ apps, routers, stacks }: Survey, now: readonly object[]): boolean {
  return (
    apps.length === now.length &&
    now.every((app, index) => app === apps[index] && routerOf(app) === routers[index]) &&
    stacks.every(({ stack, length, last }) => stack.length === length && stack[length - 1] === last)
  )
}

function isInPlace(chain: Chain): boolean {
  for (let each: Chain | null = chain; each !== null; each = each.parent) {
    if (each.stack[each.index] !== each.layer) return false
  }
  return true
}

/** Where a walk is. */
interface Position {
  readonly parent: Chain | null
  readonly depth: number
  /** Which of the applications it is in. */
  readonly app: number
}

function survey(apps: readonly object[]): Survey {
  const routers = apps.map(routerOf)
  const chains = new Map<unknown, Chain[]>()
  const stacks = new Set<readonly unknown[]>()
  let visited = 0
  const walk = (router: unknown, at: Position): void => {
    const stack = own(router, 'stack')
    if (!Array.isArray(stack) || at.depth > MAX_DEPTH) return
    stacks.add(stack)
    for (let index = 0; index < stack.length && visited <= MAX_LAYERS; index += 1) {
      visited += 1
      const layer: unknown = stack[index]
      if (isObject(layer)) visit({ parent: at.parent, layer, stack, index }, at)
    }
  }
  const visit = (chain: Chain, { depth, app }: Position): void => {
    const { layer } = chain
    const route = own(layer, 'route')
    const handle = own(layer, 'handle')
    const target = route ?? handle
    const known = chains.get(target)
    if (known === undefined) chains.set(target, [chain])
    else known.push(chain)
    if (route !== undefined) return
    // The closure around a mounted application hides it, but the request knows which one it is in.
    if (own(layer, 'name') === 'mounted_app') walk(routers[app + 1], { parent: chain, depth: depth + 1, app: app + 1 })
    else walk(handle, { parent: chain, depth: depth + 1, app })
  }
  walk(routers[0], { parent: null, depth: 1, app: 0 })
  if (visited > MAX_LAYERS) chains.clear()
  return {
    chains,
    apps,
    routers,
    stacks: [...stacks].map((stack) => ({ stack, length: stack.length, last: stack.at(-1) })),
  }
}
