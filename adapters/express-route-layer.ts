import { types } from 'node:util'
import { matchExpression } from './express-route-4.ts'
import { matchMatchers } from './express-route-5.ts'
import { NOTHING, own, type LayerMatch } from './express-route-parts.ts'

const ANYWHERE: LayerMatch = Object.freeze({ template: '', path: '', params: NOTHING })

/** Reads nothing but the layer and changes nothing: `null` where it does not match. */
export function matchLayer(layer: object, path: string): LayerMatch | null {
  if (own(layer, 'slash') === true) return ANYWHERE
  const regexp = own(layer, 'regexp')
  if (!types.isRegExp(regexp)) return matchMatchers(layer, path)
  return own(regexp, 'fast_slash') === true ? ANYWHERE : matchExpression(layer, regexp, path)
}
