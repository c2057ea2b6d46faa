/** What `HEALTHCLOUD_KEY_STORE_URL` can name. */
export type StoreUrl =
  | { readonly kind: 'sqlite'; readonly path: string }
  /** May hold a password. */
  | { readonly kind: 'postgres' | 'redis'; readonly url: string }

const KINDS: Readonly<Record<string, 'sqlite' | 'postgres' | 'redis'>> = {
  sqlite: 'sqlite',
  postgres: 'postgres',
  postgresql: 'postgres',
  redis: 'redis',
  rediss: 'redis',
}

/**
 * Reads the URL of a store: `sqlite:<path>` (relative, absolute, or `:memory:`; also `sqlite:///<absolute path>`),
 * `postgres://…`, `postgresql://…`, `redis://…`, `rediss://…`. `null` for anything else. The path is taken as it stands, and
 * so one that a URL would read otherwise (`%20`, `?mode=ro`, `//host/…`) is none.
 */
export function readStoreUrl(text: string): StoreUrl | null {
  const [, scheme = '', rest = ''] = /^([a-z]+):(.+)$/is.exec(text) ?? []
  const name = scheme.toLowerCase()
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined
  if (kind === undefined) return null
  if (kind !== 'sqlite') return rest.startsWith('//') ? { kind, url: text } : null
  const path = rest.startsWith('///') ? rest.slice(2) : rest
  return path.startsWith('//') || /[%?#]/.test(path) ? null : { kind, path }
}
