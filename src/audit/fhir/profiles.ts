import type { AuditEvent } from '../event.ts'
import { PATIENT_ROLE, QUERY_ROLE, RESOURCE_ROLE, SYSTEM_OBJECT } from './codes.ts'
import { interactionOf } from './interactions.ts'
import type { FhirAuditAgent, FhirAuditEntity } from './resource.ts'

/** Canonical URLs of IHE BALP 1.1.4. */
const BASE = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.'

/** The profiles that the resource keeps, every required element included; none where one of them is not known. */
export function profilesOf(
  event: AuditEvent,
  agents: readonly FhirAuditAgent[],
  entities: readonly FhirAuditEntity[],
): readonly string[] {
  const rest = restProfile(event, agents, entities)
  return [
    ...(rest === null ? [] : [`${BASE}${rest}`]),
    ...(agents.some((agent) => Object.hasOwn(agent, 'policy')) ? [`${BASE}OAUTHaccessTokenUse.Minimal`] : []),
  ]
}

/**
 * BALP's profiles are those of calls that ended well: it leaves failures to FHIR's core. Own members, for an element
 * that is not there must not be found on a polluted prototype.
 */
function restProfile(
  event: AuditEvent,
  agents: readonly FhirAuditAgent[],
  entities: readonly FhirAuditEntity[],
): string | null {
  const profile = interactionOf(event)?.profile ?? null
  if (profile === null || event.name !== 'request' || event.kind !== 'access' || event.outcome !== 'success')
    return null
  const [client, server] = agents
  if (![client, server].every((agent) => agent !== undefined && Object.hasOwn(agent, 'network'))) return null
  const [object, ...more] = entities.filter(({ type }) => type === SYSTEM_OBJECT)
  if (more.length > 0 || object?.role !== (profile === 'Query' ? QUERY_ROLE : RESOURCE_ROLE)) return null
  return entities.some(({ role }) => role === PATIENT_ROLE) ? `Patient${profile}` : profile
}
