import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { createAppendFile, nodeFiles, type AppendFile, type JournalFiles } from './append-file.ts'
import { createKeptLines } from './kept-lines.ts'
import { segmentPath } from './lines.ts'

/** Where a journal ends: its last segment, and the bytes of whole lines in it. */
export interface JournalEnd {
  readonly segment: number
  readonly offset: number
}

export interface JournalOwner {
  /** Before the first file is opened; what it throws keeps the journal from opening. */
  claim(): void
  /** `false`: another process took this one for dead. Nothing may be written any more. */
  holds(): boolean
}

export interface JournalSettings {
  readonly directory: string
  /** One path segment, of letters and digits. */
  readonly writer: string
  readonly clock: Clock
  readonly files?: JournalFiles | undefined
  /** Whose the writer's folder is. */
  readonly owner?: JournalOwner | undefined
  /** Where a journal that is there already goes on; its last segment is whole up to here. */
  readonly from?: JournalEnd | undefined
  /**
   * Lines that may not be on the disk yet are kept in memory, and written again where a flush fails. Without, they stay where they
   * are, on the disk or not: enough where nobody was told that they are. Default `true`.
   */
  readonly keepsLines?: boolean | undefined
  /** Told of each flush: how long it took, or that it failed. */
  readonly observe?: { flushed(seconds: number): void; failed(stage: 'fsync'): void } | undefined
  /** Default 64 MiB. */
  readonly segmentBytes?: number | undefined
}

/** The files of one writer, one after the other. Everything here throws what the file system throws. */
export interface Segments {
  readonly end: JournalEnd
  open(nowMs: number): void
  append(text: string, nowMs: number): void
  /** Forces what was appended so far to the disk. */
  flush(): Promise<void>
  /**
   * After a flush that failed: a segment of its own for all that may not be on the disk. `false`: it could not be taken out
   * of the old segment and stays there, on the disk or not.
   */
  moveOn(nowMs: number): boolean
  /** The open segment is not asked again: `open` moves on. */
  giveUp(): void
  close(): void
}

const NEWLINE = 10
/** A deleted file takes lines as if nothing had happened; looking costs a system call. */
const LOOK_EVERY_MS = 1000
/** A line is at most 32 KiB. */
const BUFFER_BYTES = 65_536
const SEGMENT_BYTES = 67_108_864
const SEGMENT_MS = 3_600_000

export function createSegments(settings: JournalSettings): Segments {
  const { directory, writer, from, owner } = settings
  const files = (Object.hasOwn(settings, 'files') ? settings.files : undefined) ?? nodeFiles
  const limit = (Object.hasOwn(settings, 'segmentBytes') ? settings.segmentBytes : undefined) ?? SEGMENT_BYTES
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  const keeps = (Object.hasOwn(settings, 'keepsLines') ? settings.keepsLines : undefined) ?? true
  const kept = keeps ? createKeptLines() : createKeptLines(0)
  const fileOf = (number: number): AppendFile => createAppendFile(join(directory, segmentPath(writer, number)), files)
  let segment = from?.segment ?? 1
  let file =
    from === undefined
      ? fileOf(segment)
      : createAppendFile(join(directory, segmentPath(writer, segment)), files, { end: from.offset })
  let openedMs = Number.NaN
  let lookedMs = Number.NEGATIVE_INFINITY
  /** What the open segment holds may not be on the disk, and its descriptor cannot be asked. */
  let suspect = false

  const mustHold = (): void => {
    if (owner !== undefined && !owner.holds()) throw new Error('Another process has ended this journal.')
  }
  const next = (nowMs: number): void => {
    segment += 1
    file = fileOf(segment)
    file.open()
    openedMs = nowMs
  }
  const roll = (nowMs: number): void => {
    suspect = true
    file.close()
    suspect = false
    kept.restart()
    next(nowMs)
  }
  const moveOn = (nowMs: number): boolean => {
    suspect = true
    const lines = kept.all()
    // What cannot be taken out of the old segment must not stand in the new one as well.
    const cut = lines !== null && quietly(() => file.cut(kept.safeEnd))
    if (!cut) quietly(() => file.cut(file.end))
    if (cut) kept.moved()
    else kept.restart()
    next(nowMs)
    if (cut) for (const text of lines) file.append(lineOf(text, buffer))
    suspect = false
    return cut
  }

  return Object.freeze({
    get end() {
      return { segment, offset: file.end }
    },
    open(nowMs: number) {
      mustHold()
      if (suspect) {
        moveOn(nowMs)
        return
      }
      file.open()
      if (Number.isNaN(openedMs)) openedMs = nowMs
    },
    append(text: string, nowMs: number) {
      if (file.end > 0 && (file.end + text.length >= limit || nowMs - openedMs >= SEGMENT_MS)) roll(nowMs)
      if (nowMs - lookedMs >= LOOK_EVERY_MS) {
        lookedMs = nowMs
        mustHold()
        file.mustExist()
      }
      file.append(lineOf(text, buffer))
      kept.add(text)
    },
    async flush() {
      const flushed = file
      const mark = kept.mark(file.end)
      try {
        await flushed.flush()
      } catch (error) {
        // Closed meanwhile, which forced it to the disk as well.
        if (flushed !== file && !suspect) return
        throw error
      }
      if (flushed === file) kept.safe(mark)
    },
    moveOn,
    giveUp() {
      suspect = true
    },
    close: () => file.close(),
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

/** The line in the shared buffer, or in one of its own where it is longer. */
function lineOf(text: string, buffer: Buffer): Uint8Array {
  if (text.length * 3 >= buffer.length) return Buffer.from(`${text}\n`)
  const end = buffer.write(text)
  buffer[end] = NEWLINE
  return buffer.subarray(0, end + 1)
}
