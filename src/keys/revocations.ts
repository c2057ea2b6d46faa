import { types } from 'node:util'
import type { Clock } from '../lib/clock.ts'
import { nextTurn } from '../lib/next-turn.ts'
import { ownMember } from '../lib/own-member.ts'
import { createAsker } from './asker.ts'
import type { Changes } from './changes.ts'
import type { KeyStore } from './store.ts'

export interface StoredRevocation {
  readonly tokenId: string
  readonly expiresAt: Date
}

export interface RevocationListener {
  revoked(tokenId: string): void
  /** Changes may have been missed. */
  resumed(): void
}

export interface RevocationReader {
  /** `null`: no usable answer in time. Never rejects. */
  read(): Promise<readonly StoredRevocation[] | null>
  stop(): void
}

/** Nobody waits for it but the first token of all: a list takes longer than a look-up. */
const MIN_TIMEOUT_MS = 2000
/** A longer list is no answer: it would be held in memory whole. */
const MAX_ENTRIES = 1_000_000

/** Reads the list of revoked tokens apart from look-ups: one that is slow must not make a store count as hanging. */
export function createRevocationReader(
  { store, clock, timeoutMs }: { store: KeyStore; clock: Clock; timeoutMs: number },
  changes: Changes,
): RevocationReader {
  const asker = createAsker(Math.max(timeoutMs, MIN_TIMEOUT_MS), clock)
  return Object.freeze({
    read: () =>
      asker.ask(async () => {
        // Subscribed first: what is revoked while the list is read is pushed.
        const subscribed = changes.subscribe()
        if (subscribed !== null) await Promise.race([subscribed, nextTurn()])
        return checked(await store.revokedTokens?.())
      }),
    stop: () => asker.stop(),
  })
}

/** @throws {TypeError} for a list with anything else in it: what is not understood may be a revocation. */
function checked(list: unknown): readonly StoredRevocation[] {
  if (!Array.isArray(list) || list.length > MAX_ENTRIES) throw new TypeError('The store gave no list of revocations.')
  return Array.from({ length: list.length }, (_, index) => {
    const entry: unknown = Object.hasOwn(list, index) ? list[index] : undefined
    const [tokenId, expiresAt] = [ownMember(entry, 'tokenId'), ownMember(entry, 'expiresAt')]
    if (typeof tokenId !== 'string' || !types.isDate(expiresAt) || Number.isNaN(expiresAt.getTime()))
      throw new TypeError('The store gave a broken revocation.')
    return { tokenId, expiresAt: new Date(expiresAt) }
  })
}
