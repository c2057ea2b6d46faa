import type { Clock } from '../lib/clock.ts'

/** What a store said; a failure is no answer, and never means "unknown". */
export type StoreAnswer = { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'failed' }

export interface Asker {
  /** Settles within the deadline, and never rejects. */
  ask(question: (signal: AbortSignal) => Promise<unknown>): Promise<StoreAnswer>
  /** The last question was answered, and none hangs. */
  reachable(): boolean
}

const FAILED: StoreAnswer = Object.freeze({ kind: 'failed' })
const PROBE_MS = 1000

/**
 * Puts a deadline on every question. While one that ran out is still unsettled the others fail at once, but for one probe
 * a second: a hanging engine must not fill its pool with questions nobody waits for.
 */
export function createAsker(timeoutMs: number, clock: Clock): Asker {
  let hanging = 0
  let lastProbe = Number.NEGATIVE_INFINITY
  let failed = false

  const mayAsk = () => {
    if (hanging === 0) return true
    if (clock.monotonicMs() - lastProbe < PROBE_MS) return false
    lastProbe = clock.monotonicMs()
    return true
  }

  return Object.freeze({
    reachable: () => !failed && hanging === 0,
    ask: (question: (signal: AbortSignal) => Promise<unknown>) => {
      if (!mayAsk()) return Promise.resolve(FAILED)
      return new Promise<StoreAnswer>((resolve) => {
        const controller = new AbortController()
        let late = false
        const timer = setTimeout(() => {
          late = true
          hanging += 1
          lastProbe = clock.monotonicMs()
          failed = true
          resolve(FAILED)
          controller.abort()
        }, timeoutMs)
        const settle = (answer: StoreAnswer) => {
          if (late) {
            hanging -= 1
            return
          }
          clearTimeout(timer)
          failed = answer.kind === 'failed'
          resolve(answer)
        }
        // In a promise, so that a store that throws before it returns one is a failure like any other.
        new Promise((answered) => {
          answered(question(controller.signal))
        }).then(
          (value) => settle({ kind: 'value', value }),
          () => settle(FAILED),
        )
      })
    },
  })
}
