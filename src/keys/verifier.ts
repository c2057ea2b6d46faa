import { hash } from 'node:crypto'
import { deny, type Denial, type Reason } from '../decision.ts'
import type { Clock } from '../lib/clock.ts'
import type { Environment, Identity } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { createAsker, type StoreAnswer } from './asker.ts'
import { createChanges } from './changes.ts'
import type { Digester } from './digest.ts'
import { environmentOf } from './format.ts'
import { createKeyCache, type CachedKey } from './key-cache.ts'
import { checkRecord, statusAt } from './record.ts'
import type { KeyRecord, KeyStore } from './store.ts'

/** Seconds until the caller's failure budget is whole again; 0: within budget. Asked only before a look-up of a key that is not cached. */
export type BudgetCheck = () => number

export type IssuingKeyState = 'good' | 'bad' | 'unavailable'

export interface KeysHealth {
  readonly store: string
  /** The last look-up did not fail, and none hangs. */
  readonly reachable: boolean
  /** `true`: pushed changes arrive; `false`: the feed is lost; `null`: the store has none. */
  readonly watching: boolean | null
  readonly cachedKeys: number
}

export interface KeyVerifier {
  /** Synchronous where the key is cached; a denial is a value; never rejects. */
  verify(key: string, overBudget: BudgetCheck): Found | Promise<Found>
  /** Whether the key with this id may still vouch for the tokens issued to it; cached like a key. Never rejects. */
  issuingKey(id: string): IssuingKeyState | Promise<IssuingKeyState>
  /** A key that was just made must not be answered from the miss cache. */
  forgetMisses(): void
  /** Resolves when the store answered; rejects where it did not. Subscribes to its changes. */
  ready(signal: AbortSignal): Promise<void>
  health(): KeysHealth
  close(): Promise<void>
}

export interface KeyVerifierSettings {
  readonly store: KeyStore
  readonly digester: Digester
  readonly environment: Environment
  readonly catalogue: ScopeCatalogue
  readonly clock: Clock
  readonly cacheSeconds: number
  readonly missCacheSeconds: number
  readonly staleIfErrorSeconds: number
  readonly cacheEntries: number
  readonly timeoutMs: number
}

type Found = Identity | Denial
type LookedUp = CachedKey | 'none' | Extract<Reason, 'store_unavailable' | 'store_invalid_record'>

/** A question to the store, and how its answer is recognised as one to it. */
interface Question {
  readonly slot: string
  ask(signal: AbortSignal): Promise<unknown>
  fits(record: KeyRecord): boolean
}

/** An answer that was overtaken by a change is asked again, so often. */
const MAX_ROUNDS = 3

const UNKNOWN: Denial = deny('key_unknown', 'api-key')

/** Verifies API keys against a store: from memory where the key was looked up lately, else by one look-up at a time. */
export function createKeyVerifier(settings: KeyVerifierSettings): KeyVerifier {
  const { store, digester, environment, clock } = settings
  const cache = createKeyCache(settings.cacheEntries, settings.catalogue)
  const asker = createAsker(settings.timeoutMs, clock)
  const changes = createChanges(store, clock, (keyId) => {
    if (cache.drop(keyId) === 0) cache.forgetMisses()
  })
  const flights = new Map<string, Promise<LookedUp>>()
  const freshMs = settings.cacheSeconds * 1000
  const staleMs = freshMs + settings.staleIfErrorSeconds * 1000
  const missMs = settings.missCacheSeconds * 1000

  const isFresh = ({ storedAt }: CachedKey) => storedAt >= changes.trustedFrom() && clock.monotonicMs() < storedAt + freshMs
  const isStale = ({ storedAt }: CachedKey) => clock.monotonicMs() < storedAt + staleMs
  const isMissed = (slot: string) => clock.monotonicMs() < (cache.missedAt(slot) ?? Number.NEGATIVE_INFINITY) + missMs

  /** One look-up a slot, however many wait for it. */
  const lookUp = (question: Question): Promise<LookedUp> => {
    const known = flights.get(question.slot)
    if (known !== undefined) return known
    const flight = rounds(question).finally(() => flights.delete(question.slot))
    flights.set(question.slot, flight)
    return flight
  }

  const rounds = async (question: Question): Promise<LookedUp> => {
    void changes.subscribe()
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const flight = changes.begin()
      const askedAt = clock.monotonicMs()
      const read = readAnswer(await asker.ask((signal) => question.ask(signal)), question)
      flight.land()
      if (typeof read === 'string' && read !== 'none') return staleOr(question.slot, read)
      if (flight.overtaken(read === 'none' ? null : read.id)) continue
      if (read !== 'none') return cache.put(question.slot, read, askedAt)
      cache.miss(question.slot, askedAt)
      return 'none'
    }
    return staleOr(question.slot, 'store_unavailable')
  }

  const staleOr = (slot: string, reason: Extract<LookedUp, string>): LookedUp => {
    const cached = cache.get(slot)
    return cached !== undefined && isStale(cached) ? cached : reason
  }

  const byKey = (slot: string, key: string): Question => {
    const digests = digester.all(key)
    return {
      slot,
      ask: (signal) => store.find({ digests, reveal: () => key }, { signal }),
      fits: (record) => digests.includes(record.digest) && record.environment === environmentOf(key),
    }
  }
  const byId = (slot: string, id: string): Question => ({
    slot,
    ask: (signal) => store.get(id, { signal }),
    fits: (record) => record.id === id,
  })

  const verifyUncached = (slot: string, key: string, overBudget: BudgetCheck): Found | Promise<Found> => {
    const known = cache.get(slot) !== undefined
    if (!known) {
      if (isMissed(slot)) return UNKNOWN
      const named = environmentOf(key)
      if (named === null) return deny('key_malformed', 'api-key')
      if (named !== environment) return deny('environment_mismatch', 'api-key')
      const retryAfterSeconds = flights.has(slot) ? 0 : overBudget()
      if (retryAfterSeconds > 0) return deny('rate_limited', 'api-key', { retryAfterSeconds })
    }
    return lookUp(byKey(slot, key)).then((found) => outcomeOf(found, clock.now()))
  }

  return Object.freeze({
    verify: (key: string, overBudget: BudgetCheck) => {
      // The digest comes before the look at the key's form: only a well-formed key can be in the cache.
      const slot = hash('sha256', key, 'base64url')
      const cached = cache.get(slot)
      return cached !== undefined && isFresh(cached)
        ? outcomeOf(cached, clock.now())
        : verifyUncached(slot, key, overBudget)
    },
    issuingKey: (id: string) => {
      const slot = `id:${id}`
      const cached = cache.get(slot)
      const state = (found: LookedUp) => issuingState(found, environment, clock.now())
      if (cached !== undefined && isFresh(cached)) return state(cached)
      return isMissed(slot) ? 'bad' : lookUp(byId(slot, id)).then(state)
    },
    forgetMisses: cache.forgetMisses,
    ready: async (signal: AbortSignal) => {
      await changes.subscribe()
      await (store.ready === undefined
        ? store.find({ digests: [digester.first('')], reveal: () => '' }, { signal })
        : store.ready(signal))
    },
    health: () =>
      Object.freeze({
        store: store.name,
        reachable: asker.reachable(),
        watching: changes.watching(),
        cachedKeys: cache.size(),
      }),
    close: async () => {
      await changes.stop()
      await store.close?.()
    },
  })
}

/** A store that answers with something that is no record, or not the one that was asked for, has not answered. */
function readAnswer(answer: StoreAnswer, question: Question): KeyRecord | 'none' | 'store_unavailable' | 'store_invalid_record' {
  if (answer.kind === 'failed') return 'store_unavailable'
  if (answer.value === null) return 'none'
  const record = checkRecord(answer.value)
  return record !== null && question.fits(record) ? record : 'store_invalid_record'
}

function outcomeOf(found: LookedUp, now: number): Found {
  if (found === 'none') return UNKNOWN
  if (typeof found === 'string') return deny(found, 'api-key')
  const { record, identity } = found
  const status = statusAt(record, now)
  if (status === 'active' || status === 'grace') return identity
  return deny(`key_${status}`, 'api-key', {
    actor: { organizationId: record.organizationId, keyId: record.id, subject: record.id, tokenId: null },
  })
}

function issuingState(found: LookedUp, environment: Environment, now: number): IssuingKeyState {
  if (found === 'none') return 'bad'
  if (typeof found === 'string') return 'unavailable'
  const status = statusAt(found.record, now)
  return found.record.environment === environment && (status === 'active' || status === 'grace') ? 'good' : 'bad'
}
