import { join } from 'node:path'
import { ownMember } from '../../lib/own-member.ts'
import { loadCursor, saveCursor, type Cursor } from '../journal/cursor.ts'
import { keepDeadLetters } from '../journal/dead-letters.ts'
import { readBatch, type Batch } from '../journal/read-batch.ts'
import type { AuditSink, RejectedEvent } from '../sink.ts'

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
  /** ISO 8601: when that event was recorded; `null`: none yet. */
  readonly recorded: string | null
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
/** No receiver may make us wait for longer. */
const MAX_RETRY_AFTER_MS = 3_600_000
/** A sink that says nothing for so long has failed. */
const WRITE_DEADLINE_MS = 60_000
/** Lines of one turn of the event loop, and a little more, go together. */
const GATHER_MS = 20

export function createCourier(settings: CourierSettings): Courier {
  const { directory, writer, sink, random = Math.random, onDead } = settings
  const folder = join(directory, writer)
  const stop = new AbortController()
  /** There is little time left: no pause is waited out. */
  const hurry = new AbortController()
  const bell = createBell()
  const state = { seq: 0, recorded: null as string | null, batches: 0, failures: 0, dead: 0, failing: false }
  let cursor: Cursor | null = null
  let ending = false
  let pauseMs = FIRST_PAUSE_MS

  const hand = async ({ lines, next }: Batch): Promise<void> => {
    const answer = await handed((signal) => sink.write(lines, signal), stop.signal)
    const rejected = rejectedOf(answer)
    const letters = lines.flatMap(({ event, text }) => {
      const reason = rejected.get(event.id)
      return reason === undefined ? [] : [{ reason, text }]
    })
    if (letters.length > 0) {
      await keepDeadLetters(folder, sink.name, letters)
      onDead?.(letters.length)
    }
    await saveCursor(folder, sink.name, next)
    cursor = next
    const last = lines.at(-1)
    Object.assign(state, { seq: next.seq, recorded: last?.event.recorded ?? state.recorded, failing: false })
    state.batches += 1
    state.dead += letters.length
    pauseMs = FIRST_PAUSE_MS
  }
  /** `false`: there is nothing more for now. */
  const step = async (): Promise<boolean> => {
    cursor ??= await loadCursor(folder, sink.name)
    state.seq = cursor.seq
    const batch = await readBatch(directory, writer, cursor)
    if (batch.lines.length > 0) await hand(batch)
    else if (batch.next.offset === cursor.offset && batch.next.segment === cursor.segment) return false
    else cursor = batch.next
    return true
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        if (await step()) continue
        if (ending) return
        await bell.rung(stop.signal)
        await pause(GATHER_MS, stop.signal)
      } catch (error) {
        state.failures += 1
        state.failing = true
        await pause(retryAfter(error) ?? pauseMs * random(), hurry.signal)
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
    sink: sink.name,
    get state() {
      return Object.freeze({ ...state })
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

/** Rung while nobody listens, it is heard by who listens next. */
function createBell(): { ring(): void; rung(signal: AbortSignal): Promise<void> } {
  let ringing = false
  let wake: (() => void) | null = null
  return {
    ring() {
      ringing = true
      wake?.()
    },
    rung: (signal) =>
      new Promise<void>((resolve) => {
        const done = (): void => {
          ringing = false
          wake = null
          signal.removeEventListener('abort', done)
          resolve()
        }
        if (ringing || signal.aborted) done()
        else {
          wake = done
          signal.addEventListener('abort', done)
        }
      }),
  }
}

/** Whether or not the sink heeds its signal, it is not waited for beyond it. */
async function handed<T>(write: (signal: AbortSignal) => Promise<T>, stop: AbortSignal): Promise<T> {
  const attempt = new AbortController()
  const abort = (): void => attempt.abort()
  const timer = setTimeout(abort, WRITE_DEADLINE_MS).unref()
  stop.addEventListener('abort', abort)
  try {
    return await new Promise<T>((resolve, reject) => {
      attempt.signal.addEventListener('abort', () => reject(new Error('The sink did not answer in time.')))
      if (stop.aborted) abort()
      else write(attempt.signal).then(resolve, reject)
    })
  } finally {
    clearTimeout(timer)
    stop.removeEventListener('abort', abort)
  }
}

function rejectedOf(answer: unknown): ReadonlyMap<string, string> {
  const list: unknown = ownMember(answer, 'rejected')
  const entries = (Array.isArray(list) ? (list as readonly RejectedEvent[]) : []).map(
    (each) => [String(ownMember(each, 'id')), String(ownMember(each, 'reason')).slice(0, 64)] as const,
  )
  return new Map(entries)
}

function retryAfter(error: unknown): number | null {
  const ms = ownMember(error, 'retryAfterMs')
  return typeof ms === 'number' && ms >= 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : null
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    // Alone it keeps no process alive: the next one goes on from the cursor.
    const timer = setTimeout(done, ms).unref()
    signal.addEventListener('abort', done)
  })
}
