/** An element of a resource that may name its patient, as the way to it: `participant`, then `actor`. */
export interface ElementStep {
  readonly name: string
  /** `null`: here are the references. */
  readonly next: ElementStep | null
}

export interface PatientElement {
  readonly first: ElementStep
  /** Names patients beside the resource's own: it counts whatever the elements before it have named. */
  readonly beside: boolean
  /** By FHIR's definition it refers to a Patient and to nothing else: a logical reference needs no `type` there. */
  readonly onlyPatient: boolean
}

/**
 * FHIR R4 (4.0.1), `CompartmentDefinition/patient`, and the expressions of the search parameters that it names; whom a
 * resource is about before who had a hand in it. Four types stand outside of the compartment but have a search parameter
 * `patient` all the same (Contract, Device, GuidanceResponse, Task); a Binary is seen with its `securityContext`. The Patient
 * itself is not here: it is known by its id.
 */
const TABLE = `
  Account subject
  AdverseEvent subject
  AllergyIntolerance patient recorder asserter
  Appointment participant.actor
  AppointmentResponse actor
  AuditEvent agent.who +entity.what
  Basic subject author
  Binary securityContext
  BodyStructure patient
  CarePlan subject activity.detail.performer
  CareTeam subject participant.member
  ChargeItem subject
  Claim patient payee.party
  ClaimResponse patient
  ClinicalImpression subject
  Communication subject sender recipient
  CommunicationRequest subject sender recipient requester
  Composition subject author attester.party
  Condition subject asserter
  Consent patient
  Contract subject
  Coverage beneficiary policyHolder subscriber payor
  CoverageEligibilityRequest patient
  CoverageEligibilityResponse patient
  DetectedIssue patient
  Device patient
  DeviceRequest subject performer
  DeviceUseStatement subject
  DiagnosticReport subject
  DocumentManifest subject author recipient
  DocumentReference subject author
  Encounter subject
  EnrollmentRequest candidate
  EpisodeOfCare patient
  ExplanationOfBenefit patient payee.party
  FamilyMemberHistory patient
  Flag subject
  Goal subject
  Group member.entity
  GuidanceResponse subject
  ImagingStudy subject
  Immunization patient
  ImmunizationEvaluation patient
  ImmunizationRecommendation patient
  Invoice subject recipient
  List subject source +entry.item
  MeasureReport subject
  Media subject
  MedicationAdministration subject performer.actor
  MedicationDispense subject receiver
  MedicationRequest subject
  MedicationStatement subject
  MolecularSequence patient
  NutritionOrder patient
  Observation subject performer
  Person link.target
  Procedure subject performer.actor
  Provenance target
  QuestionnaireResponse subject author
  RelatedPerson patient
  RequestGroup subject action.participant
  ResearchSubject individual
  RiskAssessment subject
  Schedule actor
  ServiceRequest subject performer
  Specimen subject
  SupplyDelivery patient
  SupplyRequest deliverTo
  Task for
  VisionPrescription patient`

const ONLY_PATIENT: ReadonlySet<string> = new Set(['patient', 'beneficiary', 'candidate', 'individual'])

const ELEMENTS: ReadonlyMap<string, readonly PatientElement[]> = new Map(
  TABLE.trim()
    .split('\n')
    .map((line) => {
      const [type = '', ...paths] = line.trim().split(' ')
      return [type, Object.freeze(paths.map(readElement))] as const
    }),
)

const NONE: readonly PatientElement[] = Object.freeze([])

/** Where resources of this type name their patient, the first one first; nowhere for all other types. */
export function patientElements(type: string): readonly PatientElement[] {
  return ELEMENTS.get(type) ?? NONE
}

/** The types that have a patient, without Patient itself. */
export function typesWithPatient(): readonly string[] {
  return [...ELEMENTS.keys()]
}

function readElement(text: string): PatientElement {
  const path = text.replace(/^\+/, '')
  return Object.freeze({
    first: stepsOf(path.split('.')),
    beside: text.startsWith('+'),
    onlyPatient: ONLY_PATIENT.has(path),
  })
}

function stepsOf([name = '', ...rest]: readonly string[]): ElementStep {
  return Object.freeze({ name, next: rest.length === 0 ? null : stepsOf(rest) })
}
