/**
 * FHIR R4 (4.0.1) section 3.1.1: the parameters for all resources, those that control a result, and those of the general,
 * history and bulk-data interactions. They say how something is asked, never what for.
 */
export const FHIR_PARAMETERS: readonly string[] = Object.freeze([
  '_at',
  '_contained',
  '_containedType',
  '_content',
  '_count',
  '_elements',
  '_filter',
  '_format',
  '_has',
  '_id',
  '_include',
  '_lastUpdated',
  '_list',
  '_outputFormat',
  '_pretty',
  '_profile',
  '_query',
  '_revinclude',
  '_security',
  '_since',
  '_sort',
  '_source',
  '_summary',
  '_tag',
  '_text',
  '_total',
  '_type',
  '_typeFilter',
])

/**
 * The names of query parameters as an event may hold them: sorted, each once. A name is caller's text (`?John+Doe=1`), so
 * one that is not allowed is `*`. Of a modifier or chain (`_has:Observation:patient:code`) the parameter alone is kept.
 */
export function queryNames(names: Iterable<string>, allowed: ReadonlySet<string>): string[] {
  const kept = new Set<string>()
  for (const name of names) kept.add(allowedName(name, allowed))
  return kept.size < 2 ? [...kept] : [...kept].toSorted()
}

function allowedName(name: string, allowed: ReadonlySet<string>): string {
  if (allowed.has(name)) return name
  const colon = name.indexOf(':')
  const parameter = colon === -1 ? '' : name.slice(0, colon)
  return allowed.has(parameter) ? parameter : '*'
}
