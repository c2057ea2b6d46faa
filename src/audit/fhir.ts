import type { AuditEvent } from './event.ts'
import { agentsOf } from './fhir/agents.ts'
import { APPLICATION_SERVER, TEST_DATA } from './fhir/codes.ts'
import { deepFrozen } from '../lib/deep-frozen.ts'
import { entitiesOf, patientEntity } from './fhir/entities.ts'
import { eventOutcome, eventType } from './fhir/event-type.ts'
import { actionOf } from './fhir/interactions.ts'
import { profilesOf } from './fhir/profiles.ts'
import { purposeOf } from './fhir/purpose.ts'
import { serviceReference } from './fhir/references.ts'
import type { FhirAuditEntity, FhirAuditEvent } from './fhir/resource.ts'
import { shownText } from './fhir/shown-text.ts'
import { isUuid, uuidv5 } from './fhir/uuid-v5.ts'

export type {
  FhirAuditAgent,
  FhirAuditEntity,
  FhirAuditEvent,
  FhirCoding,
  FhirConcept,
  FhirReference,
} from './fhir/resource.ts'

/**
 * The event as AuditEvents of FHIR R4 in the shape of IHE BALP (Basic Audit Log Patterns 1.1.4): one for each patient that it
 * names, one for an event that names none. Pure: the same event always gives the same resources with the same ids, so that a
 * repository that is told twice (`PUT /AuditEvent/<id>`) holds it once. `docs/fhir.md` says where and why this is not BALP.
 * @throws {TypeError} when `event.id` is no UUID: this is no event of ours.
 */
export function toFhirAuditEvents(event: AuditEvent): FhirAuditEvent[] {
  if (!isUuid(event.id)) throw new TypeError('toFhirAuditEvents takes an event whose id is a UUID.')
  const shared = deepFrozen(sharedParts(event))
  const patients = new Set(event.phi?.patients)
  if (patients.size === 0) return [resource(event, shared, { id: event.id.toLowerCase(), patient: null })]
  return Array.from(patients, (pseudonym) =>
    resource(event, shared, { id: uuidv5(event.id, pseudonym), patient: patientEntity(pseudonym) }),
  )
}

type Shared = Omit<FhirAuditEvent, 'resourceType' | 'id' | 'meta'>

/** What all AuditEvents of one event have in common, built once. */
function sharedParts(event: AuditEvent): Shared {
  const action = actionOf(event)
  const reason = shownText(event.reason)
  const purpose = purposeOf(event)
  return {
    ...eventType(event),
    ...(action === null ? null : { action }),
    period: periodOf(event),
    recorded: instant(Date.parse(event.recorded)),
    outcome: eventOutcome(event),
    ...(reason === null ? null : { outcomeDesc: reason }),
    ...(purpose === null ? null : { purposeOfEvent: [purpose] }),
    agent: agentsOf(event),
    source: sourceOf(event),
    entity: entitiesOf(event),
  }
}

function resource(
  event: AuditEvent,
  shared: Shared,
  { id, patient }: { id: string; patient: FhirAuditEntity | null },
): FhirAuditEvent {
  const entity = patient === null ? shared.entity : [patient, ...shared.entity]
  const profile = profilesOf(event, shared.agent, entity)
  const meta = {
    ...(profile.length === 0 ? null : { profile }),
    ...(event.env === 'test' ? { security: [TEST_DATA] } : null),
  }
  return deepFrozen({
    resourceType: 'AuditEvent',
    id,
    ...(Object.keys(meta).length === 0 ? null : { meta }),
    ...shared,
    entity,
  })
}

/** Nobody knows when a call ended that died with its process. */
function periodOf({ time, durationMs, outcome }: AuditEvent): FhirAuditEvent['period'] {
  const startMs = Date.parse(time)
  const start = instant(startMs)
  return outcome === 'interrupted' ? { start } : { start, end: instant(startMs + durationMs) }
}

function sourceOf(event: AuditEvent): FhirAuditEvent['source'] {
  const site = shownText(event.service.instance)
  return {
    ...(site === null ? null : { site }),
    observer: serviceReference(event),
    type: [APPLICATION_SERVER],
  }
}

/** FHIR's years have four digits, and a clock that is out of its mind may have more. */
const FIRST_MS = Date.parse('0001-01-01T00:00:00.000Z')
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z')

function instant(ms: number): string {
  return new Date(Number.isNaN(ms) ? 0 : Math.min(Math.max(Math.round(ms), FIRST_MS), LAST_MS)).toISOString()
}
