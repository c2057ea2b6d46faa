import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inheritingNothing } from '../../lib/inheriting-nothing.ts'

/** One line of a segment, exactly as it stands there. */
export interface JournalLine {
  /** Without the newline. A view into a buffer that is not reused. */
  readonly bytes: Buffer
  /** Where it starts in the segment, in bytes. The next one starts at `offset + bytes.length + 1`. */
  readonly offset: number
}

/** What stands at the end of a segment without newline: a crash, or a writer that is just writing. */
export interface Tail {
  readonly offset: number
  readonly length: number
}

/** Events and intents are at most 32 KiB: what goes on for longer is no line, and must not fill the memory. */
const MAX_LINE_BYTES = 1_048_576
const SEGMENT = /^\d{8}\.jsonl$/
const WRITER = /^[A-Za-z0-9]{1,64}$/
const NEWLINE = 10

/** Writers of a journal, sorted by name. */
export async function writersIn(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, inheritingNothing({ withFileTypes: true as const }))
  return entries
    .filter((entry) => entry.isDirectory() && WRITER.test(entry.name))
    .map(({ name }) => name)
    .toSorted()
}

/** Numbers of a writer's segments, in their order. */
export async function segmentsOf(directory: string, writer: string): Promise<readonly number[]> {
  const entries = await readdir(join(directory, writer), inheritingNothing({ withFileTypes: true as const }))
  return entries
    .filter((entry) => entry.isFile() && SEGMENT.test(entry.name))
    .map(({ name }) => Number.parseInt(name, 10))
    .toSorted((a, b) => a - b)
}

/** `<writer>/00000001.jsonl`, relative to the directory. */
export function segmentPath(writer: string, segment: number): string {
  return join(writer, `${String(segment).padStart(8, '0')}.jsonl`)
}

/** A segment cannot be read as lines. */
export class EndlessLine extends Error {
  override readonly name = 'EndlessLine'
  readonly offset: number

  constructor(offset: number) {
    super(`From byte ${offset} on there is no line.`)
    this.offset = offset
  }
}

/**
 * The whole lines of a file from an offset on (the start of a line), in groups as they are read, and at last what stands
 * behind them. Memory stays flat.
 * @throws {EndlessLine} where more than 1 MiB has no newline. @throws what the file system throws.
 */
export async function* linesIn(path: string, from = 0): AsyncGenerator<readonly JournalLine[], Tail, undefined> {
  let rest: Buffer = Buffer.alloc(0)
  let offset = from
  for await (const chunk of createReadStream(path, inheritingNothing({ start: from })) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const lines: JournalLine[] = []
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      lines.push({ bytes: bytes.subarray(start, end), offset: offset + start })
      start = end + 1
    }
    rest = bytes.subarray(start)
    offset += start
    if (lines.length > 0) yield lines
    if (rest.length > MAX_LINE_BYTES) throw new EndlessLine(offset)
  }
  return { offset, length: rest.length }
}
