/** Lines of the open segment that may not be on the disk yet: where a flush fails they are written again, elsewhere. */
export interface KeptLines {
  /** Where the part of the segment ends that is surely on the disk, in bytes. */
  readonly safeEnd: number
  add(text: string): void
  /** What there is now; hand it to `safe` once it is on the disk. */
  mark(end: number): Mark
  safe(mark: Mark): void
  /** All lines, oldest first; `null`: there were too many to keep. */
  all(): readonly string[] | null
  /** A new segment, with nothing in it. */
  restart(): void
  /** What is kept stands in a new segment now, none of it surely on the disk. */
  moved(): void
}

export interface Mark {
  readonly lines: number
  /** Lines so far, kept or not. */
  readonly total: number
  readonly end: number
}

/** A disk that is so far behind will not be repaired by writing the same lines to it again. */
const MAX_KEPT = 33_554_432

/** `max`: in UTF-16 units; 0 keeps nothing. */
export function createKeptLines(max: number = MAX_KEPT): KeptLines {
  let lines: string[] = []
  let size = 0
  let total = 0
  let complete = true
  let safeEnd = 0
  const clear = (): void => {
    lines = []
    size = 0
    complete = true
  }
  return Object.freeze({
    get safeEnd() {
      return safeEnd
    },
    add(text: string) {
      size += text.length
      total += 1
      if (size > max) {
        complete = false
        lines = []
      }
      if (complete) lines.push(text)
    },
    mark: (end: number) => ({ lines: lines.length, total, end }),
    safe(mark: Mark) {
      safeEnd = mark.end
      if (mark.total === total) clear()
      if (!complete) return
      for (const text of lines.splice(0, mark.lines)) size -= text.length
    },
    all: () => (complete ? lines : null),
    restart() {
      clear()
      safeEnd = 0
    },
    moved() {
      safeEnd = 0
    },
  })
}
