import { auditHandle, type AuditHandle, type Touch } from './audit-notes.ts'
import { continuationOf } from './exchange-event.ts'
import type { Exchange, RecordedEvent } from './exchange.ts'

/** What the handler of this exchange is given to speak of the PHI it touches; made when it is first asked for. */
export function handleOf(exchange: Exchange): AuditHandle {
  const notes = (exchange.notes ??= { touches: [], resourceCount: null, purpose: null })
  return (exchange.handle ??= auditHandle(notes, (touch) => touchLate(exchange, touch)))
}

/**
 * What is touched after the event is recorded goes into an event of its own that continues it: one for all that is touched in
 * one turn of the event loop. `false`: there is no event yet, and it can still tell.
 */
export function touchLate(exchange: Exchange, touch: Touch): boolean {
  const { recorded } = exchange
  if (recorded === null) return false
  if (recorded.late !== null) {
    recorded.late.push(touch)
    return true
  }
  recorded.late = [touch]
  const ticket = exchange.house.tracker.opened()
  ticket.closed()
  setImmediate(() => {
    try {
      recordContinuation(exchange, recorded)
    } catch (error) {
      warnLost(error)
    }
    ticket.recorded()
  })
  return true
}

function recordContinuation(exchange: Exchange, recorded: RecordedEvent): void {
  const { draft, id, late } = recorded
  recorded.parts += 1
  recorded.late = null
  // An event that could not be written yet has no id: what is touched late then stands for itself, and is not lost.
  const continuation = continuationOf(draft, exchange, { touches: late ?? [], n: recorded.parts, ofId: id ?? '' })
  exchange.house.recorder.record(id === null ? { ...continuation, part: null } : continuation)
}

/** A defect of ours must not end the host's process; nor may it pass unseen. */
export function warnLost(error: unknown): void {
  const name = error instanceof Error ? error.name : 'unknown'
  process.emitWarning(`An audit event could not be built (${name}). Please report this.`, {
    type: 'HealthCloudAuthWarning',
    code: 'HC_AUTH_EVENT_LOST',
  })
}
