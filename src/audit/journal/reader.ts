import { join } from 'node:path'
import { ownMember as own } from '../../lib/own-member.ts'
import type { AuditEvent } from '../event.ts'
import { EndlessLine, linesIn, segmentPath, segmentsOf, writersIn } from './lines.ts'

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
  for (const writer of await writersIn(directory)) {
    const segments = await segmentsOf(directory, writer)
    for (const [index, segment] of segments.entries()) {
      const tail = index === segments.length - 1 ? 'skipped' : 'broken'
      for await (const event of eventsOf(directory, segmentPath(writer, segment), tail)) {
        const time = Date.parse(event.time)
        if (time >= since && time < until) yield event
      }
    }
  }
}

/** Only a writer's last segment may end in the middle of a line. */
async function* eventsOf(
  directory: string,
  file: string,
  tail: 'skipped' | 'broken',
): AsyncGenerator<AuditEvent, void, undefined> {
  const groups = linesIn(join(directory, file))
  let line = 0
  try {
    for (let group = await groups.next(); ; group = await groups.next()) {
      if (group.done === true) {
        if (group.value.length > 0 && tail === 'broken') throw new JournalLineError(file, line + 1)
        return
      }
      for (const { bytes } of group.value) {
        line += 1
        const event = readLine(bytes, file, line)
        if (event !== null) yield event
      }
    }
  } catch (error) {
    throw error instanceof EndlessLine ? new JournalLineError(file, line + 1) : error
  } finally {
    await groups.return({ offset: 0, length: 0 })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** `null`: an intent, which is no event. */
function readLine(bytes: Buffer, file: string, line: number): AuditEvent | null {
  const value = parse(bytes)
  if (isEvent(value)) return value
  if (isIntent(value)) return null
  throw new JournalLineError(file, line)
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
  return typeof own(value, 'id') === 'string' && isVersionOne(value)
}

function isIntent(value: unknown): boolean {
  return typeof own(value, 'intent') === 'string' && isVersionOne(value)
}

function isVersionOne(value: unknown): boolean {
  const time = own(value, 'time')
  return own(value, 'v') === 1 && typeof time === 'string' && !Number.isNaN(Date.parse(time))
}
