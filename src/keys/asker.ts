import type { Clock } from '../lib/clock.ts'
import { createTurns } from './turns.ts'

type Question<T> = (signal: AbortSignal) => Promise<T>

export interface Asker {
  /** Settles within the deadline and never rejects; `null` is a failure, which never means "unknown". */
  ask<T extends string | object>(question: Question<T>): Promise<T | null>
  /** The last question was answered, and none hangs. */
  reachable(): boolean
  /** The store was asked past this, and did or did not answer. */
  seen(answered: boolean): void
  /** Ends every question under way, and refuses new ones. */
  stop(): void
}

const PROBE_MS = 1000
/** Questions under way. More would run out together where a store is well but has few connections. */
const AT_ONCE = 32
/** How long one may wait for its turn, as long as the store answers. */
const PATIENCE_MS = 1000

/** What is known of the store: whether it answers, and who it has not answered. */
function createReach(clock: Clock) {
  const hanging = new Set<AbortController>()
  let lastProbe = Number.NEGATIVE_INFINITY
  let failed = false
  return {
    isHanging: () => hanging.size > 0,
    isWell: () => !failed && hanging.size === 0,
    /** While one hangs, one probe a second. */
    mayAsk: () => {
      if (hanging.size === 0) return true
      if (clock.monotonicMs() - lastProbe < PROBE_MS) return false
      lastProbe = clock.monotonicMs()
      return true
    },
    ranOut: (question: AbortController) => {
      hanging.add(question)
      lastProbe = clock.monotonicMs()
      failed = true
    },
    /** It came back after all. */
    cameBack: (question: AbortController) => void hanging.delete(question),
    answered: (well: boolean, probe: boolean) => {
      failed = !well
      if (well && probe) hanging.clear()
    },
  }
}

/**
 * Puts a deadline on every question to a store. While one that ran out is still unsettled, the others fail at once but
 * for one probe a second: a hanging engine must not fill its pool with questions that nobody waits for. A probe that is
 * answered ends this, also where the question that ran out never settles.
 */
export function createAsker(timeoutMs: number, clock: Clock): Asker {
  const reach = createReach(clock)
  const open = new Set<() => void>()
  const turns = createTurns(AT_ONCE, PATIENCE_MS, () => open.size)
  let stopped = false

  const begin = <T extends string | object>(question: Question<T>, resolve: (value: T | null) => void): void => {
    if (stopped || !reach.mayAsk()) return resolve(null)
    const probe = reach.isHanging()
    const controller = new AbortController()
    const end = (value: T | null) => {
      stopTimer()
      open.delete(leave)
      resolve(value)
      turns.free()
    }
    const leave = () => {
      end(null)
      controller.abort()
    }
    const stopTimer = startDeadline(timeoutMs, () => {
      reach.ranOut(controller)
      leave()
    })
    open.add(leave)
    const settle = (value: T | null) => {
      reach.cameBack(controller)
      if (controller.signal.aborted) return
      reach.answered(value !== null, probe)
      end(value)
    }
    const asked = async () => question(controller.signal)
    asked().then(settle, () => settle(null))
  }
  return Object.freeze({
    ask: <T extends string | object>(question: Question<T>): Promise<T | null> =>
      new Promise((resolve) => {
        turns.take(
          () => begin(question, resolve),
          () => resolve(null),
        )
      }),
    seen: (answered: boolean) => reach.answered(answered, false),
    reachable: reach.isWell,
    stop: () => {
      stopped = true
      for (const leave of open) leave()
      turns.flush()
    },
  })
}

/** Real time, whatever the clock says. An answer that arrived while this process was busy is read before the time is up. */
function startDeadline(ms: number, onEnd: () => void): () => void {
  let immediate: NodeJS.Immediate | null = null
  const timer = setTimeout(() => {
    immediate = setImmediate(onEnd)
  }, ms)
  timer.unref()
  return () => {
    clearTimeout(timer)
    if (immediate !== null) clearImmediate(immediate)
  }
}
