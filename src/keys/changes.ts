import type { Clock } from '../lib/clock.ts'
import type { KeyChange, KeyStore } from './store.ts'

/** One look-up under way: told of every change that happens meanwhile, so that an old answer is never taken for the new one. */
export interface Flight {
  /** Whether this key (or, with `null`, any) changed since the look-up began. */
  overtaken(keyId: string | null): boolean
  land(): void
}

/** The store's feed of changes. */
export interface Changes {
  begin(): Flight
  /** Monotonic milliseconds: what was cached before is not trusted until it has been asked again. */
  trustedFrom(): number
  /** `null`: the store has no feed. */
  watching(): boolean | null
  /** Subscribes, if that has not been done; at most one try a second where it fails. */
  subscribe(): Promise<void>
  stop(): Promise<void>
}

const RETRY_MS = 1000

export function createChanges(store: KeyStore, clock: Clock, dropped: (keyId: string) => void): Changes {
  const flights = new Set<{ ids: Set<string>; all: boolean }>()
  let watching: boolean | null = store.can.watch && store.watch !== undefined ? false : null
  let trustedFrom = Number.NEGATIVE_INFINITY
  let lastTry = Number.NEGATIVE_INFINITY
  let subscription: Promise<void> | null = null
  let unsubscribe: (() => Promise<void>) | null = null

  const onChange = (change: KeyChange) => {
    if (change === 'lost' || change === 'resumed') {
      watching = change === 'resumed'
      for (const flight of flights) flight.all = true
      if (change === 'resumed') trustedFrom = clock.monotonicMs()
    } else if ('keyId' in change) {
      for (const flight of flights) flight.ids.add(change.keyId)
      dropped(change.keyId)
    }
  }
  const connect = async () => {
    try {
      unsubscribe = (await store.watch?.(onChange)) ?? null
      watching = true
    } catch {
      subscription = null
    }
  }
  return Object.freeze({
    begin: () => {
      const flight = { ids: new Set<string>(), all: false }
      flights.add(flight)
      return {
        overtaken: (keyId: string | null) => flight.all || (keyId === null ? flight.ids.size > 0 : flight.ids.has(keyId)),
        land: () => void flights.delete(flight),
      }
    },
    trustedFrom: () => trustedFrom,
    watching: () => watching,
    subscribe: () => {
      if (watching === null || subscription !== null) return subscription ?? Promise.resolve()
      if (clock.monotonicMs() - lastTry < RETRY_MS) return Promise.resolve()
      lastTry = clock.monotonicMs()
      subscription = connect()
      return subscription
    },
    stop: async () => {
      await subscription
      await unsubscribe?.()
      unsubscribe = null
    },
  })
}
