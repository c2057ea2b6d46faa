import { addressGroup } from '../lib/cidr.ts'
import type { Clock } from '../lib/clock.ts'
import { createVerdicts, type Limiter } from './limiter.ts'
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
}

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
  return Object.freeze({
    count: (address: string | null) => {
      const group = groupOf(address)
      const nowMs = clock.monotonicMs()
      const known = windows.get(group)
      if (known !== undefined && nowMs < known.endsMs) known.failures += 1
      else putNewest(windows, group, { failures: 1, endsMs: nowMs + windowMs })
      verdicts?.ask(group)
    },
    over: (address: string | null) => {
      if (windows.size === 0) return 0
      const group = groupOf(address)
      const nowMs = clock.monotonicMs()
      const refused = verdicts?.refusedUntilMs(group) ?? 0
      if (refused > nowMs) return seconds(refused - nowMs)
      if (verdicts?.answering(nowMs) === true) return 0
      const window = windows.get(group)
      if (window === undefined || nowMs >= window.endsMs || window.failures < max) return 0
      return seconds(window.endsMs - nowMs)
    },
  })
}

function groupOf(address: string | null): string {
  return address === null ? '*' : addressGroup(address)
}

/** Rounded up, but not by what the last digit of a floating-point instant makes of it. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil((ms - 0.001) / 1000))
}
