import { join } from 'node:path'
import { segmentPath, segmentsOf, writersIn } from './lines.ts'
import { createJournalCheck, type JournalVerdict } from './verify/journal-check.ts'
import { checkSegment } from './verify/segment-lines.ts'
import { createVouchers, type JournalKey, type KeptCheckpoint, type Vouchers } from './verify/vouchers.ts'

export type { JournalFinding, JournalFindingKind } from './verify/finding.ts'
export type { JournalVerdict } from './verify/journal-check.ts'
export type { JournalKey, KeptCheckpoint } from './verify/vouchers.ts'

/** What stands outside of the journal and vouches for it. */
export interface VerifyOptions {
  /**
   * Public keys (Ed25519) of `audit.signingKey`, old ones included: every checkpoint and every `audit.retention` line must be
   * signed with one of them. Without them checkpoints count, but nobody vouches for them.
   */
  readonly publicKeys?: readonly JournalKey[] | undefined
  /** `audit.checkpoint` events as sinks received them: each must stand in the journal at its place, as it is. */
  readonly checkpoints?: readonly KeptCheckpoint[] | undefined
}

/** Segments that are deleted while they are read, because of their age, start the examination again; so often at most. */
const ATTEMPTS = 5

/**
 * Examines a whole journal: every byte of every line, the order and number of lines and files, the signatures. Goes on
 * behind what it finds, so that two changes are two findings. Memory stays flat. A journal that is just being written can be
 * examined. See docs/verifying.md for what findings mean and what no journal can show by itself.
 * @throws {TypeError} where a key is no public key of Ed25519, or a checkpoint is none.
 * @throws what the file system throws, for a directory that is not there.
 */
export async function verifyJournal(directory: string, options: VerifyOptions = {}): Promise<JournalVerdict> {
  const vouchers = createVouchers(
    Object.hasOwn(options, 'publicKeys') ? options.publicKeys : undefined,
    Object.hasOwn(options, 'checkpoints') ? options.checkpoints : undefined,
  )
  for (let attempt = 1; ; attempt += 1) {
    const verdict = await examine(directory, vouchers, attempt < ATTEMPTS)
    if (verdict !== null) return verdict
  }
}

/** `null`: a file went away after it was listed. A deletion is in the journal before it is done, so what is missing in the list can be judged. */
async function examine(directory: string, vouchers: Vouchers, again: boolean): Promise<JournalVerdict | null> {
  const check = createJournalCheck(vouchers)
  for (const [writer, segments] of await filesIn(directory)) {
    const own = check.writer(writer)
    for (const segment of segments) {
      try {
        await checkSegment(join(directory, segmentPath(writer, segment)), segment, own)
      } catch (error) {
        if (!isGone(error)) throw error
        if (again) return null
      }
    }
    own.end()
  }
  return check.verdict()
}

async function filesIn(directory: string): Promise<readonly (readonly [string, readonly number[]])[]> {
  const files: (readonly [string, readonly number[]])[] = []
  for (const writer of await writersIn(directory)) {
    try {
      files.push([writer, await segmentsOf(directory, writer)])
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
  return files
}

function isGone(error: unknown): boolean {
  return error instanceof Error && Reflect.get(error, 'code') === 'ENOENT'
}
