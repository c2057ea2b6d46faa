/** The work's own result, unless the signal is first: whoever does the work may heed no signal. What comes later is dropped. */
export async function unlessAborted<T>(work: T | Promise<T>, signal: AbortSignal, late: string): Promise<T> {
  let stop: () => void = () => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(new Error(late, { cause: signal.reason }))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
