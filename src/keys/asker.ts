import type { Clock } from '../lib/clock.ts'

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

/**
 * Puts a deadline on every question to a store. While one that ran out is still unsettled, the others fail at once but
 * for one probe a second: a hanging engine must not fill its pool with questions that nobody waits for. A probe that is
 * answered ends this, also where the question that ran out never settles.
 */
export function createAsker(timeoutMs: number, clock: Clock): Asker {
  const hanging = new Set<AbortController>()
  const open = new Set<() => void>()
  const waiting = new Set<() => void>()
  let lastProbe = Number.NEGATIVE_INFINITY
  let failed = false
  let stopped = false

  const mayAsk = () => {
    if (stopped) return false
    if (hanging.size === 0) return true
    if (clock.monotonicMs() - lastProbe < PROBE_MS) return false
    lastProbe = clock.monotonicMs()
    return true
  }
  const ranOut = (controller: AbortController) => {
    hanging.add(controller)
    lastProbe = clock.monotonicMs()
    failed = true
  }
  const settled = (answered: boolean, probe: boolean) => {
    failed = !answered
    if (answered && probe) hanging.clear()
  }

  const begin = <T extends string | object>(question: Question<T>, resolve: (value: T | null) => void): void => {
    if (!mayAsk()) return resolve(null)
    const probe = hanging.size > 0
    const controller = new AbortController()
    const end = (value: T | null) => {
      stopTimer()
      open.delete(leave)
      resolve(value)
      for (const enter of waiting) if (open.size < AT_ONCE) enter()
    }
    const leave = () => {
      end(null)
      controller.abort()
    }
    const stopTimer = startDeadline(timeoutMs, () => {
      ranOut(controller)
      leave()
    })
    open.add(leave)
    const settle = (value: T | null) => {
      hanging.delete(controller)
      if (controller.signal.aborted) return
      settled(value !== null, probe)
      end(value)
    }
    const asked = async () => question(controller.signal)
    asked().then(settle, () => settle(null))
  }
  const wait = <T extends string | object>(question: Question<T>, resolve: (value: T | null) => void): void => {
    const enter = () => {
      clearTimeout(timer)
      waiting.delete(enter)
      begin(question, resolve)
    }
    const timer = setTimeout(() => {
      waiting.delete(enter)
      resolve(null)
    }, PATIENCE_MS)
    waiting.add(enter)
  }

  return Object.freeze({
    ask: <T extends string | object>(question: Question<T>): Promise<T | null> =>
      new Promise((resolve) => {
        if (open.size < AT_ONCE) begin(question, resolve)
        else wait(question, resolve)
      }),
    seen: (answered: boolean) => {
      failed = !answered
    },
    reachable: () => !failed && hanging.size === 0,
    stop: () => {
      stopped = true
      for (const leave of open) leave()
      for (const enter of waiting) enter()
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
