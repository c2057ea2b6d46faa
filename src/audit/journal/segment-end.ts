import { hash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import { ownMember } from '../../lib/own-member.ts'

/** How a segment ends that has an event in it. */
export interface SegmentEnd {
  /** SHA-256 (hex) of its last line: what the first line behind it names. */
  readonly lastHash: string
  /** Of its last event, behind which intents may stand. */
  readonly seq: number
  /** Epoch milliseconds. */
  readonly recordedMs: number
}

/** Holds a few lines at least; of one that has no event in it more is read. */
const FIRST_READ_BYTES = 131_072
const NEWLINE = 10
const EVENT_PREFIX = Buffer.from('{"v":1,"id":"')

/**
 * Reads a segment from its end on, and no further than to its last event: a whole one has 64 MiB. `null`: there is no event
 * in it.
 * @throws what the file system throws.
 */
export async function readSegmentEnd(path: string): Promise<SegmentEnd | null> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    for (let length = FIRST_READ_BYTES; ; length *= 8) {
      const start = Math.max(0, size - length)
      const end = endIn(await readFrom(file, start, size), start === 0)
      if (end !== null || start === 0) return end
    }
  } finally {
    await file.close()
  }
}

async function readFrom(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(end - start)
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
  return bytes.subarray(0, bytesRead)
}

/** `isWhole`: the first byte is the first of a line. What stands behind the last newline is no line. */
function endIn(bytes: Buffer, isWhole: boolean): SegmentEnd | null {
  let lastHash: string | null = null
  for (let end = bytes.lastIndexOf(NEWLINE); end !== -1;) {
    const before = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1)
    if (before === -1 && !isWhole) return null
    const line = bytes.subarray(before + 1, end)
    lastHash ??= hash('sha256', line, 'hex')
    const event = eventIn(line)
    if (event !== null) return { lastHash, ...event }
    end = before
  }
  return null
}

function eventIn(line: Buffer): Omit<SegmentEnd, 'lastHash'> | null {
  if (!line.subarray(0, EVENT_PREFIX.length).equals(EVENT_PREFIX)) return null
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    const [seq, recorded] = [ownMember(value, 'seq'), ownMember(value, 'recorded')]
    const recordedMs = typeof recorded === 'string' ? Date.parse(recorded) : Number.NaN
    return Number.isSafeInteger(seq) && !Number.isNaN(recordedMs) ? { seq: seq as number, recordedMs } : null
  } catch {
    return null
  }
}
