import { join } from 'node:path'
import { loadCursor, saveCursor, type Cursor } from '../journal/cursor.ts'
import { readBatch, type Batch } from '../journal/read-batch.ts'
import type { AuditSink } from '../sink.ts'
import { handOver } from './hand-over.ts'
import { createBell, pause, retryAfter } from './patience.ts'

/** Carries one writer's events to one sink, from the journal: at least once, in order, without end. */
export interface Courier {
  readonly sink: string
  readonly state: CourierState
  /** There may be more. */
  wake(): void
  /** For a journal that nobody writes any more: resolves once all of it was taken, or `close` has cut it short (`false`). */
  finish(): Promise<boolean>
  /** Ends at the deadline; the next process goes on where this one stopped. Gives whether all was taken. */
  close(deadlineMs: number): Promise<boolean>
}

export interface CourierState {
  /** Of the last event that was taken. */
  readonly seq: number
  /** ISO 8601: when the first event that was not taken was recorded; `null`: there is none, as far as is known. */
  readonly waiting: string | null
  /** Batches that were taken, and attempts that failed. */
  readonly batches: number
  readonly failures: number
  /** Events in the dead-letter file, since this process began. */
  readonly dead: number
  /** The last attempt failed. */
  readonly failing: boolean
}

export interface CourierSettings {
  readonly directory: string
  readonly writer: string
  readonly sink: AuditSink
  /** So many events went to the dead-letter file. */
  readonly onDead?: ((count: number) => void) | undefined
  /** Between 0 and 1, for the back-off. Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

const FIRST_PAUSE_MS = 100
const LAST_PAUSE_MS = 30_000
/** Lines of one turn of the event loop, and a little more, go together. */
const GATHER_MS = 20

export function createCourier(given: CourierSettings): Courier {
  const settings: CourierSettings = Object.assign(Object.create(null), given)
  const way = createWay(settings)
  const stop = new AbortController()
  /** There is little time left: no pause is waited out. */
  const hurry = new AbortController()
  const bell = createBell()
  let ending = false
  let pauseMs = FIRST_PAUSE_MS

  const turn = async (): Promise<'on' | 'end'> => {
    const last = ending
    if (await way.step(stop.signal)) {
      pauseMs = FIRST_PAUSE_MS
      return 'on'
    }
    // What was written while it looked is looked for once more.
    if (last) return 'end'
    if (!ending) {
      await bell.rung(stop.signal)
      await pause(GATHER_MS, stop.signal)
    }
    return 'on'
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        if ((await turn()) === 'end') return
      } catch (error) {
        way.failed()
        await pause(retryAfter(error) ?? pauseMs * (settings.random ?? Math.random)(), hurry.signal)
        if (hurry.signal.aborted) await pause(FIRST_PAUSE_MS, stop.signal)
        pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS)
      }
    }
  }
  const end = (): void => {
    ending = true
    bell.ring()
  }
  const running = run()

  return Object.freeze({
    sink: settings.sink.name,
    get state() {
      return way.state()
    },
    wake: bell.ring,
    async finish() {
      end()
      await running
      return !stop.signal.aborted
    },
    async close(deadlineMs: number) {
      end()
      hurry.abort()
      const timer = setTimeout(() => stop.abort(), deadlineMs)
      await running
      clearTimeout(timer)
      return !stop.signal.aborted
    },
  })
}

/** How far the sink has got, batch by batch. */
interface Way {
  /** The next batch; `false`: there is nothing more for now, and that is written down. @throws where it must be tried again. */
  step(stop: AbortSignal): Promise<boolean>
  failed(): void
  state(): CourierState
}

function createWay({ directory, writer, sink, onDead }: CourierSettings): Way {
  const folder = join(directory, writer)
  let cursor: Cursor | null = null
  let state: CourierState = { seq: 0, waiting: null, batches: 0, failures: 0, dead: 0, failing: false }

  /** The cursor is further than what stands on the disk: a full one must not send a batch again and again. */
  let unsaved = false

  const save = async (): Promise<void> => {
    if (cursor === null || !unsaved) return
    await saveCursor(folder, sink.name, cursor)
    unsaved = false
    state = { ...state, failing: false }
  }
  const hand = async (batch: Batch, stop: AbortSignal): Promise<void> => {
    state = { ...state, waiting: batch.lines[0]?.event.recorded ?? null }
    const dead = await handOver(batch, { sink, folder, stop })
    if (dead > 0) onDead?.(dead)
    state = {
      ...state,
      seq: batch.next.seq,
      waiting: null,
      batches: state.batches + 1,
      dead: state.dead + dead,
      failing: false,
    }
  }
  return {
    async step(stop) {
      if (cursor === null) {
        cursor = await loadCursor(folder, sink.name)
        state = { ...state, seq: cursor.seq }
      }
      const batch = await readBatch(directory, writer, cursor)
      if (batch.next.offset === cursor.offset && batch.next.segment === cursor.segment) {
        await save()
        return false
      }
      if (batch.lines.length > 0) await hand(batch, stop)
      cursor = batch.next
      unsaved = true
      // A full disk must not keep events from leaving it: the cursor is saved when there is nothing else to do.
      if (batch.lines.length > 0) await save().catch(() => undefined)
      return true
    },
    failed() {
      state = { ...state, failures: state.failures + 1, failing: true }
    },
    state: () => Object.freeze({ ...state }),
  }
}
