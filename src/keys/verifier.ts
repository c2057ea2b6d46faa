import { hash } from 'node:crypto'
import { deny, type Denial } from '../decision.ts'
import type { Clock } from '../lib/clock.ts'
import { settledWithin } from '../lib/settled-within.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import type { Environment, Identity } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { createAsker } from './asker.ts'
import { createKeyBackground } from './background.ts'
import { createChanges } from './changes.ts'
import type { Digester } from './digest.ts'
import { environmentOf } from './format.ts'
import { createKeyCache, slotById, type CachedKey } from './key-cache.ts'
import { createKnownKeys, type CacheTimes, type KnownKeys } from './known-keys.ts'
import { createLookUps, type LookedUp, type LookUps, type Question } from './look-up.ts'
import { isKeyId, statusOf } from './record.ts'
import { createRevocationReader, type RevocationListener, type StoredRevocation } from './revocations.ts'
import type { KeyRecord, KeyStore } from './store.ts'

/** Failed attempts by client address: those that cost a look-up or a cached miss are counted, and bound what may come. */
export interface AttemptBudget {
  /** Before a look-up. 0: it may start, and holds a place until `release`; else the seconds until the budget is whole again; `null`: it waited too long. */
  admit(address: string | null): number | Promise<number | null>
  release(address: string | null): void
  count(address: string | null): void
}

export type IssuingKeyState = 'good' | 'bad' | 'unavailable'

/** Of `auth.health().keys`: what the last use of the store has shown. It is not asked for this. */
export interface KeysHealth {
  readonly store: string
  /** The last look-up did not fail, and none hangs. */
  readonly reachable: boolean
  /** `true`: pushed changes arrive; `false`: the feed is lost; `null`: the store has none, or it was not asked for yet. */
  readonly watching: boolean | null
  readonly cachedKeys: number
  /** Keys that are due for rotation: active, older than 90 days. Asked for once a day; `null`: not known. */
  readonly rotationDue: number | null
}

export interface KeyVerifier {
  /** Synchronous where the key is cached; a denial is a value; never rejects. `address` is the client's, `null` if unknown. */
  verify(key: string, address: string | null): Found | Promise<Found>
  /** As `verify`, for somebody who has shown a good key of his own and asks about another: no budget bounds that. */
  introspect(key: string): Found | Promise<Found>
  /** Whether the key with this id may still vouch for the tokens issued to it; cached like a key. Never rejects. */
  issuingKey(id: string): IssuingKeyState | Promise<IssuingKeyState>
  /** The single tokens that the store holds as revoked; `null`: no usable answer in time. Never rejects. */
  revokedTokens(): Promise<readonly StoredRevocation[] | null>
  /** A key that was just made must not be answered from the miss cache. */
  forgetMisses(): void
  /** A key was changed: what is cached of it is dropped, and what is being looked up is asked again. */
  forget(keyId: string): void
  /** Resolves when the store answered; rejects with its error, or when the signal ends it. Subscribes to its changes. */
  ready(signal: AbortSignal): Promise<void>
  health(): KeysHealth
  /** Ends look-ups under way with `store_unavailable`, writes last uses within the deadline. Leaves no timer behind. */
  close(deadlineMs?: number): Promise<void>
}

export interface KeyVerifierSettings extends CacheTimes {
  readonly store: KeyStore
  readonly digester: Digester
  readonly environment: Environment
  readonly catalogue: ScopeCatalogue
  readonly clock: Clock
  readonly cacheEntries: number
  /** For the whole of a look-up, from its start. */
  readonly timeoutMs: number
  readonly budget: AttemptBudget
  readonly onRotationDue: ((records: readonly KeyRecord[]) => void) | null
  /** Told of single tokens that are revoked. */
  readonly revocations?: RevocationListener | undefined
}

type Found = Identity | Denial

/** A key was let in; called on each verification, so it must be cheap. */
type OnUse = (keyId: string, now: number) => void

const CLOSE_DEADLINE_MS = 1000
const FEED_PATIENCE_MS = 1000
const LATE = 'The key store did not answer in time.'

const UNKNOWN: Denial = deny('key_unknown', 'api-key', { cost: true })

/** Of somebody who has an identity: his questions are bounded like all his other calls, by whoever serves him. */
const UNBOUNDED: AttemptBudget = Object.freeze({ admit: () => 0, release: () => undefined, count: () => undefined })

/** Verifies API keys against a store: from memory where the key was looked up lately, else by one look-up at a time. */
export function createKeyVerifier(settings: KeyVerifierSettings): KeyVerifier {
  const { store, clock, catalogue } = settings
  const listener = Object.hasOwn(settings, 'revocations') ? settings.revocations : undefined
  const cache = createKeyCache(settings.cacheEntries)
  const asker = createAsker(settings.timeoutMs, clock)
  const changes = createChanges(store, clock, {
    changed: (keyId) => {
      // A key that is not known here may be one that was missed.
      if (!cache.drop(keyId)) cache.forgetMisses()
    },
    tokenRevoked: (tokenId) => listener?.revoked(tokenId),
    resumed: () => {
      cache.forgetMisses()
      listener?.resumed()
    },
  })
  const known = createKnownKeys({ cache, clock, times: settings, epoch: changes.epoch })
  const lookUps = createLookUps({ asker, changes, cache, catalogue, clock })
  const background = createKeyBackground({ ...settings, entries: settings.cacheEntries })
  const revocations = createRevocationReader(settings, changes)
  const parts = { known, lookUps, onUse: background.used }
  const introspect = createVerify({ ...settings, budget: UNBOUNDED }, parts)

  return Object.freeze({
    verify: createVerify(settings, parts),
    introspect: (key: string) => introspect(key, null),
    revokedTokens: revocations.read,
    issuingKey: createIssuingKey(settings, known, lookUps),
    forgetMisses: () => {
      cache.forgetMisses()
      changes.made()
    },
    forget: changes.changed,
    ready: async (signal: AbortSignal) => {
      // Without a feed the cache falls back to its short time; that is no reason not to start.
      const feed = settledWithin(changes.subscribe(), FEED_PATIENCE_MS)
      await unlessAborted(reach(settings, signal), signal, LATE).catch((error: unknown) => {
        asker.seen(false)
        throw error
      })
      asker.seen(true)
      await feed
      await background.start()
    },
    health: () =>
      Object.freeze({
        store: store.name,
        reachable: asker.reachable(),
        watching: changes.watching(),
        cachedKeys: cache.size(),
        rotationDue: background.rotationDue(),
      }),
    close: async (deadlineMs = CLOSE_DEADLINE_MS) => {
      asker.stop()
      revocations.stop()
      const end = performance.now() + deadlineMs
      const rest = () => Math.max(0, end - performance.now())
      await background.stop(rest())
      await settledWithin(changes.stop(), rest())
      if (typeof store.close === 'function') await settledWithin(store.close(), rest())
    },
  })
}

function createVerify(
  settings: KeyVerifierSettings,
  { known, lookUps, onUse }: { known: KnownKeys; lookUps: LookUps; onUse: OnUse },
): KeyVerifier['verify'] {
  const { environment, clock, budget } = settings

  const judged = (found: LookedUp, costs?: boolean): Found => {
    const now = clock.now()
    const outcome = outcomeOf(found, now, costs)
    if (outcome.ok) onUse(outcome.subject, now)
    return outcome
  }

  /** Why a key that is not cached is refused without a look-up; `null`: it is not. */
  const refusal = ({ slot, key, address }: Presented): Denial | null => {
    if (known.missed(slot)) return counted(UNKNOWN, address)
    const named = environmentOf(key)
    if (named === null) return deny('key_malformed', 'api-key')
    return named === environment ? null : deny('environment_mismatch', 'api-key')
  }
  const counted = <T extends Found>(found: T, address: string | null): T => {
    if (!found.ok && found.cost) budget.count(address)
    return found
  }
  const lookUp = async ({ slot, key, address }: Presented): Promise<Found> => {
    const answer = await lookUps.find(byKey(settings, slot, key))
    return counted(judged(orStale(answer, known.stale(slot)), true), address)
  }
  /** Holds a place of the budget until it is known, and counted, whether the attempt has failed. */
  const lookUpWithin = async (presented: Presented): Promise<Found> => {
    const { slot, address } = presented
    const admitted = budget.admit(address)
    const retryAfterSeconds = typeof admitted === 'number' ? admitted : await admitted
    if (retryAfterSeconds === null) return deny('store_unavailable', 'api-key')
    if (retryAfterSeconds > 0) return deny('rate_limited', 'api-key', { retryAfterSeconds })
    try {
      // Whoever had to wait may find that somebody has looked the key up meanwhile.
      const cached = known.fresh(slot)
      if (cached !== null) return judged(cached)
      return known.missed(slot) ? counted(UNKNOWN, address) : await lookUp(presented)
    } finally {
      budget.release(address)
    }
  }

  return (key, address) => {
    // The digest comes before the look at the key's form: only a well-formed key can be in the cache.
    const slot = hash('sha256', key, 'base64url')
    const cached = known.fresh(slot)
    if (cached !== null) return judged(cached)
    const presented = { slot, key, address }
    if (known.stale(slot) !== null) return lookUp(presented)
    return refusal(presented) ?? (lookUps.underWay(slot) ? lookUp(presented) : lookUpWithin(presented))
  }
}

/** A key that is not in the cache, where it would be cached, and the address that it came from. */
interface Presented {
  readonly slot: string
  readonly key: string
  readonly address: string | null
}

function createIssuingKey(
  settings: KeyVerifierSettings,
  known: KnownKeys,
  lookUps: LookUps,
): KeyVerifier['issuingKey'] {
  return (id) => {
    if (!isKeyId(id)) return 'bad'
    const slot = slotById(id)
    const cached = known.fresh(slot)
    if (cached !== null) return issuingState(cached, settings)
    if (known.missed(slot)) return 'bad'
    return lookUps
      .find(byId(settings, slot, id))
      .then((answer) => issuingState(orStale(answer, known.stale(slot)), settings))
  }
}

/** A store that is down, or that lies, is no reason to refuse a caller whom it vouched for a moment ago. */
function orStale(answer: LookedUp, stale: CachedKey | null): LookedUp {
  return stale !== null && (answer === 'store_unavailable' || answer === 'store_invalid_record') ? stale : answer
}

/** The store is asked by digests; the key itself is for a store that has to present it to somebody else. */
function byKey({ store, digester, environment }: KeyVerifierSettings, slot: string, key: string): Question {
  const digests = digester.all(key)
  return {
    slot,
    ask: (signal) => store.find({ digests, reveal: () => key }, { signal }),
    fits: (record) => digests.includes(record.digest) && record.environment === environment,
  }
}

function byId({ store }: KeyVerifierSettings, slot: string, id: string): Question {
  return { slot, ask: (signal) => store.get(id, { signal }), fits: (record) => record.id === id }
}

function outcomeOf(found: LookedUp, now: number, cost = false): Found {
  if (found === 'key_unknown') return UNKNOWN
  if (typeof found === 'string') return deny(found, 'api-key')
  const { identity } = found
  const status = statusOf(found.revoked, identity, now)
  if (status === 'active' || status === 'grace') return identity
  const { organizationId, keyId, subject, tokenId } = identity
  return deny(`key_${status}`, 'api-key', { actor: { organizationId, keyId, subject, tokenId }, cost })
}

/** A key of the other environment vouches for nothing here. */
function issuingState(found: LookedUp, { clock, environment }: KeyVerifierSettings): IssuingKeyState {
  if (found === 'key_unknown') return 'bad'
  if (typeof found === 'string') return 'unavailable'
  const status = statusOf(found.revoked, found.identity, clock.now())
  return found.identity.environment === environment && (status === 'active' || status === 'grace') ? 'good' : 'bad'
}

/** The store's own question whether it is there, or else a look-up that finds nothing. */
async function reach({ store, digester }: KeyVerifierSettings, signal: AbortSignal): Promise<void> {
  if (typeof store.ready === 'function') await store.ready(signal)
  else await store.find({ digests: digester.all(''), reveal: () => '' }, { signal })
}
