import type { Clock } from '../lib/clock.ts'
import type { KeyChange, KeyStore } from './store.ts'

/** One question under way: told of every change that happens meanwhile, so that an old answer is never taken for the new one. */
export interface Flight {
  /** Which run of the feed it began in. */
  readonly epoch: number
  /** Whether this key (with `null`: any) changed since the question was put. */
  overtaken(keyId: string | null): boolean
  land(): void
}

/** The store's feed of changes. */
export interface Changes {
  begin(): Flight
  /** Grows whenever the feed comes up: what was cached before may have missed a change, and is asked again. */
  epoch(): number
  /** A key was made here: a question under way that finds nothing is put again. */
  made(): void
  /** `null`: the store has no feed. */
  watching(): boolean | null
  /** Subscribes, if that has not been done; at most one try a second where it fails. Never rejects. */
  subscribe(): Promise<void>
  stop(): void
}

export interface ChangeListener {
  /** A key was changed, by whomever. */
  changed(keyId: string): void
  /** The feed is up, from now on. */
  resumed(): void
}

type State = 'idle' | 'connecting' | 'up' | 'lost' | 'stopped'

const RETRY_MS = 1000

export function createChanges(store: KeyStore, clock: Clock, listener: ChangeListener): Changes {
  const flights = createFlights()
  const hasFeed = store.can.watch === true && typeof store.watch === 'function'
  let state: State = 'idle'
  let epoch = 0
  let lastTry = Number.NEGATIVE_INFINITY
  let subscription: Promise<void> | null = null
  let unsubscribe: (() => Promise<void>) | null = null

  const up = () => {
    state = 'up'
    epoch += 1
    listener.resumed()
  }
  const onChange = (change: KeyChange) => {
    if (state === 'stopped') return
    if (change === 'lost' || change === 'resumed') {
      flights.overtake(null)
      if (change === 'resumed') up()
      else state = 'lost'
      return
    }
    const keyId = keyIdOf(change)
    if (keyId === null) return
    flights.overtake(keyId)
    listener.changed(keyId)
  }
  const connect = async () => {
    try {
      const leave = await store.watch?.(onChange)
      if (typeof leave === 'function') unsubscribe = leave
      if (state === 'stopped') await leaveFeed()
      else if (state === 'connecting') up()
    } catch {
      subscription = null
      if (state === 'connecting') state = 'idle'
    }
  }
  const leaveFeed = async () => {
    const leave = unsubscribe
    unsubscribe = null
    await leave?.()
  }
  const subscribe = () => {
    if (subscription !== null) return subscription
    if (!hasFeed || state === 'stopped' || clock.monotonicMs() - lastTry < RETRY_MS) return Promise.resolve()
    lastTry = clock.monotonicMs()
    state = 'connecting'
    subscription = connect()
    return subscription
  }

  return Object.freeze({
    begin: () => flights.begin(epoch),
    epoch: () => epoch,
    made: flights.overtakeMisses,
    watching: () => (hasFeed ? state === 'up' : null),
    subscribe,
    stop: () => {
      state = 'stopped'
      // A feed that cannot be left is of no concern any more: its changes are no longer heard.
      leaveFeed().catch(() => undefined)
    },
  })
}

interface Flights {
  begin(epoch: number): Flight
  /** `null`: whatever is under way. */
  overtake(keyId: string | null): void
  overtakeMisses(): void
}

function createFlights(): Flights {
  const flying = new Set<{ readonly ids: Set<string>; all: boolean; misses: boolean }>()
  return {
    begin: (epoch) => {
      const flight = { ids: new Set<string>(), all: false, misses: false }
      flying.add(flight)
      return {
        epoch,
        overtaken: (keyId) => flight.all || (keyId === null ? flight.misses : flight.ids.has(keyId)),
        land: () => void flying.delete(flight),
      }
    },
    overtake: (keyId) => {
      for (const flight of flying) {
        if (keyId === null) flight.all = true
        else flight.ids.add(keyId)
        flight.misses = true
      }
    },
    overtakeMisses: () => {
      for (const flight of flying) flight.misses = true
    },
  }
}

function keyIdOf(change: unknown): string | null {
  if (typeof change !== 'object' || change === null || !Object.hasOwn(change, 'keyId')) return null
  const keyId: unknown = Reflect.get(change, 'keyId')
  return typeof keyId === 'string' ? keyId : null
}
