/** A clock for `options.clock` that can be stopped and moved, never back. Until then it is the machine's. */
export interface DemoClock {
  /** Epoch milliseconds. */
  now(): number
  monotonicMs(): number
  hold(): void
  /** Both readings, by the same amount. */
  advance(milliseconds: number): void
  /** Goes on from where it stands. */
  release(): void
}

export function createClock(): DemoClock {
  const origin = Date.now() - performance.now()
  let ahead = 0
  let heldAt: number | null = null
  const elapsed = () => (heldAt ?? performance.now()) + ahead
  return {
    now: () => Math.floor(origin + elapsed()),
    monotonicMs: elapsed,
    hold: () => {
      heldAt ??= performance.now()
    },
    advance: (milliseconds) => {
      ahead += milliseconds
    },
    release: () => {
      if (heldAt !== null) ahead -= performance.now() - heldAt
      heldAt = null
    },
  }
}
