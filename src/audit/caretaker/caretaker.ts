import { createCourier, type Courier, type CourierState } from './courier.ts'
import type { AuditDraft } from '../event.ts'
import type { Owner } from '../journal/owner.ts'
import type { JournalOwner } from '../journal/writer.ts'
import type { AuditMetrics } from '../recorder/metrics.ts'
import type { Adoption, Orphan } from './orphans.ts'
import type { AuditLine, AuditSink } from '../sink.ts'

/** Looks after the folder of journals beside the requests: dead processes, sinks, age. */
export interface Caretaker extends JournalOwner {
  /** Once the journal is open. Resolves when what dead processes have left is ended; that never fails, it is tried again. */
  start(recorder: CaretakersRecorder): Promise<void>
  /** Once a second. */
  second(): void
  /** The journal has new lines. */
  wake(): void
  /** Of the acknowledging sinks, for this process's own journal. */
  sinks(): Readonly<Record<string, CourierState>>
  /**
   * Nothing is written any more: what the sinks do not take within the deadline waits for the next process, and so does a journal
   * that is not finished.
   */
  close(end: { readonly deadlineMs: number; readonly finished: boolean }): Promise<void>
}

/** What the caretaker needs of the recorder. */
export interface CaretakersRecorder {
  /** An event that stands in a journal now: for those who listen. */
  deliver(line: AuditLine): void
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

export function createCaretaker(settings: CaretakerSettings): Caretaker {
  const { directory, writer, sinks, adoption } = settings
  const couriers: Courier[] = []
  const others = new Set<Courier>()
  let recorder: CaretakersRecorder | null = null
  let owner: Owner | null = null
  let seconds = 0
  let closed = false

  const courierOf = (sink: AuditSink, of: string): Courier =>
    createCourier({
      directory,
      writer: of,
      sink,
      onDead: (count) => recorder?.metrics.deadLetters(sink.name, count),
    })
  const carry = async (orphan: Orphan): Promise<void> => {
    const its = sinks.map((sink) => courierOf(sink, orphan.writer))
    for (const each of its) others.add(each)
    const taken = await Promise.all(its.map((each) => each.finish()))
    for (const each of its) others.delete(each)
    if (taken.every(Boolean)) orphan.owner.release()
    else orphan.owner.leave()
  }
  const failed = (stage: 'adoption' | 'retention') => () => recorder?.metrics.failed(stage)
  const adopt = oneAtATime(async () => {
    if (recorder === null) return
    const orphans = await adoption.look(recorder.deliver)
    // Closed meanwhile: nobody would end what is begun now.
    for (const orphan of orphans) {
      if (closed) orphan.owner.leave()
      else void carry(orphan)
    }
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
      const isFirst = recorder === null
      recorder = of
      if (isFirst) for (const sink of sinks) couriers.push(courierOf(sink, writer))
      await adopt()
      void retire()
    },
    second() {
      seconds += 1
      if (seconds % BEAT_EVERY === 0) owner?.beat()
      if (seconds % ADOPT_EVERY === 0) void adopt()
      if (seconds % RETIRE_EVERY === 0) void retire()
    },
    wake() {
      for (const courier of couriers) courier.wake()
    },
    sinks: () => Object.fromEntries(couriers.map(({ sink, state }) => [sink, state])),
    async close({ deadlineMs, finished }: { deadlineMs: number; finished: boolean }) {
      closed = true
      recorder = null
      const ends = [...couriers, ...others].map((each) => each.close(deadlineMs))
      const taken = (await Promise.all(ends)).slice(0, couriers.length)
      if (finished && taken.every(Boolean)) owner?.release()
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
