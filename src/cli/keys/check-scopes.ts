import { isScopeToken, SCOPES } from '../../scopes.ts'
import { usage } from '../command-error.ts'

/** @throws {CommandError} for a scope that is not known, with the one that was meant, as far as that can be told. */
export function checkScopes(scopes: readonly string[], own: readonly string[]): void {
  if (scopes.length === 0) throw usage('--scope: expected at least one scope, such as read:patients.')
  const known = [...Object.keys(SCOPES), ...own]
  const unknown = scopes.find((scope) => !known.includes(scope))
  if (unknown === undefined) return
  const shown = isScopeToken(unknown) && unknown.length <= 40 ? `'${unknown}' is` : 'holds what is'
  const near = nearest(unknown, known)
  const hint = near === null ? `There are ${known.join(', ')}.` : `Did you mean ${near}?`
  throw usage(`--scope: ${shown} no known scope. ${hint}\nA scope of your own is declared with --allow-scope.`)
}

/** The known text that is at most a third of its length away; `null`: none is. */
export function nearest(text: string, known: readonly string[]): string | null {
  const [best] = known
    .map((each) => ({ each, distance: distanceOf(text, each) }))
    .filter(({ each, distance }) => distance <= each.length / 3)
    .toSorted((a, b) => a.distance - b.distance)
  return best?.each ?? null
}

/** Levenshtein distance. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [index, letter] of Array.from(a.slice(0, 64)).entries()) {
    const next = [index + 1]
    for (const [at, other] of Array.from(b).entries()) {
      const replaced = (row[at] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
