import { segmentsOf, writersIn } from '../../audit/journal/lines.ts'
import { createBroken, type Broken } from './broken.ts'
import { auditDirectory, isGone, unreadable, type DirectoryOptions } from './directory.ts'
import { lastInstant, lastLineEnd, lineStart } from './ends.ts'
import { readFilter, type Filter, type FilterOptions } from './filter.ts'
import { followJournal } from './follow.ts'
import { createEventPrinter } from './printer.ts'
import { entriesIn, pathOf, type Entry, type Position, type SegmentPlace } from './segment.ts'
import type { ExitCode } from '../command-error.ts'
import type { Output } from '../keys/actions.ts'
import { readCount } from '../read-values.ts'
import type { Shell } from '../shell.ts'

export interface TailOptions extends DirectoryOptions, FilterOptions, Output {
  readonly lines: string
  readonly follow?: boolean
}

/** `hc-auth audit tail` */
export async function tailAudit(shell: Shell, options: TailOptions): Promise<ExitCode> {
  const directory = auditDirectory(shell, options)
  const count = readCount('-n', options.lines)
  const filter = await readFilter(shell, options)
  const printer = createEventPrinter(shell, options)
  const broken = createBroken()
  const ends = await endsOf(directory)
  const latest = { shell, directory, broken, filter, ends, count }
  for (const entry of await latestEntries(latest)) await printer.print(entry)
  await printer.flush()
  if (options.follow === true) await followJournal({ shell, directory, broken, filter, printer, ends })
  else if (ends.size === 0) shell.narrate('There is no journal in this directory.')
  return broken.verdict(shell)
}

/** What is written from now on is for whoever follows. */
async function endsOf(directory: string): Promise<Map<string, Position>> {
  try {
    const ends = new Map<string, Position>()
    for (const writer of await writersIn(directory)) {
      const segment = (await segmentsOf(directory, writer)).at(-1)
      if (segment === undefined) continue
      ends.set(writer, { segment, offset: await lastLineEnd(pathOf({ directory, writer, segment })) })
    }
    return ends
  } catch (error) {
    throw unreadable(error)
  }
}

export interface Latest {
  readonly shell: Pick<Shell, 'goOn'>
  readonly directory: string
  readonly broken: Broken
  readonly filter: Filter
  /** By writer: what stands behind is not looked at. */
  readonly ends: ReadonlyMap<string, Position>
  readonly count: number
}

/** The last events over all writers, oldest first. Whoever wrote last is read first: what is too old then is not read at all. */
export async function latestEntries(latest: Latest): Promise<readonly Entry[]> {
  try {
    let found: readonly Entry[] = []
    for (const { writer, end } of await writersByEnd(latest)) {
      if (found.length === latest.count && isBefore(end, found[0])) break
      const more = await lastOfWriter(latest, writer, found.length < latest.count ? undefined : found[0])
      found = [...found, ...more].toSorted((a, b) => a.recorded - b.recorded).slice(-latest.count)
    }
    return found
  } catch (error) {
    throw unreadable(error)
  }
}

interface WriterEnd {
  readonly writer: string
  /** When its last line was written; `null`: that cannot be told. */
  readonly end: number | null
}

async function writersByEnd({ directory, ends }: Latest): Promise<readonly WriterEnd[]> {
  const found: WriterEnd[] = []
  for (const [writer, { segment }] of ends) found.push({ writer, end: await endOf({ directory, writer, segment }) })
  return found.toSorted((a, b) => (b.end ?? Infinity) - (a.end ?? Infinity))
}

async function endOf(place: SegmentPlace): Promise<number | null> {
  try {
    return await lastInstant(pathOf(place))
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** A last line that is an intent tells when its request was received, which may be a while before. */
const SLACK_MS = 3_600_000

function isBefore(end: number | null, oldest: Entry | undefined): boolean {
  return end !== null && oldest !== undefined && end + SLACK_MS < oldest.recorded
}

/** From its end backwards, until there are enough, or what comes is older than `oldest`, which would be pushed out. */
async function lastOfWriter(latest: Latest, writer: string, oldest: Entry | undefined): Promise<Entry[]> {
  const { directory, count, ends } = latest
  const last = ends.get(writer)?.segment ?? 0
  let found: Entry[] = []
  for (const segment of (await segmentsOf(directory, writer)).filter((each) => each <= last).toReversed()) {
    const end = found.length === 0 ? await endOf({ directory, writer, segment }) : null
    if (isBefore(end, oldest)) break
    found = [...(await lastOfSegment(latest, { directory, writer, segment })), ...found].slice(-count)
    if (found.length === count) break
  }
  return found
}

/** Bytes from the end: few first, since few are wanted as a rule. */
const REACHES = [262_144, 4_194_304, Number.POSITIVE_INFINITY]

async function lastOfSegment(latest: Latest, place: SegmentPlace): Promise<readonly Entry[]> {
  const { count, ends } = latest
  const position = ends.get(place.writer)
  const limit = position?.segment === place.segment ? position.offset : Number.POSITIVE_INFINITY
  for (const reach of REACHES) {
    const from = await startFor(place, { limit, reach })
    const found = await acceptedIn(latest, { place, from, limit })
    if (found.length === count || from === 0) return found
  }
  return []
}

async function startFor(place: SegmentPlace, { limit, reach }: { limit: number; reach: number }): Promise<number> {
  try {
    const path = pathOf(place)
    const end = Number.isFinite(limit) ? limit : await lastLineEnd(path)
    return Number.isFinite(reach) ? await lineStart(path, end - reach) : 0
  } catch (error) {
    if (isGone(error)) return 0
    throw error
  }
}

async function acceptedIn(
  { shell, broken, filter, count }: Latest,
  { place, from, limit }: { readonly place: SegmentPlace; readonly from: number; readonly limit: number },
): Promise<readonly Entry[]> {
  let found: Entry[] = []
  for await (const group of entriesIn(place, broken, from)) {
    shell.goOn()
    for (const entry of group) if (entry.offset < limit && filter.accepts(entry.event)) found.push(entry)
    if (found.length > count * 2) found = found.slice(-count)
  }
  return found.slice(-count)
}
