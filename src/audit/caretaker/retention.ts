import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { ownMember } from '../../lib/own-member.ts'
import { retentionText, type CheckpointSigner } from '../chain/checkpoint.ts'
import type { AuditDraft, AuditRetention } from '../event.ts'
import { loadCursor } from '../journal/cursor.ts'
import { segmentPath, segmentsOf, writersIn } from '../journal/lines.ts'
import { followOwner, hasOwner } from '../journal/owner.ts'
import { isSpent, removeEmptyFolder, removeSegments, removeSpentFiles } from '../journal/remove-segments.ts'
import { retentionsIn } from '../journal/retention-lines.ts'
import { readSegmentEnd, type SegmentEnd } from '../journal/segment-end.ts'
import type { AuditSink } from '../sink.ts'
import { systemDraft } from '../chain/system-draft.ts'

/** Deletes what is too old, of this process's own journal and of those that nobody writes any more. */
export interface Retention {
  /**
   * One look at all writers. Before anything is deleted an `audit.retention` event tells of it: `append` resolves with
   * whether that is in this process's journal, and on the disk. What a `required` sink has not taken stays.
   * @throws the first thing that the file system throws, after it has looked at the other writers; the next look goes on.
   */
  retire(sinks: readonly AuditSink[], append: (draft: AuditDraft) => Promise<boolean>): Promise<void>
}

export interface RetentionSettings {
  readonly directory: string
  /** This process's own writer: its last segment stays. */
  readonly writer: string
  readonly clock: Clock
  /** A segment is too old when its last event was recorded longer ago than this. */
  readonly localDays: number
  /** Signs the events; `null`: no key is set. */
  readonly signer: CheckpointSigner | null
}

const DAY_MS = 86_400_000
/** A service that was away for longer does not delete until it is started again. */
const CREDIBLE_MS = 30 * DAY_MS

/** One look. */
interface Look extends RetentionSettings {
  /** Names of sinks that hold deletion back. */
  readonly required: readonly string[]
  /** Epoch milliseconds: what was recorded before this is too old. */
  readonly before: number
  /** What this process has told of each writer last. */
  readonly told: Map<string, AuditRetention>
  append(retention: AuditRetention): Promise<boolean>
}

/** The oldest segments of a writer, as many as are to go. */
interface Outdated {
  readonly first: number
  readonly last: number
  readonly end: SegmentEnd
}

export function createRetention(settings: RetentionSettings): Retention {
  const { directory, writer: own, clock, localDays } = settings
  const told = new Map<string, AuditRetention>()
  const watch = createAgeWatch(settings)

  return Object.freeze({
    async retire(sinks: readonly AuditSink[], append: (draft: AuditDraft) => Promise<boolean>) {
      if (!(await watch.isCredible())) return
      const look: Look = {
        ...settings,
        required: sinks.filter(({ acks, required }) => acks && required === true).map(({ name }) => name),
        before: clock.now() - localDays * DAY_MS,
        told,
        append: (retention) => append({ ...systemDraft('audit.retention', clock.now()), retention }),
      }
      const failures: unknown[] = []
      for (const writer of await writersIn(directory)) {
        try {
          await (writer === own ? retireOwn(look) : retireFinished(look, writer))
        } catch (error) {
          // Another process was quicker.
          if (ownMember(error, 'code') !== 'ENOENT') failures.push(error)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  })
}

/** Whether the clock can be believed: a wrong one makes everything old, and what is deleted is gone. */
interface AgeWatch {
  isCredible(): Promise<boolean>
}

function createAgeWatch({ directory, writer, clock }: RetentionSettings): AgeWatch {
  const startedAt = clock.now()
  const apart = startedAt - clock.monotonicMs()
  /** `undefined`: not looked for yet; `null`: there was no journal before. */
  let newestBefore: number | null | undefined
  return {
    async isCredible() {
      const wasSet = Math.abs(clock.now() - clock.monotonicMs() - apart) > DAY_MS
      newestBefore ??= await newestOf(directory, writer)
      const isFarAhead = newestBefore !== null && startedAt - newestBefore > CREDIBLE_MS
      return !wasSet && !isFarAhead
    },
  }
}

/** When the newest event of all others was recorded. */
async function newestOf(directory: string, own: string): Promise<number | null> {
  let newest: number | null = null
  for (const writer of await writersIn(directory)) {
    const last = writer === own ? undefined : (await segmentsOf(directory, writer)).at(-1)
    const end = last === undefined ? null : await readSegmentEnd(join(directory, segmentPath(writer, last)))
    if (end !== null) newest = Math.max(newest ?? 0, end.recordedMs)
  }
  return newest
}

async function retireOwn(look: Look): Promise<void> {
  const { directory, writer } = look
  await retireSegments(look, writer, (await segmentsOf(directory, writer)).slice(0, -1))
}

/** A writer whose folder has an owner is that one's affair, dead or alive: somebody may still write the end of it. */
async function retireFinished(look: Look, writer: string): Promise<void> {
  const { directory, clock, told } = look
  if (hasOwner(directory, writer)) return
  const segments = await segmentsOf(directory, writer)
  const isDue =
    segments.length === 0
      ? await isSpent(directory, writer, clock.now())
      : (await outdated(look, writer, segments)) !== null
  // One process only does it, and who comes later finds another state.
  const owner = isDue ? followOwner(directory, writer) : null
  if (owner === null) return
  let isEmpty = false
  try {
    await retireSegments(look, writer, await segmentsOf(directory, writer))
    isEmpty = (await segmentsOf(directory, writer)).length === 0
    if (isEmpty) await removeSpentFiles(directory, writer)
  } finally {
    owner.release()
  }
  if (!isEmpty) return
  told.delete(writer)
  await removeEmptyFolder(directory, writer)
}

async function retireSegments(look: Look, writer: string, segments: readonly number[]): Promise<void> {
  const { directory, told } = look
  const old = await outdated(look, writer, segments)
  if (old === null) return
  const gone = segments.filter((segment) => segment <= old.last)
  const before = told.get(writer)
  const line = lineOf(look, writer, old)
  const lost = await retentionsIn(directory, writer, gone)
  for (const each of await stillNeeded(look, lost, line)) if (!(await look.append(each))) return
  // A line that was written before the deletion failed says all there is to say.
  if (before?.segments[1] !== line.segments[1] && !(await look.append(line))) return
  told.set(writer, line)
  await removeSegments(directory, writer, gone)
}

/** From the lowest number on, without a hole: what somebody else has taken away must stay missed. */
async function outdated(look: Look, writer: string, segments: readonly number[]): Promise<Outdated | null> {
  const { directory, required, before } = look
  const [first] = segments
  if (first === undefined) return null
  const cursors = await Promise.all(required.map((sink) => loadCursor(join(directory, writer), sink)))
  let found: Outdated | null = null
  for (const [index, segment] of segments.entries()) {
    if (segment !== first + index) break
    const end = await readSegmentEnd(join(directory, segmentPath(writer, segment)))
    // Without an event nobody knows its age; it goes with the next one that has some.
    if (end === null) continue
    const isTaken = cursors.every((cursor) => cursor.segment > segment || cursor.seq >= end.seq)
    if (end.recordedMs >= before || !isTaken) break
    found = { first, last: segment, end }
  }
  return found
}

/** Goes on with what this process has deleted of the writer before: one line then tells of all. */
function lineOf({ told, signer }: Look, writer: string, { first, last, end }: Outdated): AuditRetention {
  const before = told.get(writer)?.segments
  const from = before !== undefined && before[0] <= first && first <= before[1] + 1 ? before[0] : first
  const line = { writer, segments: [from, last] as const, lastSeq: end.seq, lastHash: end.lastHash }
  return Object.freeze({ ...line, signed: signer?.sign(retentionText(line)) ?? null })
}

/**
 * Lines that are about to be deleted themselves, while the hole that they account for can still be seen. They are written
 * again as they are: what somebody else has signed, or has not, is not for us to sign.
 */
async function stillNeeded(
  { directory, told }: Look,
  lost: readonly AuditRetention[],
  newest: AuditRetention,
): Promise<readonly AuditRetention[]> {
  const needed = new Map<string, AuditRetention>()
  for (const line of lost) {
    const key = JSON.stringify([line.writer, line.segments])
    const others = [...lost, newest, told.get(line.writer)]
    if (needed.has(key) || others.some((other) => tellsMore(other, line)) || isSame(newest, line)) continue
    if (await hasMore(directory, line.writer, line.writer === newest.writer ? newest.segments[1] : 0))
      needed.set(key, line)
  }
  return [...needed.values()]
}

/** All that `line` tells, and of later segments. */
function tellsMore(other: AuditRetention | undefined, { writer, segments }: AuditRetention): boolean {
  return (
    other !== undefined &&
    other.writer === writer &&
    other.segments[0] <= segments[0] &&
    other.segments[1] > segments[1]
  )
}

function isSame(one: AuditRetention, { writer, segments }: AuditRetention): boolean {
  return one.writer === writer && one.segments[0] === segments[0] && one.segments[1] === segments[1]
}

async function hasMore(directory: string, writer: string, than: number): Promise<boolean> {
  try {
    return (await segmentsOf(directory, writer)).some((segment) => segment > than)
  } catch (error) {
    if (ownMember(error, 'code') === 'ENOENT') return false
    throw error
  }
}
