import type { Environment } from '../../principal.ts'
import type { AuditCheckpoint, AuditDraft, AuditEvent } from '../event.ts'
import type { AuditIntent, IntentDraft } from '../intent.ts'
import { finite, fit, fitActor, fitClient, fitHttp, fitOrNull, fitPhi, fitScopes, fitTarget } from './fit.ts'

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

/**
 * The draft in its place; a text that is too long ends in `…`, a list in `*`. It shares what it holds with the draft and is
 * for its line alone (`eventLine`, which knows the members of each object): what is handed on is read from the line.
 */
export function placedEvent(draft: AuditDraft, place: EventPlace): AuditEvent {
  const event = {
    v: 1 as const,
    id: place.id,
    kind: draft.kind,
    name: draft.name,
    time: instantOf(draft.time),
    recorded: instantOf(place.recorded),
    durationMs: Math.round(Math.max(0, finite(draft.durationMs)) * 1000) / 1000,
    outcome: draft.outcome,
    reason: draft.reason,
    action: draft.action,
    actor: fitActor(draft.actor),
    target: fitTarget(draft.target),
    env: place.env,
    scopes: fitScopes(draft.scopes),
    client: fitClient(draft.client),
    http: draft.http === null ? null : fitHttp(draft.http),
    requestId: fitOrNull(draft.requestId),
    operation: fitOrNull(draft.operation),
    purpose: fitOrNull(draft.purpose),
    phi: fitPhi(draft.phi),
    delivered: draft.delivered,
    count: draft.count,
    part: draft.part === null ? null : { n: draft.part.n, of_id: fit(draft.part.of_id) },
    service: place.service,
    writer: place.writer,
    seq: place.seq,
    prev: place.prev,
  }
  return draft.kind === 'system' ? { ...event, ...sealsOf(draft, place) } : event
}

/** As the event: for its line alone. */
export function placedIntent(draft: IntentDraft, place: IntentPlace): AuditIntent {
  return {
    v: 1,
    intent: place.id,
    n: place.n,
    time: instantOf(draft.time),
    action: draft.action,
    actor: fitActor(draft.actor),
    env: place.env,
    scopes: fitScopes(draft.scopes),
    client: fitClient(draft.client),
    http: fitHttp(draft.http),
    requestId: fitOrNull(draft.requestId),
    phi: fitPhi(draft.phi),
    writer: place.writer,
    prev: place.prev,
  }
}

function sealsOf(draft: AuditDraft, { checkpoint }: EventPlace): Pick<AuditEvent, 'checkpoint' | 'retention'> {
  const retention = Object.hasOwn(draft, 'retention') ? draft.retention : undefined
  return { ...(checkpoint === undefined ? null : { checkpoint }), ...(retention === undefined ? null : { retention }) }
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
