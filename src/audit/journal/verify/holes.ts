import type { AuditRetention } from '../../event.ts'
import type { Findings, Place } from './finding.ts'

/** Segments of one writer that are not there. */
export interface Hole {
  readonly writer: string
  readonly first: number
  readonly last: number
  /** The first line behind them. */
  readonly next: Place
  /** What that line names as the one before; `undefined`: there is none, or it cannot be read. */
  readonly prev: string | null | undefined
  /** Number of the first event behind them; `undefined`: there is none. */
  readonly seq: number | undefined
}

/** Where a writer's journal ends although somebody knows more of it. */
export interface EarlyEnd {
  readonly writer: string
  /** Its last segment; 0: there is none. */
  readonly segment: number
  readonly place: Place
  /** The last event that somebody knows. */
  readonly seq: number
}

/** All that is missing and may be accounted for by an `audit.retention` line of any writer: so it is judged at the end. */
export interface Holes {
  add(hole: Hole): void
  addEnd(end: EarlyEnd): void
  account(retention: AuditRetention): void
  report(findings: Findings): void
}

export function createHoles(): Holes {
  const holes: Hole[] = []
  const ends: EarlyEnd[] = []
  const retained = new Map<string, AuditRetention[]>()
  const linesOf = (writer: string): readonly AuditRetention[] => retained.get(writer) ?? []

  return Object.freeze({
    add(hole: Hole) {
      holes.push(hole)
    },
    addEnd(end: EarlyEnd) {
      ends.push(end)
    },
    account(retention: AuditRetention) {
      const known = retained.get(retention.writer)
      if (known === undefined) retained.set(retention.writer, [retention])
      else known.push(retention)
    },
    report(findings: Findings) {
      for (const hole of holes) reportHole(hole, linesOf(hole.writer), findings)
      for (const end of ends) reportEnd(end, linesOf(end.writer), findings)
    },
  })
}

function reportHole(hole: Hole, lines: readonly AuditRetention[], findings: Findings): void {
  const { writer, first, last, next, prev, seq } = hole
  let whole = true
  for (
    let segment = notAccounted(first, lines);
    segment <= last && !findings.full;
    segment = notAccounted(segment + 1, lines)
  ) {
    whole = false
    findings.report(writer, { segment, line: 1 }, 'segment-missing')
  }
  if (!whole || prev === undefined || findings.has(writer, next)) return
  const fits = lines.some(
    ({ segments, lastSeq, lastHash }) =>
      // Where the process died between the line and the deletion, some of what it names is still there.
      (segments[0] <= last && segments[1] > last) ||
      (segments[1] === last && lastHash === prev && (seq === undefined || lastSeq === seq - 1)),
  )
  if (!fits) findings.report(writer, next, 'deleted')
}

function reportEnd(
  { writer, segment, place, seq }: EarlyEnd,
  lines: readonly AuditRetention[],
  findings: Findings,
): void {
  const missing = notAccounted(segment + 1, lines)
  if (lines.some(({ segments, lastSeq }) => lastSeq >= seq && segments[1] < missing)) return
  if (segment === 0) findings.report(writer, { segment: missing, line: 1 }, 'segment-missing')
  else findings.report(writer, place, 'truncated')
}

/** The first segment, from this one on, that no line accounts for. */
function notAccounted(from: number, lines: readonly AuditRetention[]): number {
  let segment = from
  for (;;) {
    const covering = lines.find(({ segments: [first, last] }) => first <= segment && segment <= last)
    if (covering === undefined) return segment
    segment = covering.segments[1] + 1
  }
}
