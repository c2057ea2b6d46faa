import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { AuditEvent } from '../../audit/event.ts'
import { eventLine } from '../../audit/chain/event-line.ts'
import type { AuditLine } from '../../audit/sink.ts'

/** One writer of a journal, whose lines are as a journal would hold them: numbered and chained. */
export interface LineWriter {
  readonly writer: string
  /** The next `count` lines; `change` replaces whole members of the event with this number. */
  next(count: number, change?: (seq: number) => Partial<AuditEvent>): readonly AuditLine[]
}

const NOW = Date.UTC(2026, 10, 24, 3, 5, 11, 123)

export function lineWriter(): LineWriter {
  const writer = `w${randomBytes(8).toString('hex')}`
  let seq = 0
  let prev: string | null = null
  const one = (change: (seq: number) => Partial<AuditEvent>): AuditLine => {
    seq += 1
    const event = deepFrozen({ ...eventOf(seq), writer, prev, ...change(seq) })
    const text = eventLine(event)
    prev = createHash('sha256').update(text).digest('hex')
    return Object.freeze({ event, text })
  }
  const next = (count: number, change: (seq: number) => Partial<AuditEvent> = () => ({})) =>
    Object.freeze(Array.from({ length: count }, () => one(change)))
  return { writer, next }
}

/** By turns what a journal holds most: a read, a refusal, a change of a key, the recorder's own. */
function eventOf(seq: number): AuditEvent {
  const base = baseOf(seq)
  if (seq % 4 === 1) return base
  if (seq % 4 === 2) return { ...base, outcome: 'denied', reason: 'key_unknown', actor: NOBODY, phi: null }
  if (seq % 4 === 3) {
    const target = { keyId: 'key_2', org: 'org_1', fields: ['name'] }
    return { ...base, kind: 'admin', name: 'key.update', target, http: null, phi: null, delivered: null }
  }
  return { ...base, kind: 'system', name: 'audit.started', actor: NOBODY, http: null, phi: null, requestId: null }
}

const NOBODY = { kind: 'none', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null } as const

function baseOf(seq: number): AuditEvent {
  return {
    v: 1,
    id: randomUUID(),
    kind: 'access',
    name: 'request',
    time: new Date(NOW + seq).toISOString(),
    recorded: new Date(NOW + seq + 12).toISOString(),
    durationMs: 12.4,
    outcome: 'success',
    reason: null,
    action: 'R',
    actor: { ...NOBODY, kind: 'api-key', org: 'org_1', keyId: 'key_1' },
    target: null,
    env: 'live',
    scopes: { granted: ['read:patients'], required: ['read:patients'] },
    client: { ip: '203.0.113.7', via: 0 },
    http: { method: 'GET', route: '/v1/patients/:id', status: 200, query: ['_count'], bytes: 812 },
    requestId: `req_${seq}`,
    operation: null,
    purpose: null,
    phi: {
      interaction: 'read',
      types: ['Patient'],
      patients: ['pt_k1_0123456789abcdefghijkl'],
      patientCount: 1,
      resourceCount: 1,
      bulk: false,
      attribution: 'route',
    },
    delivered: 'full',
    count: 1,
    part: null,
    service: { name: 'records', version: '1.2.3', instance: 'host:1' },
    writer: '',
    seq,
    prev: null,
  }
}

/** Whoever changes what he was handed fails by that. */
function deepFrozen<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFrozen(member)
  }
  return Object.freeze(value)
}
