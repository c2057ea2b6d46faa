import type { Chain } from '../chain/chain.ts'
import { interrupted } from '../chain/interrupted.ts'
import { systemDraft } from '../chain/system-draft.ts'
import type { AuditDraft, AuditEvent } from '../event.ts'
import type { Clock } from '../../lib/clock.ts'
import type { AuditLine } from '../sink.ts'
import type { Backlog } from './backlog.ts'
import { writeParts } from './event-log.ts'
import type { Pen } from './pen.ts'

export interface PagesSettings {
  readonly chain: Chain
  readonly pen: Pen
  readonly clock: Clock
  readonly backlog: Backlog
  /** Lines that are in the journal now, in their order. */
  readonly deliver: (line: AuditLine) => void
}

/** What is written when; what cannot be written is held. */
export interface Pages {
  /** The draft, its parts included. Gives the event, or `null` where it is not in the journal. */
  write(draft: AuditDraft): AuditEvent | null
  /** Everything that the journal is owed, after it was opened (again). */
  catchUp(): void
  /** What is due once a second: a line that tells of calls in no event, a checkpoint. */
  tick(): void
  /** The last lines: calls that are still open are interrupted. `false`: they could not be written. */
  end(): boolean
}

const CHECKPOINT_EVENTS = 1000
const CHECKPOINT_MS = 10_000

export function createPages({ chain, pen, clock, backlog, deliver }: PagesSettings): Pages {
  let started = false
  /** Listeners come after the last line of a piece of work, so that they find all in order. */
  const handOn = <T>(work: (append: (draft: AuditDraft) => AuditLine | null, lines: (AuditLine | null)[]) => T): T => {
    const lines: (AuditLine | null)[] = []
    const result = work((draft) => lines[lines.push(pen.write(draft)) - 1] ?? null, lines)
    for (const line of lines) if (line !== null) deliver(line)
    return result
  }
  const write = (draft: AuditDraft, append: (draft: AuditDraft) => AuditLine | null): AuditEvent | null =>
    writeParts(chain, draft, (part, whole) => {
      const line = append(part)
      if (line === null) backlog.hold(whole)
      return line
    })
  const tell = (append: (draft: AuditDraft) => AuditLine | null): void => {
    if (backlog.untold === 0) return
    const gap = systemDraft('audit.gap', clock.now(), { count: backlog.untold, reason: 'audit_unavailable' })
    if (append(gap) !== null) backlog.told()
  }

  return Object.freeze({
    write: (draft: AuditDraft) =>
      handOn((append, lines) => {
        const event = write(draft, append)
        lines.push(pen.checkpoint(CHECKPOINT_EVENTS))
        return event
      }),
    catchUp: () =>
      handOn((append) => {
        if (!started) started = append(systemDraft('audit.started', clock.now())) !== null
        for (const draft of backlog.take()) write(draft, append)
        tell(append)
      }),
    tick: () =>
      handOn((append, lines) => {
        tell(append)
        if (pen.uncheckedMs() >= CHECKPOINT_MS) lines.push(pen.checkpoint(0))
      }),
    end: () =>
      handOn((append, lines) => {
        const last = [...pen.open].map(([id, draft]) => interrupted(id, draft))
        const good = [...last, systemDraft('audit.stopped', clock.now())].every((draft) => append(draft) !== null)
        lines.push(pen.checkpoint(1))
        return good
      }),
  })
}
