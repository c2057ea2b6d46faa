import { types } from 'node:util'
import type { Clock } from '../lib/clock.ts'
import { putNewest } from './put-newest.ts'

/** Structural: `rate-limiter-flexible` and its like fit. */
export interface Limiter {
  consume(key: string): Promise<unknown>
}

/** What the limiter said last of each group, and whether it can be relied on at present. */
export interface Verdicts {
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

export function createVerdicts(limiter: Limiter, windowMs: number, clock: Clock): Verdicts {
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
  let holder: object | null = value
  // A proxy can make up prototypes without end.
  for (let depth = 0; depth < 8 && holder !== null && holder !== Object.prototype; depth += 1) {
    if (Object.hasOwn(holder, name)) return Reflect.get(value, name)
    holder = Reflect.getPrototypeOf(holder)
  }
  return undefined
}
