import { membersOf, own, sourceOf, type LayerMatch } from './express-route-parts.ts'

/** One alternative of the expression that Express 4 compiles a layer's paths into. */
export interface Alternative {
  readonly regexp: RegExp
  /** It was compiled from a string, not written as a RegExp. */
  readonly compiled: boolean
  readonly template: string | null
}

/** Made once per expression; `null`: it cannot be taken apart. */
const alternatives = new WeakMap<RegExp, readonly Alternative[] | null>()

/**
 * Matches as a layer of Express 4 does. Its own `match` writes to the layer, which the router reads for other requests; the
 * expression is run instead.
 */
export function matchExpression(layer: object, regexp: RegExp, path: string): LayerMatch | null {
  // Such an expression remembers where it stopped: to run it here would change what the router matches next.
  if (regexp.global || regexp.sticky) return null
  const match = regexp.exec(path)
  if (match === null) return null
  const keys = membersOf(own(layer, 'keys'))
  const route = own(layer, 'route')
  const matched: Matched = { regexp, match, keys }
  return {
    template: route === undefined ? mountTemplate(matched) : routeTemplate(own(route, 'path'), matched),
    path: match[0],
    params: paramsOf(matched),
  }
}

interface Matched {
  readonly regexp: RegExp
  readonly match: RegExpExecArray
  /** Of its groups. Their names are strings, or numbers where they have none. */
  readonly keys: readonly unknown[]
}

/** By the router's own rule: a name that stands in several members of a list belongs to the one that matched. */
function paramsOf({ match, keys }: Matched): object {
  const params: Record<string, string> = Object.create(null)
  for (let group = 1; group < match.length; group += 1) {
    const value: unknown = match[group]
    const name = own(keys[group - 1], 'name')
    if (typeof value === 'string' && (typeof name === 'string' || typeof name === 'number'))
      params[name] = decoded(value)
  }
  return params
}

function decoded(value: string): string {
  if (!value.includes('%')) return value
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** A route keeps its path as written; of a list, the alternative that matched says which member. */
function routeTemplate(path: unknown, { regexp, match, keys }: Matched): string | null {
  if (!Array.isArray(path)) return sourceOf(path)
  const members: readonly unknown[] = path.flat(Infinity)
  const parts = alternativesOf(regexp, keys)
  if (parts === null || parts.length !== members.length) return null
  return sourceOf(members[matchedAmong(parts, match)])
}

/** A mount keeps its expression alone. */
function mountTemplate({ regexp, match, keys }: Matched): string | null {
  const parts = alternativesOf(regexp, keys)
  if (parts === null || !parts.some(({ compiled }) => compiled)) return regexp.source
  return parts[matchedAmong(parts, match)]?.template ?? null
}

/** The first alternative that finds what all of them together have found. */
function matchedAmong(parts: readonly Alternative[], match: RegExpExecArray): number {
  if (parts.length === 1) return 0
  return parts.findIndex(({ regexp }) => {
    const alone = regexp.exec(match.input)
    return alone !== null && alone.index === match.index && alone[0] === match[0]
  })
}

export function alternativesOf(regexp: RegExp, keys: readonly unknown[]): readonly Alternative[] | null {
  const known = alternatives.get(regexp)
  if (known !== undefined) return known
  const fresh = compileAlternatives(regexp, keys)
  alternatives.set(regexp, fresh)
  return fresh
}

function compileAlternatives({ source, flags }: RegExp, keys: readonly unknown[]): readonly Alternative[] | null {
  try {
    let firstKey = 0
    return splitAlternatives(source).map((each) => {
      const compiled = each.startsWith('^') && each.endsWith(MOUNT_END)
      const template = compiled ? reverse(each, keys.slice(firstKey)) : each
      firstKey += (new RegExp(`${each}|`).exec('')?.length ?? 1) - 1
      return { regexp: new RegExp(each, flags), compiled, template }
    })
  } catch {
    return null
  }
}

/** At each `|` that stands outside of groups and classes. */
function splitAlternatives(source: string): readonly string[] {
  const parts: string[] = []
  let depth = 0
  let inClass = false
  let start = 0
  for (let at = 0; at < source.length; at += 1) {
    const char = source.charAt(at)
    if (char === '\\') at += 1
    else if (inClass) inClass = char !== ']'
    else if (char === '[') inClass = true
    else if (char === '(') depth += 1
    else if (char === ')') depth -= 1
    else if (char === '|' && depth === 0) {
      parts.push(source.slice(start, at))
      start = at + 1
    }
  }
  parts.push(source.slice(start))
  return parts
}

/** The end of every mount that was written as a string. */
const MOUNT_END = '\\/?(?=\\/|$)'

/** One of the forms that path-to-regexp 0.1 makes of a plain path. Custom patterns fit none of them. */
interface Piece {
  /** Its first group is carried over. */
  readonly form: RegExp
  readonly lead: string
  /** What the key of its group must be; `none`: there is no group. */
  readonly key: 'string' | 'number' | 'none'
}

const PIECES: readonly Piece[] = [
  { form: /\\([/.])/y, lead: '', key: 'none' },
  { form: /([^\\()[\]{}*+?^$|.]+)/y, lead: '', key: 'none' },
  // A parameter behind a slash, behind a dot, and inside of a segment; a wildcard.
  { form: /\(\?:\\\/\(\[\^\/\]\+\?\)\)(\??)/y, lead: '/:', key: 'string' },
  { form: /\(\?:\\\.\(\[\^\/\\\.\]\+\?\)\)(\??)/y, lead: '.:', key: 'string' },
  { form: /\(\?:\(\(\?:\(\?!\\\/\|[^()|]*\)\.\)\+\?\)\)(\??)/y, lead: ':', key: 'string' },
  { form: /\(\.\*\)()/y, lead: '*', key: 'number' },
]

/** The template that was compiled into the expression; `null` where a piece of it cannot be told. */
function reverse(source: string, keys: readonly unknown[]): string | null {
  const body = source.slice(1, -MOUNT_END.length)
  let template = ''
  let nextKey = 0
  for (let at = 0; at < body.length;) {
    const found = pieceAt(body, at)
    if (found === null) return null
    const { piece, match } = found
    const name = own(keys[nextKey], 'name')
    if (piece.key !== 'none') {
      if (typeof name !== piece.key) return null
      nextKey += 1
    }
    template += `${piece.lead}${piece.key === 'string' ? String(name) : ''}${match[1] ?? ''}`
    at += match[0].length
  }
  return sourceOf(template)
}

function pieceAt(body: string, at: number): { piece: Piece; match: RegExpExecArray } | null {
  for (const piece of PIECES) {
    piece.form.lastIndex = at
    const match = piece.form.exec(body)
    if (match !== null) return { piece, match }
  }
  return null
}
