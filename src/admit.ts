import type { IntentDraft } from './audit/intent.ts'
import type { Admission } from './audit/recorder/recorder.ts'
import type { Exchange } from './exchange/exchange.ts'
import { intentOf } from './exchange/exchange-event.ts'

/**
 * The last door: a live call whose intent is not in the journal does not run. A later guard writes again, under the same id,
 * where it has added a scope, a route or a patient. Synchronous with durability `written`.
 */
export function admit(exchange: Exchange): boolean | Promise<boolean> {
  const { recorder } = exchange.house
  if (!recorder.intends) return recorder.gate()
  const draft = intentOf(exchange)
  if (exchange.intent !== null && !tellsMore(draft, exchange.intent.draft)) return recorder.gate()
  const admission = recorder.intend(draft, exchange.intent?.id ?? null)
  return admission instanceof Promise
    ? admission.then((each) => note(exchange, draft, each))
    : note(exchange, draft, admission)
}

function note(exchange: Exchange, draft: IntentDraft, { ok, id }: Admission): boolean {
  if (id !== null) exchange.intent = { id, draft }
  return ok
}

function tellsMore(draft: IntentDraft, before: IntentDraft): boolean {
  return (
    draft.scopes.required !== before.scopes.required ||
    draft.http.route !== before.http.route ||
    draft.phi?.patients.join() !== before.phi?.patients.join()
  )
}
