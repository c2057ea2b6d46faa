import { types } from 'node:util'
import { addressGroup } from '../lib/cidr.ts'
import type { Clock } from '../lib/clock.ts'

/** Structural: `rate-limiter-flexible` and its like fit. */
export interface Limiter {
  consume(key: string): Promise<unknown>
}

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

const MAX_GROUPS = 100_000

export function createFailureBudget({ max, windowSeconds, limiter, clock }: FailureSettings): FailureBudget {
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
      return Math.min(seconds(window.endsMs - nowMs), Math.ceil(windowSeconds))
    },
  })
}

/** What the limiter said last of each group, and whether it can be relied on at present. */
interface Verdicts {
  ask(group: string): void
  /** Of the monotonic clock; 0: not refused. */
  refusedUntilMs(group: string): number
  answering(nowMs: number): boolean
}

/** A limiter that has kept a question this long is not answering, and is asked once in this time only. */
const PATIENCE_MS = 1000
const MAX_OPEN = 1000
/** Of a verdict: a limiter's window may be longer than ours, but not for ever. */
const MAX_VERDICT_MS = 86_400_000

function createVerdicts(limiter: Limiter, windowMs: number, clock: Clock): Verdicts {
  const refused = new Map<string, number>()
  let up = false
  let open = 0
  let askedMs = 0
  /** Since when questions are open without any answer coming in. */
  let waitingMs: number | null = null

  const settled = (answered: boolean): void => {
    up = answered
    open -= 1
    waitingMs = open === 0 ? null : clock.monotonicMs()
  }
  const rejected = (group: string, reason: unknown): void => {
    const restMs = verdictMs(reason, windowMs)
    if (restMs !== null) putNewest(refused, group, clock.monotonicMs() + restMs)
    settled(restMs !== null)
  }
  return {
    ask: (group) => {
      const nowMs = clock.monotonicMs()
      if (open >= MAX_OPEN && nowMs - askedMs < PATIENCE_MS) return
      askedMs = nowMs
      open += 1
      waitingMs ??= nowMs
      consume(limiter, group).then(
        () => settled(true),
        (reason: unknown) => rejected(group, reason),
      )
    },
    refusedUntilMs: (group) => refused.get(group) ?? 0,
    answering: (nowMs) => up && (waitingMs === null || nowMs - waitingMs < PATIENCE_MS),
  }
}

/** Turns a synchronous throw into a rejection. */
async function consume(limiter: Limiter, group: string): Promise<unknown> {
  return limiter.consume(group)
}

/** For how long the limiter refuses; `null`: it did not judge, because it is down. Whatever was thrown may be hostile. */
function verdictMs(reason: unknown, windowMs: number): number | null {
  try {
    if (types.isNativeError(reason) || reason instanceof Error) return null
    const restMs = memberOf(reason, 'msBeforeNext')
    return typeof restMs === 'number' && restMs > 0 && restMs < Number.POSITIVE_INFINITY
      ? Math.min(restMs, MAX_VERDICT_MS)
      : windowMs
  } catch {
    return null
  }
}

/** An own member, or one of its class (there it is a getter), but nothing that somebody put on `Object.prototype`. */
function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  let holder: unknown = value
  for (let depth = 0; depth < 8 && typeof holder === 'object' && holder !== null && holder !== Object.prototype; depth += 1) {
    if (Object.hasOwn(holder, name)) return Reflect.get(value, name)
    holder = Object.getPrototypeOf(holder)
  }
  return undefined
}

function groupOf(address: string | null): string {
  return address === null ? '*' : addressGroup(address)
}

/** Bounded: the one that was put longest ago makes room. */
function putNewest<T>(map: Map<string, T>, group: string, value: T): void {
  map.delete(group)
  map.set(group, value)
  if (map.size <= MAX_GROUPS) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}

function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}
