import type { ChainLine } from '../chain/chain-line.ts'
import { systemDraft } from '../chain/system-draft.ts'
import type { AuditDraft } from '../event.ts'
import type { IntentDraft } from '../intent.ts'
import type { JournalWriter } from '../journal/writer.ts'
import { createBacklog } from './backlog.ts'
import { createClockWatch } from './clock-watch.ts'
import type { EventLog } from './event-log.ts'
import { createOutage, type Outage } from './outage.ts'
import { createPages } from './pages.ts'
import { createPen, type PenSettings } from './pen.ts'
import { quietly } from '../../lib/quietly.ts'

export interface JournalLogSettings extends PenSettings {
  readonly deliver: (line: ChainLine) => void
  /** Called once when the journal can no longer be written, and again only after it could be. */
  readonly announce: (failure: Error | null) => void
}

/**
 * The log of a live server. While the journal cannot be written, events of calls that were served are held back in their
 * order, and written as soon as it can be again.
 */
export function createJournalLog(settings: JournalLogSettings): EventLog {
  const { chain, journal, clock, metrics } = settings
  const backlog = createBacklog(metrics.lost)
  const pen = createPen(settings)
  const pages = createPages({ ...settings, pen, backlog })
  const outage = createOutage({ announce: announcement(settings), over: metrics.recovered })
  const door = createDoor(journal, { outage, catchUp: pages.catchUp })
  const watch = createClockWatch(clock)

  const put = (draft: AuditDraft): string | null => {
    const id = pages.write(draft)
    door.check()
    return id
  }

  return Object.freeze({
    get length() {
      return chain.length
    },
    get gaps() {
      return backlog.gaps
    },
    get journal() {
      return { directory: journal.directory, writable: journal.good || door.state === 'new' }
    },
    writable: door.writable,
    intend(draft: IntentDraft, known: string | null) {
      if (!door.writable()) return null
      const id = pen.intend(draft, known)
      door.check()
      return id
    },
    synced: () => journal.synced(),
    uncheckedMs: () => (settings.checkpoints ? pen.uncheckedMs() : null),
    record: (draft: AuditDraft) => (door.writable() ? put(draft) : backlog.hold(draft)),
    lose: (count: number) => backlog.lose(count),
    ready: door.reopen,
    settle() {
      if (backlog.size > 0) door.reopen()
    },
    tick() {
      if (!journal.good) return
      const jump = watch.jumpMs()
      if (jump !== 0) put({ ...systemDraft('clock.jump', clock.now()), durationMs: Math.abs(jump) })
      pages.tick()
    },
    close() {
      if (door.state === 'closed') return true
      const ended = door.state === 'new' || (quietly(door.reopen) && pages.end())
      door.shut()
      backlog.close()
      const closed = quietly(() => journal.close())
      if (!closed) settings.announce(journal.failure)
      return ended && closed
    },
  })
}

function announcement({ metrics, announce }: JournalLogSettings): (failure: Error | null) => void {
  return (failure) => {
    metrics.failed('append')
    metrics.degraded()
    announce(failure)
  }
}

/** Whether the journal can be written now; where it cannot, it is tried again. */
interface Door {
  readonly state: 'new' | 'used' | 'closed'
  writable(): boolean
  /** After an append: was it good? */
  check(): void
  /** @throws what keeps the journal from being written. */
  reopen(): void
  shut(): void
}

function createDoor(journal: JournalWriter, { outage, catchUp }: { outage: Outage; catchUp: () => void }): Door {
  let state: Door['state'] = 'new'
  const resume = (): boolean => {
    catchUp()
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
  return {
    get state() {
      return state
    },
    writable,
    check() {
      if (!journal.good) outage.begin(journal.failure, writable)
    },
    reopen() {
      if (state === 'closed') throw new Error('The audit journal is closed.')
      state = 'used'
      journal.open()
      if (!resume() && journal.failure !== null) throw journal.failure
    },
    shut() {
      state = 'closed'
      outage.end()
    },
  }
}
