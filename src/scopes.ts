/** What a scope means to the person who grants it. `level` is the plan that a key needs before the scope can be granted. */
export interface ScopeInfo {
  readonly description: string
  readonly level: 'Standard' | 'Admin' | 'Publisher'
}

/** The nine documented scopes. */
export const SCOPES: {
  readonly 'read:patients': ScopeInfo
  readonly 'write:patients': ScopeInfo
  readonly 'read:observations': ScopeInfo
  readonly 'write:observations': ScopeInfo
  readonly 'exec:agents': ScopeInfo
  readonly 'exec:workflows': ScopeInfo
  readonly 'admin:org': ScopeInfo
  readonly 'admin:billing': ScopeInfo
  readonly 'publish:assets': ScopeInfo
} = Object.freeze({
  'read:patients': info('Read FHIR Patient resources', 'Standard'),
  'write:patients': info('Create and update Patient resources', 'Standard'),
  'read:observations': info('Read FHIR Observations', 'Standard'),
  'write:observations': info('Create Observations (e.g. from devices)', 'Standard'),
  'exec:agents': info('Execute clinical AI agents', 'Standard'),
  'exec:workflows': info('Trigger workflow runs', 'Standard'),
  'admin:org': info('Manage organization settings and users', 'Admin'),
  'admin:billing': info('View and manage billing', 'Admin'),
  'publish:assets': info('Publish assets to the marketplace', 'Publisher'),
})

function info(description: string, level: ScopeInfo['level']): ScopeInfo {
  return Object.freeze({ description, level })
}

type DocumentedScopes = typeof SCOPES

/**
 * Every scope that the compiler accepts. A partner adds his own by augmenting this interface, and gives them to
 * `createAuth` in `options.scopes` for run time:
 *
 * ```ts
 * declare module '@healthcloud/auth' {
 *   interface ScopeRegistry { 'read:labs': true }
 * }
 * export {}
 * ```
 */
export interface ScopeRegistry extends DocumentedScopes {}

/** `<verb>:<resource>`: one of the nine, or of those that `ScopeRegistry` was augmented with. */
export type Scope = keyof ScopeRegistry

/** The scopes that a partner has declared beside the nine. */
export type PartnerScope = Exclude<Scope, keyof DocumentedScopes>

/** What `options.scopes` must hold: exactly the partner's own scopes, so that neither declaration can be forgotten. */
export type PartnerScopes = [PartnerScope] extends [never]
  ? { readonly [scope: string]: never }
  : { readonly [K in PartnerScope]: ScopeInfo }

/** The scopes that one `auth` knows at run time: the nine and the partner's. */
export interface ScopeCatalogue {
  has(scope: string): boolean
  names(): readonly string[]
  /** The known ones among `scopes`; unregistered scopes in a token or a stored key are dropped. */
  known(scopes: Iterable<string>): ReadonlySet<string>
}

/** RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ). */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/

export function isScopeToken(text: unknown): text is string {
  return typeof text === 'string' && SCOPE_TOKEN.test(text)
}

export function scopeCatalogue(own: Readonly<Record<string, ScopeInfo>>): ScopeCatalogue {
  const all = new Set([...Object.keys(SCOPES), ...Object.keys(own)])
  return Object.freeze({
    has: (scope: string) => all.has(scope),
    names: () => [...all],
    known: (scopes: Iterable<string>) => {
      const known = new Set<string>()
      for (const scope of scopes) if (all.has(scope)) known.add(scope)
      return known
    },
  })
}
