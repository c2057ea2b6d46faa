import { open } from 'node:fs/promises'
import { ownMember } from '../../lib/own-member.ts'

/** Whole lines stand in it: a line is at most 32 KiB. */
const CHUNK = 131_072
const NEWLINE = 10

/** When the first line of a file was written, epoch milliseconds; `null`: that cannot be told. */
export async function firstInstant(path: string): Promise<number | null> {
  const { bytes } = await readPart(path, () => 0)
  const end = bytes.indexOf(NEWLINE)
  return end === -1 ? null : instantOf(bytes.subarray(0, end))
}

/** When the last whole line of a file was written. */
export async function lastInstant(path: string): Promise<number | null> {
  const { bytes } = await readPart(path, (size) => Math.max(0, size - CHUNK))
  for (let end = bytes.lastIndexOf(NEWLINE); end > 0;) {
    const start = bytes.lastIndexOf(NEWLINE, end - 1)
    const instant = instantOf(bytes.subarray(start + 1, end))
    if (instant !== null) return instant
    end = start
  }
  return null
}

/** Where the first line starts that begins at an offset or behind it; in a file with none, its end. */
export async function lineStart(path: string, from: number): Promise<number> {
  if (from <= 0) return 0
  for (let at = from - 1; ; at += CHUNK) {
    const { bytes, size } = await readPart(path, () => at)
    const end = bytes.indexOf(NEWLINE)
    if (end !== -1) return at + end + 1
    if (at + bytes.length >= size) return size
  }
}

/** Where the last whole line ends. */
export async function lastLineEnd(path: string): Promise<number> {
  let before = Number.POSITIVE_INFINITY
  for (;;) {
    const { bytes, start } = await readPart(path, (size) => Math.max(0, Math.min(before, size) - CHUNK))
    const end = bytes.lastIndexOf(NEWLINE)
    if (end !== -1) return start + end + 1
    if (start === 0) return 0
    before = start
  }
}

interface Part {
  readonly bytes: Buffer
  readonly start: number
  readonly size: number
}

async function readPart(path: string, startOf: (size: number) => number): Promise<Part> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const start = startOf(size)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(CHUNK), 0, CHUNK, start)
    return { bytes: buffer.subarray(0, bytesRead), start, size }
  } finally {
    await file.close()
  }
}

/** An event has `recorded`, an intent `time`. */
function instantOf(bytes: Buffer): number | null {
  try {
    const line: unknown = JSON.parse(bytes.toString('utf8'))
    const text = ownMember(line, 'recorded') ?? ownMember(line, 'time')
    const ms = typeof text === 'string' ? Date.parse(text) : Number.NaN
    return Number.isNaN(ms) ? null : ms
  } catch {
    return null
  }
}
