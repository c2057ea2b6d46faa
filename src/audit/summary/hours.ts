import { meanOf } from './figures.ts'

/** Calls at hours of the week at which the key was hardly used before. */
export interface HoursFigure {
  /** `null`: it was used too little before, or not for long enough, to tell. */
  readonly count: number | null
  readonly mean: number | null
  /** Those hours with calls, in UTC (`Sat 03:00`), the first of the week first. */
  readonly hours: readonly { readonly hour: string; readonly calls: number }[]
}

const HOUR_MS = 3_600_000
const HOURS = 168
/** 1 January 1970 was a Thursday: hours count from Monday 00:00 UTC. */
const FROM_MONDAY = 72

/** An hour is unusual where less than one in a thousand of the calls before fell into it. */
const UNUSUAL_SHARE = 0.001
/** With fewer calls before, nearly every hour would be unusual; with less than two weeks, no hour of the week could be usual. */
const MIN_CALLS = 100
const MIN_HISTORY_MS = 14 * 24 * HOUR_MS

/** Hours of the week (UTC) in which a key was used: in the period that is looked at, and in those before together. */
export function createHours(periodMs: number): {
  add(time: number, period: number, calls: number): void
  figure(periods: number): HoursFigure
} {
  const [now, before] = [new Float64Array(HOURS), new Float64Array(HOURS)]
  return {
    add(time, period, calls) {
      const hours = period === 0 ? now : before
      const hour = hourOfWeek(time)
      hours[hour] = (hours[hour] ?? 0) + calls
    },
    figure(periods) {
      const all = sumOf(before)
      if (all < MIN_CALLS || periods * periodMs < MIN_HISTORY_MS) return { count: null, mean: null, hours: [] }
      const isUnusual = (_: number, hour: number) => (before[hour] ?? 0) < all * UNUSUAL_SHARE
      const hours = [...now].flatMap((calls, hour) => {
        return calls > 0 && isUnusual(0, hour) ? [{ hour: hourText(hour), calls }] : []
      })
      return {
        count: sumOf(now.filter(isUnusual)),
        mean: meanOf(sumOf(before.filter(isUnusual)), periods),
        hours,
      }
    },
  }
}

export function hourOfWeek(time: number): number {
  return (((Math.floor(time / HOUR_MS) + FROM_MONDAY) % HOURS) + HOURS) % HOURS
}

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

function hourText(hour: number): string {
  return `${DAYS[Math.floor(hour / 24)] ?? ''} ${String(hour % 24).padStart(2, '0')}:00`
}

function sumOf(numbers: Float64Array): number {
  return numbers.reduce((sum, each) => sum + each, 0)
}
