/** When the work is done, well or not, or the time is up. Never rejects. */
export async function settledWithin(work: Promise<unknown> | null, ms: number): Promise<void> {
  if (work === null) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    const done = () => {
      clearTimeout(timer)
      resolve()
    }
    work.then(done, done)
  })
}
