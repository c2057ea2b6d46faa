import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AuditEvent } from '../event.ts'

/** Which events: by `time`, when the request was received. ISO 8601 text or `Date`. */
export interface JournalRange {
  /** From this instant on. */
  readonly since?: Date | string | undefined
  /** Strictly before this instant. */
  readonly until?: Date | string | undefined
}

/** A line of the journal cannot be read. Says where it is, never what it holds. */
export class JournalLineError extends Error {
  override readonly name = 'JournalLineError'
  readonly code = 'JOURNAL_LINE_BROKEN'
  /** Relative to the directory, with `/`. */
  readonly file: string
  /** From 1. */
  readonly line: number

  constructor(file: string, line: number) {
    super(`${file}:${line} is no event of the audit journal.`)
    this.file = file
    this.line = line
  }
}

const SEGMENT = /^\d{8}\.jsonl$/
const NEWLINE = 10
/** A line is at most 32 KiB: what goes on for longer is none, and must not fill the memory. */
const MAX_LINE_BYTES = 1_048_576

/**
 * Every event of a journal, writer by writer, each writer's events in their order. Reads as it goes: memory stays flat. A
 * last line without newline (a crash, or a server that is just writing) is skipped.
 * @throws {RangeError} when `since` or `until` is no instant, at once.
 * @throws {JournalLineError} when it comes to a line that is broken.
 * @throws what the file system throws, for a directory that is not there.
 */
export function readJournal(directory: string, range: JournalRange = {}): AsyncIterable<AuditEvent> {
  const since = instantOf(range, 'since') ?? Number.NEGATIVE_INFINITY
  const until = instantOf(range, 'until') ?? Number.POSITIVE_INFINITY
  return { [Symbol.asyncIterator]: () => eventsIn(directory, since, until) }
}

function instantOf(range: JournalRange, name: 'since' | 'until'): number | null {
  const value = Object.hasOwn(range, name) ? range[name] : undefined
  if (value === undefined) return null
  const ms = value instanceof Date ? value.getTime() : Date.parse(value)
  if (Number.isNaN(ms)) throw new RangeError(`readJournal: \`${name}\` is a Date or an ISO 8601 text.`)
  return ms
}

async function* eventsIn(directory: string, since: number, until: number): AsyncGenerator<AuditEvent, void, undefined> {
  for (const writer of await namesIn(directory, 'folders')) {
    const segments = await namesIn(join(directory, writer), 'segments')
    for (const [index, segment] of segments.entries()) {
      const file = `${writer}/${segment}`
      const tail = index === segments.length - 1 ? 'skipped' : 'broken'
      for await (const event of eventsOf(join(directory, writer, segment), file, tail)) {
        const time = Date.parse(event.time)
        if (time >= since && time < until) yield event
      }
    }
  }
}

async function namesIn(directory: string, kind: 'folders' | 'segments'): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  return entries
    .filter((entry) => (kind === 'folders' ? entry.isDirectory() : entry.isFile() && SEGMENT.test(entry.name)))
    .map(({ name }) => name)
    .toSorted()
}

/** Only a writer's last segment may end in the middle of a line. */
async function* eventsOf(
  path: string,
  file: string,
  tail: 'skipped' | 'broken',
): AsyncGenerator<AuditEvent, void, undefined> {
  let line = 0
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      line += 1
      yield readEvent(bytes.subarray(start, end), file, line)
      start = end + 1
    }
    rest = bytes.subarray(start)
    if (rest.length > MAX_LINE_BYTES) throw new JournalLineError(file, line + 1)
  }
  if (rest.length > 0 && tail === 'broken') throw new JournalLineError(file, line + 1)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function readEvent(bytes: Buffer, file: string, line: number): AuditEvent {
  const event = parse(bytes)
  if (!isEvent(event)) throw new JournalLineError(file, line)
  return event
}

/** The parser's own message quotes the line. */
function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch {
    return null
  }
}

function isEvent(value: unknown): value is AuditEvent {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'v') || !Object.hasOwn(value, 'time'))
    return false
  const { v, time } = value as { readonly v: unknown; readonly time: unknown }
  return v === 1 && typeof time === 'string' && !Number.isNaN(Date.parse(time))
}
