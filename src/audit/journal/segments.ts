import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { createAppendFile, nodeFiles, type AppendFile, type JournalFiles } from './append-file.ts'
import { createKeptLines, type KeptLines } from './kept-lines.ts'
import { segmentPath } from './lines.ts'
import { quietly } from '../../lib/quietly.ts'

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
  const open = firstSegment(settings)
  return Object.freeze({
    get end() {
      return { segment: open.segment, offset: open.file.end }
    },
    open(nowMs: number) {
      mustHold(open)
      if (open.suspect) {
        moveOn(open, nowMs)
        return
      }
      open.file.open()
      open.unmade = false
      if (Number.isNaN(open.openedMs)) open.openedMs = nowMs
    },
    append: (text: string, nowMs: number) => append(open, text, nowMs),
    flush: () => flush(open),
    moveOn: (nowMs: number) => moveOn(open, nowMs),
    giveUp() {
      open.suspect = true
    },
    close: () => open.file.close(),
  })
}

/** The segment that is written now. */
interface OpenSegment {
  readonly fileOf: (segment: number) => AppendFile
  readonly owner: JournalOwner | undefined
  readonly limit: number
  readonly buffer: Buffer
  readonly kept: KeptLines
  segment: number
  file: AppendFile
  openedMs: number
  lookedMs: number
  /** What it holds may not be on the disk, and its descriptor cannot be asked. */
  suspect: boolean
  /** Its file could not be made yet. */
  unmade: boolean
  /** How often lines were moved to another segment. */
  moves: number
}

function firstSegment(settings: JournalSettings): OpenSegment {
  const {
    directory,
    writer,
    from,
    owner,
    files = nodeFiles,
    keepsLines = true,
    segmentBytes: limit = SEGMENT_BYTES,
  }: JournalSettings = Object.assign(Object.create(null), settings)
  const pathOf = (segment: number): string => join(directory, segmentPath(writer, segment))
  const fileOf = (segment: number): AppendFile => createAppendFile(pathOf(segment), files)
  const segment = from?.segment ?? 1
  const file = from === undefined ? fileOf(segment) : createAppendFile(pathOf(segment), files, { end: from.offset })
  const kept = keepsLines ? createKeptLines() : createKeptLines(0)
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  const [openedMs, lookedMs] = [Number.NaN, Number.NEGATIVE_INFINITY]
  return {
    fileOf,
    owner,
    limit,
    buffer,
    kept,
    segment,
    file,
    openedMs,
    lookedMs,
    suspect: false,
    unmade: false,
    moves: 0,
  }
}

function append(open: OpenSegment, text: string, nowMs: number): void {
  const { file, limit, openedMs } = open
  if (file.end > 0 && (file.end + text.length >= limit || nowMs - openedMs >= SEGMENT_MS)) roll(open, nowMs)
  if (nowMs - open.lookedMs >= LOOK_EVERY_MS) {
    open.lookedMs = nowMs
    mustHold(open)
    open.file.mustExist()
  }
  writeLine(open, text)
  open.kept.add(text)
}

function mustHold({ owner }: OpenSegment): void {
  if (owner !== undefined && !owner.holds()) throw new Error('Another process has ended this journal.')
}

function next(open: OpenSegment, nowMs: number): void {
  if (!open.unmade) {
    open.segment += 1
    open.file = open.fileOf(open.segment)
  }
  open.unmade = true
  open.file.open()
  open.unmade = false
  open.openedMs = nowMs
}

function roll(open: OpenSegment, nowMs: number): void {
  open.suspect = true
  open.file.close()
  open.suspect = false
  open.kept.restart()
  next(open, nowMs)
}

function moveOn(open: OpenSegment, nowMs: number): boolean {
  const { file, kept, unmade } = open
  open.suspect = true
  open.moves += 1
  const lines = kept.all()
  // What cannot be taken out of the old segment must not stand in the new one as well. One that was never made holds nothing.
  const cut = lines !== null && (unmade || quietly(() => file.cut(kept.safeEnd)))
  if (!cut && !unmade) quietly(() => file.cut(file.end))
  if (cut) kept.moved()
  else kept.restart()
  next(open, nowMs)
  if (cut) for (const text of lines) writeLine(open, text)
  open.suspect = false
  return cut
}

async function flush(open: OpenSegment): Promise<void> {
  const { file, kept, moves } = open
  const mark = kept.mark(file.end)
  try {
    await file.flush()
  } catch (error) {
    // Full meanwhile, and closed, which forced it to the disk as well.
    if (file !== open.file && !open.suspect && moves === open.moves) return
    throw error
  }
  if (file === open.file) kept.safe(mark)
}

/** By way of the shared buffer, where the line fits into it. */
function writeLine({ file, buffer }: OpenSegment, text: string): void {
  if (text.length * 3 >= buffer.length) {
    const bytes = Buffer.from(`${text}\n`)
    file.append(bytes, bytes.length)
    return
  }
  const end = buffer.write(text)
  buffer[end] = NEWLINE
  file.append(buffer, end + 1)
}
