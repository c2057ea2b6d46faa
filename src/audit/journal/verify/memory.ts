import type { DraftFinding, Place } from './finding.ts'
import { isNext, newMark, stepOf, type LinkedLine, type Mark } from './mark.ts'

/** What was noticed of one writer and may explain something later. Bounded. */
export interface Memory {
  /** The line stands in the chain. */
  passed(mark: Mark, line: LinkedLine): void
  /** This is a copy of a line that stands in the chain. */
  hasPassed(line: LinkedLine): boolean
  /** The line in the chain that this one names as the one before, although others stand between them. */
  branchOf(line: LinkedLine): Branch | null
  /** A line with this hash is not before `place`, where it should be. */
  missing(hash: string | null, finding: DraftFinding, place: Place): void
  /** The finding for the place where this line is missed. */
  missed(line: LinkedLine): DraftFinding | null
  /** The finding for what is missing there. */
  holeAt(place: Place): DraftFinding | null
  displaced(displaced: Displaced): void
  displacedAs(hash: string | null): Displaced | null
  /** The one that would be next. */
  displacedBehind(tip: Mark): Displaced | null
  /**
   * The finding says `altered`, but lines of the other sort may have stood before `line` and be gone: their numbers will tell.
   */
  doubt(finding: DraftFinding, line: LinkedLine): void
  /** What was in doubt, if the gap in the numbers before this line belongs to it. */
  doubtOf(line: LinkedLine): DraftFinding | null
  forget(): void
}

export interface Branch {
  readonly mark: Mark
  /** Of the first line between. */
  readonly next: Place
}

/** A line, or several that follow each other, where they should not be. */
export interface Displaced {
  readonly finding: DraftFinding
  /** Of the last of them. */
  readonly hash: string | null | undefined
  /** The numbers so far, with theirs. */
  readonly reached: Mark
  /** Where it is but one. */
  readonly line?: LinkedLine
}

interface Hole {
  readonly finding: DraftFinding
  readonly place: Place
}

interface Doubt extends Hole {
  readonly sort: LinkedLine['sort']
}

/** Whoever forges more lines in one place is found all the same, at the end of them. */
const PASSED = 1024
const NOTES = 1000

export function createMemory(): Memory {
  const holes = new Map<string, Hole>()
  const displaced = new Map<string, Displaced>()
  const passed = createPassed()
  let doubt: Doubt | null = null

  const missing = (hash: string | null, finding: DraftFinding, place: Place): void => {
    if (hash !== null && holes.size < NOTES) holes.set(hash, { finding, place })
  }
  const explain = (hole: Hole): DraftFinding => {
    hole.finding.place = hole.place
    if (doubt?.finding === hole.finding) doubt = null
    return hole.finding
  }

  return Object.freeze({
    ...passed,
    passed(mark: Mark, { sort }: LinkedLine) {
      passed.add(mark)
      if (doubt?.sort === sort) doubt = null
    },
    missing,
    missed({ hash }: LinkedLine) {
      const hole = holes.get(hash)
      return hole === undefined ? null : explain(hole)
    },
    holeAt({ segment, line }: Place) {
      for (const hole of holes.values())
        if (hole.place.segment === segment && hole.place.line === line) return explain(hole)
      return null
    },
    displaced(each: Displaced) {
      if (typeof each.hash === 'string' && displaced.size < NOTES) displaced.set(each.hash, each)
    },
    displacedAs: (hash: string | null) => (hash === null ? null : (displaced.get(hash) ?? null)),
    displacedBehind(tip: Mark) {
      if (tip.hash === undefined) return null
      for (const each of displaced.values()) if (each.line !== undefined && isNext(tip, each.line)) return each
      return null
    },
    doubt(finding: DraftFinding, { sort, place, prev }: LinkedLine) {
      doubt = { finding, place, sort: sort === 'event' ? 'intent' : 'event' }
      missing(prev, finding, place)
    },
    doubtOf: ({ sort }: LinkedLine) => (doubt?.sort === sort ? explain(doubt) : null),
    forget() {
      passed.clear()
      doubt = null
    },
  })
}

/** The last lines that stand in the chain, the beginning before the first among them. */
function createPassed(): Pick<Memory, 'hasPassed' | 'branchOf'> & { add(mark: Mark): void; clear(): void } {
  const ring: Mark[] = [newMark()]
  let count = 1
  return {
    add(mark) {
      ring[count % PASSED] = mark
      count += 1
    },
    clear() {
      ring.length = 0
      count = 0
    },
    hasPassed: ({ hash }) => ring.some((mark) => mark.hash === hash),
    branchOf(line) {
      for (let back = 2; back <= Math.min(count, PASSED); back += 1) {
        const mark = ring[(count - back) % PASSED]
        const next = ring[(count - back + 1) % PASSED]?.place ?? null
        if (mark?.hash === line.prev && next !== null) return stepOf(mark, line) >= 0 ? { mark, next } : null
      }
      return null
    },
  }
}
