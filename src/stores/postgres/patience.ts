/** How long something may take. */
export interface Patience {
  readonly ms: number
  readonly signal?: AbortSignal | undefined
}

/** Settles as `work` does, or rejects once patience is at its end; `work` goes on, and how it ends is nobody's concern. */
export function withPatience<T>(work: Promise<T>, { ms, signal }: Patience): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      end()
    }
    const giveUp = (why: string) => settle(() => reject(new Error(`PostgreSQL did not answer ${why}.`)))
    const onAbort = () => giveUp('before the caller stopped waiting')
    const timer = setTimeout(() => giveUp(`within ${ms} ms`), ms)
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error(String(error)))),
    )
    if (signal?.aborted === true) onAbort()
    else signal?.addEventListener('abort', onAbort)
  })
}

/** Rests, for no longer than the signal lets it; keeps no process alive. */
export function rest(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    timer.unref()
    if (signal?.aborted === true) end()
    else signal?.addEventListener('abort', end)
  })
}
