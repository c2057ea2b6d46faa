import type { Reason } from '../../decision.ts'
import type { AuditDraft } from '../event.ts'

/** How a call that had passed its guards can end. Every other reason is one of a refusal. */
const SERVED: ReadonlySet<Reason | null> = new Set<Reason | null>([
  null,
  'handler_error',
  'client_aborted',
  'not_found',
  'process_interrupted',
])

/** A call, under whatever name, that nothing of ours has served. */
export function isRefusal({ kind, reason }: AuditDraft): boolean {
  return (kind === 'access' || kind === 'auth') && !SERVED.has(reason)
}
