import type { AuditDraft } from '../event.ts'
import type { IntentDraft } from '../intent.ts'

/** The event of a call whose end nobody saw: whoever reads it must assume that the data was seen. */
export function interrupted(id: string, intent: IntentDraft): AuditDraft {
  const { time, action, actor, scopes, client, http, requestId, phi } = intent
  return {
    id,
    kind: 'access',
    name: 'request',
    time,
    durationMs: 0,
    outcome: 'interrupted',
    reason: 'process_interrupted',
    action,
    actor,
    target: null,
    scopes,
    client,
    http: { ...http, status: null, bytes: 0 },
    requestId,
    operation: null,
    purpose: null,
    phi,
    delivered: null,
    part: null,
    count: 1,
  }
}
