import { segmentsOf, writersIn } from '../../audit/journal/lines.ts'
import { isGone, unreadable } from './directory.ts'
import { firstInstant, lastInstant } from './ends.ts'
import type { Broken } from './broken.ts'
import { entriesIn, pathOf, type Entry, type SegmentPlace } from './segment.ts'

export interface JournalReading {
  readonly directory: string
  /** Epoch milliseconds: nothing older is wanted. Whole segments that are older are not read; single events may come all the same. */
  readonly since: number | null
  readonly broken: Broken
}

/** A clock that was set back by less than this hides nothing from a search. */
const SLACK_MS = 86_400_000

/**
 * The events of all writers in the order in which they were recorded. A writer is opened when its turn comes, so that memory
 * holds to the number of processes that wrote at the same time.
 * @throws {CommandError} with exit code 4 where the directory cannot be read.
 */
export async function* journalEntries(reading: JournalReading): AsyncGenerator<Entry, void, undefined> {
  const open: Stream[] = []
  try {
    const waiting = [...(await writersToRead(reading))].toReversed()
    for (;;) {
      await openDue(reading, waiting, open)
      const next = earliest(open)
      if (next?.head === undefined) return
      yield next.head
      if (!(next.advance() || (await next.read()))) open.splice(open.indexOf(next), 1)
    }
  } catch (error) {
    throw unreadable(error)
  } finally {
    for (const stream of open) await stream.close()
  }
}

/** Opens those whose first event may come before all that are open. */
async function openDue(reading: JournalReading, waiting: WriterSegments[], open: Stream[]): Promise<void> {
  for (let next = waiting.at(-1); next !== undefined; next = waiting.at(-1)) {
    const head = earliest(open)?.head
    if (head !== undefined && next.start > head.recorded) return
    waiting.pop()
    const stream = createStream(reading, next)
    if (await stream.read()) open.push(stream)
  }
}

function earliest(open: readonly Stream[]): Stream | undefined {
  let found: Stream | undefined
  for (const stream of open) {
    if (found === undefined || (stream.head?.recorded ?? 0) < (found.head?.recorded ?? 0)) found = stream
  }
  return found
}

interface WriterSegments {
  readonly writer: string
  readonly segments: readonly number[]
  /** When its first line was written, or before. */
  readonly start: number
}

/** Those with something to read, the first first. */
async function writersToRead({ directory, since }: JournalReading): Promise<readonly WriterSegments[]> {
  const found: WriterSegments[] = []
  for (const writer of await writersIn(directory)) {
    const segments = await segmentsFrom({ directory, since, writer })
    const [first] = segments
    if (first === undefined) continue
    const start = await unlessGone(firstInstant(pathOf({ directory, writer, segment: first })))
    found.push({ writer, segments, start: start ?? Number.NEGATIVE_INFINITY })
  }
  return found.toSorted((a, b) => a.start - b.start || (a.writer < b.writer ? -1 : 1))
}

interface WriterReading {
  readonly directory: string
  readonly since: number | null
  readonly writer: string
}

/** From the last one backwards: what stands before a segment that is too old is older still. */
async function segmentsFrom({ directory, since, writer }: WriterReading): Promise<readonly number[]> {
  const all = await segmentsOf(directory, writer)
  if (since === null) return all
  const kept: number[] = []
  for (const segment of all.toReversed()) {
    const end = await unlessGone(lastInstant(pathOf({ directory, writer, segment })))
    if (end !== null && end < since - SLACK_MS) break
    kept.unshift(segment)
  }
  return kept
}

async function unlessGone<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** One writer's events. */
interface Stream {
  /** The next event; before the first `read` and at the end there is none. */
  readonly head: Entry | undefined
  /** To the next one that is read already; `false`: there is none. */
  advance(): boolean
  /** To the next one; `false`: there are no more. */
  read(): Promise<boolean>
  close(): Promise<void>
}

function createStream({ directory, broken }: JournalReading, { writer, segments }: WriterSegments): Stream {
  const groups = groupsOf({ directory, writer, segments }, broken)
  let group: readonly Entry[] = []
  let at = 0
  return {
    get head() {
      return group[at]
    },
    advance() {
      at += 1
      return at < group.length
    },
    async read() {
      const next = await groups.next()
      group = next.done === true ? [] : next.value
      at = 0
      return next.done !== true
    },
    async close() {
      await groups.return()
    },
  }
}

/** Only a writer's last segment may end in the middle of a line. */
async function* groupsOf(
  { directory, writer, segments }: Omit<SegmentPlace, 'segment'> & { readonly segments: readonly number[] },
  broken: Broken,
): AsyncGenerator<readonly Entry[], void, undefined> {
  for (const [index, segment] of segments.entries()) {
    const place = { directory, writer, segment }
    const tail = yield* entriesIn(place, broken)
    if (index < segments.length - 1) broken.noteTail(place, tail)
  }
}

/** When the journal begins, epoch milliseconds; `null`: nothing stands in it. */
export async function journalStart(directory: string): Promise<number | null> {
  try {
    let start: number | null = null
    for (const writer of await writersIn(directory)) {
      const [segment] = await segmentsOf(directory, writer)
      const first =
        segment === undefined ? null : await unlessGone(firstInstant(pathOf({ directory, writer, segment })))
      if (first !== null && (start === null || first < start)) start = first
    }
    return start
  } catch (error) {
    throw unreadable(error)
  }
}
