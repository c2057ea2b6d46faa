/** At most so many pieces of work at a time; the others wait for their turn, in order of arrival. */
export interface Turns {
  /** Begins the work at once or when it is its turn; gives it up where that does not come in time. */
  take(begin: () => void, giveUp: () => void): void
  /** One has ended: whoever is next begins. */
  free(): void
  /** All that wait begin now, whatever the number. */
  flush(): void
}

export function createTurns(atOnce: number, patienceMs: number, underWay: () => number): Turns {
  const waiting = new Set<() => void>()

  return Object.freeze({
    take: (begin: () => void, giveUp: () => void) => {
      if (underWay() < atOnce) return begin()
      const enter = () => {
        clearTimeout(timer)
        waiting.delete(enter)
        begin()
      }
      const timer = setTimeout(() => {
        waiting.delete(enter)
        giveUp()
      }, patienceMs)
      waiting.add(enter)
      return undefined
    },
    free: () => {
      for (const enter of waiting) if (underWay() < atOnce) enter()
    },
    flush: () => {
      for (const enter of waiting) enter()
    },
  })
}
