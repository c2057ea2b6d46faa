import type { Identity } from '../principal.ts'
import { isScopeToken, type ScopeCatalogue } from '../scopes.ts'

/** What an exchange asks for: known scopes, each once, in the order of the request; or what is wrong with it. */
export type RequestedScopes =
  | { readonly ok: true; readonly scopes: readonly string[] }
  | {
      readonly ok: false
      /** For the caller. */
      readonly message: string
      /** For the event: those that are known. */
      readonly known: readonly string[]
    }

const EXPECTED = 'The member scope is a list of scopes, or scopes with one space between them.'
const NONE = `Scope is required: name at least one. ${EXPECTED}`
/** A message names so many; a caller who sends thousands knows what he sent. */
const MAX_NAMED = 10

/** `scope` as an array or a string (RFC 6749 section 3.3). One that is named twice counts once. */
export function readRequestedScopes(value: unknown, catalogue: ScopeCatalogue): RequestedScopes {
  const none: readonly string[] = []
  if (value === undefined || value === null || value === '') return { ok: false, message: NONE, known: none }
  const list: unknown = typeof value === 'string' ? value.split(' ') : value
  if (!Array.isArray(list)) return { ok: false, message: EXPECTED, known: none }
  const named = new Set<unknown>(list)
  if (named.size === 0) return { ok: false, message: NONE, known: none }
  const scopes = [...named].filter((each) => isScopeToken(each))
  const known = [...catalogue.known(scopes)]
  if (scopes.length < named.size) return { ok: false, message: EXPECTED, known }
  if (known.length === scopes.length) return { ok: true, scopes: Object.freeze(known) }
  const unknown = scopes.filter((each) => !catalogue.has(each))
  return { ok: false, message: naming('Unknown scope', unknown), known }
}

/** What to tell a key that does not hold all of them; `null`: it does. */
export function notHeld({ scopes: held }: Identity, scopes: readonly string[]): string | null {
  const missing = scopes.filter((scope) => !held.has(scope))
  return missing.length === 0 ? null : naming('This API key does not hold scope', missing)
}

/** A credential that was put in the wrong place is not repeated. */
function naming(what: string, scopes: readonly string[]): string {
  const shown = scopes.slice(0, MAX_NAMED).map((each) => (isSecretLike(each) ? '(a credential)' : each))
  const more = scopes.length > MAX_NAMED ? `, and ${scopes.length - MAX_NAMED} more` : ''
  return `${what}${scopes.length === 1 ? '' : 's'}: ${shown.join(', ')}${more}.`
}

function isSecretLike(text: string): boolean {
  return /hc_(?:live|test)_/i.test(text) || /eyJ[^.]*\.[^.]*\./.test(text)
}
