import type { Chain } from '../chain/chain.ts'
import type { ChainLine } from '../chain/chain-line.ts'
import { interrupted } from '../chain/interrupted.ts'
import { systemDraft } from '../chain/system-draft.ts'
import type { AuditDraft } from '../event.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Backlog } from './backlog.ts'
import { writeParts } from './event-log.ts'
import type { Pen } from './pen.ts'

export interface PagesSettings {
  readonly chain: Chain
  readonly pen: Pen
  readonly clock: Clock
  readonly backlog: Backlog
  /** Lines that are in the journal now, in their order. */
  readonly deliver: (line: ChainLine) => void
}

/** What is written when; what cannot be written is held. */
export interface Pages {
  /** The draft, its parts included. Gives the id of its event, or `null` where it is not in the journal. */
  write(draft: AuditDraft): string | null
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
  const append = (draft: AuditDraft, lines: ChainLine[]): ChainLine | null => put(pen.write(draft), lines)
  const write = (draft: AuditDraft, lines: ChainLine[]): string | null =>
    writeParts(chain, draft, (part, whole) => {
      const line = append(part, lines)
      if (line === null) backlog.hold(whole)
      return line
    })
  const tell = (lines: ChainLine[]): void => {
    if (backlog.untold === 0) return
    const gap = systemDraft('audit.gap', clock.now(), { count: backlog.untold, reason: 'audit_unavailable' })
    if (append(gap, lines) !== null) backlog.told()
  }
  /** Listeners come after the last line of a piece of work, so that they find all in order. */
  const handOn = (lines: readonly ChainLine[]): void => {
    for (const line of lines) deliver(line)
  }

  return Object.freeze({
    write(draft: AuditDraft) {
      const lines: ChainLine[] = []
      const id = write(draft, lines)
      put(pen.checkpoint(CHECKPOINT_EVENTS), lines)
      handOn(lines)
      return id
    },
    catchUp() {
      const lines: ChainLine[] = []
      if (!started) started = append(systemDraft('audit.started', clock.now()), lines) !== null
      for (const draft of backlog.take()) write(draft, lines)
      tell(lines)
      handOn(lines)
    },
    tick() {
      const lines: ChainLine[] = []
      tell(lines)
      if (pen.uncheckedMs() >= CHECKPOINT_MS) put(pen.checkpoint(0), lines)
      handOn(lines)
    },
    end() {
      const lines: ChainLine[] = []
      const last = [...pen.open].map(([id, draft]) => interrupted(id, draft))
      const good = [...last, systemDraft('audit.stopped', clock.now())].every((draft) => append(draft, lines) !== null)
      put(pen.checkpoint(1), lines)
      handOn(lines)
      return good
    },
  })
}

/** The line, where there is one, behind those that were written before it. */
function put(line: ChainLine | null, lines: ChainLine[]): ChainLine | null {
  if (line !== null) lines.push(line)
  return line
}
