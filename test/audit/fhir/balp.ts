import type { FhirAuditEvent } from '../../../src/audit/fhir.ts'

/** Written by hand from the StructureDefinitions of IHE BALP 1.1.4 (2025-10-31), without a look at the code. */

const URL = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.'
const DCM = 'http://dicom.nema.org/resources/ontology/DCM'
const PART = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType'

interface RestRow {
  readonly action: string
  /** One of these, once. */
  readonly subtypes: readonly string[]
  readonly client: string
  readonly server: string
  /** Types of which a user has one. */
  readonly users: readonly string[]
  /** `data`: what 1..1, role 3, 4 or 20. `query`: role 24, query 1..1, and neither what, lifecycle nor detail. */
  readonly object: 'data' | 'query'
}

const SOURCES = [`${PART}|AUT`, `${PART}|INF`, `${PART}|CST`]
const WRITE = { client: `${DCM}|110153`, server: `${DCM}|110152`, users: SOURCES, object: 'data' } as const

export const REST_PROFILES: Readonly<Record<string, RestRow>> = {
  Create: { ...WRITE, action: 'C', subtypes: ['create'] },
  Read: {
    action: 'R',
    subtypes: ['read', 'vread'],
    client: `${DCM}|110152`,
    server: `${DCM}|110153`,
    users: [`${PART}|IRCP`],
    object: 'data',
  },
  Update: { ...WRITE, action: 'U', subtypes: ['update', 'patch'] },
  Delete: {
    action: 'D',
    subtypes: ['delete'],
    client: `${DCM}|110150`,
    server: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type|custodian',
    users: SOURCES,
    object: 'data',
  },
  Query: {
    action: 'E',
    subtypes: ['search', 'search-type', 'search-system'],
    client: `${DCM}|110153`,
    server: `${DCM}|110152`,
    users: [`${PART}|IRCP`],
    object: 'query',
  },
}

export function profilesOf(resource: FhirAuditEvent): readonly string[] {
  return (resource.meta?.profile ?? []).map((url) => (url.startsWith(URL) ? url.slice(URL.length) : `unknown: ${url}`))
}

/** What of the profiles that the resource claims it does not keep. */
export function brokenRules(resource: FhirAuditEvent): readonly string[] {
  return profilesOf(resource).flatMap((profile) => {
    if (profile === 'OAUTHaccessTokenUse.Minimal') return brokenToken(resource)
    const row = REST_PROFILES[profile.replace(/^Patient/, '')]
    return row === undefined
      ? [`there is no profile ${profile}`]
      : brokenRest(resource, row, profile.startsWith('Patient'))
  })
}

function brokenRest(resource: FhirAuditEvent, row: RestRow, withPatient: boolean): readonly string[] {
  const { agent, entity } = resource
  const interactions = (resource.subtype ?? []).filter(
    ({ system }) => system === 'http://hl7.org/fhir/restful-interaction',
  )
  const clients = agent.filter((each) => hasType(each, row.client))
  const servers = agent.filter((each) => hasType(each, row.server))
  const users = agent.filter((each) => row.users.some((type) => hasType(each, type)))
  const objects = entitiesOf(resource, 'http://terminology.hl7.org/CodeSystem/audit-entity-type|2')
  const requests = entitiesOf(resource, 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType|XrequestId')
  return failed([
    ['type', key(resource.type) === 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest'],
    ['subtype', interactions.filter(({ code }) => row.subtypes.includes(code)).length === 1],
    ['action', resource.action === row.action],
    ['recorded', typeof resource.recorded === 'string'],
    ['outcome', resource.outcome === '0'],
    ['agent 2..', agent.length >= 2],
    ['client 1..1', clients.length === 1],
    ['server 1..1', servers.length === 1],
    [
      'who and network of client and server',
      [...clients, ...servers].every(({ who, network }) => who !== undefined && network !== undefined),
    ],
    ['user 0..1', users.length <= 1],
    ['user', users.every(({ who, network, requestor }) => who !== undefined && network === undefined && requestor)],
    ['media', agent.every((each) => !('media' in each))],
    ['source', Object.keys(resource.source.observer).length > 0],
    ['entity', entity.length >= (withPatient ? 2 : 1)],
    ['transaction 0..1', requests.length <= 1],
    ['transaction', requests.every(({ what }) => typeof what?.identifier?.value === 'string')],
    [`${row.object} 1..1`, objects.length === 1],
    [row.object, objects.every(row.object === 'data' ? isData : isQuery)],
    ['patient', withPatient ? isPatient(resource) : patientsOf(resource).length === 0],
  ])
}

type Entity = FhirAuditEvent['entity'][number]

function isData({ what, role }: Entity): boolean {
  const roles = ['3', '4', '20'].map((code) => `http://terminology.hl7.org/CodeSystem/object-role|${code}`)
  return what !== undefined && role !== undefined && roles.includes(key(role))
}

function isQuery({ what, role, query, detail, ...rest }: Entity): boolean {
  return (
    role !== undefined &&
    key(role) === 'http://terminology.hl7.org/CodeSystem/object-role|24' &&
    typeof query === 'string' &&
    what === undefined &&
    detail === undefined &&
    !('lifecycle' in rest)
  )
}

export function patientsOf(resource: FhirAuditEvent): readonly Entity[] {
  return entitiesOf(resource, 'http://terminology.hl7.org/CodeSystem/audit-entity-type|1')
}

/** `what only Reference(Patient)`: of a logical reference its `type` says so. */
function isPatient(resource: FhirAuditEvent): boolean {
  const [patient, ...more] = patientsOf(resource)
  return (
    patient !== undefined &&
    more.length === 0 &&
    patient.role !== undefined &&
    key(patient.role) === 'http://terminology.hl7.org/CodeSystem/object-role|1' &&
    patient.what?.type === 'Patient' &&
    patient.what.identifier !== undefined
  )
}

function brokenToken(resource: FhirAuditEvent): readonly string[] {
  const agents = resource.agent.filter((each) =>
    hasType(each, 'https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes|UserOauthAgent'),
  )
  return failed([
    ['oUser 1..', agents.length > 0],
    ['requestor', agents.every(({ requestor }) => requestor)],
    ['policy 1..1', agents.every(({ policy }) => policy?.length === 1)],
    ['jti', agents.every(({ policy }) => policy?.[0]?.startsWith('urn:ietf:params:oauth:jti:') === true)],
    ['network', agents.every(({ network }) => network === undefined)],
    ['media', agents.every((each) => !('media' in each))],
  ])
}

function failed(rules: readonly (readonly [name: string, kept: boolean])[]): readonly string[] {
  return rules.filter(([, kept]) => !kept).map(([name]) => name)
}

function entitiesOf({ entity }: FhirAuditEvent, type: string): readonly Entity[] {
  return entity.filter((each) => key(each.type) === type)
}

function hasType({ type }: FhirAuditEvent['agent'][number], wanted: string): boolean {
  return (type.coding ?? []).some((coding) => key(coding) === wanted)
}

function key({ system, code }: { readonly system: string; readonly code: string }): string {
  return `${system}|${code}`
}
