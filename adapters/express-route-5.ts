import { types } from 'node:util'
import { isObject, membersOf, NOTHING, own, sourceOf, type LayerMatch } from './express-route-parts.ts'

/**
 * Express 5. `match` of router before 2.3 writes to the layer; the functions behind it do not, in any version. `rawPath`
 * is missing there: a route still has its own path, a mount has none.
 */
export function matchMatchers(layer: object, path: string): LayerMatch | null {
  const matchers = own(layer, 'matchers')
  if (!Array.isArray(matchers)) return null
  const written = membersOf(own(layer, 'rawPath') ?? own(own(layer, 'route'), 'path'))
  for (let index = 0; index < matchers.length; index += 1) {
    const member = written[index]
    // Such an expression remembers where it stopped: to run it here would change what the router matches next.
    if (types.isRegExp(member) && (member.global || member.sticky)) return null
    const matcher: unknown = matchers[index]
    const match: unknown = typeof matcher === 'function' ? Reflect.apply(matcher, undefined, [path]) : undefined
    const matched = own(match, 'path')
    if (typeof matched === 'string') {
      const params = own(match, 'params')
      return { template: sourceOf(member), path: matched, params: isObject(params) ? params : NOTHING }
    }
  }
  return null
}
