import type { Clock } from '../../lib/clock.ts'
import type { AuditDraft } from '../event.ts'
import type { EventLog } from './event-log.ts'
import { createFolds } from './folds.ts'
import { isRefusal } from './refusal.ts'
import type { DiskSpace } from '../journal/disk-space.ts'

export interface RefusalSettings {
  readonly clock: Clock
  /** Of the journal; `null`: there is none. */
  readonly disk: DiskSpace | null
  /** Refusals that are written one by one in a second; default 200. */
  readonly refusalsPerSecond?: number | undefined
  /** With fewer bytes free refusals are only counted; default 0. */
  readonly reserveBytes?: number | undefined
}

export interface Refusals {
  /** The draft if it is to be written now; `null`: it was folded, or is only counted. */
  take(draft: AuditDraft): AuditDraft | null
  /** Writes the folds whose second is over. */
  due(): void
  /** Writes all folds. */
  end(): void
}

/** Refusals cost their caller nothing, and so must cost the journal little. */
export function createRefusals(settings: RefusalSettings, log: Pick<EventLog, 'record' | 'lose'>): Refusals {
  const { clock, refusalsPerSecond = 200, disk, reserveBytes = 0 } = settings
  const folds = createFolds({ perSecond: refusalsPerSecond, clock })
  const isShort = (): boolean => disk !== null && (disk.free() ?? reserveBytes) < reserveBytes
  const write = (drafts: readonly AuditDraft[]): void => {
    for (const draft of drafts) {
      if (isShort()) log.lose(draft.count)
      else log.record(draft)
    }
  }
  return {
    take(draft) {
      // One whose intent stands in the journal is waited for there.
      if (draft.id !== null || !isRefusal(draft)) return draft
      if (isShort()) {
        log.lose(draft.count)
        return null
      }
      write(folds.due())
      return folds.take(draft)
    },
    due: () => write(folds.due()),
    end: () => write(folds.all()),
  }
}
