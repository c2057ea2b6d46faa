/** Counts what is under way, so that `flush` and `close` know what they wait for. */
export interface Tracker {
  /** One exchange has begun; call the result once when its event is recorded. */
  opened(): { closed(): void; recorded(): void }
  /** Every exchange that is closed by now has been recorded. */
  settled(): Promise<void>
  /** No exchange is under way, or the deadline has passed. */
  idle(deadlineMs: number): Promise<void>
}

export function createTracker(): Tracker {
  let open = 0
  const closing = new Set<Promise<void>>()
  const waiting = new Set<() => void>()

  const leave = () => {
    open -= 1
    if (open === 0) for (const wake of waiting) wake()
  }

  return Object.freeze({
    opened() {
      open += 1
      let recorded: () => void = () => undefined
      let entry: Promise<void> | null = null
      let over = false
      return {
        closed() {
          if (over) return
          entry = new Promise<void>((resolve) => {
            recorded = resolve
          })
          closing.add(entry)
        },
        recorded() {
          if (over) return
          over = true
          if (entry !== null) closing.delete(entry)
          recorded()
          leave()
        },
      }
    },
    async settled() {
      await Promise.all(closing)
    },
    async idle(deadlineMs: number) {
      if (open === 0) return
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer)
          waiting.delete(done)
          resolve()
        }
        const timer = setTimeout(done, deadlineMs)
        waiting.add(done)
      })
    },
  })
}
