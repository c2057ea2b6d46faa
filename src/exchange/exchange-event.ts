import { patientPhi, type PhiFacts } from '../audit/phi/pattern.ts'
import type { AuditActor, AuditDraft, AuditHttp, AuditOutcome } from '../audit/event.ts'
import type { IntentDraft } from '../audit/intent.ts'
import { queryNames } from '../audit/phi/query-names.ts'
import type { Touch } from './audit-notes.ts'
import type { Denial, Reason } from '../decision.ts'
import { answerTo } from '../decision.ts'
import type { Call, Exchange, Place } from './exchange.ts'
import { guardRequest } from '../guard-request.ts'
import { ownMember } from '../lib/own-member.ts'
import type { Identity } from '../principal.ts'
import { parseQuery, queryNamesOf } from '../request/query.ts'
import { hasBody, type ResponseEnd } from './response-end.ts'

/** The event of an exchange that is over: built by allow-list from what the guards established and the response's end. */
export function draftOf(exchange: Exchange, end: ResponseEnd): AuditDraft {
  const { house, identity, denial, call } = exchange
  // An intent was written for this identity and this client, and they stay the same.
  const known = exchange.intent?.draft
  const { template, params } = placeOf(call)
  const route = exchange.catchAll ? '*' : template
  const { action, phi } = patientPhi(phiFacts(exchange, { template: route, params }, foundBy(exchange, end)))
  return {
    id: exchange.intent?.id ?? null,
    kind: 'access',
    name: 'request',
    time: exchange.startedAt,
    durationMs: house.clock.monotonicMs() - exchange.startedMs,
    ...outcomeOf(exchange, end),
    action,
    actor: known?.actor ?? actorOf(identity, denial),
    target: null,
    scopes: known?.scopes.required === exchange.required ? known.scopes : scopesOf(exchange),
    client: known?.client ?? clientOf(exchange),
    http: httpOf(exchange, route, end),
    requestId: exchange.requestId,
    operation: null,
    purpose: exchange.notes?.purpose ?? null,
    phi,
    delivered: deliveredOf(exchange, end),
    part: null,
    count: 1,
  }
}

/** What is known of a call before its handler runs, by the same rules as its event. */
export function intentOf(exchange: Exchange): IntentDraft {
  const { identity, denial, call, house } = exchange
  const { template, params } = placeOf(call)
  const { action, phi } = patientPhi(phiFacts(exchange, { template, params }, NOT_ANSWERED_YET))
  return {
    time: exchange.startedAt,
    action,
    actor: actorOf(identity, denial),
    scopes: scopesOf(exchange),
    client: clientOf(exchange),
    http: {
      method: call.request.method ?? '',
      route: template,
      query: queryNames(queryNamesOf(call.url), house.queryNames),
    },
    requestId: exchange.requestId,
    phi,
  }
}

/** Of a call that was refused nobody saw anything: as many as tell what was tried. */
const MAX_REFUSED_PATIENTS = 50

function scopesOf({ identity, required }: Exchange): AuditDraft['scopes'] {
  return { granted: identity === null ? [] : listOf(identity.scopes), required }
}

/** Identities share their sets of scopes, and live longer than calls. */
const lists = new WeakMap<ReadonlySet<string>, readonly string[]>()

function listOf(scopes: ReadonlySet<string>): readonly string[] {
  const known = lists.get(scopes)
  if (known !== undefined) return known
  const list = Object.freeze([...scopes])
  lists.set(scopes, list)
  return list
}

function clientOf({ transport }: Exchange): AuditDraft['client'] {
  return { ip: transport.address, via: transport.via }
}

/** What a handler touches after the event is recorded: an event of its own that names the first. */
export function continuationOf(
  draft: AuditDraft,
  exchange: Exchange,
  late: { touches: readonly Touch[]; n: number; ofId: string },
): AuditDraft {
  const { phi } = patientPhi({
    ...phiFacts(exchange, NOWHERE, { ...NOT_ANSWERED, touches: late.touches }),
    required: [],
    annotation: null,
    resourceCount: null,
  })
  const { house } = exchange
  return {
    ...draft,
    id: null,
    durationMs: house.clock.monotonicMs() - exchange.startedMs,
    phi,
    part: { n: late.n, of_id: late.ofId },
  }
}

/** A host's route that cannot be read is unknown; it costs the event nothing else. */
function placeOf(call: Call): Place {
  try {
    return call.place()
  } catch {
    return NOWHERE
  }
}

const NOWHERE: Place = { template: '*', params: {} }

/** What the handler and its answer say. */
type Found = Pick<PhiFacts, 'touches' | 'body' | 'status' | 'limit'>

const NOT_ANSWERED: Found = Object.freeze({ touches: Object.freeze([]), body: null, status: null, limit: undefined })
/** As many patients as a line takes for sure: an intent is not split. */
const NOT_ANSWERED_YET: Found = Object.freeze({ ...NOT_ANSWERED, limit: 500 })

/** An error shows nobody's data; what its handler has touched before, it has touched. */
function foundBy({ notes, denial, body }: Exchange, { status }: ResponseEnd): Found {
  const failed = denial !== null || (status !== null && status >= 400)
  const limit = denial === null ? undefined : MAX_REFUSED_PATIENTS
  return { touches: notes?.touches ?? NOT_ANSWERED.touches, body: failed ? null : body, status, limit }
}

function phiFacts(exchange: Exchange, { template, params }: Place, found: Found): PhiFacts {
  const { identity, phi, call, house } = exchange
  const organization = identity?.organizationId ?? exchange.denial?.actor?.organizationId ?? ''
  const { method = '' } = call.request
  return {
    method,
    route: template,
    params,
    required: exchange.required,
    annotation:
      phi === null || phi === false ? phi : { type: phi.type, action: phi.action, patient: annotatedPatient(exchange) },
    touches: found.touches,
    body: found.body,
    status: found.status,
    limit: found.limit,
    resourceCount: exchange.notes?.resourceCount ?? null,
    ifNoneExist: method === 'POST' && ownMember(call.request.headers, 'if-none-exist') !== undefined,
    // Whoever has no identity makes us compute no pseudonyms for as many patients as fit into a URL.
    query: () => parseQuery(identity === null ? '' : call.url),
    pseudonym: (patientId: string) => house.pseudonym(organization, patientId),
  }
}

/** A function that throws or gives no string leaves the patient open; it never fails the call. */
function annotatedPatient({ phi, call }: Exchange): string | null {
  if (phi === null || phi === false || phi.patient === undefined) return null
  try {
    const id = phi.patient(guardRequest(call))
    return typeof id === 'string' ? id : null
  } catch {
    return null
  }
}

function outcomeOf({ denial, catchAll }: Exchange, end: ResponseEnd): { outcome: AuditOutcome; reason: Reason | null } {
  if (denial !== null) return { outcome: deniedOutcome(denial), reason: denial.reason }
  if (!end.full) return { outcome: 'aborted', reason: 'client_aborted' }
  if (catchAll) return { outcome: 'error', reason: 'not_found' }
  if (end.status !== null && end.status >= 400) return { outcome: 'error', reason: 'handler_error' }
  return { outcome: 'success', reason: null }
}

/** Ours to mend (5xx) or nothing there (404): an error. The caller's to mend: a denial. */
export function deniedOutcome(denial: Denial): AuditOutcome {
  const { status } = answerTo(denial)
  return status >= 500 || status === 404 ? 'error' : 'denied'
}

export function actorOf(identity: Identity | null, denial: Denial | null): AuditActor {
  const known = identity ?? denial?.actor ?? null
  const graceEnds = identity?.graceEnds ?? null
  return {
    kind: identity?.kind ?? denial?.credential ?? 'none',
    org: known?.organizationId ?? null,
    keyId: known?.keyId ?? null,
    sub: known === null || (identity?.kind ?? denial?.credential) === 'api-key' ? null : known.subject,
    jti: known?.tokenId ?? null,
    graceEnds: graceEnds === null ? null : new Date(graceEnds).toISOString(),
    by: null,
  }
}

function httpOf({ call, house }: Exchange, route: string, end: ResponseEnd): AuditHttp {
  return {
    method: call.request.method ?? '',
    route,
    status: end.status,
    query: queryNames(queryNamesOf(call.url), house.queryNames),
    bytes: end.bytes,
  }
}

/** An answer without a body (HEAD, 304) delivers nothing, however well it went. */
function deliveredOf({ call }: Exchange, end: ResponseEnd): AuditDraft['delivered'] {
  if (end.full) return hasBody(call.request, call.response) || call.response.statusCode === 204 ? 'full' : 'none'
  return end.bytes > 0 ? 'partial' : 'none'
}
