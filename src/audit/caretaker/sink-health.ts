import type { Leg } from './post.ts'

/** How far an acknowledging sink is, over the journals of this process and of those that it looks after. */
export interface SinkHealth {
  /** Events that it has not taken yet. */
  readonly lagEvents: number
  /** For how long the oldest of them has waited. */
  readonly lagSeconds: number
  /** Batches that it took, attempts that failed, and events that it will never take, since this process began. */
  readonly batches: number
  readonly failures: number
  readonly dead: number
  /** The last attempt failed. */
  readonly failing: boolean
}

/** `now`: epoch milliseconds. */
export function sinkHealth(legs: readonly Leg[], now: number): SinkHealth {
  const states = legs.map(({ state }) => state)
  const sum = (figure: 'batches' | 'failures' | 'dead'): number =>
    states.reduce((total, each) => total + each[figure], 0)
  const waiting = states.map(({ waiting: since }) => (since === null ? now : Date.parse(since)))
  return {
    lagEvents: legs.reduce((total, { state, events }) => total + Math.max(0, events - state.seq), 0),
    lagSeconds: Math.max(0, (now - Math.min(now, ...waiting)) / 1000),
    batches: sum('batches'),
    failures: sum('failures'),
    dead: sum('dead'),
    failing: states.some(({ failing }) => failing),
  }
}
