/**
 * What was done to a journal, as it shows in the file:
 * - `altered`: the line is not the one that was written.
 * - `deleted`: lines are missing before this one.
 * - `inserted`: from this line on stand lines that were never written here (forged, copied, of another writer).
 * - `reordered`: lines that were written are here, in another order.
 * - `truncated`: the segment, or the writer's journal, went on behind what stands here.
 * - `segment-missing`: the whole file is gone, and no `audit.retention` line accounts for it.
 * - `signature`: nobody whose key was given has signed this checkpoint or this `audit.retention` line.
 * - `malformed`: what stands here is no line that this package writes.
 */
export type JournalFindingKind =
  | 'altered'
  | 'deleted'
  | 'inserted'
  | 'reordered'
  | 'truncated'
  | 'segment-missing'
  | 'signature'
  | 'malformed'

/** One thing that is not as it was written: what, and where. Never what the line holds. */
export interface JournalFinding {
  readonly writer: string
  /** Number of the segment: `2` is `00000002.jsonl`. */
  readonly segment: number
  /** From 1: where it shows. */
  readonly line: number
  readonly kind: JournalFindingKind
}

export interface Place {
  readonly segment: number
  readonly line: number
}

/** A finding whose kind and place a later line may still correct. */
export interface DraftFinding {
  place: Place
  kind: JournalFindingKind
}

/** Findings of all writers. */
export interface Findings {
  /** One finding a line: what the chain says of it outweighs what its signature says. */
  report(writer: string, place: Place, kind: JournalFindingKind): DraftFinding
  has(writer: string, place: Place): boolean
  /** Says something else of what was reported before, and puts it back where it was withdrawn. */
  retell(writer: string, draft: DraftFinding, kind: JournalFindingKind): void
  /** Takes back what was found behind the first place and before the second. */
  withdraw(writer: string, behind: Place, before: Place): void
  readonly full: boolean
  /** By writer and place. */
  list(): readonly JournalFinding[]
}

/** Enough to see that a journal is worthless; a broken one must not fill the memory of its examiner. */
export const MAX_FINDINGS = 1000

export function createFindings(): Findings {
  let drafts: { readonly writer: string; readonly draft: DraftFinding }[] = []
  const isFull = (): boolean => drafts.length >= MAX_FINDINGS
  const find = (writer: string, { segment, line }: Place): DraftFinding | undefined =>
    drafts.find(
      (each) => each.writer === writer && each.draft.place.segment === segment && each.draft.place.line === line,
    )?.draft

  return Object.freeze({
    report(writer: string, place: Place, kind: JournalFindingKind) {
      // One too many is nowhere kept.
      const there = isFull() ? { place, kind } : find(writer, place)
      if (there === undefined) {
        const draft = { place, kind }
        drafts.push({ writer, draft })
        return draft
      }
      if (there.kind === 'signature') there.kind = kind
      return there
    },
    has: (writer: string, place: Place) => find(writer, place) !== undefined,
    retell(writer: string, draft: DraftFinding, kind: JournalFindingKind) {
      draft.kind = kind
      if (!isFull() && !drafts.some((each) => each.draft === draft)) drafts.push({ writer, draft })
    },
    withdraw(writer: string, behind: Place, before: Place) {
      drafts = drafts.filter(
        (each) =>
          each.writer !== writer || compare(each.draft.place, behind) <= 0 || compare(each.draft.place, before) >= 0,
      )
    },
    get full() {
      return isFull()
    },
    list: () =>
      drafts
        .map(({ writer, draft: { place, kind } }) =>
          Object.freeze({ writer, segment: place.segment, line: place.line, kind }),
        )
        .toSorted(inOrder),
  })
}

function inOrder(a: JournalFinding, b: JournalFinding): number {
  if (a.writer !== b.writer) return a.writer < b.writer ? -1 : 1
  return compare(a, b)
}

function compare(a: Place, b: Place): number {
  return a.segment - b.segment || a.line - b.line
}
