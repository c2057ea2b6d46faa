import type { Reason } from '../../decision.ts'
import type { AuditEvent, AuditName } from '../event.ts'
import {
  APPLICATION_ACTIVITY,
  GET_ACCESS_TOKEN,
  INTROSPECT_TOKEN,
  LOGIN,
  RECORDING_STARTED,
  RECORDING_STOPPED,
  REST,
  RESTRICTED_FUNCTION,
  SECURITY_ALERT,
  SECURITY_ATTRIBUTES,
  USER_AUTHENTICATION,
  eventNameCoding,
  interactionCoding,
} from './codes.ts'
import { interactionOf } from './interactions.ts'
import type { FhirAuditEvent, FhirCoding } from './resource.ts'
import { shownText } from './shown-text.ts'

interface Kind {
  readonly type: FhirCoding
  readonly subtypes: readonly FhirCoding[]
}

const CALL: Kind = { type: REST, subtypes: [] }
const ALERT: Kind = { type: SECURITY_ALERT, subtypes: [] }
const ACTIVITY: Kind = { type: APPLICATION_ACTIVITY, subtypes: [] }
const KEY_CHANGE: Kind = { type: SECURITY_ALERT, subtypes: [SECURITY_ATTRIBUTES] }
const SIGN_IN: Kind = { type: USER_AUTHENTICATION, subtypes: [LOGIN] }
const RESTRICTED: Kind = { type: SECURITY_ALERT, subtypes: [RESTRICTED_FUNCTION] }

/** A forgotten name is a compile error. */
const KINDS: ReadonlyMap<string, Kind> = new Map(
  Object.entries({
    request: CALL,
    verify: SIGN_IN,
    'token.exchange': { type: USER_AUTHENTICATION, subtypes: [GET_ACCESS_TOKEN] },
    'token.introspect': { type: USER_AUTHENTICATION, subtypes: [INTROSPECT_TOKEN] },
    'token.revoke': KEY_CHANGE,
    'key.create': KEY_CHANGE,
    'key.import': KEY_CHANGE,
    'key.rotate': KEY_CHANGE,
    'key.revoke': KEY_CHANGE,
    'key.update': KEY_CHANGE,
    'audit.started': { type: SECURITY_ALERT, subtypes: [RECORDING_STARTED] },
    'audit.stopped': { type: SECURITY_ALERT, subtypes: [RECORDING_STOPPED] },
    'audit.gap': { type: SECURITY_ALERT, subtypes: [RECORDING_STOPPED] },
    'audit.recovered': ACTIVITY,
    'audit.checkpoint': ACTIVITY,
    'audit.retention': ACTIVITY,
    'clock.jump': ALERT,
  } satisfies Record<AuditName, Kind>),
)

/** Why it did not end well, as FHIR tells it: what sort of event a refusal is, and how bad where no status says so. */
interface Cause {
  readonly refusal: Kind
  readonly outcome: '4' | '8'
}

/** Who is it? Answered 401, 429 or 400. */
const IDENTITY: Cause = { refusal: SIGN_IN, outcome: '4' }
/** Known, and not allowed: 403. */
const PERMISSION: Cause = { refusal: RESTRICTED, outcome: '8' }
/** Ours to mend: 5xx. */
const FAULT: Cause = { refusal: ALERT, outcome: '8' }
/** The caller's: 4xx, or he left. */
const CALLER: Cause = { refusal: ALERT, outcome: '4' }

/** A forgotten reason is a compile error. */
const CAUSES: ReadonlyMap<string, Cause> = new Map(
  Object.entries({
    credential_missing: IDENTITY,
    credential_malformed: IDENTITY,
    credential_duplicate: IDENTITY,
    credential_too_long: IDENTITY,
    credential_not_accepted: IDENTITY,
    scheme_unsupported: IDENTITY,
    key_malformed: IDENTITY,
    key_unknown: IDENTITY,
    key_expired: IDENTITY,
    key_revoked: IDENTITY,
    key_rotated_out: IDENTITY,
    environment_mismatch: IDENTITY,
    jwt_malformed: IDENTITY,
    jwt_algorithm: IDENTITY,
    jwt_type: IDENTITY,
    jwt_unknown_key: IDENTITY,
    jwt_signature: IDENTITY,
    jwt_expired: IDENTITY,
    jwt_not_yet_valid: IDENTITY,
    jwt_lifetime: IDENTITY,
    jwt_issuer: IDENTITY,
    jwt_audience: IDENTITY,
    jwt_claims: IDENTITY,
    jwt_revoked: IDENTITY,
    jwt_issuing_key: IDENTITY,
    rate_limited: IDENTITY,
    request_malformed: IDENTITY,
    scope_missing: PERMISSION,
    scope_invalid: PERMISSION,
    ip_not_allowed: PERMISSION,
    organization_mismatch: PERMISSION,
    https_required: PERMISSION,
    store_unavailable: FAULT,
    store_invalid_record: FAULT,
    jwks_unavailable: FAULT,
    audit_unavailable: FAULT,
    closing: FAULT,
    process_interrupted: FAULT,
    handler_error: FAULT,
    not_found: CALLER,
    client_aborted: CALLER,
  } satisfies Record<Reason, Cause>),
)

/** Type and subtypes: what sort of event in DICOM's or FHIR's words, which interaction, and our own name but for `request`. */
export function eventType(event: AuditEvent): Pick<FhirAuditEvent, 'type' | 'subtype'> {
  const named = KINDS.get(event.name) ?? ACTIVITY
  const refusal = event.outcome === 'denied' ? (causeOf(event) ?? PERMISSION).refusal : null
  const interaction = interactionOf(event)
  const name = event.name === 'request' ? null : shownText(event.name)
  const subtypes = new Set([
    ...(refusal?.subtypes ?? []),
    ...named.subtypes,
    ...(interaction === null ? [] : [interactionCoding(interaction.code)]),
    ...(name === null ? [] : [eventNameCoding(name)]),
  ])
  return { type: (refusal ?? named).type, ...(subtypes.size === 0 ? null : { subtype: [...subtypes] }) }
}

/** FHIR R4 `audit-event-outcome`: 4 is often a 4xx, 8 often a 5xx, 12 means that the system died. */
export function eventOutcome(event: AuditEvent): FhirAuditEvent['outcome'] {
  switch (event.outcome) {
    case 'success':
      return '0'
    case 'aborted':
      return '4'
    case 'interrupted':
      return '12'
    case 'denied':
      return causeOf(event)?.outcome ?? '8'
    case 'error':
      return failureOf(event)
  }
}

function failureOf(event: AuditEvent): '4' | '8' {
  const status = event.http?.status ?? null
  if (status !== null) return status >= 500 ? '8' : '4'
  return causeOf(event)?.outcome ?? '8'
}

function causeOf({ reason }: AuditEvent): Cause | undefined {
  return reason === null ? undefined : CAUSES.get(reason)
}
