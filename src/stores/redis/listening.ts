import type { Clock } from '../../lib/clock.ts'
import type { Line, LineHandlers } from './line.ts'

/** One line to the changes, from when it is opened until it is lost. */
export interface Listening {
  /** The line is subscribed and a heartbeat was heard on it; rejects within a second where that does not happen. */
  readonly up: Promise<void>
  stop(): void
}

export interface ListeningParts {
  open(handlers: LineHandlers): Line
  /** Publishes a heartbeat, for everybody who listens. */
  beat(): Promise<unknown>
  readonly clock: Clock
}

interface ListeningHandlers {
  message(text: string): void
  /** Told once, of a line that was up. */
  lost(): void
}

const OPEN_MS = 1000

export function startListening({ open, beat, clock }: ListeningParts, handlers: ListeningHandlers): Listening {
  let state: 'opening' | 'up' | 'stopped' = 'opening'
  let line: Line | null = null
  let pulse: Pulse | null = null
  let settle: { resolve(): void; reject(error: Error): void } | null = null
  const up = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })

  const stop = (problem: string) => {
    state = 'stopped'
    clearTimeout(deadline)
    pulse?.stop()
    line?.close()
    settle?.reject(new Error(`Redis: ${problem}`))
  }
  const end = (problem: string) => {
    if (state === 'stopped') return
    const wasUp = state === 'up'
    stop(problem)
    if (wasUp) handlers.lost()
  }
  const heard = (text: string) => {
    if (state === 'stopped') return
    pulse?.heard()
    if (state === 'up') return handlers.message(text)
    state = 'up'
    clearTimeout(deadline)
    pulse = startPulse({ beat, clock, silent: () => end('no heartbeat was heard.') })
    settle?.resolve()
  }
  const start = async () => {
    line = open({ message: heard, ended: () => end('the connection for changes has ended.') })
    // It may have ended at once.
    if (state === 'stopped') line.close()
    await line.subscribed
    if (state === 'opening') await beat()
  }
  const tooLate = () => {
    if (state === 'opening') end('no subscription to changes within a second.')
  }
  // What came in while this process was busy is read first.
  const deadline = setTimeout(() => setImmediate(tooLate), OPEN_MS).unref()
  start().catch((error: unknown) => {
    if (state === 'opening') end(error instanceof Error ? error.message.replace(/^Redis: /, '') : 'no subscription.')
  })
  return Object.freeze({ up, stop: () => stop('the feed of changes was closed.') })
}

/** Whether anything is still heard. */
interface Pulse {
  heard(): void
  stop(): void
}

interface PulseParts {
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

function startPulse({ beat, silent, clock }: PulseParts): Pulse {
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
