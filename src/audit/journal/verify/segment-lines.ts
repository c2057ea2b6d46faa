import { open, type FileHandle } from 'node:fs/promises'
import { MAX_LINE_BYTES, type WriterCheck } from './writer-check.ts'

const NEWLINE = 10
const BUFFER_BYTES = 262_144

/**
 * Hands a segment and its lines to a check, up to where the file ends now: a writer that goes on writing is not run after.
 * One buffer serves for all.
 * @throws what the file system throws.
 */
export async function checkSegment(path: string, segment: number, check: WriterCheck): Promise<void> {
  const file = await open(path)
  try {
    check.segment(segment)
    await readLines(file, (await file.stat()).size, check)
  } finally {
    await file.close()
  }
}

async function readLines(file: FileHandle, size: number, check: Pick<WriterCheck, 'line' | 'tail'>): Promise<void> {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  let held = 0
  /** The line that stands at the beginning of the buffer is longer than a line can be: it is let go as it comes. */
  let endless = false
  for (let position = 0; position < size;) {
    const { bytesRead } = await file.read(buffer, held, Math.min(BUFFER_BYTES - held, size - position), position)
    if (bytesRead === 0) break
    position += bytesRead
    const end = held + bytesRead
    const whole = buffer.subarray(0, end)
    let start = 0
    for (let stop = whole.indexOf(NEWLINE, held); stop !== -1; stop = whole.indexOf(NEWLINE, start)) {
      check.line(endless ? null : whole.subarray(start, stop))
      endless = false
      start = stop + 1
    }
    held = end - start
    if (held > MAX_LINE_BYTES) {
      endless = true
      held = MAX_LINE_BYTES
    }
    buffer.copyWithin(0, start, start + held)
  }
  if (held > 0) check.tail(buffer.subarray(0, held))
}
