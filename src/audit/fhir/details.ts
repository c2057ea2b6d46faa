import type { AuditEvent, AuditHttp, AuditPhi } from '../event.ts'
import type { FhirAuditEntity } from './resource.ts'
import { shownText } from './shown-text.ts'

type Detail = NonNullable<FhirAuditEntity['detail']>[number]
type Member = readonly [path: string, value: string | number | boolean | readonly string[] | null]

/** What FHIR's own elements have no place for, each under its path in our event; lists as words. */
export function detailsOf(event: AuditEvent): readonly Detail[] {
  const members = [
    ...placeMembers(event),
    ...callMembers(event),
    ...httpMembers(event.http),
    ...phiMembers(event.phi),
    ...sealMembers(event),
  ]
  return members.flatMap(([type, value]) => {
    const valueString = valueOf(value)
    return valueString === null ? [] : [{ type, valueString }]
  })
}

/** Each word by itself: one that cannot be shown does not take its neighbours with it. */
function valueOf(value: Member[1]): string | null {
  if (value === null) return null
  if (typeof value === 'string') return shownText(value)
  if (typeof value !== 'object') return String(value)
  return shownText(value.map((word) => shownText(word) ?? '').join(' '))
}

/** Where the line stands in the journal, so that it can be found there and verified. */
function placeMembers({ writer, seq, prev, part, count }: AuditEvent): readonly Member[] {
  return [
    ['writer', writer],
    ['seq', seq],
    ['prev', prev],
    ['part.n', part?.n ?? null],
    ['part.of_id', part?.of_id ?? null],
    ['count', count === 1 ? null : count],
  ]
}

function callMembers({
  durationMs,
  operation,
  actor,
  target,
  scopes,
  client,
  delivered,
}: AuditEvent): readonly Member[] {
  return [
    ['durationMs', durationMs],
    ['operation', operation],
    ['actor.kind', actor.kind],
    ['actor.graceEnds', actor.graceEnds],
    ['target.fields', target?.fields ?? null],
    ['scopes.granted', scopes.granted],
    ['scopes.required', scopes.required],
    ['client.via', client.via === 0 ? null : client.via],
    ['delivered', delivered],
  ]
}

function httpMembers(http: AuditHttp | null): readonly Member[] {
  if (http === null) return []
  return [
    ['http.method', http.method],
    ['http.route', http.route],
    ['http.status', http.status],
    ['http.query', http.query],
    ['http.bytes', http.bytes],
  ]
}

function phiMembers(phi: AuditPhi | null): readonly Member[] {
  if (phi === null) return []
  return [
    ['phi.types', phi.types],
    ['phi.patientCount', phi.patientCount],
    ['phi.resourceCount', phi.resourceCount],
    ['phi.bulk', phi.bulk],
    ['phi.attribution', phi.attribution],
  ]
}

/** Signatures over the journal: a repository that holds them is a witness of it. Own members, as an event has them or lacks them. */
function sealMembers(event: AuditEvent): readonly Member[] {
  const checkpoint = Object.hasOwn(event, 'checkpoint') ? event.checkpoint : undefined
  const retention = Object.hasOwn(event, 'retention') ? event.retention : undefined
  return [
    ['checkpoint.keyId', checkpoint?.keyId ?? null],
    ['checkpoint.signature', checkpoint?.signature ?? null],
    ['retention.writer', retention?.writer ?? null],
    ['retention.segments', retention?.segments.map(String) ?? null],
    ['retention.lastSeq', retention?.lastSeq ?? null],
    ['retention.lastHash', retention?.lastHash ?? null],
    ['retention.signed.keyId', retention?.signed?.keyId ?? null],
    ['retention.signed.signature', retention?.signed?.signature ?? null],
  ]
}
