import type { AuditAction } from '../event.ts'

/** A code with the system that defines it. */
export interface FhirCoding {
  readonly system: string
  readonly code: string
  readonly display?: string
}

/** `CodeableConcept` of FHIR R4. */
export interface FhirConcept {
  readonly coding?: readonly FhirCoding[]
  readonly text?: string
}

/** A logical reference: what it names is looked up by identifier, there is no URL. */
export interface FhirReference {
  /** A FHIR resource type. */
  readonly type?: string
  readonly identifier?: { readonly system?: string; readonly value: string }
  readonly display?: string
}

/** `AuditEvent.agent` (FHIR R4): who took part, the caller or this server. */
export interface FhirAuditAgent {
  readonly type: FhirConcept
  readonly who?: FhirReference
  readonly requestor: boolean
  /** `urn:ietf:params:oauth:jti:` and the id of the token that was presented. */
  readonly policy?: readonly string[]
  /** `type`: 1 machine name, 2 IP address; left out where the address is that of a network. */
  readonly network?: { readonly address: string; readonly type?: '1' | '2' }
  readonly purposeOfUse?: readonly FhirConcept[]
}

/** `AuditEvent.entity` (FHIR R4): a patient, a resource type, the query, or the request itself. */
export interface FhirAuditEntity {
  readonly what?: FhirReference
  readonly type: FhirCoding
  readonly role?: FhirCoding
  /** base64 of method, route template and parameter names; every value is `*`. */
  readonly query?: string
  /** `type`: path of a member of our event. */
  readonly detail?: readonly { readonly type: string; readonly valueString: string }[]
}

/** An AuditEvent of FHIR R4 (4.0.1), with the elements that we fill and no others. Frozen throughout. */
export interface FhirAuditEvent {
  readonly resourceType: 'AuditEvent'
  readonly id: string
  /** `profile`: those of IHE BALP that the resource keeps; `security`: `HTEST` where it tells of a test server. */
  readonly meta?: { readonly profile?: readonly string[]; readonly security?: readonly FhirCoding[] }
  readonly type: FhirCoding
  readonly subtype?: readonly FhirCoding[]
  readonly action?: AuditAction
  /** `end` is left out where the process died before it. */
  readonly period: { readonly start: string; readonly end?: string }
  readonly recorded: string
  /** 0 success, 4 minor failure, 8 serious failure, 12 major failure: the process died. */
  readonly outcome: '0' | '4' | '8' | '12'
  /** Code of the reason. */
  readonly outcomeDesc?: string
  readonly purposeOfEvent?: readonly FhirConcept[]
  readonly agent: readonly FhirAuditAgent[]
  readonly source: {
    readonly site?: string
    readonly observer: FhirReference
    readonly type: readonly FhirCoding[]
  }
  readonly entity: readonly FhirAuditEntity[]
}
