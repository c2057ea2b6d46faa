import type { AuditDraft } from '../event.ts'
import type { IntentDraft } from '../intent.ts'
import { bareDraft } from './bare-draft.ts'

/** The event of a call whose end nobody saw: whoever reads it must assume that the data was seen. */
export function interrupted(id: string, intent: IntentDraft): AuditDraft {
  const { time, action, actor, scopes, client, http, requestId, phi } = intent
  return {
    ...bareDraft({ kind: 'access', name: 'request', time }),
    id,
    outcome: 'interrupted',
    reason: 'process_interrupted',
    action,
    actor,
    scopes,
    client,
    http: { ...http, status: null, bytes: 0 },
    requestId,
    phi,
  }
}
