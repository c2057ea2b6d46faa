import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { ownMember } from '../../lib/own-member.ts'
import type { AuditEvent } from '../event.ts'
import type { AuditLine } from '../sink.ts'
import type { Cursor } from './cursor.ts'
import { segmentPath, segmentsOf } from './lines.ts'

/** Events from one place of a writer's journal on, and the place behind them. */
export interface Batch {
  readonly lines: readonly AuditLine[]
  readonly next: Cursor
}

const MAX_LINES = 500
const MAX_BYTES = 1_048_576
const NEWLINE = 10
const INTENT_PREFIX = Buffer.from('{"v":1,"intent":"')

/**
 * The next events behind a cursor, at most 500 lines or 1 MiB; none: the journal ends here for now. Lines that are no
 * events (intents, and what somebody has broken) are passed over, and so is what the cursor's `seq` covers already: after a
 * failed flush lines stand in the next segment again.
 * @throws what the file system throws.
 */
export async function readBatch(directory: string, writer: string, from: Cursor): Promise<Batch> {
  // Looked for first: a segment that has one behind it is final, and what is read of it is all that there is.
  const later = (await segmentsOf(directory, writer)).find((segment) => segment > from.segment)
  const chunk = await readChunk(join(directory, segmentPath(writer, from.segment)), from.offset)
  const lines: AuditLine[] = []
  let { offset, seq } = from
  let start = 0
  let ahead = Number.NaN
  for (let end = chunk.indexOf(NEWLINE); end !== -1 && lines.length < MAX_LINES; end = chunk.indexOf(NEWLINE, start)) {
    const line = eventIn(chunk.subarray(start, end), { writer, seq })
    if (line !== null) {
      lines.push(line)
      // Whoever writes one number far ahead must not silence those that are due; where lines are missing, two in a row tell.
      const number = line.event.seq
      if (number === seq + 1 || seq === 0 || number === ahead + 1) seq = number
      ahead = number
    }
    offset += end + 1 - start
    start = end + 1
  }
  const next = { segment: from.segment, offset, seq }
  if (start > 0) return { lines: Object.freeze(lines), next }
  return later === undefined ? { lines: [], next } : readBatch(directory, writer, { segment: later, offset: 0, seq })
}

async function readChunk(path: string, offset: number): Promise<Buffer> {
  try {
    const file = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(MAX_BYTES), 0, MAX_BYTES, offset)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  } catch (error) {
    // Deleted because of its age, or not there yet.
    if (ownMember(error, 'code') === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

function eventIn(bytes: Buffer, after: { readonly writer: string; readonly seq: number }): AuditLine | null {
  if (bytes.subarray(0, INTENT_PREFIX.length).equals(INTENT_PREFIX)) return null
  const text = bytes.toString('utf8')
  try {
    const event = JSON.parse(text) as AuditEvent
    const seq = ownMember(event, 'seq')
    const isDue = typeof seq === 'number' && seq > after.seq && ownMember(event, 'writer') === after.writer
    return isDue ? Object.freeze({ event: Object.freeze(event), text }) : null
  } catch {
    return null
  }
}
