import type { Clock } from '../lib/clock.ts'
import { ownMember } from '../lib/own-member.ts'
import { createFlights, type Flight } from './flights.ts'
import type { KeyChange, KeyStore } from './store.ts'

/** The store's feed of changes. */
export interface Changes {
  begin(): Flight
  /** Grows whenever the feed comes up: what was cached before may have missed a change, and is asked again. */
  epoch(): number
  /** A key was made here: a question under way that finds nothing is put again. */
  made(): void
  /** A key was changed here: as if the feed had told of it. */
  changed(keyId: string): void
  /** `null`: the store has no feed, or nobody has asked for it yet. */
  watching(): boolean | null
  /**
   * Subscribes, if that has not been done; at most one try a second where it fails. Resolves when the store has answered,
   * never rejects; `null`: there is nothing to wait for.
   */
  subscribe(): Promise<void> | null
  stop(): Promise<void>
}

export interface ChangeListener {
  /** A key was changed, by whomever. */
  changed(keyId: string): void
  /** A single token was revoked, by whomever. */
  tokenRevoked(tokenId: string): void
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
  let connecting: Promise<void> | null = null
  let unsubscribe: (() => Promise<void>) | null = null

  const up = () => {
    state = 'up'
    epoch += 1
    flights.overtakeMisses()
    listener.resumed()
  }
  const changed = (keyId: string) => {
    flights.overtake(keyId)
    listener.changed(keyId)
  }
  const onChange = (change: KeyChange) => {
    if (state === 'stopped') return
    if (change === 'lost' || change === 'resumed') {
      flights.overtake(null)
      if (change === 'resumed') up()
      else state = 'lost'
      return
    }
    pass(change, 'keyId', changed)
    pass(change, 'tokenId', listener.tokenRevoked)
  }
  const connect = async () => {
    try {
      const leave = await store.watch?.(onChange)
      if (state === 'stopped') await leave?.()
      else if (typeof leave === 'function') unsubscribe = leave
      if (state === 'connecting') up()
    } catch {
      if (state !== 'stopped') state = 'idle'
    }
  }
  const subscribe = () => {
    if (state === 'connecting') return connecting
    if (!hasFeed || state !== 'idle' || clock.monotonicMs() - lastTry < RETRY_MS) return null
    lastTry = clock.monotonicMs()
    state = 'connecting'
    connecting = connect()
    return connecting
  }

  return Object.freeze({
    begin: () => flights.begin(epoch),
    epoch: () => epoch,
    made: flights.overtakeMisses,
    changed,
    watching: () => (hasFeed && lastTry !== Number.NEGATIVE_INFINITY ? state === 'up' : null),
    subscribe,
    stop: async () => {
      state = 'stopped'
      await leaveQuietly(unsubscribe)
    },
  })
}

/** A feed that cannot be left is of no concern any more: its changes are no longer heard. */
async function leaveQuietly(unsubscribe: (() => Promise<void>) | null): Promise<void> {
  try {
    await unsubscribe?.()
  } catch {
    // As above.
  }
}

function pass(change: unknown, member: 'keyId' | 'tokenId', on: (id: string) => void): void {
  const id = ownMember(change, member)
  if (typeof id === 'string') on(id)
}
