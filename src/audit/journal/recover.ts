import { truncate } from 'node:fs/promises'
import { hash } from 'node:crypto'
import { join } from 'node:path'
import type { ChainEnd } from '../chain/chain.ts'
import type { AuditEvent } from '../event.ts'
import type { AuditIntent } from '../intent.ts'
import { linesIn, segmentPath, segmentsOf, type JournalLine } from './lines.ts'
import type { JournalEnd } from './segments.ts'

/** A journal whose process is gone. */
export interface Leftover {
  readonly writer: string
  readonly end: JournalEnd
  readonly chain: ChainEnd
  /** Calls that were let in and whose event is missing, oldest first. */
  readonly open: readonly AuditIntent[]
  /** It was closed in good order: nothing more is to be written. */
  readonly finished: boolean
}

const EVENT_PREFIX = Buffer.from('{"v":1,"id":"')
const INTENT_PREFIX = Buffer.from('{"v":1,"intent":"')
const ID_LENGTH = 36

/**
 * Reads a journal whose process is gone, and cuts the line in which it died. `null`: there is nothing in it. The ids are
 * read at their fixed places: to parse every line of a day would take minutes.
 * @throws what the file system throws.
 */
export async function readLeftover(directory: string, writer: string): Promise<Leftover | null> {
  const segments = await segmentsOf(directory, writer)
  const last = segments.at(-1)
  if (last === undefined) return null
  const open = new Map<string, JournalLine>()
  const seen: Seen = { line: null, event: null, eventBefore: null, intent: null }
  let offset = 0
  for (const segment of segments) {
    const groups = linesIn(join(directory, segmentPath(writer, segment)))
    let group = await groups.next()
    for (; group.done !== true; group = await groups.next()) for (const line of group.value) note(line, open, seen)
    offset = group.value.offset
    if (segment === last && group.value.length > 0)
      await truncate(join(directory, segmentPath(writer, segment)), offset)
  }
  const event = eventIn(seen.event)
  return Object.freeze({
    writer,
    end: { segment: last, offset },
    chain: {
      seq: event?.seq ?? 0,
      intents: intentIn(seen.intent)?.n ?? 0,
      prev: seen.line === null ? null : hash('sha256', seen.line, 'hex'),
    },
    open: [...open.values()].map(({ bytes }) => intentIn(bytes)).filter((each) => each !== null),
    finished: seen.line === seen.event && isClosing(event, eventIn(seen.eventBefore)),
  })
}

interface Seen {
  line: Buffer | null
  event: Buffer | null
  eventBefore: Buffer | null
  intent: Buffer | null
}

function note(line: JournalLine, open: Map<string, JournalLine>, seen: Seen): void {
  const { bytes } = line
  seen.line = bytes
  if (startsWith(bytes, EVENT_PREFIX)) {
    seen.eventBefore = seen.event
    seen.event = bytes
    open.delete(idAt(bytes, EVENT_PREFIX.length))
  } else if (startsWith(bytes, INTENT_PREFIX)) {
    seen.intent = bytes
    // A copy: the line is a view into a much larger buffer.
    open.set(idAt(bytes, INTENT_PREFIX.length), { ...line, bytes: Buffer.from(bytes) })
  }
}

/** The last word of a writer, and of whoever followed it; a checkpoint may stand behind it. */
function isClosing(event: AuditEvent | null, before: AuditEvent | null): boolean {
  const last = event?.name === 'audit.checkpoint' ? before : event
  return last?.name === 'audit.stopped' || last?.name === 'audit.recovered'
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.length > prefix.length + ID_LENGTH && bytes.subarray(0, prefix.length).equals(prefix)
}

function idAt(bytes: Buffer, start: number): string {
  return bytes.toString('latin1', start, start + ID_LENGTH)
}

/** A line that is no JSON was changed by somebody: verification says so; there is nothing in it to go on with. */
function parsed(bytes: Buffer | null): unknown {
  try {
    return bytes === null ? null : JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
}

function eventIn(bytes: Buffer | null): AuditEvent | null {
  return parsed(bytes) as AuditEvent | null
}

function intentIn(bytes: Buffer | null): AuditIntent | null {
  return parsed(bytes) as AuditIntent | null
}
