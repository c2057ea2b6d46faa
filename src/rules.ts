import { deny, type Denial } from './decision.ts'
import type { Identity } from './principal.ts'

/** What a caller whose identity is established must still satisfy, with HTTP and without. */

/** An unknown address (`null`) is on no allowlist. */
export function denyAddress({ allowlist, kind }: Identity, address: string | null): Denial | null {
  if (allowlist === null) return null
  return address !== null && allowlist.holds(address) ? null : deny('ip_not_allowed', kind)
}

export interface ScopeRule {
  /** These, all or any one of them. */
  readonly scopes: readonly string[]
  readonly any: boolean
  /** Of all guards on the request so far, for the challenge. */
  readonly required: readonly string[]
}

export function denyScopes(identity: Identity, { scopes, any, required }: ScopeRule): Denial | null {
  const holds = (scope: string) => identity.scopes.has(scope)
  if (scopes.length === 0 || (any ? scopes.some(holds) : scopes.every(holds))) return null
  const missing = scopes.filter((scope) => !holds(scope))
  return deny('scope_missing', identity.kind, { scopes: { missing, required: [...required] } })
}
