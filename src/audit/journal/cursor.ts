import { open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { inheritingNothing } from '../../lib/inheriting-nothing.ts'
import { ownMember } from '../../lib/own-member.ts'
import { segmentPath, segmentsOf } from './lines.ts'

/** How far a sink has got in one writer's journal: all before this place is taken. */
export interface Cursor {
  readonly segment: number
  /** In bytes; the start of a line. */
  readonly offset: number
  /** Of the last event that was taken; 0: none. */
  readonly seq: number
}

export const START: Cursor = Object.freeze({ segment: 1, offset: 0, seq: 0 })

/** The start where there is none, or none that can be read: what a sink has already, it knows. @throws what the file system throws. */
export async function loadCursor(folder: string, sink: string): Promise<Cursor> {
  try {
    const value: unknown = JSON.parse(
      await readFile(pathOf(folder, sink), inheritingNothing({ encoding: 'utf8' as const })),
    )
    const [segment, offset, seq] = ['segment', 'offset', 'seq'].map((name) => ownMember(value, name))
    return isCount(segment) && isCount(offset) && isCount(seq) ? { segment, offset, seq } : START
  } catch (error) {
    if (error instanceof SyntaxError || ownMember(error, 'code') === 'ENOENT') return START
    throw error
  }
}

/** On the disk before it resolves, and never half of it. */
export async function saveCursor(folder: string, sink: string, { segment, offset, seq }: Cursor): Promise<void> {
  const path = pathOf(folder, sink)
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(
      `{"segment":${segment},"offset":${offset},"seq":${seq}}`,
      inheritingNothing({ encoding: 'utf8' as const }),
    )
    await file.datasync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
}

/** Whether the sink has all of a writer's journal as it is now. @throws what the file system throws. */
export async function isCarried(directory: string, writer: string, sink: string): Promise<boolean> {
  const last = (await segmentsOf(directory, writer)).at(-1)
  if (last === undefined) return true
  const { segment, offset } = await loadCursor(join(directory, writer), sink)
  if (segment !== last) return segment > last
  return offset >= (await stat(join(directory, segmentPath(writer, last)))).size
}

function pathOf(folder: string, sink: string): string {
  return join(folder, `cursor-${sink}.json`)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
