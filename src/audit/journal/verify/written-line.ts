import { isUtf8 } from 'node:buffer'
import type { Reason } from '../../../decision.ts'
import type { AuditEvent, AuditKind, AuditName, AuditOutcome, AuditPhi } from '../../event.ts'
import { eventLine } from '../../chain/event-line.ts'
import type { AuditIntent } from '../../intent.ts'
import { intentLine } from '../../chain/intent-line.ts'

/** What the chain needs to know of a line. */
export interface WrittenLine {
  readonly sort: 'event' | 'intent'
  /** `seq` of an event, `n` of an intent. */
  readonly number: number
  readonly writer: string
  readonly prev: string | null
  readonly text: string
  /** `null`: an intent. */
  readonly event: AuditEvent | null
}

const INTENT = '{"v":1,"intent":'
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const SHA_256 = /^[0-9a-f]{64}$/
const SIGNATURE_BYTES = 64

/**
 * A line that this package could have written, or `null`. Its text is what our own serializer makes of its members: so they
 * are all there, in their order, each once and in its one spelling; what the serializer prints alike for several types
 * is looked at by itself.
 */
export function readWrittenLine(bytes: Buffer): WrittenLine | null {
  if (!isUtf8(bytes)) return null
  const text = bytes.toString()
  try {
    return text.startsWith(INTENT)
      ? intentOf(JSON.parse(text) as AuditIntent, text)
      : eventOf(JSON.parse(text) as AuditEvent, text)
  } catch {
    return null
  }
}

function intentOf(intent: AuditIntent, text: string): WrittenLine | null {
  if (intentLine(intent) !== text || !isIntent(intent)) return null
  const { n, writer, prev } = intent
  return { sort: 'intent', number: n, writer, prev, text, event: null }
}

function eventOf(event: AuditEvent, text: string): WrittenLine | null {
  if (eventLine(event) !== text || !isEvent(event)) return null
  const { seq, writer, prev } = event
  return { sort: 'event', number: seq, writer, prev, text, event }
}

function isIntent({ intent, n, time, action, actor, env, client, phi, prev }: AuditIntent): boolean {
  return (
    UUID_V7.test(intent) &&
    isOrdinal(n) &&
    isInstant(time) &&
    isAction(action) &&
    isMemberOf(ACTORS, actor.kind) &&
    isMemberOf(ENVIRONMENTS, env) &&
    typeof client.via === 'number' &&
    isPhi(phi) &&
    isLink(prev)
  )
}

function isEvent(event: AuditEvent): boolean {
  const { id, seq, time, recorded, prev, part } = event
  return (
    UUID_V7.test(id) &&
    isOrdinal(seq) &&
    isInstant(time) &&
    (recorded === time || isInstant(recorded)) &&
    isLink(prev) &&
    hasKnownWords(event) &&
    hasNumbers(event) &&
    isPhi(event.phi) &&
    (part === null || typeof part.n === 'number') &&
    hasSeals(event)
  )
}

function hasKnownWords({ kind, name, outcome, reason, action, actor, env, delivered }: AuditEvent): boolean {
  return (
    isMemberOf(KINDS, kind) &&
    isMemberOf(NAMES, name) &&
    isMemberOf(OUTCOMES, outcome) &&
    (reason === null || isMemberOf(REASONS, reason)) &&
    isAction(action) &&
    isMemberOf(ACTORS, actor.kind) &&
    isMemberOf(ENVIRONMENTS, env) &&
    (delivered === null || isMemberOf(DELIVERED, delivered))
  )
}

function hasNumbers({ durationMs, client, http, count }: AuditEvent): boolean {
  return (
    typeof durationMs === 'number' &&
    durationMs >= 0 &&
    typeof client.via === 'number' &&
    typeof count === 'number' &&
    (http === null || (isNumberOrNull(http.status) && typeof http.bytes === 'number'))
  )
}

/** A seal belongs to its own name and to no other; that of a checkpoint may be missing here, which its examiner reports. */
function hasSeals(event: AuditEvent): boolean {
  const { name } = event
  const checkpoint = Object.hasOwn(event, 'checkpoint') ? event.checkpoint : undefined
  const retention = Object.hasOwn(event, 'retention') ? event.retention : undefined
  if (checkpoint !== undefined && (name !== 'audit.checkpoint' || !isSignature(checkpoint.signature))) return false
  if (retention === undefined) return name !== 'audit.retention'
  const { segments, lastSeq, lastHash, signed } = retention
  return (
    name === 'audit.retention' &&
    segments.length === 2 &&
    isOrdinal(segments[0]) &&
    isOrdinal(segments[1]) &&
    segments[0] <= segments[1] &&
    Number.isSafeInteger(lastSeq) &&
    SHA_256.test(lastHash) &&
    (signed === null || isSignature(signed.signature))
  )
}

function isPhi(phi: AuditPhi | null): boolean {
  return (
    phi === null ||
    (isNumberOrNull(phi.patientCount) &&
      isNumberOrNull(phi.resourceCount) &&
      typeof phi.bulk === 'boolean' &&
      isMemberOf(ATTRIBUTIONS, phi.attribution))
  )
}

/** base64url has several texts for the same bytes; only one of them is written. */
function isSignature(text: string): boolean {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === SIGNATURE_BYTES && bytes.toString('base64url') === text
}

function isOrdinal(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1
}

function isInstant(text: string): boolean {
  return INSTANT.test(text) && !Number.isNaN(Date.parse(text))
}

function isLink(prev: string | null): boolean {
  return prev === null || SHA_256.test(prev)
}

function isNumberOrNull(value: number | null): boolean {
  return value === null || typeof value === 'number'
}

function isAction(action: AuditEvent['action']): boolean {
  return action === null || isMemberOf(ACTIONS, action)
}

/** `null` prints as the word would, were it one. */
function isMemberOf(table: object, word: unknown): boolean {
  return typeof word === 'string' && Object.hasOwn(table, word)
}

type Words<T extends string> = Readonly<Record<T, true>>

// Tables over the unions: a word that is added to the event and forgotten here does not compile.
const KINDS: Words<AuditKind> = { access: true, auth: true, admin: true, system: true }
const OUTCOMES: Words<AuditOutcome> = { success: true, denied: true, error: true, aborted: true, interrupted: true }
const ACTIONS: Words<NonNullable<AuditEvent['action']>> = { C: true, R: true, U: true, D: true, E: true }
const ACTORS: Words<AuditEvent['actor']['kind']> = { 'api-key': true, 'access-token': true, none: true }
const ENVIRONMENTS: Words<AuditEvent['env']> = { live: true, test: true }
const DELIVERED: Words<NonNullable<AuditEvent['delivered']>> = { full: true, partial: true, none: true }
const ATTRIBUTIONS: Words<AuditPhi['attribution']> = {
  scope: true,
  route: true,
  annotation: true,
  handler: true,
  body: true,
  none: true,
}
const NAMES: Words<AuditName> = {
  request: true,
  verify: true,
  'token.exchange': true,
  'token.introspect': true,
  'token.revoke': true,
  'key.create': true,
  'key.import': true,
  'key.rotate': true,
  'key.revoke': true,
  'key.update': true,
  'audit.started': true,
  'audit.stopped': true,
  'audit.gap': true,
  'audit.checkpoint': true,
  'audit.recovered': true,
  'audit.retention': true,
  'clock.jump': true,
}
const REASONS: Words<Reason> = {
  credential_missing: true,
  credential_malformed: true,
  credential_duplicate: true,
  credential_too_long: true,
  credential_not_accepted: true,
  scheme_unsupported: true,
  key_malformed: true,
  key_unknown: true,
  key_expired: true,
  key_revoked: true,
  key_rotated_out: true,
  environment_mismatch: true,
  jwt_malformed: true,
  jwt_algorithm: true,
  jwt_type: true,
  jwt_unknown_key: true,
  jwt_signature: true,
  jwt_expired: true,
  jwt_not_yet_valid: true,
  jwt_lifetime: true,
  jwt_issuer: true,
  jwt_audience: true,
  jwt_claims: true,
  jwt_revoked: true,
  jwt_issuing_key: true,
  scope_missing: true,
  scope_invalid: true,
  request_malformed: true,
  ip_not_allowed: true,
  organization_mismatch: true,
  https_required: true,
  rate_limited: true,
  store_unavailable: true,
  store_invalid_record: true,
  jwks_unavailable: true,
  audit_unavailable: true,
  closing: true,
  not_found: true,
  handler_error: true,
  client_aborted: true,
  process_interrupted: true,
}
