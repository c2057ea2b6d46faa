import type { AuditDraft } from '../event.ts'
import type { Owner } from '../journal/owner.ts'
import type { JournalOwner } from '../journal/writer.ts'
import type { AuditMetrics } from '../recorder/metrics.ts'
import type { Adoption } from './orphans.ts'
import { createPost, type Leg } from './post.ts'
import type { ChainLine } from '../chain/chain-line.ts'
import type { AuditSink } from '../sink.ts'

/** Looks after the folder of journals beside the requests: dead processes, sinks, age. */
export interface Caretaker extends JournalOwner {
  /** Once the journal is open. Resolves when what dead processes have left is ended; that never fails, it is tried again. */
  start(recorder: CaretakersRecorder): Promise<void>
  /** Once a second. */
  second(): void
  /** The journal has new lines. */
  wake(): void
  /** Of the acknowledging sinks, by name; `events`: in this process's own journal. */
  sinks(events: number): Readonly<Record<string, readonly Leg[]>>
  /**
   * Nothing is written any more: what the sinks do not take within the deadline waits for the next process, and so does a journal
   * that is not finished.
   */
  close(end: { readonly deadlineMs: number; readonly finished: boolean }): Promise<void>
}

/** What the caretaker needs of the recorder. */
export interface CaretakersRecorder {
  /** An event that stands in a journal now: for those who listen. */
  deliver(line: ChainLine): void
  /** Resolves with whether the event is in this process's journal, and on the disk. */
  append(draft: AuditDraft): Promise<boolean>
  readonly metrics: Pick<AuditMetrics, 'failed' | 'deadLetters'>
}

export interface CaretakerSettings {
  readonly directory: string
  readonly writer: string
  /** Acknowledging sinks. */
  readonly sinks: readonly AuditSink[]
  readonly adoption: Adoption
  /** Makes this process the owner of its writer's folder. @throws what the file system throws. */
  readonly own: () => Owner
  /** Deletes what is too old. */
  readonly retire: (recorder: CaretakersRecorder) => Promise<void>
}

const BEAT_EVERY = 5
const ADOPT_EVERY = 30
const RETIRE_EVERY = 3600
/** Not at once: a command that makes one change knows nothing of how long a server keeps its journal. */
const RETIRE_FIRST = 60

export function createCaretaker(settings: CaretakerSettings): Caretaker {
  let recorder: CaretakersRecorder | null = null
  let owner: Owner | null = null
  let seconds = 0
  const post = createPost({ ...settings, onDead: (sink, count) => recorder?.metrics.deadLetters(sink, count) })

  const failed = (stage: 'adoption' | 'retention') => () => recorder?.metrics.failed(stage)
  const adopt = oneAtATime(async () => {
    if (recorder === null) return
    for (const orphan of await settings.adoption.look(recorder.deliver)) post.carry(orphan).catch(failed('adoption'))
  }, failed('adoption'))
  const retire = oneAtATime(async () => {
    if (recorder !== null) await settings.retire(recorder)
  }, failed('retention'))

  return Object.freeze({
    claim() {
      owner = settings.own()
    },
    holds: () => owner === null || owner.holds(),
    async start(of: CaretakersRecorder) {
      recorder = of
      post.open()
      await adopt()
    },
    second() {
      seconds += 1
      if (seconds % BEAT_EVERY === 0) owner?.beat()
      if (seconds % ADOPT_EVERY === 0) void adopt()
      if (seconds % RETIRE_EVERY === RETIRE_FIRST) void retire()
    },
    wake: post.wake,
    sinks: post.legs,
    async close({ deadlineMs, finished }: { deadlineMs: number; finished: boolean }) {
      recorder = null
      const taken = await post.close(deadlineMs)
      if (finished && taken) owner?.release()
    },
  })
}

/** A second call while one is under way is that one; a failure is counted, and left to the next. */
function oneAtATime(work: () => Promise<void>, failed: () => void): () => Promise<void> {
  let running: Promise<void> | null = null
  return () => {
    running ??= work()
      .catch(failed)
      .finally(() => {
        running = null
      })
    return running
  }
}
