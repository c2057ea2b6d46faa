import type { AuditEvent, AuditHttp } from '../event.ts'
import { isFhirResourceType } from '../phi/fhir-resource-types.ts'
import {
  ORGANIZATION,
  OTHER,
  PATIENT_ROLE,
  PERSON,
  QUERY_ROLE,
  REQUEST_ID,
  RESOURCE_ROLE,
  SECURITY_ROLE,
  SYSTEM_OBJECT,
  URI_SYSTEM,
} from './codes.ts'
import { detailsOf } from './details.ts'
import { interactionOf } from './interactions.ts'
import { referenceTo, tokenUri } from './references.ts'
import type { FhirAuditEntity } from './resource.ts'
import { shownText } from './shown-text.ts'

/** All but the patient: of a read or write the data, of a search the query (BALP allows one of them), then what else it concerns. */
export function entitiesOf(event: AuditEvent): readonly FhirAuditEntity[] {
  const entities = [
    queryEntity(event) ?? dataEntity(event),
    requestEntity(event),
    keyEntity(event),
    organizationEntity(event),
    tokenEntity(event),
    eventEntity(event),
  ]
  return entities.filter((entity) => entity !== null)
}

/** `null` where nothing can be shown of the pseudonym. */
export function patientEntity(pseudonym: string): FhirAuditEntity | null {
  const what = referenceTo('pseudonym', pseudonym, 'Patient')
  return what === null ? null : { what, type: PERSON, role: PATIENT_ROLE }
}

function queryEntity(event: AuditEvent): FhirAuditEntity | null {
  if (event.http === null || interactionOf(event)?.profile !== 'Query') return null
  return {
    type: SYSTEM_OBJECT,
    role: QUERY_ROLE,
    query: Buffer.from(valuelessQuery(event.http)).toString('base64'),
  }
}

/** The search without its values, which may be PHI: `GET /v1/patients?_count=*&family=*`. */
function valuelessQuery({ method, route, query }: AuditHttp): string {
  const names = query.map((name) => `${encodeURIComponent(shownText(name) ?? '')}=*`)
  const start = `${shownText(method) ?? '*'} ${shownText(route) ?? '*'}`
  return names.length === 0 ? start : `${start}?${names.join('&')}`
}

/** The type alone: an event does not know which resource. Of several types a reference can only show the names. */
function dataEntity({ phi }: AuditEvent): FhirAuditEntity | null {
  const types = (phi?.types ?? []).filter(isFhirResourceType)
  const [first, second] = types
  if (first === undefined) return null
  const what = second === undefined ? { type: first, display: first } : { display: types.join(', ') }
  return { what, type: SYSTEM_OBJECT, role: RESOURCE_ROLE }
}

/** BALP section 3:5.7.3.1. */
function requestEntity({ requestId }: AuditEvent): FhirAuditEntity | null {
  const value = shownText(requestId)
  return value === null ? null : { what: { identifier: { value } }, type: REQUEST_ID }
}

/** The key that was changed. */
function keyEntity({ target }: AuditEvent): FhirAuditEntity | null {
  const what = referenceTo('key', target?.keyId ?? null)
  return what === null ? null : { what, type: SYSTEM_OBJECT, role: SECURITY_ROLE }
}

/** The organization whose key was changed. */
function organizationEntity({ target }: AuditEvent): FhirAuditEntity | null {
  const what = referenceTo('organization', target?.org ?? null, 'Organization')
  return what === null ? null : { what, type: ORGANIZATION }
}

/** The token that was minted or revoked, as in IHE IUA's `token-response`. */
function tokenEntity({ name, actor }: AuditEvent): FhirAuditEntity | null {
  const value = name === 'token.exchange' || name === 'token.revoke' ? tokenUri(actor.jti) : null
  if (value === null) return null
  return { what: { identifier: { system: URI_SYSTEM, value } }, type: SYSTEM_OBJECT, role: SECURITY_ROLE }
}

/** The line of the journal, the same in every AuditEvent that comes of it. */
function eventEntity(event: AuditEvent): FhirAuditEntity {
  return {
    what: { identifier: { system: URI_SYSTEM, value: `urn:uuid:${event.id.toLowerCase()}` } },
    type: OTHER,
    detail: detailsOf(event),
  }
}
