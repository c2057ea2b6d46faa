import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { createAppendFile, nodeFiles, type JournalFiles } from './append-file.ts'

/** One process's own part of the journal: `<directory>/<writer>/00000001.jsonl`. */
export interface JournalWriter {
  readonly directory: string
  /** The file is open and its last append was good. */
  readonly good: boolean
  /** What the last failure said; `null`: none since it was opened. */
  readonly failure: Error | null
  /** Opens the file, or opens it again after a failure. @throws what the file system throws. Does nothing while all is good. */
  open(): void
  /** As `open`, but at most once a second and without throwing: what a request may cost a broken disk. Gives `good`. */
  probe(): boolean
  /** Appends one line and its newline with one write. `false`: nothing of it is in the file, and the journal is no longer good. */
  append(text: string): boolean
  /** Forces what was written to the disk, and closes. @throws what the file system throws; the file is closed all the same. */
  close(): void
}

export interface JournalSettings {
  readonly directory: string
  /** One path segment, of letters and digits. */
  readonly writer: string
  readonly clock: Clock
  readonly files?: JournalFiles | undefined
}

const SEGMENT = '00000001.jsonl'
const NEWLINE = 10
const PROBE_EVERY_MS = 1000
/** A deleted file takes lines as if nothing had happened; looking costs a system call. */
const LOOK_EVERY_MS = 1000
/** A line is at most 32 KiB. */
const BUFFER_BYTES = 65_536

/** Opens nothing: that is `open`. */
export function createJournalWriter(settings: JournalSettings): JournalWriter {
  const { directory, writer, clock } = settings
  const files = (Object.hasOwn(settings, 'files') ? settings.files : undefined) ?? nodeFiles
  if (!/^[A-Za-z0-9]{1,64}$/.test(writer))
    throw new TypeError('The id of a journal writer is 1 to 64 letters and digits.')
  const file = createAppendFile(join(directory, writer, SEGMENT), files)
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  let failure: Error | null = null
  let good = false
  let probedMs = Number.NEGATIVE_INFINITY
  let lookedMs = Number.NEGATIVE_INFINITY

  const attempt = (work: () => void): void => {
    try {
      work()
      good = true
      failure = null
    } catch (error) {
      good = false
      failure = error instanceof Error ? error : new Error('The file system failed.')
    }
  }

  const put = (text: string): void => {
    const now = clock.monotonicMs()
    if (now - lookedMs >= LOOK_EVERY_MS) {
      lookedMs = now
      file.mustExist()
    }
    file.append(lineOf(text, buffer))
  }

  return Object.freeze({
    directory,
    get good() {
      return good
    },
    get failure() {
      return failure
    },
    open() {
      if (!good) attempt(() => file.open())
      if (failure !== null) throw failure
    },
    probe() {
      const now = clock.monotonicMs()
      if (good || now - probedMs < PROBE_EVERY_MS) return good
      probedMs = now
      attempt(() => file.open())
      return good
    },
    append(text: string) {
      if (good) attempt(() => put(text))
      return good
    },
    close() {
      attempt(() => file.close())
      good = false
      if (failure !== null) throw failure
    },
  })
}

/** The line in the shared buffer, or in one of its own where it is longer. */
function lineOf(text: string, buffer: Buffer): Uint8Array {
  if (text.length * 3 >= buffer.length) return Buffer.from(`${text}\n`)
  const end = buffer.write(text)
  buffer[end] = NEWLINE
  return buffer.subarray(0, end + 1)
}
