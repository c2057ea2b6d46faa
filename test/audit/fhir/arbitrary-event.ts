import * as fc from 'fast-check'
import type { AuditEvent, AuditName } from '../../../src/audit/event.ts'
import type { Reason } from '../../../src/decision.ts'

/** Every member of a closed union: one that is missing, or too many, does not compile. */
function all<T extends string>(members: Readonly<Record<T, 1>>): fc.Arbitrary<T> {
  return fc.constantFrom(...(Object.keys(members) as T[]))
}

export const anyName = all<AuditName>({
  request: 1,
  verify: 1,
  'token.exchange': 1,
  'token.introspect': 1,
  'token.revoke': 1,
  'key.create': 1,
  'key.import': 1,
  'key.rotate': 1,
  'key.revoke': 1,
  'key.update': 1,
  'audit.started': 1,
  'audit.stopped': 1,
  'audit.gap': 1,
  'audit.checkpoint': 1,
  'audit.recovered': 1,
  'audit.retention': 1,
  'clock.jump': 1,
})

export const anyReason = all<Reason>({
  credential_missing: 1,
  credential_malformed: 1,
  credential_duplicate: 1,
  credential_too_long: 1,
  credential_not_accepted: 1,
  scheme_unsupported: 1,
  key_malformed: 1,
  key_unknown: 1,
  key_expired: 1,
  key_revoked: 1,
  key_rotated_out: 1,
  environment_mismatch: 1,
  jwt_malformed: 1,
  jwt_algorithm: 1,
  jwt_type: 1,
  jwt_unknown_key: 1,
  jwt_signature: 1,
  jwt_expired: 1,
  jwt_not_yet_valid: 1,
  jwt_lifetime: 1,
  jwt_issuer: 1,
  jwt_audience: 1,
  jwt_claims: 1,
  jwt_revoked: 1,
  jwt_issuing_key: 1,
  scope_missing: 1,
  scope_invalid: 1,
  request_malformed: 1,
  ip_not_allowed: 1,
  organization_mismatch: 1,
  https_required: 1,
  rate_limited: 1,
  store_unavailable: 1,
  store_invalid_record: 1,
  jwks_unavailable: 1,
  audit_unavailable: 1,
  closing: 1,
  not_found: 1,
  handler_error: 1,
  client_aborted: 1,
  process_interrupted: 1,
})

export const INTERACTIONS = [
  'read',
  'vread',
  'create',
  'update',
  'patch',
  'delete',
  'search',
  'search-type',
  'search-system',
  'history',
  'history-instance',
  'history-type',
  'history-system',
  'capabilities',
  'transaction',
  'batch',
  'operation',
]

const anyCount = fc.oneof(fc.nat(), fc.constantFrom(0, 1, 2 ** 53 - 1))
const anyInstant = fc
  .oneof(
    fc.integer({ min: 0, max: 4e12 }),
    fc.constantFrom(-8.64e15, 8.64e15, Date.parse('0000-06-01T00:00:00Z'), Date.parse('-000001-01-01T00:00:00Z')),
  )
  .map((ms) => new Date(ms).toISOString())

/**
 * Any event that the types allow, with these for every text that is not of a closed union. (Time, id and numbers are
 * texts of a form of their own.)
 */
export function anyEvent(text: fc.Arbitrary<string>): fc.Arbitrary<AuditEvent> {
  const maybe = fc.option(text)
  const texts = fc.array(text, { maxLength: 4 })
  const signed = fc.record({ keyId: text, signature: text })
  const event = fc.record({
    v: fc.constant(1 as const),
    id: fc.uuid(),
    kind: all<AuditEvent['kind']>({ access: 1, auth: 1, admin: 1, system: 1 }),
    name: anyName,
    time: anyInstant,
    recorded: anyInstant,
    durationMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    outcome: all<AuditEvent['outcome']>({ success: 1, denied: 1, error: 1, aborted: 1, interrupted: 1 }),
    reason: fc.option(anyReason),
    action: fc.option(all<NonNullable<AuditEvent['action']>>({ C: 1, R: 1, U: 1, D: 1, E: 1 })),
    actor: fc.record({
      kind: all<AuditEvent['actor']['kind']>({ 'api-key': 1, 'access-token': 1, none: 1 }),
      org: maybe,
      keyId: maybe,
      sub: maybe,
      jti: maybe,
      graceEnds: maybe,
      by: maybe,
    }),
    target: fc.option(fc.record({ keyId: text, org: text, fields: texts })),
    env: all<AuditEvent['env']>({ live: 1, test: 1 }),
    scopes: fc.record({ granted: texts, required: texts }),
    client: fc.record({ ip: fc.option(fc.oneof(text, fc.ipV4(), fc.ipV6())), via: anyCount }),
    http: fc.option(
      fc.record({
        method: fc.oneof(text, fc.constantFrom('GET', 'POST')),
        route: text,
        status: fc.option(fc.integer({ min: 100, max: 599 })),
        query: texts,
        bytes: anyCount,
      }),
    ),
    requestId: maybe,
    operation: maybe,
    purpose: fc.oneof(maybe, fc.constantFrom('TREAT', 'HRESCH')),
    phi: fc.option(
      fc.record({
        interaction: fc.oneof(maybe, fc.constantFrom(...INTERACTIONS)),
        types: fc.array(fc.oneof(text, fc.constantFrom('Patient', 'Observation', 'patient')), { maxLength: 4 }),
        patients: fc.array(text, { maxLength: 4 }),
        patientCount: fc.option(anyCount),
        resourceCount: fc.option(anyCount),
        bulk: fc.boolean(),
        attribution: all<NonNullable<AuditEvent['phi']>['attribution']>({
          scope: 1,
          route: 1,
          annotation: 1,
          handler: 1,
          body: 1,
          none: 1,
        }),
      }),
    ),
    delivered: fc.option(all<NonNullable<AuditEvent['delivered']>>({ full: 1, partial: 1, none: 1 })),
    count: anyCount,
    part: fc.option(fc.record({ n: anyCount, of_id: text })),
    service: fc.record({ name: text, version: maybe, instance: text }),
    writer: text,
    seq: anyCount,
    prev: maybe,
  })
  const retention = fc.record({
    writer: text,
    segments: fc.tuple(anyCount, anyCount),
    lastSeq: anyCount,
    lastHash: text,
    signed: fc.option(signed),
  })
  return fc
    .tuple(event, fc.option(signed), fc.option(retention))
    .map(([each, checkpoint, deleted]) =>
      Object.assign(
        each,
        checkpoint === null ? null : { checkpoint },
        deleted === null ? null : { retention: deleted },
      ),
    )
}

/** Texts that break lines, forms and encodings. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 24 }),
  fc.string({ maxLength: 24 }),
  fc.string({
    unit: fc.constantFrom(
      '\ud800',
      '\udfff',
      '\u2028',
      '\u0085',
      '\u00a0',
      '\ufeff',
      '\r',
      '\n',
      '\t',
      '\0',
      ' ',
      '"',
      '%',
      '#',
      'é',
      '😀',
    ),
    maxLength: 12,
  }),
  fc.constantFrom('', ' ', '*', 'key_1', '__proto__', 'constructor', 'toString'),
)
