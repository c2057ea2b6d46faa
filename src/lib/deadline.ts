import { unlessAborted } from './unless-aborted.ts'

/** When something has to be over: at its time-out, or earlier where its caller stops waiting. */
export interface Deadline {
  readonly signal: AbortSignal
  /** Milliseconds until then, at least 1. */
  left(): number
}

export interface Patience {
  readonly ms: number
  readonly signal: AbortSignal
  /** Whose answer is waited for, for the error: `PostgreSQL`. */
  readonly whose: string
}

/** Settles as `work` does, or rejects at the deadline: what then goes on must end by itself, and is told nobody. */
export async function withDeadline<T>(
  work: (deadline: Deadline) => Promise<T>,
  { ms, signal, whose }: Patience,
): Promise<T> {
  if (signal.aborted) throw new Error('The caller has stopped waiting.')
  const ending = new AbortController()
  const end = () => ending.abort()
  const endsAt = performance.now() + ms
  const timer = setTimeout(end, ms)
  signal.addEventListener('abort', end)
  const left = () => Math.max(1, Math.ceil(endsAt - performance.now()))
  try {
    return await unlessAborted(work({ signal: ending.signal, left }), ending.signal, `${whose} did not answer in time.`)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}
