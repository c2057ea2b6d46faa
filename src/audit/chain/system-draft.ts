import type { Reason } from '../../decision.ts'
import type { AuditDraft, SystemName } from '../event.ts'
import { bareDraft } from './bare-draft.ts'

/** An event of the recorder's own: nobody called, and no patient is concerned. */
export function systemDraft(
  name: SystemName,
  now: number,
  more: { count?: number; reason?: Reason | null } = {},
): AuditDraft {
  const { count = 1, reason = null }: typeof more = Object.assign(Object.create(null), more)
  const outcome = reason === null ? 'success' : 'error'
  return { ...bareDraft({ kind: 'system', name, time: now }), outcome, reason, count }
}
