import type { Clock } from '../../lib/clock.ts'

/** Sees when the clock that names instants was set, by the one that cannot be. */
export interface ClockWatch {
  /** By how many milliseconds it was set since the last look; 0: by no more than a second. */
  jumpMs(): number
}

const TOLERATED_MS = 1000

export function createClockWatch(clock: Clock): ClockWatch {
  let apart = clock.now() - clock.monotonicMs()
  return Object.freeze({
    jumpMs() {
      const now = clock.now() - clock.monotonicMs()
      const jump = now - apart
      if (Math.abs(jump) <= TOLERATED_MS) return 0
      apart = now
      return jump
    },
  })
}
