/** One announcement an outage, and a timer that looks whether it is over. */
export interface Outage {
  begin(failure: Error | null, retry: () => void): void
  end(): void
}

/** A server without traffic recovers, too. */
const RETRY_MS = 1000

export interface OutageSettings {
  announce(failure: Error | null): void
  over(): void
}

export function createOutage({ announce, over }: OutageSettings): Outage {
  let timer: NodeJS.Timeout | null = null
  return Object.freeze({
    begin(failure: Error | null, retry: () => void) {
      if (timer !== null) return
      timer = setInterval(retry, RETRY_MS).unref()
      announce(failure)
    },
    end() {
      if (timer === null) return
      clearInterval(timer)
      timer = null
      over()
    },
  })
}
