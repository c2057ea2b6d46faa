import { createGroupSync } from './group-sync.ts'
import { createSegments, type JournalEnd, type JournalSettings, type Segments } from './segments.ts'

export type { JournalEnd, JournalOwner, JournalSettings } from './segments.ts'

/** One process's own part of the journal: `<directory>/<writer>/00000001.jsonl`, and further segments. */
export interface JournalWriter {
  readonly directory: string
  readonly writer: string
  /** The file is open and its last append was good. */
  readonly good: boolean
  /** What the last failure said; `null`: none since it was opened. */
  readonly failure: Error | null
  /** Where the journal ends: its last segment, and the bytes of whole lines in it. */
  readonly end: JournalEnd
  /** Opens the file, or opens it again after a failure. @throws what the file system throws. Does nothing while all is good. */
  open(): void
  /** As `open`, but at most once a second and without throwing: what a request may cost a broken disk. Gives `good`. */
  probe(): boolean
  /** Appends one line and its newline with one write. `false`: nothing of it is in the file, and the journal is no longer good. */
  append(text: string): boolean
  /** Resolves with whether all that is appended by now is on the disk; `false` after 2 seconds at the latest. */
  synced(): Promise<boolean>
  /** Forces what was written to the disk, and closes. @throws what the file system throws; the file is closed all the same. */
  close(): void
}

const PROBE_EVERY_MS = 1000
/** How old a line gets before it is forced to the disk when nobody waits for it. */
const SYNC_EVERY_MS = 100
const SYNC_DEADLINE_MS = 2000

/** Opens nothing: that is `open`. */
export function createJournalWriter(given: JournalSettings): JournalWriter {
  const settings: JournalSettings = Object.assign(Object.create(null), given)
  const { directory, writer, clock } = settings
  if (!/^[A-Za-z0-9]{1,64}$/.test(writer))
    throw new TypeError('The id of a journal writer is 1 to 64 letters and digits.')
  const segments = createSegments(settings)
  const state = createState()
  const sync = createSync(settings, segments, state)
  let claimed = false
  let probedMs = Number.NEGATIVE_INFINITY
  const openFile = (): void => {
    if (!claimed) settings.owner?.claim()
    claimed = true
    segments.open(clock.monotonicMs())
  }

  return Object.freeze({
    directory,
    writer,
    get good() {
      return state.good
    },
    get failure() {
      return state.failure
    },
    get end() {
      return segments.end
    },
    open() {
      if (!state.good) state.attempt(openFile)
      if (state.failure !== null) throw state.failure
    },
    probe() {
      const now = clock.monotonicMs()
      if (state.good || now - probedMs < PROBE_EVERY_MS) return state.good
      probedMs = now
      state.attempt(openFile)
      return state.good
    },
    append(text: string) {
      if (!state.good) return false
      state.attempt(() => segments.append(text, clock.monotonicMs()))
      if (state.good) sync.soon()
      return state.good
    },
    synced: () => (state.good ? sync.wait() : Promise.resolve(false)),
    close() {
      sync.stop()
      state.attempt(() => segments.close())
      state.good = false
      if (state.failure !== null) throw state.failure
    },
  })
}

/** How the last thing that was asked of the file system went. */
interface State {
  good: boolean
  failure: Error | null
  attempt(work: () => void): void
  fail(error: unknown): void
}

function createState(): State {
  const state: State = {
    good: false,
    failure: null,
    attempt(work) {
      try {
        work()
        state.good = true
        state.failure = null
      } catch (error) {
        state.fail(error)
      }
    },
    fail(error) {
      state.good = false
      state.failure = error instanceof Error ? error : new Error('The file system failed.')
    },
  }
  return state
}

interface Sync {
  /** Whether all that is appended by now is on the disk. */
  wait(): Promise<boolean>
  /** Nobody waits; it happens all the same, a little later. */
  soon(): void
  stop(): void
}

function createSync({ clock, observe }: JournalSettings, segments: Segments, state: State): Sync {
  let timer: NodeJS.Timeout | null = null
  const flush = async (): Promise<boolean> => {
    const from = performance.now()
    try {
      await segments.flush()
      observe?.flushed((performance.now() - from) / 1000)
      return true
    } catch (error) {
      observe?.failed('fsync')
      if (state.good) return mend(error)
      segments.giveUp()
      return false
    }
  }
  /** A second flush of one descriptor can be good although the first has lost what it should have written. */
  const mend = async (error: unknown): Promise<boolean> => {
    let whole = false
    state.attempt(() => {
      whole = segments.moveOn(clock.monotonicMs())
    })
    if (!state.good) return false
    try {
      await segments.flush()
      return whole && state.good
    } catch {
      segments.giveUp()
      state.fail(error)
      return false
    }
  }
  const group = createGroupSync({ flush, deadlineMs: SYNC_DEADLINE_MS })
  return {
    wait: group.wait,
    soon() {
      timer ??= setTimeout(() => {
        timer = null
        if (state.good) void group.wait()
      }, SYNC_EVERY_MS).unref()
    },
    stop() {
      if (timer !== null) clearTimeout(timer)
    },
  }
}
