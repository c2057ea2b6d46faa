import type { Denial } from '../decision.ts'
import type { Identity } from '../principal.ts'

/** Seconds until the caller's failure budget is whole again; 0: within budget. Asked only before a look-up of a key that is not cached. */
export type BudgetCheck = () => number

export interface KeyVerifier {
  /** Synchronous where the key is cached; a denial is a value; never rejects. */
  verify(key: string, overBudget: BudgetCheck): Identity | Denial | Promise<Identity | Denial>
  /** Whether the key with this id may still vouch for the tokens issued to it; cached like a key. Never rejects. */
  issuingKey(id: string): IssuingKeyState | Promise<IssuingKeyState>
  /** Resolves when the store answered; rejects with the store's error. Starts `watch`. */
  ready(signal: AbortSignal): Promise<void>
  health(): KeysHealth
  close(): Promise<void>
}

export type IssuingKeyState = 'good' | 'bad' | 'unavailable'

export interface KeysHealth {
  readonly store: string
  /** The last look-up did not fail, and none hangs. */
  readonly reachable: boolean
  /** `true`: pushed changes arrive; `false`: the feed is lost; `null`: the store has none. */
  readonly watching: boolean | null
  readonly cachedKeys: number
}
