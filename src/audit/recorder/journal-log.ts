import type { Clock } from '../../lib/clock.ts'
import { createBacklog, type Backlog } from './backlog.ts'
import type { Chain } from '../chain/chain.ts'
import { createClockWatch } from './clock-watch.ts'
import type { AuditDraft, AuditEvent } from '../event.ts'
import { writeParts, type EventLog } from './event-log.ts'
import type { IntentDraft } from '../intent.ts'
import { interrupted } from '../chain/interrupted.ts'
import type { JournalWriter } from '../journal/writer.ts'
import type { AuditMetrics } from './metrics.ts'
import { createOutage } from './outage.ts'
import type { AuditLine } from '../sink.ts'
import { systemDraft } from '../chain/system-draft.ts'

export interface JournalLogSettings {
  readonly chain: Chain
  readonly journal: JournalWriter
  readonly clock: Clock
  /** Checkpoints are written: there is a key to sign them with. */
  readonly checkpoints: boolean
  readonly deliver: (line: AuditLine) => void
  /** Called once when the journal can no longer be written, and again only after it could be. */
  readonly announce: (failure: Error | null) => void
  readonly metrics: AuditMetrics
  /** So many bytes were appended. */
  readonly spend: (bytes: number) => void
}

const CHECKPOINT_EVENTS = 1000
const CHECKPOINT_MS = 10_000

/**
 * The log of a live server. While the journal cannot be written, events of calls that were served are held back in their
 * order, and written as soon as it can be again.
 */
export function createJournalLog(settings: JournalLogSettings): EventLog {
  const { chain, journal, clock, deliver, metrics } = settings
  const backlog = createBacklog(metrics.lost)
  const pages = createPages(settings, backlog)
  const outage = createOutage({
    announce: (failure) => {
      metrics.failed('append')
      metrics.degraded()
      settings.announce(failure)
    },
    over: metrics.recovered,
  })
  const watch = createClockWatch(clock)
  let state: 'new' | 'used' | 'closed' = 'new'

  const put = (draft: AuditDraft): AuditEvent | null => {
    const lines: AuditLine[] = []
    const event = pages.write(draft, lines)
    pages.checkpoint(lines, CHECKPOINT_EVENTS)
    for (const line of lines) deliver(line)
    if (!journal.good) outage.begin(journal.failure, writable)
    return event
  }
  /** The journal is open again: first what it is owed, then the listeners, so that they find all in order. */
  const resume = (): boolean => {
    for (const line of pages.catchUp()) deliver(line)
    if (journal.good) outage.end()
    return journal.good
  }
  const writable = (): boolean => {
    if (journal.good) return true
    if (state === 'closed') return false
    state = 'used'
    if (journal.probe() && resume()) return true
    outage.begin(journal.failure, writable)
    return false
  }
  const reopen = (): void => {
    if (state === 'closed') throw new Error('The audit journal is closed.')
    state = 'used'
    journal.open()
    if (!resume() && journal.failure !== null) throw journal.failure
  }
  const close = (): boolean => {
    if (state === 'closed') return true
    const used = state === 'used'
    const ended = !used || (quietly(reopen) && pages.end(deliver))
    state = 'closed'
    outage.end()
    backlog.close()
    const closed = quietly(() => journal.close())
    if (!closed) settings.announce(journal.failure)
    return ended && closed
  }
  const lookAtClock = (): void => {
    const jump = watch.jumpMs()
    if (jump !== 0 && journal.good) put({ ...systemDraft('clock.jump', clock.now()), durationMs: Math.abs(jump) })
  }

  return Object.freeze({
    get length() {
      return chain.length
    },
    get gaps() {
      return backlog.gaps
    },
    get journal() {
      return { directory: journal.directory, writable: journal.good || state === 'new' }
    },
    writable,
    intend(draft: IntentDraft, known: string | null) {
      if (!writable()) return null
      const id = pages.intend(draft, known)
      if (id === null) outage.begin(journal.failure, writable)
      return id
    },
    synced: () => journal.synced(),
    uncheckedMs: () => (settings.checkpoints ? pages.uncheckedMs() : null),
    record: (draft: AuditDraft) => (writable() ? put(draft) : backlog.hold(draft)),
    lose: (count: number) => backlog.lose(count),
    ready: reopen,
    settle() {
      if (backlog.size > 0) reopen()
    },
    tick() {
      if (!journal.good) return
      lookAtClock()
      const lines: AuditLine[] = []
      pages.tell(lines)
      if (pages.uncheckedMs() >= CHECKPOINT_MS) pages.checkpoint(lines, 0)
      for (const line of lines) deliver(line)
    },
    close,
  })
}

interface Pages {
  /** Appends the draft, its parts included; lines that are in the journal go to `lines`, the rest is held. */
  write(draft: AuditDraft, lines: AuditLine[]): AuditEvent | null
  /** The id of the intent; `null`: it is not in the journal. */
  intend(draft: IntentDraft, known: string | null): string | null
  /** Writes all that the journal is owed, and gives the lines that are in it now. */
  catchUp(): readonly AuditLine[]
  /** A line tells of calls that stand in no event, where there are any. */
  tell(lines: AuditLine[]): void
  /** Signs what was written since the last one, once it is `least` events. */
  checkpoint(lines: AuditLine[], least: number): void
  /** For how long there have been lines behind the last checkpoint. */
  uncheckedMs(): number
  /** The last lines: calls that are still open are interrupted. `false`: they could not be written. */
  end(deliver: (line: AuditLine) => void): boolean
}

function createPages(settings: JournalLogSettings, backlog: Backlog): Pages {
  const { chain, journal, clock, checkpoints, metrics, spend } = settings
  /** Calls that were let in and have no event yet. */
  const open = new Map<string, IntentDraft>()
  let started = false
  let checked = 0
  let uncheckedSinceMs: number | null = null
  const written = (text: string): boolean => {
    const from = performance.now()
    const good = journal.append(text)
    metrics.appended((performance.now() - from) / 1000)
    if (good) spend(text.length + 1)
    return good
  }
  const append = (draft: AuditDraft, lines: AuditLine[]): AuditLine | null => {
    if (!journal.good) return null
    const line = chain.next(draft)
    if (!written(line.text)) return null
    chain.add(line)
    lines.push(line)
    if (draft.id !== null) open.delete(draft.id)
    uncheckedSinceMs ??= clock.monotonicMs()
    return line
  }
  const write = (draft: AuditDraft, lines: AuditLine[]): AuditEvent | null =>
    writeParts(chain, draft, (part, whole) => {
      const line = append(part, lines)
      if (line === null) backlog.hold(whole)
      return line
    })
  const tell = (lines: AuditLine[]): void => {
    if (backlog.untold === 0) return
    const gap = systemDraft('audit.gap', clock.now(), { count: backlog.untold, reason: 'audit_unavailable' })
    if (append(gap, lines) !== null) backlog.told()
  }
  const checkpoint = (lines: AuditLine[], least: number): void => {
    if (!checkpoints || chain.length - checked < least) return
    if (append(systemDraft('audit.checkpoint', clock.now()), lines) === null) return
    checked = chain.length
    uncheckedSinceMs = null
  }
  return Object.freeze({
    write,
    tell,
    intend(draft: IntentDraft, known: string | null) {
      const line = chain.nextIntent(draft, known)
      if (!written(line.text)) return null
      chain.addIntent(line)
      open.set(line.id, draft)
      uncheckedSinceMs ??= clock.monotonicMs()
      return line.id
    },
    catchUp() {
      const lines: AuditLine[] = []
      if (!started) started = append(systemDraft('audit.started', clock.now()), lines) !== null
      for (const draft of backlog.take()) write(draft, lines)
      tell(lines)
      return lines
    },
    checkpoint,
    end(deliver: (line: AuditLine) => void) {
      const lines: AuditLine[] = []
      const last = [...open].map(([id, draft]) => interrupted(id, draft))
      const good = [...last, systemDraft('audit.stopped', clock.now())].every((draft) => append(draft, lines) !== null)
      checkpoint(lines, 1)
      for (const line of lines) deliver(line)
      return good && journal.good
    },
    uncheckedMs: () => (uncheckedSinceMs === null ? 0 : clock.monotonicMs() - uncheckedSinceMs),
  })
}

function quietly(work: () => void): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}
