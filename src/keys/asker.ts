import type { Clock } from '../lib/clock.ts'

export interface Asker {
  /** Settles within the deadline and never rejects; `null` is a failure, which never means "unknown". */
  ask<T extends string | object>(question: (signal: AbortSignal) => Promise<T>): Promise<T | null>
  /** The last question was answered, and none hangs. */
  reachable(): boolean
  /** Ends every question under way, and refuses new ones. */
  stop(): void
}

const PROBE_MS = 1000

/**
 * Puts a deadline on every question to a store. While one that ran out is still unsettled, the others fail at once but
 * for one probe a second: a hanging engine must not fill its pool with questions that nobody waits for. A probe that is
 * answered ends this, also where the question that ran out never settles.
 */
export function createAsker(timeoutMs: number, clock: Clock): Asker {
  const hanging = new Set<AbortController>()
  const open = new Set<() => void>()
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
  const gaveUp = (controller: AbortController) => {
    hanging.add(controller)
    lastProbe = clock.monotonicMs()
    failed = true
  }
  const settled = (controller: AbortController, { probe, value }: { probe: boolean; value: unknown }) => {
    // Settled too late: the caller has his answer already.
    if (hanging.delete(controller) || controller.signal.aborted) return
    failed = value === null
    if (probe && !failed) hanging.clear()
  }

  const ask = <T extends string | object>(question: (signal: AbortSignal) => Promise<T>): Promise<T | null> => {
    if (!mayAsk()) return Promise.resolve(null)
    const controller = new AbortController()
    const probe = hanging.size > 0
    return new Promise<T | null>((resolve) => {
      const end = (value: T | null) => {
        clearTimeout(timer)
        open.delete(leave)
        resolve(value)
      }
      const leave = () => {
        end(null)
        controller.abort()
      }
      // An answer may have arrived while this process was busy: it is read before the question is given up.
      const timer = setTimeout(() => {
        setImmediate(() => {
          if (!open.has(leave)) return
          gaveUp(controller)
          leave()
        })
      }, timeoutMs)
      timer.unref()
      open.add(leave)
      const settle = (value: T | null) => {
        settled(controller, { probe, value })
        end(value)
      }
      question(controller.signal).then(settle, () => settle(null))
    })
  }

  return Object.freeze({
    ask,
    reachable: () => !failed && hanging.size === 0,
    stop: () => {
      stopped = true
      for (const leave of open) leave()
    },
  })
}
