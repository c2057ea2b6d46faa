import { patientIn } from './reference.ts'

/** A parsed query: decoded, flat, without prototype; a repeated name is a list. */
export type PhiQuery = Readonly<Record<string, string | readonly string[]>>

/** FHIR R4's search parameters for the patient of a resource, plain and with the type as modifier. */
const NAMES: readonly string[] = ['patient', 'subject', 'beneficiary'].flatMap((name) => [name, `${name}:Patient`])
const OF_PATIENTS: readonly string[] = [...NAMES, '_id']

/** An id without its type. */
const BARE_ID = /^[^/?#|\s,]{1,256}$/

/**
 * The patients that a FHIR search asks about, each once: FHIR R4 section 3.1.1.4.12 (`Patient/1`, `1`, absolute), and `_id`
 * where the search is for patients. Commas separate values (section 3.1.1.3.1). Other types, identifiers and chained
 * parameters name no patient here.
 */
export function queryPatients(query: PhiQuery, type: string | null): readonly string[] {
  const patients = new Set<string>()
  for (const name of type === 'Patient' ? OF_PATIENTS : NAMES) {
    const value = Object.hasOwn(query, name) ? query[name] : undefined
    if (value === undefined) continue
    for (const text of typeof value === 'string' ? [value] : value) addPatients(patients, text)
  }
  return [...patients]
}

function addPatients(patients: Set<string>, text: string): void {
  for (const each of text.split(',')) {
    const id = BARE_ID.test(each) ? each : patientIn(each)
    if (id !== null) patients.add(id)
  }
}
