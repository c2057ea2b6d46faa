/** One segment of a route's template. `open`: a wildcard or an unnamed pattern, of which nothing can be told. */
export type RouteSegment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'open' }

export interface RouteTemplate {
  readonly segments: readonly RouteSegment[]
  /** The segments are all there is: no regular expression follows, and the route is known. */
  readonly complete: boolean
}

const OPEN: RouteSegment = Object.freeze({ kind: 'open' })
const UNKNOWN: RouteTemplate = Object.freeze({ segments: [], complete: false })

/** Stands for a colon that is text: `::` in Fastify, `\:` in Express and Koa. */
const PLAIN_COLON = '\u0000'

/**
 * Reads a template in the syntax of any framework here: `:id`, `:id(\\d+)`, `:id?`, `{/:id}`, `*`, `*rest`. A route that is a
 * RegExp shows its source, behind the templates of its mounts: these are read, the source is not.
 */
export function readTemplate(route: string): RouteTemplate {
  if (!route.startsWith('/')) return UNKNOWN
  const plain = withoutPatterns(route)
  if (plain === null) return UNKNOWN
  const source = plain.search(/\^|\\\//)
  const text = (source === -1 ? plain : plain.slice(0, source))
    .replaceAll('::', PLAIN_COLON)
    .replaceAll('\\:', PLAIN_COLON)
  const segments = text
    .replaceAll(/\\(.)/gu, '$1')
    .replaceAll(/[{}]/g, '')
    .split('/')
    .filter((segment) => segment !== '')
    .map(readSegment)
  return Object.freeze({ segments: Object.freeze(segments), complete: source === -1 })
}

function readSegment(text: string): RouteSegment {
  const [, quoted, bare] = /:(?:"([^"]+)"|([\p{ID_Start}$_][\p{ID_Continue}$]*))/u.exec(text) ?? []
  const name = quoted ?? bare
  if (name !== undefined) return Object.freeze({ kind: 'parameter', name })
  if (text.includes('*')) return OPEN
  return Object.freeze({ kind: 'literal', text: text.replaceAll(PLAIN_COLON, ':') })
}

/** Patterns in parentheses may hold anything, slashes included. One that no parameter stands before is a wildcard. */
function withoutPatterns(route: string): string | null {
  let plain = ''
  let depth = 0
  for (let at = 0; at < route.length; at += 1) {
    const char = route.charAt(at)
    if (char === '\\') {
      if (depth === 0) plain += route.slice(at, at + 2)
      at += 1
    } else if (char === '(') {
      if (depth === 0 && !plain.slice(plain.lastIndexOf('/')).includes(':')) plain += '*'
      depth += 1
    } else if (char === ')') {
      depth -= 1
      if (depth < 0) return null
    } else if (depth === 0) plain += char
  }
  return depth === 0 ? plain : null
}
