import type { Clock } from '../../lib/clock.ts'
import type { Chain } from '../chain/chain.ts'
import type { ChainLine } from '../chain/chain-line.ts'
import { systemDraft } from '../chain/system-draft.ts'
import type { AuditDraft } from '../event.ts'
import type { IntentDraft } from '../intent.ts'
import type { JournalWriter } from '../journal/writer.ts'
import type { AuditMetrics } from './metrics.ts'

export interface PenSettings {
  readonly chain: Chain
  readonly journal: JournalWriter
  readonly clock: Clock
  /** Checkpoints are written: there is a key to sign them with. */
  readonly checkpoints: boolean
  readonly metrics: AuditMetrics
  /** So many bytes were appended. */
  readonly spend: (bytes: number) => void
}

/** Puts one line after the other into the journal, and knows what the journal still waits for. */
export interface Pen {
  /** Calls that were let in and have no event yet. */
  readonly open: ReadonlyMap<string, IntentDraft>
  /** `null`: it is not in the journal. */
  write(draft: AuditDraft): ChainLine | null
  /** The id of the intent; `null`: it is not in the journal. */
  intend(draft: IntentDraft, known: string | null): string | null
  /** Signs what was written since the last checkpoint, once it is `least` events; `null`: not now. */
  checkpoint(least: number): ChainLine | null
  /** For how long there have been lines behind the last checkpoint. */
  uncheckedMs(): number
}

export function createPen({ chain, journal, clock, checkpoints, metrics, spend }: PenSettings): Pen {
  const open = new Map<string, IntentDraft>()
  let checked = 0
  let uncheckedSinceMs: number | null = null

  const put = (text: string): boolean => {
    const from = performance.now()
    const good = journal.append(text)
    metrics.appended((performance.now() - from) / 1000)
    if (!good) return false
    spend(text.length + 1)
    uncheckedSinceMs ??= clock.monotonicMs()
    return true
  }
  const write = (draft: AuditDraft): ChainLine | null => {
    if (!journal.good) return null
    const line = chain.next(draft)
    if (!put(line.text)) return null
    chain.add(line)
    if (draft.id !== null) open.delete(draft.id)
    return line
  }
  return Object.freeze({
    open,
    write,
    intend(draft: IntentDraft, known: string | null) {
      const line = chain.nextIntent(draft, known)
      if (!put(line.text)) return null
      chain.addIntent(line)
      open.set(line.id, draft)
      return line.id
    },
    checkpoint(least: number) {
      if (!checkpoints || chain.length - checked < least) return null
      const line = write(systemDraft('audit.checkpoint', clock.now()))
      if (line === null) return null
      checked = chain.length
      uncheckedSinceMs = null
      return line
    },
    uncheckedMs: () => (uncheckedSinceMs === null ? 0 : clock.monotonicMs() - uncheckedSinceMs),
  })
}
