import type { FhirCoding } from './resource.ts'

/** Makes codings of one system. */
function system(url: string): (code: string, display?: string) => FhirCoding {
  return (code, display) => Object.freeze({ system: url, code, ...(display === undefined ? null : { display }) })
}

/** DICOM PS3.16, as the value sets of FHIR R4's AuditEvent name them. */
const dicom = system('http://dicom.nema.org/resources/ontology/DCM')
const entityType = system('http://terminology.hl7.org/CodeSystem/audit-entity-type')
const objectRole = system('http://terminology.hl7.org/CodeSystem/object-role')
const participation = system('http://terminology.hl7.org/CodeSystem/v3-ParticipationType')
const userAgent = system('https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes')
const ihe = system('urn:ihe:event-type-code')

const restful = system('http://hl7.org/fhir/restful-interaction')

/** FHIR R4 `restful-interaction`: code and display are the same. */
export function interactionCoding(code: string): FhirCoding {
  return restful(code, code)
}

/** HL7 v3 `ActReason`, of which PurposeOfUse is a part. */
export const reasonCoding: (code: string, display?: string) => FhirCoding = system(
  'http://terminology.hl7.org/CodeSystem/v3-ActReason',
)

/** Our own: `name` of the event, where no published code says as much. */
export const eventNameCoding: (code: string, display?: string) => FhirCoding = system(
  'urn:healthcloud:audit:event-name',
)

/** Whose an identifier is: `urn:healthcloud:audit:` and this is its system. */
export type IdentifierKind = 'pseudonym' | 'key' | 'subject' | 'organization' | 'operator' | 'service'

/** FHIR R4: the system of identifiers that are URIs. */
export const URI_SYSTEM = 'urn:ietf:rfc:3986'

export const REST: FhirCoding = system('http://terminology.hl7.org/CodeSystem/audit-event-type')(
  'rest',
  'RESTful Operation',
)
export const APPLICATION_ACTIVITY: FhirCoding = dicom('110100', 'Application Activity')
export const SECURITY_ALERT: FhirCoding = dicom('110113', 'Security Alert')
export const USER_AUTHENTICATION: FhirCoding = dicom('110114', 'User Authentication')
export const LOGIN: FhirCoding = dicom('110122', 'Login')
export const RESTRICTED_FUNCTION: FhirCoding = dicom('110132', 'Use of Restricted Function')
export const RECORDING_STOPPED: FhirCoding = dicom('110133', 'Audit Recording Stopped')
export const RECORDING_STARTED: FhirCoding = dicom('110134', 'Audit Recording Started')
export const SECURITY_ATTRIBUTES: FhirCoding = dicom('110137', 'User security Attributes Changed')
export const GET_ACCESS_TOKEN: FhirCoding = ihe('ITI-71', 'Get Access Token')
export const INTROSPECT_TOKEN: FhirCoding = ihe('ITI-102', 'Introspect Token')

export const APPLICATION: FhirCoding = dicom('110150', 'Application')
export const DESTINATION: FhirCoding = dicom('110152', 'Destination Role ID')
export const SOURCE: FhirCoding = dicom('110153', 'Source Role ID')
export const CUSTODIAN: FhirCoding = system('http://terminology.hl7.org/CodeSystem/provenance-participant-type')(
  'custodian',
  'Custodian',
)
export const AUTHORIZATION_SERVER: FhirCoding = system(
  'http://terminology.hl7.org/CodeSystem/extra-security-role-type',
)('authserver', 'authorization server')
export const TOKEN_ISSUER: FhirCoding = userAgent('AuthzOauthService', 'OAuth Authorization Server')
export const TOKEN_USER: FhirCoding = userAgent('UserOauthAgent', 'User OAuth Agent participant')
export const RECIPIENT: FhirCoding = participation('IRCP', 'information recipient')
export const AUTHOR: FhirCoding = participation('AUT', 'author (originator)')
/** BALP's code for the organization of a caller. */
export const PROVIDER: FhirCoding = system('http://terminology.hl7.org/CodeSystem/v3-RoleClass')(
  'PROV',
  'healthcare provider',
)
export const APPLICATION_SERVER: FhirCoding = system('http://terminology.hl7.org/CodeSystem/security-source-type')(
  '4',
  'Application Server',
)

export const PERSON: FhirCoding = entityType('1', 'Person')
export const SYSTEM_OBJECT: FhirCoding = entityType('2', 'System Object')
export const ORGANIZATION: FhirCoding = entityType('3', 'Organization')
export const OTHER: FhirCoding = entityType('4', 'Other')
export const REQUEST_ID: FhirCoding = system('https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType')(
  'XrequestId',
)
export const PATIENT_ROLE: FhirCoding = objectRole('1', 'Patient')
export const RESOURCE_ROLE: FhirCoding = objectRole('4', 'Domain Resource')
export const SECURITY_ROLE: FhirCoding = objectRole('13', 'Security Resource')
export const QUERY_ROLE: FhirCoding = objectRole('24', 'Query')

export const TEST_DATA: FhirCoding = reasonCoding('HTEST', 'test health data')
