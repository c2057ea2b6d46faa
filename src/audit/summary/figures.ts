/** Something that is counted in a period, beside what it was on average in the periods before. */
export interface Figure {
  readonly count: number
  /** `null`: there is nothing to compare with. */
  readonly mean: number | null
}

/** A number of different things. Where there were too many to keep apart it is at least this. */
export interface DistinctFigure extends Figure {
  readonly countIsExact: boolean
  readonly meanIsExact: boolean
}

/** Periods before the one that is looked at. */
export const MAX_PERIODS = 8

/** One number for each period: the one that is looked at, and those before it. */
export type Series = Float64Array

export function createSeries(): Series {
  return new Float64Array(MAX_PERIODS + 1)
}

/** `periods`: how many of those before count. */
export function figureOf(series: Series | undefined, periods: number): Figure {
  const before = series === undefined ? 0 : series.subarray(1, periods + 1).reduce((sum, each) => sum + each, 0)
  return { count: series?.[0] ?? 0, mean: meanOf(before, periods) }
}

export function meanOf(sum: number, periods: number): number | null {
  return periods === 0 ? null : Math.round((sum / periods) * 1000) / 1000
}

/** Counts by name, each over all periods. */
export interface Tally {
  add(name: string, period: number, count: number): void
  /** Those that were counted in any period, the most frequent of this one first. */
  figures(periods: number): readonly (Figure & { readonly name: string })[]
}

/** Names come from closed lists and from routes of an application: beyond this they are not told apart. */
const MAX_NAMES = 1000
const OTHERS = '*'

export function createTally(): Tally {
  const series = new Map<string, Series>()
  return Object.freeze({
    add(name: string, period: number, count: number) {
      const known = series.has(name) || series.size < MAX_NAMES ? name : OTHERS
      const counts = series.get(known) ?? createSeries()
      counts[period] = (counts[period] ?? 0) + count
      series.set(known, counts)
    },
    figures: (periods: number) =>
      [...series]
        .map(([name, counts]) => named(name, figureOf(counts, periods)))
        .filter(({ count, mean }) => count > 0 || (mean ?? 0) > 0)
        .toSorted((a, b) => b.count - a.count || (b.mean ?? 0) - (a.mean ?? 0) || (a.name < b.name ? -1 : 1)),
  })
}

function named(name: string, { count, mean }: Figure): Figure & { readonly name: string } {
  return { name, count, mean }
}

/** What all sets together may hold. */
export interface Budget {
  /** `false`: nothing more may be kept. */
  take(): boolean
}

export function createBudget(entries: number): Budget {
  let left = entries
  return {
    take() {
      if (left === 0) return false
      left -= 1
      return true
    },
  }
}

/** Different texts in each period, exactly as long as there is room. */
export interface DistinctSeries {
  add(text: string, period: number): void
  figure(periods: number): DistinctFigure
}

export function createDistinct(budget: Budget, maxEach: number): DistinctSeries {
  const sets: (Set<string> | undefined)[] = []
  const full = new Set<number>()
  const sizeOf = (period: number): number => sets[period]?.size ?? 0
  return Object.freeze({
    add(text: string, period: number) {
      const set = sets[period] ?? new Set<string>()
      sets[period] = set
      if (set.has(text)) return
      if (set.size < maxEach && budget.take()) set.add(text)
      else full.add(period)
    },
    figure(periods: number) {
      const before = Array.from({ length: periods }, (_, index) => index + 1)
      return {
        count: sizeOf(0),
        mean: meanOf(
          before.reduce((sum, period) => sum + sizeOf(period), 0),
          periods,
        ),
        countIsExact: !full.has(0),
        meanIsExact: !before.some((period) => full.has(period)),
      }
    },
  })
}
