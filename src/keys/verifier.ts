import { hash } from 'node:crypto'
import { deny, type Denial } from '../decision.ts'
import type { Clock } from '../lib/clock.ts'
import type { Environment, Identity } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { createAsker } from './asker.ts'
import { createChanges } from './changes.ts'
import type { Digester } from './digest.ts'
import { environmentOf } from './format.ts'
import { createKeyCache } from './key-cache.ts'
import { createLookUps, type LookedUp, type LookUps, type Question } from './look-up.ts'
import { statusAt } from './record.ts'
import type { KeyStore } from './store.ts'

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

const UNKNOWN: Denial = deny('key_unknown', 'api-key')

/** Verifies API keys against a store: from memory where the key was looked up lately, else by one look-up at a time. */
export function createKeyVerifier(settings: KeyVerifierSettings): KeyVerifier {
  const { store, digester, environment, clock } = settings
  const cache = createKeyCache(settings.cacheEntries, settings.catalogue)
  const asker = createAsker(settings.timeoutMs, clock)
  const changes = createChanges(store, clock, (keyId) => {
    // A change of a key that is not cached may be the making of one that was missed a moment ago.
    if (cache.drop(keyId) === 0) cache.forgetMisses()
  })
  const lookUps = createLookUps({ ...settings, cache, asker, changes })
  const uncached = { ...settings, lookUps }

  return Object.freeze({
    verify: (key: string, overBudget: BudgetCheck) => {
      // The digest comes before the look at the key's form: only a well-formed key can be in the cache.
      const slot = hash('sha256', key, 'base64url')
      const cached = lookUps.fresh(slot)
      return cached === undefined ? verifyUncached(uncached, { slot, key }, overBudget) : outcomeOf(cached, clock.now())
    },
    issuingKey: (id: string) => {
      const slot = `id:${id}`
      const state = (found: LookedUp) => issuingState(found, environment, clock.now())
      const cached = lookUps.fresh(slot)
      if (cached !== undefined) return state(cached)
      return lookUps.missed(slot) ? 'bad' : lookUps.ask(byId(store, slot, id)).then(state)
    },
    forgetMisses: () => cache.forgetMisses(),
    ready: async (signal: AbortSignal) => {
      await changes.subscribe()
      await (store.ready === undefined ? probe(store, digester, signal) : store.ready(signal))
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

type Uncached = KeyVerifierSettings & { readonly lookUps: LookUps }

/** What costs nothing comes first; a key that was cached lately, and is only stale, is always asked for again. */
function verifyUncached(
  { lookUps, environment, clock, store, digester }: Uncached,
  { slot, key }: { slot: string; key: string },
  overBudget: BudgetCheck,
): Found | Promise<Found> {
  if (!lookUps.known(slot)) {
    if (lookUps.missed(slot)) return UNKNOWN
    const named = environmentOf(key)
    if (named === null) return deny('key_malformed', 'api-key')
    if (named !== environment) return deny('environment_mismatch', 'api-key')
    const retryAfterSeconds = lookUps.underWay(slot) ? 0 : overBudget()
    if (retryAfterSeconds > 0) return deny('rate_limited', 'api-key', { retryAfterSeconds })
  }
  return lookUps.ask(byKey({ store, digester, slot, key })).then((found) => outcomeOf(found, clock.now()))
}

function byKey({ store, digester, slot, key }: { store: KeyStore; digester: Digester; slot: string; key: string }): Question {
  const digests = digester.all(key)
  return {
    slot,
    ask: (signal) => store.find({ digests, reveal: () => key }, { signal }),
    fits: (record) => digests.includes(record.digest) && record.environment === environmentOf(key),
  }
}

function byId(store: KeyStore, slot: string, id: string): Question {
  return { slot, ask: (signal) => store.get(id, { signal }), fits: (record) => record.id === id }
}

/** A look-up that no key can have: whether the store answers is all that it asks. */
async function probe(store: KeyStore, digester: Digester, signal: AbortSignal): Promise<void> {
  await store.find({ digests: [digester.first('')], reveal: () => '' }, { signal })
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
