import { patientIn } from '../reference.ts'
import { idOfContained, idOfPatient, tokenOf } from './patient-identity.ts'
import { isStored, storedIn, storedText } from './stored.ts'

/** Where a reference stands, for those that lead to something beside it. */
export interface ReferencePlace {
  /** The Bundle around the resource, for `urn:uuid:…`; `null`: there is none. */
  readonly bundle: ResourceIndex | null
  /** The resource, for `#`. */
  readonly resource: object
  /** What it contains, for `#id`. */
  readonly contained: ResourceIndex | null
  /** Its entry in the Bundle. */
  readonly entry: object | null
}

/** Finds the entries of a Bundle by their `fullUrl`, or contained resources by their id. */
export type ResourceIndex = (name: string) => object | null

/** Built when it is first asked: most need none. */
function createIndex(list: readonly unknown[], name: 'fullUrl' | 'id'): ResourceIndex {
  let known: Map<string, object> | null = null
  return (text) => (known ??= indexOf(list, name)).get(text) ?? null
}

const MAX_INDEXED = 200_000

function indexOf(list: readonly unknown[], name: 'fullUrl' | 'id'): Map<string, object> {
  const index = new Map<string, object>()
  for (let at = 0; at < Math.min(list.length, MAX_INDEXED); at += 1) {
    const each = storedIn(list, at)
    const text = isStored(each) ? storedText(each, name) : null
    if (isStored(each) && text !== null) index.set(text, each)
  }
  return index
}

export function indexOfBundle(entries: readonly unknown[]): ResourceIndex {
  return createIndex(entries, 'fullUrl')
}

export function indexOfContained(contained: readonly unknown[]): ResourceIndex {
  return createIndex(contained, 'id')
}

/**
 * The patient that a Reference (FHIR R4 section 2.3) names: by its text, or else by `type` and `identifier`. `onlyPatient`:
 * what it refers to can be nothing else, and needs no `type`.
 */
export function namedPatient(reference: object, place: ReferencePlace, onlyPatient: boolean): string | null {
  const text = storedText(reference, 'reference')
  const named = text === null ? null : patientBehind(text, place)
  if (named !== null) return named
  const type = storedIn(reference, 'type')
  return type === 'Patient' || (onlyPatient && type === undefined) ? tokenOf(storedIn(reference, 'identifier')) : null
}

function patientBehind(text: string, place: ReferencePlace): string | null {
  if (text.startsWith('#')) return containedPatient(text.slice(1), place)
  const id = patientIn(text)
  if (id !== null || place.bundle === null || !text.includes(':')) return id
  const entry = place.bundle(text)
  const resource = entry === null ? null : storedIn(entry, 'resource')
  return isStored(resource) && isPatient(resource) ? idOfPatient(resource, entry) : null
}

/** FHIR R4 section 2.3.0.3: `#` alone is the resource that contains. */
function containedPatient(id: string, { resource, contained, entry }: ReferencePlace): string | null {
  if (id === '') return isPatient(resource) ? idOfPatient(resource, entry) : null
  const found = contained === null ? null : contained(id)
  return found !== null && isPatient(found) ? idOfContained(found) : null
}

function isPatient(resource: object): boolean {
  return storedIn(resource, 'resourceType') === 'Patient'
}
