import { addressGroup } from '../lib/cidr.ts'
import type { Clock } from '../lib/clock.ts'
import { createVerdicts, type Limiter } from './limiter.ts'
import { createPlaces } from './places.ts'
import { putNewest } from './put-newest.ts'

export interface FailureSettings {
  /** Failed attempts that an address has per window. */
  readonly max: number
  readonly windowSeconds: number
  /** Shared by several instances. Its verdict goes before the own count as long as it answers. */
  readonly limiter?: Limiter | undefined
  readonly clock: Clock
}

/** Failed attempts per client address; IPv6 by /64. All callers of unknown address share one budget. */
export interface FailureBudget {
  /** One more attempt that cost a look-up or a signature check. Never throws, never rejects later. */
  count(address: string | null): void
  /** Whole seconds until this address is within budget again; 0: it is. */
  over(address: string | null): number
  /**
   * Asks for one look-up. 0: it may start, and holds a place of the budget until `release`; else the seconds to wait; `null`: it
   * has waited for its turn as long as anybody may. Where
   * the look-ups under way may use the budget up, the answer waits for theirs: otherwise any number of attempts that come
   * at the same time would all be within it.
   */
  admit(address: string | null): number | Promise<number | null>
  /** The look-up has ended, and was counted where it failed. */
  release(address: string | null): void
}

/** For a place: longer than one look-up, and short enough for whoever waits. */
const PATIENCE_MS = 1000

interface Window {
  failures: number
  /** Of the monotonic clock. */
  readonly endsMs: number
}

export function createFailureBudget(settings: FailureSettings): FailureBudget {
  const { max, windowSeconds, clock } = settings
  const limiter = Object.hasOwn(settings, 'limiter') ? settings.limiter : undefined
  const windowMs = windowSeconds * 1000
  const windows = new Map<string, Window>()
  const verdicts = limiter === undefined ? null : createVerdicts(limiter, windowMs, clock)

  const failuresOf = (group: string, nowMs: number): Window | null => {
    const window = windows.get(group)
    return window !== undefined && nowMs < window.endsMs ? window : null
  }
  const secondsOver = (group: string): number => {
    const nowMs = clock.monotonicMs()
    const refused = verdicts?.refusedUntilMs(group) ?? 0
    if (refused > nowMs) return seconds(refused - nowMs)
    if (verdicts?.answering(nowMs) === true) return 0
    const window = failuresOf(group, nowMs)
    return window === null || window.failures < max ? 0 : seconds(window.endsMs - nowMs)
  }
  const places = createPlaces({
    secondsOver,
    // Where a limiter decides, the own count bounds no more than what is under way.
    free: (group, taken) => {
      const nowMs = clock.monotonicMs()
      const failed = verdicts?.answering(nowMs) === true ? 0 : (failuresOf(group, nowMs)?.failures ?? 0)
      return taken + failed < max
    },
    patienceMs: PATIENCE_MS,
  })

  return Object.freeze({
    count: (address: string | null) => {
      const group = groupOf(address)
      const nowMs = clock.monotonicMs()
      const known = failuresOf(group, nowMs)
      if (known !== null) known.failures += 1
      else putNewest(windows, group, { failures: 1, endsMs: nowMs + windowMs })
      verdicts?.ask(group)
    },
    over: (address: string | null) => (windows.size === 0 ? 0 : secondsOver(groupOf(address))),
    admit: (address: string | null) => places.admit(groupOf(address)),
    release: (address: string | null) => places.release(groupOf(address)),
  })
}

function groupOf(address: string | null): string {
  return address === null ? '*' : addressGroup(address)
}

/** Rounded up, but not by what the last digit of a floating-point instant makes of it. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil((ms - 0.001) / 1000))
}
