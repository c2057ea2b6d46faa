/** Pairs; what comes after is not read. */
const MAX_PAIRS = 1000

const NO_NAMES: readonly string[] = Object.freeze([])

const NO_QUERY: Readonly<Record<string, string>> = Object.freeze(Object.create(null))

/**
 * The query of a request, parsed alike in all frameworks: flat, without prototype, frozen; a repeated name is an array.
 * A name or value with a broken escape is kept as it stands. At most 1,000 pairs. Never throws.
 */
export function parseQuery(url: string): Readonly<Record<string, string | readonly string[]>> {
  const pairs = pairsOf(url)
  if (pairs.length === 0) return NO_QUERY
  const values = new Map<string, string[]>()
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    const name = nameOf(pair)
    const value = equals === -1 ? '' : decode(pair.slice(equals + 1))
    const known = values.get(name)
    if (known === undefined) values.set(name, [value])
    else known.push(value)
  }
  const query: Record<string, string | readonly string[]> = Object.create(null)
  for (const [name, list] of values) query[name] = list.length === 1 ? (list[0] ?? '') : Object.freeze(list)
  return Object.freeze(query)
}

/** The names alone, each once, in their order. */
export function queryNamesOf(url: string): Iterable<string> {
  return url.includes('?') ? new Set(pairsOf(url).map(nameOf)) : NO_NAMES
}

/** RFC 3986 section 3.4: from the first `?` to the first `#` after it. */
function pairsOf(url: string): readonly string[] {
  const start = url.indexOf('?')
  const hash = url.indexOf('#')
  if (start === -1 || (hash !== -1 && hash < start)) return NO_NAMES
  const pairs: string[] = []
  const end = hash === -1 ? url.length : hash
  for (let at = start + 1; at < end && pairs.length < MAX_PAIRS;) {
    const next = url.indexOf('&', at)
    const stop = next === -1 || next > end ? end : next
    if (stop > at) pairs.push(url.slice(at, stop))
    at = stop + 1
  }
  return pairs
}

function nameOf(pair: string): string {
  const equals = pair.indexOf('=')
  return decode(equals === -1 ? pair : pair.slice(0, equals))
}

/** As HTML forms encode: `+` is a space. */
function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced
  }
}
