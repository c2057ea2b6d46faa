import type { CourierState } from './courier.ts'

export interface SinkHealth {
  /** Events that it has not taken yet, and for how long the oldest of them has waited, in seconds, at most. */
  readonly lagEvents: number
  readonly lagSeconds: number
  /** Batches that it took, attempts that failed, and events that it will never take, since this process began. */
  readonly batches: number
  readonly failures: number
  readonly dead: number
  /** The last attempt failed. */
  readonly failing: boolean
}

/** `events`: of this process's own journal. */
export function sinkHealth(
  states: Readonly<Record<string, CourierState>>,
  { events, now }: { events: number; now: number },
): Readonly<Record<string, SinkHealth>> {
  return Object.fromEntries(
    Object.entries(states).map(([name, { seq, recorded, batches, failures, dead, failing }]) => {
      const lagEvents = Math.max(0, events - seq)
      const since = recorded === null ? now : Date.parse(recorded)
      return [
        name,
        {
          lagEvents,
          lagSeconds: lagEvents === 0 ? 0 : Math.max(0, (now - since) / 1000),
          batches,
          failures,
          dead,
          failing,
        },
      ]
    }),
  )
}
