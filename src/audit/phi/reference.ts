/** Texts longer than this are no references. */
const MAX_REFERENCE = 2048

/** FHIR R4 section 2.3.0.1: `Type/id`, absolute too, with or without `/_history/version`. Ids of other systems may be longer. */
const REFERENCE = /(?:^|\/)([A-Z][A-Za-z]{1,63})\/([^/?#|\s]{1,256})(?:\/_history\/[^/?#|\s]{1,256})?$/

/** The type and id that a reference names; `null`: it is none of that form. */
export function readReference(text: string): { readonly type: string; readonly id: string } | null {
  if (text.length > MAX_REFERENCE) return null
  const found = REFERENCE.exec(text)
  const type = found?.[1]
  const id = found?.[2]
  return type === undefined || id === undefined ? null : { type, id }
}

/** The id of the patient that a reference names. */
export function patientIn(text: string): string | null {
  const found = readReference(text)
  return found !== null && found.type === 'Patient' ? found.id : null
}
