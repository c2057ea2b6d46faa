import type { Reason } from '../../decision.ts'
import type { AuditDraft, SystemName } from '../event.ts'

/** An event of the recorder's own: nobody called, and no patient is concerned. */
export function systemDraft(
  name: SystemName,
  now: number,
  { count = 1, reason = null }: { count?: number; reason?: Reason | null } = {},
): AuditDraft {
  return {
    id: null,
    kind: 'system',
    name,
    time: now,
    durationMs: 0,
    outcome: reason === null ? 'success' : 'error',
    reason,
    action: 'E',
    actor: { kind: 'none', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null },
    target: null,
    scopes: { granted: [], required: [] },
    client: { ip: null, via: 0 },
    http: null,
    requestId: null,
    operation: null,
    purpose: null,
    phi: null,
    delivered: null,
    part: null,
    count,
  }
}
