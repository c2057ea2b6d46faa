import type { Clock } from '../../lib/clock.ts'

/** Whether anything is still heard. */
export interface Pulse {
  heard(): void
  stop(): void
}

export interface PulseParts {
  /** Publishes a heartbeat, for everybody who listens. */
  beat(): Promise<unknown>
  /** Nothing was heard for 5 s. */
  silent(): void
  readonly clock: Clock
}

const TICK_MS = 500
/** After this long without a sound one who listens publishes a heartbeat, so that many need no more than one does. */
const QUIET_MS = 2000
const LOST_MS = 5000

export function startPulse({ beat, silent, clock }: PulseParts): Pulse {
  let heardMs = clock.monotonicMs()
  let beating = false
  let stopped = false
  const quietMs = () => clock.monotonicMs() - heardMs
  const beatOnce = async () => {
    beating = true
    try {
      await beat()
    } catch {
      // Not heard: the line is lost in a while, unless somebody else is.
    }
    beating = false
  }
  const tick = () => {
    if (quietMs() >= LOST_MS) {
      // What came in while this process was busy is read first.
      setImmediate(() => {
        if (!stopped && quietMs() >= LOST_MS) silent()
      })
    } else if (quietMs() >= QUIET_MS && !beating) void beatOnce()
  }
  const ticks = setInterval(tick, TICK_MS).unref()
  return Object.freeze({
    heard: () => {
      heardMs = clock.monotonicMs()
    },
    stop: () => {
      stopped = true
      clearInterval(ticks)
    },
  })
}
