/** One announcement an outage, and a timer that looks whether it is over. */
export interface Outage {
  readonly begun: boolean
  begin(failure: Error | null, retry: () => void): void
  end(): void
}

/** A server without traffic recovers, too. */
const RETRY_MS = 1000

export function createOutage(announce: (failure: Error | null) => void): Outage {
  let timer: NodeJS.Timeout | null = null
  return Object.freeze({
    get begun() {
      return timer !== null
    },
    begin(failure: Error | null, retry: () => void) {
      if (timer !== null) return
      timer = setInterval(retry, RETRY_MS).unref()
      announce(failure)
    },
    end() {
      if (timer !== null) clearInterval(timer)
      timer = null
    },
  })
}
