import { usage } from './command-error.ts'

const DAY_MS = 86_400_000
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Repeated options, each of which may hold several separated by commas. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  const added = text.split(',').map((each) => each.trim())
  return [...before, ...added.filter((each) => each !== '')]
}

/** `3600`, or with a unit: `90s`, `15m`, `24h`, `7d`. */
export function readSeconds(option: string, text: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? []
  if (digits === undefined) throw usage(`${option}: expected seconds, such as 3600, or 15m, 24h, 7d.`)
  return Number(digits) * (UNITS[unit] ?? 1)
}

/** `90`, or `90d`. */
export function readDays(option: string, text: string): number {
  const [, digits] = /^(\d{1,6})d?$/.exec(text) ?? []
  if (digits === undefined) throw usage(`${option}: expected a number of days, such as 90.`)
  return Number(digits)
}

export function readCount(option: string, text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw usage(`${option}: expected a whole number from 1 on.`)
  return Number(text)
}

/** A date (its beginning, in UTC), an instant with its offset, or how long from now: `2027-01-01`, `90d`, `12h`. */
export function readInstant(option: string, text: string, now: number): Date {
  if (/^\d{1,6}[hd]$/.test(text)) return new Date(now + readSeconds(option, text) * 1000)
  const date = dateOf(text)
  if (date !== null) return date
  throw usage(
    `${option}: expected a date (2027-01-01), an instant (2027-01-01T12:00:00Z), or a time from now (90d, 12h).`,
  )
}

function dateOf(text: string): Date | null {
  const [, day] = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.exec(text) ?? []
  if (day === undefined) return null
  // The parser takes 31 February for a day in March.
  const midnight = Date.parse(day)
  if (Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== day) return null
  const date = new Date(text)
  return Number.isNaN(date.getTime()) ? null : date
}

export function daysBetween(from: Date, to: number): number {
  return Math.floor((to - from.getTime()) / DAY_MS)
}
