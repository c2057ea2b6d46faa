import { ownMember } from '../../lib/own-member.ts'

/** No receiver may make us wait for longer. */
const MAX_RETRY_AFTER_MS = 3_600_000

/** What a sink that failed asks for; `null`: it asks for nothing. */
export function retryAfter(error: unknown): number | null {
  const ms = ownMember(error, 'retryAfterMs')
  return typeof ms === 'number' && ms >= 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : null
}

/** Ends early when the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    // Alone it keeps no process alive: the next one goes on from the cursor.
    const timer = setTimeout(done, ms).unref()
    signal.addEventListener('abort', done)
  })
}

export interface Bell {
  ring(): void
  rung(signal: AbortSignal): Promise<void>
}

/** Rung while nobody listens, it is heard by who listens next. */
export function createBell(): Bell {
  let ringing = false
  let wake: (() => void) | null = null
  return {
    ring() {
      ringing = true
      wake?.()
    },
    rung: (signal) =>
      new Promise<void>((resolve) => {
        const done = (): void => {
          ringing = false
          wake = null
          signal.removeEventListener('abort', done)
          resolve()
        }
        if (ringing || signal.aborted) done()
        else {
          wake = done
          signal.addEventListener('abort', done)
        }
      }),
  }
}
