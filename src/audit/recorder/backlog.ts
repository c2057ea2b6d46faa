import type { AuditDraft } from '../event.ts'
import { isRefusal } from './refusal.ts'

/** What a journal that cannot be written is owed. */
export interface Backlog {
  /** Events that are held. */
  readonly size: number
  /** Calls that stand in no event. */
  readonly gaps: number
  /** Of the gaps, those that no line in the journal tells of yet. */
  readonly untold: number
  /** Calls that are not written down. */
  lose(count: number): void
  /** Holds the event of a call that was served; one of a refusal, or one too many, is lost. */
  hold(draft: AuditDraft): null
  /** All that is held, oldest first; held no longer. */
  take(): readonly AuditDraft[]
  /** A line tells of all gaps so far. */
  told(): void
  /** Nothing will be written any more: what is held, and all that comes, is lost. */
  close(): void
}

/** A few seconds of a busy server, about 15 MB. */
const MAX_HELD = 10_000

/** `onLost` is told of each call that stands in no event. Calls that were served are what the journal is for. Refusals are counted: a flood of them would drown the rest. */
export function createBacklog(onLost: (count: number) => void = () => undefined): Backlog {
  let held: AuditDraft[] = []
  let room = MAX_HELD
  let gaps = 0
  let untold = 0
  const lose = (count: number): void => {
    gaps += count
    untold += count
    onLost(count)
  }
  return Object.freeze({
    get size() {
      return held.length
    },
    get gaps() {
      return gaps
    },
    get untold() {
      return untold
    },
    lose,
    hold(draft: AuditDraft) {
      if (held.length < room && (draft.id !== null || !isRefusal(draft))) held.push(draft)
      else lose(draft.count)
      return null
    },
    take() {
      const all = held
      held = []
      return all
    },
    told() {
      untold = 0
    },
    close() {
      room = 0
      for (const { count } of held) lose(count)
      held = []
    },
  })
}
