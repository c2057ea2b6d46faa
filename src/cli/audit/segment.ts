import { join } from 'node:path'
import type { AuditEvent } from '../../audit/event.ts'
import { EndlessLine, linesIn, segmentPath, type Tail } from '../../audit/journal/lines.ts'
import { isGone } from './directory.ts'
import { isWholeEvent } from './shape.ts'
import type { Broken } from './broken.ts'

/** One event of a journal, with the exact text of its line. */
export interface Entry {
  readonly event: AuditEvent
  readonly text: string
  /** Epoch milliseconds. */
  readonly recorded: number
  /** Where its line starts in the segment, in bytes. */
  readonly offset: number
}

export interface SegmentPlace {
  readonly directory: string
  readonly writer: string
  readonly segment: number
}

/** Where the whole lines of a writer end that somebody has read. */
export interface Position {
  readonly segment: number
  readonly offset: number
}

export function pathOf({ directory, writer, segment }: SegmentPlace): string {
  return join(directory, segmentPath(writer, segment))
}

/**
 * The events of a segment from an offset on (the start of a line), in groups as they are read, and at last what stands
 * behind the last line. Intents are passed over; lines that are neither are noted, and passed over as well. A segment that
 * is not there has no events.
 */
export async function* entriesIn(
  place: SegmentPlace,
  broken: Broken,
  from = 0,
): AsyncGenerator<readonly Entry[], Tail, undefined> {
  const file = segmentPath(place.writer, place.segment)
  const groups = linesIn(pathOf(place), from)
  let line = 0
  try {
    for (let group = await groups.next(); ; group = await groups.next()) {
      if (group.done === true) return group.value
      const entries: Entry[] = []
      for (const { bytes, offset } of group.value) {
        line += 1
        const entry = entryOf(bytes, offset)
        if (entry === 'broken') broken.note({ file, offset, line: from === 0 ? line : null })
        else if (entry !== 'intent') entries.push(entry)
      }
      if (entries.length > 0) yield entries
    }
  } catch (error) {
    if (isGone(error)) return { offset: from, length: 0 }
    if (!(error instanceof EndlessLine)) throw error
    broken.note({ file, offset: error.offset, line: from === 0 ? line + 1 : null })
    return { offset: error.offset, length: 0 }
  } finally {
    await groups.return({ offset: 0, length: 0 })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const INTENT = '{"v":1,"intent":'

/** Half of all lines are intents: their beginning tells. */
function entryOf(bytes: Buffer, offset: number): Entry | 'intent' | 'broken' {
  if (bytes.toString('latin1', 0, INTENT.length) === INTENT) return 'intent'
  try {
    const text = utf8.decode(bytes)
    const event: unknown = JSON.parse(text)
    if (isWholeEvent(event)) return { event, text, recorded: Date.parse(event.recorded), offset }
  } catch {
    // The parser's own message quotes the line.
  }
  return 'broken'
}
