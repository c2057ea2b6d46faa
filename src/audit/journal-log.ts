import type { Clock } from '../lib/clock.ts'
import { createBacklog, type Backlog } from './backlog.ts'
import type { Chain } from './chain.ts'
import type { AuditDraft, AuditEvent } from './event.ts'
import { writeParts, type EventLog } from './event-log.ts'
import type { JournalWriter } from './journal/writer.ts'
import type { AuditLine } from './sink.ts'
import { systemDraft } from './system-draft.ts'

export interface JournalLogSettings {
  readonly chain: Chain
  readonly journal: JournalWriter
  readonly clock: Clock
  readonly deliver: (line: AuditLine) => void
  /** Called once when the journal can no longer be written, and again only after it could be. */
  readonly announce: (failure: Error | null) => void
}

/** A server without traffic recovers, too. */
const RETRY_MS = 1000

/**
 * The log of a live server. While the journal cannot be written, events of calls that were served are held back in their
 * order, and written as soon as it can be again.
 */
export function createJournalLog({ chain, journal, clock, deliver, announce }: JournalLogSettings): EventLog {
  const backlog = createBacklog()
  const pages = createPages({ chain, journal, clock, backlog })
  const outage = createOutage(announce)
  let state: 'new' | 'used' | 'closed' = 'new'

  const put = (draft: AuditDraft): AuditEvent | null => {
    const lines: AuditLine[] = []
    const event = pages.write(draft, lines)
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
  const close = (): void => {
    if (state === 'closed') return
    if (state === 'used' && quietly(reopen)) put(systemDraft('audit.stopped', clock.now()))
    state = 'closed'
    outage.end()
    backlog.close()
    if (!quietly(() => journal.close())) announce(journal.failure)
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
    record: (draft: AuditDraft) => (writable() ? put(draft) : backlog.hold(draft)),
    ready: reopen,
    settle() {
      if (backlog.size > 0) reopen()
    },
    close,
  })
}

interface Pages {
  /** Appends the draft, its parts included; lines that are in the journal go to `lines`, the rest is held. */
  write(draft: AuditDraft, lines: AuditLine[]): AuditEvent | null
  /** Writes all that the journal is owed, and gives the lines that are in it now. */
  catchUp(): readonly AuditLine[]
}

function createPages({
  chain,
  journal,
  clock,
  backlog,
}: Pick<JournalLogSettings, 'chain' | 'journal' | 'clock'> & { backlog: Backlog }): Pages {
  let started = false
  const append = (draft: AuditDraft, lines: AuditLine[]): AuditLine | null => {
    if (!journal.good) return null
    const line = chain.next(draft)
    if (!journal.append(line.text)) return null
    chain.add(line)
    lines.push(line)
    return line
  }
  const write = (draft: AuditDraft, lines: AuditLine[]): AuditEvent | null =>
    writeParts(chain, draft, (part, whole) => {
      const line = append(part, lines)
      if (line === null) backlog.hold(whole)
      return line
    })
  return Object.freeze({
    write,
    catchUp() {
      const lines: AuditLine[] = []
      if (!started) started = append(systemDraft('audit.started', clock.now()), lines) !== null
      for (const draft of backlog.take()) write(draft, lines)
      if (backlog.untold > 0) {
        const gap = systemDraft('audit.gap', clock.now(), { count: backlog.untold, reason: 'audit_unavailable' })
        if (append(gap, lines) !== null) backlog.told()
      }
      return lines
    },
  })
}

/** One announcement an outage, and a timer that looks whether it is over. */
function createOutage(announce: JournalLogSettings['announce']): {
  begin(failure: Error | null, retry: () => void): void
  end(): void
} {
  let timer: NodeJS.Timeout | null = null
  return {
    begin(failure, retry) {
      if (timer !== null) return
      timer = setInterval(retry, RETRY_MS).unref()
      announce(failure)
    },
    end() {
      if (timer !== null) clearInterval(timer)
      timer = null
    },
  }
}

function quietly(work: () => void): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}
