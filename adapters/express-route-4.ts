import { membersOf, own, sourceOf, type LayerMatch } from './express-route-parts.ts'

/** One alternative of the expression that Express 4 compiles a layer's paths into. */
interface Alternative {
  readonly source: string
  readonly regexp: RegExp
  /** Which of the layer's keys is its first. */
  readonly firstKey: number
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
  const keys = membersOf(own(layer, 'keys')).map((key) => own(key, 'name'))
  const route = own(layer, 'route')
  return {
    template: route === undefined ? mountTemplate(regexp, match, keys) : routeTemplate(own(route, 'path'), regexp, match),
    path: match[0],
    params: paramsOf(match, keys),
  }
}

/** By the router's own rule: a name that stands in several members of a list belongs to the one that matched. */
function paramsOf(match: RegExpExecArray, keys: readonly unknown[]): object {
  const params: Record<string, string> = Object.create(null)
  for (let group = 1; group < match.length; group += 1) {
    const value: unknown = match[group]
    if (typeof value === 'string') params[String(keys[group - 1])] = decoded(value)
  }
  return params
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** A route keeps its path as written; of a list, the alternative that matched says which member. */
function routeTemplate(path: unknown, regexp: RegExp, match: RegExpExecArray): string | null {
  if (!Array.isArray(path)) return sourceOf(path)
  const members: readonly unknown[] = path.flat(Infinity)
  const parts = alternativesOf(regexp)
  const [only] = members
  if (members.length === 1) return sourceOf(only)
  if (parts === null || parts.length !== members.length) return null
  return sourceOf(members[matchedAmong(parts, match)])
}

/** A mount keeps its expression alone. */
function mountTemplate(regexp: RegExp, match: RegExpExecArray, keys: readonly unknown[]): string | null {
  const parts = alternativesOf(regexp)
  if (parts === null || !parts.some(isCompiled)) return regexp.source
  const part = parts[matchedAmong(parts, match)]
  if (part === undefined) return null
  return isCompiled(part) ? reverse(part.source, keys.slice(part.firstKey)) : part.source
}

/** The first alternative that finds what all of them together have found. */
function matchedAmong(parts: readonly Alternative[], match: RegExpExecArray): number {
  if (parts.length === 1) return 0
  return parts.findIndex(({ regexp }) => {
    const alone = regexp.exec(match.input)
    return alone !== null && alone.index === match.index && alone[0] === match[0]
  })
}

function alternativesOf(regexp: RegExp): readonly Alternative[] | null {
  const known = alternatives.get(regexp)
  if (known !== undefined) return known
  const fresh = compileAlternatives(regexp)
  alternatives.set(regexp, fresh)
  return fresh
}

function compileAlternatives({ source, flags }: RegExp): readonly Alternative[] | null {
  try {
    let firstKey = 0
    return splitAlternatives(source).map((each) => {
      const part = { source: each, regexp: new RegExp(each, flags), firstKey }
      firstKey += (new RegExp(`${each}|`).exec('')?.length ?? 1) - 1
      return part
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

function isCompiled({ source }: Alternative): boolean {
  return source.startsWith('^') && source.endsWith(MOUNT_END)
}

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
function reverse(source: string, names: readonly unknown[]): string | null {
  const body = source.slice(1, -MOUNT_END.length)
  let template = ''
  let nextKey = 0
  for (let at = 0; at < body.length; ) {
    const found = pieceAt(body, at)
    if (found === null) return null
    const { piece, match } = found
    const name = names[nextKey]
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
