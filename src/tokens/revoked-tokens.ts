import type { Clock } from '../lib/clock.ts'

export type RevocationState = 'good' | 'revoked' | 'unavailable'

export interface Revocation {
  readonly tokenId: string
  readonly expiresAt: Date
}

/** The tokens that were revoked one by one: held in memory, so that a token costs no look-up. */
export interface RevokedTokens {
  /** A promise only where the list must be read first. Never rejects. */
  check(tokenId: string): RevocationState | Promise<RevocationState>
  /** Revoked here, or pushed by the store's feed, which names no expiry: then the longest that a token can live. */
  add(tokenId: string, expiresAt: number | null): void
  /** Changes may have been missed. */
  resumed(): void
  /** Whether the list was read. */
  ready(): Promise<boolean>
  /** Leaves no timer behind. */
  stop(): void
}

export interface RevokedTokensSettings {
  /** What the store holds; `null`: it gave no usable answer in time. Never rejects. */
  readonly read: () => Promise<readonly Revocation[] | null>
  readonly clock: Clock
  /** The list is reread at this age, feed or not. */
  readonly cacheSeconds: number
  /** How long beyond that it serves while it cannot be reread. */
  readonly staleIfErrorSeconds: number
  /** An entry lives so much longer than its token. */
  readonly clockToleranceSeconds: number
  readonly maxLifetimeSeconds: number
}

const TICK_MS = 1000

/** Nothing is read before the first use. */
export function createRevokedTokens(settings: RevokedTokensSettings): RevokedTokens {
  const freshMs = Math.max(TICK_MS, settings.cacheSeconds * 1000)
  const usableMs = freshMs + settings.staleIfErrorSeconds * 1000
  const entries = createEntries(settings)
  const reading = createReading({ ...settings, freshMs, merge: entries.merge })
  const judged = (tokenId: string): RevocationState => {
    if (entries.holds(tokenId)) return 'revoked'
    return reading.age() < usableMs ? 'good' : 'unavailable'
  }

  return Object.freeze({
    check: (tokenId: string) => {
      if (entries.holds(tokenId)) return 'revoked'
      const age = reading.age()
      if (age < freshMs) return 'good'
      const read = reading.again()
      return age < usableMs ? 'good' : read.then(() => judged(tokenId))
    },
    add: entries.add,
    resumed: reading.missed,
    ready: async () => {
      await reading.again()
      return reading.age() < usableMs
    },
    stop: reading.stop,
  })
}

/** A revocation is never taken back, and so what is read is added to what is known. */
function createEntries({ clock, clockToleranceSeconds, maxLifetimeSeconds }: RevokedTokensSettings) {
  const toleranceMs = clockToleranceSeconds * 1000
  const longestMs = maxLifetimeSeconds * 1000 + toleranceMs
  const entries = new Map<string, number>()

  const add = (tokenId: string, expiresAt: number | null) => {
    const until = (expiresAt ?? clock.now() + longestMs) + toleranceMs
    entries.set(tokenId, Math.max(until, entries.get(tokenId) ?? 0))
  }
  return Object.freeze({
    add,
    merge: (list: readonly Revocation[]) => {
      for (const { tokenId, expiresAt } of list) add(tokenId, expiresAt.getTime())
      const now = clock.now()
      for (const [tokenId, until] of entries) if (now >= until) entries.delete(tokenId)
    },
    holds: (tokenId: string) => {
      const until = entries.get(tokenId)
      return until !== undefined && clock.now() < until
    },
  })
}

type ReadingSettings = Pick<RevokedTokensSettings, 'read' | 'clock'> & {
  readonly freshMs: number
  readonly merge: (list: readonly Revocation[]) => void
}

/** Reads the list anew when it is old, looked at once a real second from the first use on. */
function createReading({ read, clock, freshMs, merge }: ReadingSettings) {
  let readAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let underWay: Promise<void> | null = null
  let due = false
  let timer: NodeJS.Timeout | null = null
  let stopped = false

  const age = () => clock.monotonicMs() - readAt
  const readOnce = async () => {
    const askedAt = clock.monotonicMs()
    triedAt = askedAt
    due = false
    const list = await read()
    if (list === null) {
      due = true
      return
    }
    merge(list)
    readAt = askedAt
  }
  /** One at a time, and one a second. */
  const again = (): Promise<void> => {
    if (underWay !== null) return underWay
    if (stopped || clock.monotonicMs() - triedAt < TICK_MS) return Promise.resolve()
    timer ??= setInterval(() => {
      if (due || age() >= freshMs) void again()
    }, TICK_MS).unref()
    underWay = readOnce().finally(() => {
      underWay = null
    })
    return underWay
  }
  return Object.freeze({
    age,
    again,
    /** One that is under way may have missed the same changes: the next follows it. */
    missed: () => {
      if (timer === null) return
      due = true
      void (underWay ?? Promise.resolve()).then(() => {
        triedAt = Number.NEGATIVE_INFINITY
        return due ? again() : undefined
      })
    },
    stop: () => {
      stopped = true
      if (timer !== null) clearInterval(timer)
    },
  })
}
