import type { AuditLine } from '../../audit/sink.ts'
import { ownMember } from '../../lib/own-member.ts'

interface Column {
  readonly name: string
  readonly type: 'text' | 'text[]' | 'bigint' | 'boolean' | 'timestamptz'
  /** Where it stands in the event. */
  readonly path: readonly string[]
}

/** What an auditor asks by. The exact line stands beside it, in `line`: where they differ, the line is right. */
export const COLUMNS: readonly Column[] = [
  { name: 'writer', type: 'text', path: ['writer'] },
  { name: 'seq', type: 'bigint', path: ['seq'] },
  { name: 'id', type: 'text', path: ['id'] },
  { name: 'time', type: 'timestamptz', path: ['time'] },
  { name: 'recorded', type: 'timestamptz', path: ['recorded'] },
  { name: 'kind', type: 'text', path: ['kind'] },
  { name: 'name', type: 'text', path: ['name'] },
  { name: 'outcome', type: 'text', path: ['outcome'] },
  { name: 'reason', type: 'text', path: ['reason'] },
  { name: 'action', type: 'text', path: ['action'] },
  { name: 'actor', type: 'text', path: ['actor', 'kind'] },
  { name: 'org', type: 'text', path: ['actor', 'org'] },
  { name: 'key_id', type: 'text', path: ['actor', 'keyId'] },
  { name: 'sub', type: 'text', path: ['actor', 'sub'] },
  { name: 'jti', type: 'text', path: ['actor', 'jti'] },
  { name: 'by', type: 'text', path: ['actor', 'by'] },
  { name: 'target_key_id', type: 'text', path: ['target', 'keyId'] },
  { name: 'env', type: 'text', path: ['env'] },
  { name: 'scopes_required', type: 'text[]', path: ['scopes', 'required'] },
  { name: 'ip', type: 'text', path: ['client', 'ip'] },
  { name: 'method', type: 'text', path: ['http', 'method'] },
  { name: 'route', type: 'text', path: ['http', 'route'] },
  { name: 'status', type: 'bigint', path: ['http', 'status'] },
  { name: 'request_id', type: 'text', path: ['requestId'] },
  { name: 'operation', type: 'text', path: ['operation'] },
  { name: 'purpose', type: 'text', path: ['purpose'] },
  { name: 'types', type: 'text[]', path: ['phi', 'types'] },
  { name: 'patients', type: 'text[]', path: ['phi', 'patients'] },
  { name: 'patient_count', type: 'bigint', path: ['phi', 'patientCount'] },
  { name: 'resource_count', type: 'bigint', path: ['phi', 'resourceCount'] },
  { name: 'bulk', type: 'boolean', path: ['phi', 'bulk'] },
  { name: 'delivered', type: 'text', path: ['delivered'] },
  { name: 'count', type: 'bigint', path: ['count'] },
  { name: 'part_of_id', type: 'text', path: ['part', 'of_id'] },
  { name: 'service', type: 'text', path: ['service', 'name'] },
]

/** Without them a row would be nothing that could be found. */
export const NOT_NULL: ReadonlySet<string> = new Set(['writer', 'seq', 'id', 'time', 'kind', 'name', 'outcome'])

/**
 * The lines as one parameter, for `json_to_recordset`: `at` is the place in the batch. Written out member by member, so that
 * no `toJSON` on a prototype has a say in it.
 */
export function recordsOf(lines: readonly AuditLine[]): string {
  const records = lines.map(({ event, text }, at) => {
    const members = COLUMNS.map(({ name, path }) => `"${name}":${json(memberAt(event, path))}`)
    return `{"at":${at},"line":${JSON.stringify(text)},${members.join()}}`
  })
  return `[${records.join()}]`
}

function memberAt(event: unknown, path: readonly string[]): unknown {
  let value = event
  for (const name of path) value = ownMember(value, name)
  return value
}

/** What is none of these is `null`. */
function json(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(storable(value))
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  if (typeof value === 'boolean') return String(value)
  if (!Array.isArray(value)) return 'null'
  return `[${(value as readonly unknown[])
    .filter((each) => typeof each === 'string')
    .map(json)
    .join()}]`
}

/** A column is for finding: what PostgreSQL cannot hold stands there as U+FFFD, and as it was in the line, escaped. */
function storable(text: string): string {
  return Buffer.from(text).toString().replaceAll('\0', '\uFFFD')
}

/** Whether PostgreSQL can hold the line as it is: no zero character, and nothing that UTF-8 would turn into something else. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && Buffer.from(text).toString() === text
}
