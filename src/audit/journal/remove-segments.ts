import { readdir, rmdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ownMember } from '../../lib/own-member.ts'
import { segmentPath } from './lines.ts'

/** Says nothing without the segments: how far sinks had got, and what a look at the clock of the file system leaves. */
const SPENT = /^(?:cursor-[a-z0-9-]{1,64}\.json(?:\.new)?|look-\d+)$/
const DEAD_LETTERS = /^dead-[a-z0-9-]{1,64}\.jsonl$/
/** A process makes its folder, and writes its first file into it, within moments. */
const MOMENTS_MS = 3_600_000

/** One after the other, in the order given; those that are gone already do no harm. @throws what the file system throws. */
export async function removeSegments(directory: string, writer: string, segments: readonly number[]): Promise<void> {
  for (const segment of segments) await unlinkIfThere(join(directory, segmentPath(writer, segment)))
}

/**
 * Whether a folder without segments is what is left of a writer, and nothing is in it that anybody needs.
 * @throws what the file system throws.
 */
export async function isSpent(directory: string, writer: string, nowMs: number): Promise<boolean> {
  const folder = join(directory, writer)
  const { mtimeMs } = await stat(folder)
  if (nowMs - mtimeMs < MOMENTS_MS) return false
  const names = await readdir(folder)
  return (await spentFiles(folder)).length === names.length
}

/** All that is of no use without the segments; dead letters are. @throws what the file system throws. */
export async function removeSpentFiles(directory: string, writer: string): Promise<void> {
  const folder = join(directory, writer)
  for (const name of await spentFiles(folder)) await unlinkIfThere(join(folder, name))
}

/** Only where nothing is in it. @throws what the file system throws. */
export async function removeEmptyFolder(directory: string, writer: string): Promise<void> {
  await unless(['ENOTEMPTY', 'EEXIST', 'ENOENT'], rmdir(join(directory, writer)))
}

async function spentFiles(folder: string): Promise<readonly string[]> {
  const spent: string[] = []
  for (const name of await readdir(folder)) {
    const isEmpty = DEAD_LETTERS.test(name) && (await stat(join(folder, name))).size === 0
    if (isEmpty || SPENT.test(name)) spent.push(name)
  }
  return spent
}

async function unlinkIfThere(path: string): Promise<void> {
  await unless(['ENOENT'], unlink(path))
}

async function unless(codes: readonly string[], work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!codes.includes(String(ownMember(error, 'code')))) throw error
  }
}
