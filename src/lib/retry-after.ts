/** Whatever a receiver asks for: who comes back later than this is lost to it. */
const LONGEST_MS = 3_600_000
const SECONDS = /^\d{1,10}$/
/** RFC 9110 section 5.6.7, the one form that may still be sent. */
const HTTP_DATE =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/

/**
 * What a `Retry-After` header asks for (RFC 9110 section 10.2.3: seconds, or an HTTP date), in milliseconds from `now` and
 * at most one hour; a date that is past is 0. `null`: it is not there, or is neither.
 */
export function retryAfterMs(value: string | null, now: number): number | null {
  if (value === null) return null
  if (SECONDS.test(value)) return Math.min(Number(value) * 1000, LONGEST_MS)
  const date = HTTP_DATE.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? null : Math.min(Math.max(date - now, 0), LONGEST_MS)
}
