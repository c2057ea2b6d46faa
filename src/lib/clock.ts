import { performance } from 'node:perf_hooks'

/** Instants by `now`, durations by `monotonicMs`. Injected, so that a test can move 24 hours. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Milliseconds that never run backwards. */
  monotonicMs(): number
}

export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
})
