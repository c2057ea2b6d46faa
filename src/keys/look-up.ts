import type { Reason } from '../decision.ts'
import type { Clock } from '../lib/clock.ts'
import type { Asker, StoreAnswer } from './asker.ts'
import type { Changes } from './changes.ts'
import type { CachedKey, KeyCache } from './key-cache.ts'
import { checkRecord } from './record.ts'
import type { KeyRecord } from './store.ts'

/** A question to the store, and how its answer is recognised as one to it. */
export interface Question {
  /** Where the answer is cached. */
  readonly slot: string
  ask(signal: AbortSignal): Promise<unknown>
  fits(record: KeyRecord): boolean
}

export type LookedUp = CachedKey | 'none' | Extract<Reason, 'store_unavailable' | 'store_invalid_record'>

/** Cached answers, and one look-up at a time for what is not cached. */
export interface LookUps {
  /** The answer that may be used without asking. */
  fresh(slot: string): CachedKey | undefined
  /** Cached, fresh or stale: such a key is never held against a failure budget. */
  known(slot: string): boolean
  missed(slot: string): boolean
  underWay(slot: string): boolean
  ask(question: Question): Promise<LookedUp>
}

export interface LookUpParts {
  readonly cache: KeyCache
  readonly asker: Asker
  readonly changes: Changes
  readonly clock: Clock
  readonly cacheSeconds: number
  readonly missCacheSeconds: number
  readonly staleIfErrorSeconds: number
}

/** An answer that was overtaken by a change is asked again, so often. */
const MAX_ROUNDS = 3

export function createLookUps(parts: LookUpParts): LookUps {
  const { cache, changes, clock } = parts
  const freshMs = parts.cacheSeconds * 1000
  const missMs = parts.missCacheSeconds * 1000
  const flights = new Map<string, Promise<LookedUp>>()
  const isFresh = ({ storedAt }: CachedKey) => storedAt >= changes.trustedFrom() && clock.monotonicMs() < storedAt + freshMs

  return Object.freeze({
    fresh: (slot: string) => {
      const cached = cache.get(slot)
      return cached !== undefined && isFresh(cached) ? cached : undefined
    },
    known: (slot: string) => cache.get(slot) !== undefined,
    missed: (slot: string) => {
      const at = cache.missedAt(slot)
      return at !== undefined && clock.monotonicMs() < at + missMs
    },
    underWay: (slot: string) => flights.has(slot),
    ask: (question: Question) => {
      const known = flights.get(question.slot)
      if (known !== undefined) return known
      const flight = rounds(parts, question).finally(() => flights.delete(question.slot))
      flights.set(question.slot, flight)
      return flight
    },
  })
}

/** Asks until the answer is not older than the latest change of what it is about. */
async function rounds(parts: LookUpParts, question: Question): Promise<LookedUp> {
  const { cache, asker, changes, clock } = parts
  void changes.subscribe()
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const flight = changes.begin()
    const askedAt = clock.monotonicMs()
    const read = readAnswer(await asker.ask((signal) => question.ask(signal)), question)
    flight.land()
    if (read === 'store_unavailable' || read === 'store_invalid_record') return staleOr(parts, question.slot, read)
    if (flight.overtaken(read === 'none' ? null : read.id)) continue
    if (read !== 'none') return cache.put(question.slot, read, askedAt)
    cache.miss(question.slot, askedAt)
    return 'none'
  }
  return staleOr(parts, question.slot, 'store_unavailable')
}

/** While the store does not answer, what it said lately still holds; a pushed change has dropped it from the cache. */
function staleOr({ cache, clock, cacheSeconds, staleIfErrorSeconds }: LookUpParts, slot: string, reason: Extract<LookedUp, string>): LookedUp {
  const cached = cache.get(slot)
  const staleMs = (cacheSeconds + staleIfErrorSeconds) * 1000
  return cached !== undefined && clock.monotonicMs() < cached.storedAt + staleMs ? cached : reason
}

/** A store that answers with something that is no record, or not the one that was asked for, has not answered. */
function readAnswer(answer: StoreAnswer, question: Question): KeyRecord | Extract<LookedUp, string> {
  if (answer.kind === 'failed') return 'store_unavailable'
  if (answer.value === null) return 'none'
  const record = checkRecord(answer.value)
  return record !== null && question.fits(record) ? record : 'store_invalid_record'
}
