import { stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { segmentsOf, writersIn } from '../../audit/journal/lines.ts'
import type { Broken } from './broken.ts'
import { isGone, unreadable } from './directory.ts'
import type { Filter } from './filter.ts'
import type { EventPrinter } from './printer.ts'
import { entriesIn, pathOf, type Entry, type Position, type SegmentPlace } from './segment.ts'
import { CommandError, EXIT } from '../command-error.ts'
import type { Shell } from '../shell.ts'

export interface Following {
  readonly shell: Shell
  readonly directory: string
  readonly broken: Broken
  readonly filter: Filter
  readonly printer: EventPrinter
  /** By writer: what stands before is known. Writers that are not named are new. */
  readonly ends: Map<string, Position>
}

const POLL_MS = 250
/** A writer with nothing new for so many rounds (a minute) is looked at in every fortieth (ten seconds). */
const QUIET_ROUNDS = 240
const SELDOM = 40
/** So many are put in order; what comes at once beyond that stays in the order of the writers. */
const MAX_SORTED = 1000

/** Prints what is written from now on, until Ctrl-C: that is how it ends, and no failure. */
export async function followJournal(following: Following): Promise<void> {
  const quiet = new Map<string, number>()
  try {
    for (let round = 0; ; round += 1) {
      await lookOnce(following, { quiet, round })
      await following.shell.unlessInterrupted(delay(POLL_MS))
    }
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode !== EXIT.interrupted) throw unreadable(error)
  }
}

interface Round {
  /** By writer: rounds without anything new. */
  readonly quiet: Map<string, number>
  readonly round: number
}

async function lookOnce(following: Following, { quiet, round }: Round): Promise<void> {
  let fresh: Entry[] = []
  const emit = async (): Promise<void> => {
    for (const entry of fresh.toSorted((a, b) => a.recorded - b.recorded)) await following.printer.print(entry)
    await following.printer.flush()
    fresh = []
  }
  for (const writer of await writersIn(following.directory)) {
    const rounds = quiet.get(writer) ?? 0
    if (rounds > QUIET_ROUNDS && round % SELDOM !== 0) continue
    quiet.set(writer, rounds + 1)
    for await (const group of newEntries(following, writer)) {
      quiet.set(writer, 0)
      fresh.push(...group.filter(({ event }) => following.filter.accepts(event)))
      if (fresh.length > MAX_SORTED) await emit()
    }
  }
  await emit()
}

/** What the writer has written since the last look, over all its segments. */
async function* newEntries(
  { directory, broken, ends }: Following,
  writer: string,
): AsyncGenerator<readonly Entry[], void, undefined> {
  const segments = await segmentsOf(directory, writer)
  const [first] = segments
  if (first === undefined) return
  const known = ends.get(writer) ?? { segment: first, offset: 0 }
  const left = segments.filter((segment) => segment >= known.segment)
  for (const [index, segment] of left.entries()) {
    const place = { directory, writer, segment }
    const from = segment === known.segment ? known.offset : 0
    if (index === left.length - 1 && (await sizeOf(place)) <= from) {
      ends.set(writer, { segment, offset: from })
      continue
    }
    const tail = yield* entriesIn(place, broken, from)
    // There is a later one: nothing is added to this any more.
    if (index < left.length - 1) broken.noteTail(place, tail)
    ends.set(writer, { segment, offset: tail.offset })
  }
}

async function sizeOf(place: SegmentPlace): Promise<number> {
  try {
    return (await stat(pathOf(place))).size
  } catch (error) {
    if (isGone(error)) return 0
    throw error
  }
}
