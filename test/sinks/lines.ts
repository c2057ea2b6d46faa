import { createHash, randomUUID } from 'node:crypto'
import { eventLine } from '../../src/audit/chain/event-line.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { AuditLine } from '../../src/audit/sink.ts'

export const WRITER = 'w3kTq9ZbX1'

/** A read of one patient by an API key, as it is in the journal. */
const READ: Omit<AuditEvent, 'id' | 'seq' | 'prev'> = {
  v: 1,
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
  client: { ip: '203.0.113.7', via: 1 },
  http: { method: 'GET', route: '/v1/patients/:id', status: 200, query: ['_count'], bytes: 812 },
  requestId: 'req_1',
  operation: null,
  purpose: 'TREAT',
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
  writer: WRITER,
}

/** Lines of one writer as a sink gets them, numbered from 1 and chained; `change` says what is special about one of them. */
export function linesOf(
  count: number,
  change: (seq: number) => Partial<AuditEvent> = () => ({}),
): readonly AuditLine[] {
  const lines: AuditLine[] = []
  let prev: string | null = null
  for (let seq = 1; seq <= count; seq += 1) {
    const event: AuditEvent = { ...READ, ...change(seq), id: randomUUID(), seq, prev }
    const text = eventLine(event)
    prev = createHash('sha256').update(text).digest('hex')
    lines.push({ event, text })
  }
  return lines
}

export function lineAt(batch: readonly AuditLine[], at: number): AuditLine {
  const line = batch.at(at)
  if (line === undefined) throw new Error(`There is no line ${at}.`)
  return line
}

/** Stands in this line and in no other. */
export function markOf({ event }: AuditLine): string {
  return event.id
}
