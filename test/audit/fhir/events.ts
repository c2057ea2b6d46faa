import type { AuditEvent, AuditPhi } from '../../../src/audit/event.ts'

/** A read of one patient by an API key; `change` replaces whole members. */
export function auditEvent(change: Partial<AuditEvent> = {}): AuditEvent {
  return {
    v: 1,
    id: '019abcde-0000-7000-8000-000000000001',
    kind: 'access',
    name: 'request',
    time: '2026-11-24T03:05:11.123Z',
    recorded: '2026-11-24T03:05:11.136Z',
    durationMs: 12.4,
    outcome: 'success',
    reason: null,
    action: 'R',
    actor: { kind: 'api-key', org: 'org_1', keyId: 'key_1', sub: null, jti: null, graceEnds: null, by: null },
    target: null,
    env: 'live',
    scopes: { granted: ['read:patients'], required: ['read:patients'] },
    client: { ip: '203.0.113.7', via: 0 },
    http: { method: 'GET', route: '/v1/patients/:id', status: 200, query: [], bytes: 812 },
    requestId: 'req_1',
    operation: null,
    purpose: null,
    phi: auditPhi(),
    delivered: 'full',
    count: 1,
    part: null,
    service: { name: 'records', version: '1.2.3', instance: 'host:1' },
    writer: '0a1b2c3d4e',
    seq: 17,
    prev: 'f'.repeat(64),
    ...change,
  }
}

export function auditPhi(change: Partial<AuditPhi> = {}): AuditPhi {
  return {
    interaction: 'read',
    types: ['Patient'],
    patients: [patient(1)],
    patientCount: 1,
    resourceCount: 1,
    bulk: false,
    attribution: 'route',
    ...change,
  }
}

export function patient(n: number): string {
  return `pt_k1_${String(n).padStart(22, '0')}`
}

const NOBODY: AuditEvent['actor'] = {
  kind: 'none',
  org: null,
  keyId: null,
  sub: null,
  jti: null,
  graceEnds: null,
  by: null,
}
const KEY: AuditEvent['actor'] = { ...NOBODY, kind: 'api-key', org: 'org_1', keyId: 'key_1' }
const TOKEN: AuditEvent['actor'] = { ...KEY, kind: 'access-token', sub: 'usr_77', jti: '5f0d9a77c2e1' }

/** An event without a call. */
const QUIET: Partial<AuditEvent> = {
  action: 'E',
  actor: NOBODY,
  scopes: { granted: [], required: [] },
  client: { ip: null, via: 0 },
  http: null,
  requestId: null,
  phi: null,
  delivered: null,
  durationMs: 0,
}

function call(method: string, route: string, status: number | null): NonNullable<AuditEvent['http']> {
  return { method, route, status, query: [], bytes: status === null ? 0 : 96 }
}

/** One of each sort, for the golden files. */
export const SAMPLES: Readonly<Record<string, AuditEvent>> = {
  read: auditEvent({ actor: TOKEN, purpose: 'TREAT', requestId: 'req_read' }),
  search: auditEvent({
    action: 'R',
    http: {
      method: 'GET',
      route: '/v1/observations',
      status: 200,
      query: ['*', '_count', 'code', 'patient'],
      bytes: 4096,
    },
    scopes: { granted: ['read:observations', 'read:patients'], required: ['read:observations'] },
    phi: auditPhi({
      interaction: 'search-type',
      types: ['Observation'],
      patients: [patient(1), patient(2), patient(3)],
      patientCount: 3,
      resourceCount: 20,
      attribution: 'handler',
    }),
  }),
  create: auditEvent({
    action: 'C',
    env: 'test',
    http: call('POST', '/v1/observations', 201),
    phi: auditPhi({ interaction: 'create', types: ['Observation'], attribution: 'handler' }),
  }),
  update: auditEvent({
    action: 'U',
    actor: { ...TOKEN, sub: 'usr_78', jti: 'a b#1' },
    http: call('PATCH', '/v1/patients/:id', 200),
    phi: auditPhi({ interaction: 'patch' }),
  }),
  delete: auditEvent({
    action: 'D',
    actor: { ...KEY, graceEnds: '2026-11-24T12:00:00.000Z' },
    http: call('DELETE', '/Observation/:id', 204),
    phi: auditPhi({ interaction: 'delete', types: ['Observation'], patients: [], patientCount: null }),
  }),
  'denied-401': auditEvent({
    outcome: 'denied',
    reason: 'key_unknown',
    actor: { ...NOBODY, kind: 'api-key' },
    scopes: { granted: [], required: ['read:patients'] },
    http: call('GET', '/v1/patients/:id', 401),
  }),
  'denied-403': auditEvent({
    outcome: 'denied',
    reason: 'scope_missing',
    action: 'U',
    scopes: { granted: ['read:patients'], required: ['write:patients'] },
    http: call('PUT', '/v1/patients/:id', 403),
    phi: auditPhi({ interaction: 'update' }),
  }),
  aborted: auditEvent({
    outcome: 'aborted',
    reason: 'client_aborted',
    http: call('GET', '/v1/patients/:id', null),
    delivered: 'none',
  }),
  interrupted: auditEvent({
    outcome: 'interrupted',
    reason: 'process_interrupted',
    durationMs: 0,
    http: call('GET', '/v1/patients/:id', null),
    delivered: null,
  }),
  verify: auditEvent({
    ...QUIET,
    kind: 'auth',
    name: 'verify',
    actor: TOKEN,
    client: { ip: '2001:db8::7', via: 0 },
    operation: 'queue.pull',
    durationMs: 0.25,
  }),
  'token-exchange': auditEvent({
    ...QUIET,
    kind: 'auth',
    name: 'token.exchange',
    actor: { ...KEY, jti: '5f0d9a77c2e1' },
    client: { ip: '203.0.113.7', via: 1 },
    scopes: { granted: ['exec:agents', 'read:patients'], required: ['read:patients'] },
    requestId: 'req_2',
    durationMs: 3.2,
  }),
  'key-rotate': auditEvent({
    ...QUIET,
    kind: 'admin',
    name: 'key.rotate',
    action: 'U',
    actor: { ...NOBODY, by: 'ops@example.org' },
    target: { keyId: 'key_1', org: 'org_1', fields: ['replacedBy', 'validUntil'] },
  }),
  'audit-started': auditEvent({ ...QUIET, kind: 'system', name: 'audit.started', seq: 1, prev: null }),
  checkpoint: auditEvent({
    ...QUIET,
    kind: 'system',
    name: 'audit.checkpoint',
    checkpoint: { keyId: 'ed25519:0123456789abcdef', signature: 'c2ln'.repeat(21) + 'c2' },
  }),
  folded: auditEvent({
    outcome: 'denied',
    reason: 'key_unknown',
    actor: { ...NOBODY, kind: 'api-key' },
    scopes: { granted: [], required: [] },
    client: { ip: '203.0.113.0/24', via: 0 },
    http: null,
    requestId: null,
    phi: null,
    delivered: null,
    count: 431,
  }),
}
