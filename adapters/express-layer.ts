/** One way in which a layer of an Express router matches a path. */
export interface LayerMatch {
  /** As the host wrote it (a RegExp: its source); `null` where this version of the router does not keep it. */
  readonly template: string | null
  /** The part of the path that was matched. */
  readonly path: string
  readonly params: Readonly<Record<string, string>>
}

/** What is read of a layer, of Express 4 (`regexp`, `keys`) or 5 (`matchers`, and `rawPath` since router 2.3). */
export interface Layer {
  readonly handle?: unknown
  readonly name?: unknown
  readonly route?: { readonly path?: unknown } | undefined
  readonly rawPath?: unknown
  readonly slash?: unknown
  readonly matchers?: unknown
  readonly regexp?: unknown
  readonly keys?: unknown
}

/** The first member of the layer's paths that matches, as the router itself would choose it. */
export function matchLayer(layer: Layer, path: string): LayerMatch | null {
  return layer.regexp instanceof RegExp ? matchRegexp(layer, layer.regexp, path) : matchMatchers(layer, path)
}

const NOTHING: LayerMatch['params'] = Object.freeze({})

function matchMatchers(layer: Layer, path: string): LayerMatch | null {
  if (layer.slash === true) return { template: '', path: '', params: NOTHING }
  const templates = membersOf(layer.rawPath ?? layer.route?.path)
  for (const [index, matcher] of membersOf(layer.matchers).entries()) {
    if (typeof matcher !== 'function') continue
    const match: unknown = matcher(path)
    if (typeof match !== 'object' || match === null) continue
    const matched: unknown = Reflect.get(match, 'path')
    return {
      template: textOf(templates[index]),
      path: typeof matched === 'string' ? matched : '',
      params: strings(Reflect.get(match, 'params')),
    }
  }
  return null
}

/**
 * Express 4. Its own `match` writes to the layer, which other requests read; the expression is run instead. It joins the
 * members of a path list with `|`, each beginning with `^`.
 */
function matchRegexp(layer: Layer, regexp: RegExp, path: string): LayerMatch | null {
  const { route } = layer
  if (route === undefined && Reflect.get(regexp, 'fast_slash') === true) return { template: '', path: '', params: NOTHING }
  const names = membersOf(layer.keys).map((key) => Reflect.get(Object(key), 'name') as unknown)
  const written = membersOf(route?.path)
  let first = 0
  for (const [index, source] of alternativesOf(regexp).entries()) {
    const groups = groupsIn(source)
    const match = new RegExp(source, regexp.flags).exec(path)
    if (match !== null) {
      const template = route === undefined ? reverse(source, names.slice(first, first + groups)) : textOf(written[index])
      return { template, path: match[0], params: namedGroups(match, names.slice(first)) }
    }
    first += groups
  }
  return null
}

function alternativesOf({ source }: RegExp): readonly string[] {
  return source.split('|^').map((each, index) => (index === 0 ? each : `^${each}`))
}

function groupsIn(source: string): number {
  return (new RegExp(`${source}|`).exec('')?.length ?? 1) - 1
}

const MOUNT_END = '\\/?(?=\\/|$)'
const PARAMETER = '(?:\\/([^/]+?))'

/** The template that Express 4 compiled into the expression of a mount: exact for plain segments and parameters, else unknown. */
function reverse(source: string, names: readonly unknown[]): string | null {
  if (!source.startsWith('^') || !source.endsWith(MOUNT_END)) return source
  let rest = source.slice(1, -MOUNT_END.length)
  for (const name of names) rest = rest.replace(PARAMETER, () => `\\/:${String(name)}`)
  const plain = rest.replaceAll(/\\([/.+-])/g, '$1')
  return /[\\()[\]{}*+?^$|]/.test(plain) ? null : plain
}

function namedGroups(match: RegExpExecArray, names: readonly unknown[]): Readonly<Record<string, string>> {
  const params: Record<string, string> = Object.create(null)
  for (const [index, value] of match.slice(1).entries()) {
    const name = names[index]
    if (typeof value === 'string') params[typeof name === 'string' ? name : String(index)] = decoded(value)
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

/** Parameters of the newer router: strings, or of a wildcard a list of segments. */
function strings(params: unknown): Readonly<Record<string, string>> {
  const texts: Record<string, string> = Object.create(null)
  if (typeof params !== 'object' || params === null) return texts
  for (const [name, value] of Object.entries(params)) {
    if (typeof value === 'string') texts[name] = value
    else if (Array.isArray(value)) texts[name] = value.join('/')
  }
  return texts
}

function membersOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value.flat(8) : [value]
}

function textOf(written: unknown): string | null {
  if (written instanceof RegExp) return written.source
  return typeof written === 'string' ? written : null
}
