import type { Environment } from '../../principal.ts'
import type {
  AuditActor,
  AuditCheckpoint,
  AuditDraft,
  AuditEvent,
  AuditHttp,
  AuditPhi,
  AuditRetention,
} from '../event.ts'
import type { AuditIntent, IntentDraft } from '../intent.ts'

/** Where an event stands: which server wrote it, and where in the chain. */
export interface EventPlace {
  readonly id: string
  /** Epoch milliseconds: when the line is built. */
  readonly recorded: number
  readonly env: Environment
  readonly service: AuditEvent['service']
  readonly writer: string
  readonly seq: number
  readonly prev: string | null
  /** Of `audit.checkpoint` alone. */
  readonly checkpoint?: AuditCheckpoint | undefined
}

/** Where an intent stands. */
export interface IntentPlace extends Pick<EventPlace, 'id' | 'env' | 'writer' | 'prev'> {
  readonly n: number
}

/** Bytes that one text, and one list of texts, may take in a line: together they keep it under 32 KiB. */
const MAX_TEXT_BYTES = 1024
const MAX_LIST_BYTES = 2048
const MAX_TYPES = 32
/** Quotes and comma. */
const AROUND_TEXT = 3
/** A UTF-16 unit becomes at most an escape of six characters. */
const UNIT_BYTES = 6

/**
 * The event: a new object from typed members, frozen throughout, so that nothing else can get in and nobody who is handed
 * the event can change it for the next. A text that is too long ends in `…`, a list in `*`.
 */
export function completeEvent(draft: AuditDraft, place: EventPlace): AuditEvent {
  return Object.freeze({
    v: 1,
    id: place.id,
    kind: draft.kind,
    name: draft.name,
    time: instantOf(draft.time),
    recorded: instantOf(place.recorded),
    durationMs: Math.round(Math.max(0, finite(draft.durationMs)) * 1000) / 1000,
    outcome: draft.outcome,
    reason: draft.reason,
    action: draft.action,
    actor: actorOf(draft.actor),
    target: targetOf(draft.target),
    env: place.env,
    scopes: scopesOf(draft.scopes),
    client: clientOf(draft.client),
    http: httpOf(draft.http),
    requestId: fitOrNull(draft.requestId),
    operation: fitOrNull(draft.operation),
    purpose: fitOrNull(draft.purpose),
    phi: phiOf(draft.phi),
    delivered: draft.delivered,
    count: finite(draft.count),
    part: draft.part === null ? null : Object.freeze({ n: finite(draft.part.n), of_id: fit(draft.part.of_id) }),
    service: place.service,
    writer: place.writer,
    seq: place.seq,
    prev: place.prev,
    ...(draft.kind === 'system' ? sealsOf(draft, place) : null),
  })
}

/** As the event: a new object from typed members, frozen throughout. */
export function completeIntent(draft: IntentDraft, place: IntentPlace): AuditIntent {
  const { method, route, query } = draft.http
  return Object.freeze({
    v: 1,
    intent: place.id,
    n: place.n,
    time: instantOf(draft.time),
    action: draft.action,
    actor: actorOf(draft.actor),
    env: place.env,
    scopes: scopesOf(draft.scopes),
    client: clientOf(draft.client),
    http: Object.freeze({ method: fit(method), route: fit(route), query: fitList(query) }),
    requestId: fitOrNull(draft.requestId),
    phi: phiOf(draft.phi),
    writer: place.writer,
    prev: place.prev,
  })
}

function sealsOf(draft: AuditDraft, { checkpoint }: EventPlace): Pick<AuditEvent, 'checkpoint' | 'retention'> {
  const retention = Object.hasOwn(draft, 'retention') ? draft.retention : undefined
  return {
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(retention === undefined ? {} : { retention: retentionOf(retention) }),
  }
}

function retentionOf({ writer, segments, lastSeq, lastHash, signed }: AuditRetention): AuditRetention {
  const [first, last] = segments
  return Object.freeze({ writer, segments: Object.freeze([first, last] as const), lastSeq, lastHash, signed })
}

function scopesOf({ granted, required }: AuditDraft['scopes']): AuditDraft['scopes'] {
  return Object.freeze({ granted: fitList(granted), required: fitList(required) })
}

function clientOf({ ip, via }: AuditDraft['client']): AuditDraft['client'] {
  return Object.freeze({ ip: fitOrNull(ip), via: finite(via) })
}

/** The reporting server, once for all events. */
export function completeService({ name, version, instance }: AuditEvent['service']): AuditEvent['service'] {
  return Object.freeze({ name: fit(name), version: fitOrNull(version), instance: fit(instance) })
}

function actorOf({ kind, org, keyId, sub, jti, graceEnds, by }: AuditActor): AuditActor {
  return Object.freeze({
    kind,
    org: fitOrNull(org),
    keyId: fitOrNull(keyId),
    sub: fitOrNull(sub),
    jti: fitOrNull(jti),
    graceEnds,
    by: fitOrNull(by),
  })
}

function targetOf(target: AuditDraft['target']): AuditDraft['target'] {
  if (target === null) return null
  return Object.freeze({ keyId: fit(target.keyId), org: fit(target.org), fields: fitList(target.fields) })
}

function httpOf(http: AuditHttp | null): AuditHttp | null {
  if (http === null) return null
  return Object.freeze({
    method: fit(http.method),
    route: fit(http.route),
    status: http.status === null ? null : finite(http.status),
    query: fitList(http.query),
    bytes: finite(http.bytes),
  })
}

function phiOf(phi: AuditPhi | null): AuditPhi | null {
  if (phi === null) return null
  return Object.freeze({
    interaction: fitOrNull(phi.interaction),
    types: fitList(phi.types.slice(0, MAX_TYPES)),
    patients: Object.freeze(phi.patients.slice()),
    patientCount: phi.patientCount === null ? null : finite(phi.patientCount),
    resourceCount: phi.resourceCount === null ? null : finite(phi.resourceCount),
    bulk: phi.bulk,
    attribution: phi.attribution,
  })
}

/** The same millisecond is often asked for twice in a row. */
let lastMs = Number.NaN
let lastInstant = ''

export function instantOf(ms: number): string {
  if (ms === lastMs) return lastInstant
  const date = new Date(ms)
  lastInstant = (Number.isNaN(date.getTime()) ? new Date(0) : date).toISOString()
  lastMs = ms
  return lastInstant
}

/** JSON knows no infinity and no negative zero. */
function finite(value: number): number {
  return Number.isFinite(value) ? value + 0 : 0
}

function fitOrNull(text: string | null): string | null {
  return text === null ? null : fit(text)
}

function fit(text: string): string {
  if (text.length * UNIT_BYTES <= MAX_TEXT_BYTES || bytesOf(text) <= MAX_TEXT_BYTES) return text
  let end = Math.min(text.length, MAX_TEXT_BYTES)
  while (bytesOf(`${text.slice(0, end)}…`) > MAX_TEXT_BYTES) end = Math.floor(end * 0.9)
  return `${text.slice(0, end)}…`
}

function fitList(list: readonly string[]): readonly string[] {
  let most = 4
  for (const text of list) most += text.length * UNIT_BYTES + AROUND_TEXT
  return Object.freeze(most <= MAX_TEXT_BYTES ? list.slice() : fitted(list))
}

function fitted(list: readonly string[]): string[] {
  const kept: string[] = []
  let bytes = 4
  for (const each of list) {
    const text = fit(each)
    bytes += bytesOf(text) + AROUND_TEXT
    if (bytes > MAX_LIST_BYTES) return [...kept, '*']
    kept.push(text)
  }
  return kept
}

/** As JSON, without the quotes. */
function bytesOf(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2
}
