import type { AuditEvent } from '../../event.ts'
import type { Place } from './finding.ts'

/** What a signature or a sink says of a line: that it is the one, or what is wrong with it. */
export type Standing = 'good' | 'altered' | 'signature' | 'unknown'

/** A line, as far as its neighbours are concerned. */
export interface LinkedLine {
  readonly sort: 'event' | 'intent'
  /** `seq` of an event, `n` of an intent. */
  readonly number: number
  readonly prev: string | null
  /** SHA-256 (hex) of its bytes. */
  readonly hash: string
  readonly place: Place
  /** It names the writer in whose folder it lies. */
  readonly own: boolean
  readonly standing: Standing
  /** From 1, over all lines of the writer that can be read. */
  readonly index: number
  /** The event, where it is one of the recorder's own. */
  readonly system: AuditEvent | null
}

/** Where a chain has come to. */
export interface Mark {
  /** What the next line names: `null` at the beginning, `undefined` where it is not known. */
  readonly hash: string | null | undefined
  /** Last numbers; `NaN`: not known. */
  readonly seq: number
  readonly n: number
  /** `null`: no line yet. */
  readonly place: Place | null
}

/** The beginning of a journal, or what differs from it. */
export function newMark(change: Partial<Mark> = {}): Mark {
  return { hash: null, seq: 0, n: 0, place: null, ...change }
}

export function after(mark: Mark, { sort, number, hash, place }: LinkedLine): Mark {
  return sort === 'event' ? { hash, seq: number, n: mark.n, place } : { hash, seq: mark.seq, n: number, place }
}

/** The number of a line counts, wherever it stands. */
export function reach(mark: Mark, { sort, number }: LinkedLine): Mark {
  return sort === 'event' ? { ...mark, seq: Math.max(mark.seq, number) } : { ...mark, n: Math.max(mark.n, number) }
}

export function furthest(mark: Mark, { seq, n }: Mark): Mark {
  return { ...mark, seq: Math.max(mark.seq, seq), n: Math.max(mark.n, n) }
}

/** 0: the next number. Above: so many are missing. Below: it was there already. */
export function stepOf(mark: Mark, { sort, number }: LinkedLine): number {
  const last = sort === 'event' ? mark.seq : mark.n
  return Number.isNaN(last) ? 0 : number - last - 1
}

export function isNext(mark: Mark, line: LinkedLine): boolean {
  return line.own && (mark.hash === undefined || line.prev === mark.hash) && stepOf(mark, line) === 0
}

/** The mark before `line`, where lines of the other sort may be missing, nobody knows how many. */
export function unknownBeside(mark: Mark, { sort }: LinkedLine): Mark {
  return sort === 'event' ? { ...mark, n: Number.NaN } : { ...mark, seq: Number.NaN }
}

/** The mark before `next`, where one line is missing: the numbers tell of which sort. */
export function besideOne(mark: Mark, next: LinkedLine): Mark {
  if (Number.isNaN(next.sort === 'event' ? mark.seq : mark.n)) return unknownBeside(mark, next)
  if (stepOf(mark, next) === 1) return mark
  return next.sort === 'event' ? { ...mark, n: mark.n + 1 } : { ...mark, seq: mark.seq + 1 }
}
