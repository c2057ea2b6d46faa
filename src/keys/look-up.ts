import type { Reason } from '../decision.ts'
import type { Clock } from '../lib/clock.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { nextTurn } from '../lib/next-turn.ts'
import type { Asker } from './asker.ts'
import type { Changes } from './changes.ts'
import type { Flight } from './flights.ts'
import { identityOf, type CachedKey, type KeyCache } from './key-cache.ts'
import { checkRecord } from './record.ts'
import type { KeyRecord } from './store.ts'

export type LookedUp = CachedKey | Extract<Reason, 'key_unknown' | 'store_unavailable' | 'store_invalid_record'>

/** A question to the store, and how its answer is recognised as one to it. */
export interface Question {
  /** Where the answer is cached. */
  readonly slot: string
  ask(signal: AbortSignal): Promise<unknown>
  fits(record: KeyRecord): boolean
}

export interface LookUps {
  /** Asks the store and remembers what it said; one question a slot at a time, however many wait for it. Never rejects. */
  find(question: Question): Promise<LookedUp>
  underWay(slot: string): boolean
}

export interface LookUpSettings {
  readonly asker: Asker
  readonly changes: Changes
  readonly cache: KeyCache
  readonly catalogue: ScopeCatalogue
  readonly clock: Clock
}

/** Where other keys change all the time: it was not there at a moment after the call had come. True, but not to be kept. */
const TRUE_FOR_A_MOMENT = 'key_unknown'

/** How often a question is put whose answer was overtaken by a change. One change here is up to three: before, by the feed, after. */
const MAX_ROUNDS = 6

export function createLookUps({ asker, changes, cache, catalogue, clock }: LookUpSettings): LookUps {
  const underWay = new Map<string, Promise<LookedUp>>()

  const remember = (slot: string, record: KeyRecord | null, asked: Pick<CachedKey, 'askedAt' | 'epoch'>): LookedUp => {
    // From here on the cache answers: whoever comes later could be told what a change has overtaken meanwhile.
    underWay.delete(slot)
    if (record === null) {
      cache.miss(slot, asked.askedAt)
      return 'key_unknown'
    }
    const identity = identityOf(record, catalogue)
    const cached = Object.freeze({ identity, revoked: record.revokedAt !== null, ...asked })
    cache.put(slot, cached)
    return cached
  }

  /** One question, and what it comes to; `null`: a change has overtaken its answer. */
  const round = async (
    question: Question,
    { flight, isLast }: { flight: Flight; isLast: boolean },
    signal: AbortSignal,
  ): Promise<LookedUp | null> => {
    const askedAt = clock.monotonicMs()
    const answer = await promised(question.ask(signal))
    if (signal.aborted) return 'store_unavailable'
    const record = answer === null ? null : readAnswer(answer, question)
    if (flight.overtaken(record === null || record === 'broken' ? null : record.id)) {
      return isLast && record === null && !flight.feedChanged() ? TRUE_FOR_A_MOMENT : null
    }
    return record === 'broken'
      ? 'store_invalid_record'
      : remember(question.slot, record, { askedAt, epoch: flight.epoch })
  }

  const rounds = async (question: Question, signal: AbortSignal): Promise<LookedUp> => {
    const subscribed = changes.subscribe()
    // A feed in this process is up at once; one that takes a while must not hold up the first callers.
    if (subscribed !== null) await Promise.race([subscribed, nextTurn()])
    for (let count = 0; count < MAX_ROUNDS; count += 1) {
      const flight = changes.begin()
      try {
        const found = await round(question, { flight, isLast: count === MAX_ROUNDS - 1 }, signal)
        if (found !== null) return found
      } finally {
        flight.land()
      }
    }
    return 'store_unavailable'
  }

  return Object.freeze({
    underWay: (slot: string) => underWay.has(slot),
    find: (question: Question) => {
      const known = underWay.get(question.slot)
      if (known !== undefined) return known
      const found: Promise<LookedUp> = asker
        .ask((signal) => rounds(question, signal))
        .then((answer) => {
          if (underWay.get(question.slot) === found) underWay.delete(question.slot)
          return answer ?? 'store_unavailable'
        })
      underWay.set(question.slot, found)
      return found
    },
  })
}

/** A store that returns no promise is broken, and its answer no answer: `null` would be "unknown" else. */
function promised(answer: Promise<unknown>): Promise<unknown> {
  if (typeof answer !== 'object' || answer === null || typeof answer.then !== 'function') {
    throw new TypeError('The store returned no promise.')
  }
  return answer
}

/** Something that is no record, or not the one that was asked for, is no answer either. */
function readAnswer(answer: unknown, question: Question): KeyRecord | 'broken' {
  const record = checkRecord(answer)
  return record !== null && question.fits(record) ? record : 'broken'
}
