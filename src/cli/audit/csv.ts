import type { AuditEvent } from '../../audit/event.ts'
import { escaped } from './output.ts'

type Value = string | number | boolean | null | undefined | readonly string[]

/** The columns, in an order that stays: new ones come at the end. */
const COLUMNS: readonly (readonly [name: string, valueOf: (event: AuditEvent) => Value])[] = [
  ['time', ({ time }) => time],
  ['recorded', ({ recorded }) => recorded],
  ['duration_ms', ({ durationMs }) => durationMs],
  ['id', ({ id }) => id],
  ['kind', ({ kind }) => kind],
  ['name', ({ name }) => name],
  ['outcome', ({ outcome }) => outcome],
  ['reason', ({ reason }) => reason],
  ['action', ({ action }) => action],
  ['actor_kind', ({ actor }) => actor.kind],
  ['org', ({ actor }) => actor.org],
  ['key_id', ({ actor }) => actor.keyId],
  ['sub', ({ actor }) => actor.sub],
  ['jti', ({ actor }) => actor.jti],
  ['grace_ends', ({ actor }) => actor.graceEnds],
  ['by', ({ actor }) => actor.by],
  ['target_key_id', ({ target }) => target?.keyId],
  ['target_org', ({ target }) => target?.org],
  ['target_fields', ({ target }) => target?.fields],
  ['env', ({ env }) => env],
  ['scopes_granted', ({ scopes }) => scopes.granted],
  ['scopes_required', ({ scopes }) => scopes.required],
  ['ip', ({ client }) => client.ip],
  ['via', ({ client }) => client.via],
  ['method', ({ http }) => http?.method],
  ['route', ({ http }) => http?.route],
  ['status', ({ http }) => http?.status],
  ['query', ({ http }) => http?.query],
  ['bytes', ({ http }) => http?.bytes],
  ['request_id', ({ requestId }) => requestId],
  ['operation', ({ operation }) => operation],
  ['purpose', ({ purpose }) => purpose],
  ['interaction', ({ phi }) => phi?.interaction],
  ['resource_types', ({ phi }) => phi?.types],
  ['patients', ({ phi }) => phi?.patients],
  ['patient_count', ({ phi }) => phi?.patientCount],
  ['resource_count', ({ phi }) => phi?.resourceCount],
  ['bulk', ({ phi }) => phi?.bulk],
  ['attribution', ({ phi }) => phi?.attribution],
  ['delivered', ({ delivered }) => delivered],
  ['count', ({ count }) => count],
  ['part', ({ part }) => part?.n],
  ['part_of', ({ part }) => part?.of_id],
  ['service', ({ service }) => service.name],
  ['service_version', ({ service }) => service.version],
  ['instance', ({ service }) => service.instance],
  ['writer', ({ writer }) => writer],
  ['seq', ({ seq }) => seq],
  ['prev', ({ prev }) => prev],
]

/** RFC 4180 section 2: lines end with CR and LF. */
const END = '\r'

/** Without the LF of its end, which whoever writes lines adds. */
export const CSV_HEADER: string = COLUMNS.map(([name]) => name).join(',') + END

/** One event as a line of CSV, RFC 4180; members that are null are empty, members of a list separated by spaces. */
export function csvLine(event: AuditEvent): string {
  return COLUMNS.map(([, valueOf]) => csvCell(valueOf(event))).join(',') + END
}

/** What begins so a spreadsheet may take for a formula, full width forms too, and runs it. */
const FORMULA = /^[=+\-@＝＋－＠]/u
const PLAIN = /^[\w.:/-]*$/

function csvCell(value: Value): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : value.join(' ')
  // A tab or a line end at the beginning hides what follows it from the rule, and ESC has a terminal obey.
  const visible = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped)
  const defused = FORMULA.test(visible.trimStart()) ? `'${visible}` : visible
  return PLAIN.test(defused) ? defused : `"${defused.replaceAll('"', '""')}"`
}
