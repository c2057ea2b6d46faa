import type { AuditDraft, AuditEvent } from '../event.ts'
import type { AuditLine } from '../sink.ts'
import { deepFrozen } from '../../lib/deep-frozen.ts'

/**
 * A line of the chain. Its event is read from its text, so that nobody is shown anything but what the journal holds, and made
 * when it is first asked for: most calls have nobody who asks.
 */
export class ChainLine implements AuditLine {
  readonly id: string
  readonly draft: AuditDraft
  readonly text: string
  #event: AuditEvent | null = null

  constructor(id: string, draft: AuditDraft, text: string) {
    this.id = id
    this.draft = draft
    this.text = text
  }

  /** Frozen throughout: nobody who is handed the event can change it for the next. */
  get event(): AuditEvent {
    return (this.#event ??= deepFrozen(JSON.parse(this.text) as AuditEvent))
  }
}
