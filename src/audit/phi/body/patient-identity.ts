import { isPatientId } from '../route.ts'
import { isStored, storedIn, storedList, storedText } from './stored.ts'

const UUID = /^urn:uuid:([0-9a-f-]{36})$/i

/**
 * What a Patient resource is known by: its id; where it has none, its first identifier, and in a Bundle the UUID that its
 * entry is called.
 */
export function idOfPatient(patient: object, entry: object | null): string | null {
  const id = storedIn(patient, 'id')
  if (isPatientId(id)) return id
  const fullUrl = entry === null ? null : storedText(entry, 'fullUrl')
  return firstIdentifier(patient) ?? UUID.exec(fullUrl ?? '')?.[1] ?? null
}

/** The id of a contained Patient is a name within its resource and nobody else's: what it is known by outside comes first. */
export function idOfContained(patient: object): string | null {
  const id = storedIn(patient, 'id')
  return firstIdentifier(patient) ?? (isPatientId(id) ? id : null)
}

/** As FHIR's search writes a token (R4 section 3.1.1.4.10): `system|value`. */
export function tokenOf(identifier: unknown): string | null {
  if (!isStored(identifier)) return null
  const value = storedText(identifier, 'value')
  const token = value === null ? null : `${storedText(identifier, 'system') ?? ''}|${value}`
  return isPatientId(token) ? token : null
}

const MAX_IDENTIFIERS = 16

function firstIdentifier(patient: object): string | null {
  const list = storedList(patient, 'identifier') ?? []
  for (let at = 0; at < Math.min(list.length, MAX_IDENTIFIERS); at += 1) {
    const token = tokenOf(storedIn(list, at))
    if (token !== null) return token
  }
  return null
}
