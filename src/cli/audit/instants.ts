import { CommandError, usage } from '../command-error.ts'
import { readInstant, readSeconds } from '../read-values.ts'

export interface RangeOptions {
  readonly since?: string
  readonly until?: string
}

/** By `time`, epoch milliseconds: from `since` on, strictly before `until`; `null`: without end. */
export interface Range {
  readonly since: number | null
  readonly until: number | null
}

/** @throws {CommandError} of usage, where nothing can lie between the two. */
export function readRange({ since, until }: RangeOptions, now: number): Range {
  const range = {
    since: since === undefined ? null : readPast('--since', since, now),
    until: until === undefined ? null : readPast('--until', until, now),
  }
  if (range.since !== null && range.until !== null && range.since >= range.until) {
    throw usage('--since: is not before --until.')
  }
  return range
}

/** A date (its beginning, in UTC), an instant, or how long ago: `2026-11-01`, `7d`, `24h`, `90m`. */
function readPast(option: string, text: string, now: number): number {
  if (/^\d{1,6}[mhd]$/.test(text)) return now - readSeconds(option, text) * 1000
  try {
    return readInstant(option, text, now).getTime()
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    throw usage(
      `${option}: expected a date (2026-11-01), an instant (2026-11-01T12:00:00Z), or how long ago (7d, 24h, 90m).`,
    )
  }
}
