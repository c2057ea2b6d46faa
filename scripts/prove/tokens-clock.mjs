// A clock that runs `speed` times as fast as that of the machine, and alike in every process.
import { machineMs } from './command.mjs'

/** `startedAt`: milliseconds of `machineMs()`; `wall`: epoch milliseconds at that moment. */
export function fastClock({ startedAt, wall, speed }) {
  const passed = () => (machineMs() - startedAt) * speed
  return Object.freeze({ now: () => Math.floor(wall + passed()), monotonicMs: passed })
}
