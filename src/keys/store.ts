import { ConfigError } from '../errors.ts'
import { ownMember } from '../lib/own-member.ts'
import type { KeyRecord } from './stored-record.ts'

/** What a store rejects with; part of the port, so that a driver needs nothing else. */
export { ConfigError, StoreCapabilityError, StoreConflict } from '../errors.ts'
/** How a store that keeps texts writes and reads a record, and what a change may do to it. */
export { changedRecord, isOnlyUse, isRotationOf, recordOfText, textOfRecord } from './stored-record.ts'
export type { KeyRecord } from './stored-record.ts'

/** What a look-up asks with. `reveal` gives the key itself; the introspection store alone calls it. */
export interface KeyLookup {
  /** One a pepper, in their order. */
  readonly digests: readonly string[]
  reveal(): string
}

/** A changed key or token, or the state of the feed. */
export type KeyChange = { readonly keyId: string } | { readonly tokenId: string } | 'lost' | 'resumed'

/** What a store is told about a look-up beside what to look for. */
export interface StoreContext {
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** Where keys live. A store that cannot do something says so in `can`, and its method rejects with `StoreCapabilityError`. */
export interface KeyStore {
  /** For health and errors, such as `postgres`. */
  readonly name: string
  /** How long a look-up may take, in milliseconds, where `keys.timeoutMs` does not say it. Default 250. */
  readonly timeoutMs?: number | undefined
  readonly can: {
    readonly write: boolean
    readonly watch: boolean
    readonly list: boolean
    readonly get: boolean
    readonly revocations: boolean
  }
  /** The record with one of the digests, or `null`. Rejects when the store is out of reach: an error is never "unknown". */
  find(lookup: KeyLookup, context: StoreContext): Promise<KeyRecord | null>
  /** The record with this id (`key_…`), or `null`. Rejects when the store is out of reach; with `StoreCapabilityError` where `can.get` is false. */
  get(id: string, context: StoreContext): Promise<KeyRecord | null>
  /** Rejects with `StoreConflict` where the id or the digest is taken. */
  insert(record: KeyRecord): Promise<void>
  /**
   * One transaction. `old` is the record as it was read, with the rotation (`rotatedAt`, `validUntil`, `replacedBy`) in it;
   * rejects with `StoreConflict` if the stored one has changed since, its last use excepted (`isRotationOf`), or if the id
   * or digest of `fresh` is taken.
   */
  replace(old: KeyRecord, fresh: KeyRecord): Promise<void>
  /** Sets these members and gives the record as it is then; id and digest never change. Rejects with `StoreConflict` where no record has this id. */
  update(id: string, change: Partial<KeyRecord>): Promise<KeyRecord>
  /** In order of id, at most `limit` (default 100); `after` is the last id of the page before. */
  list(query: { organizationId?: string; after?: string; limit?: number }): Promise<readonly KeyRecord[]>
  /** Kept until `expiresAt`. */
  revokeToken?(revocation: { tokenId: string; expiresAt: Date }): Promise<void>
  /** Those not yet expired. */
  revokedTokens?(): Promise<readonly { tokenId: string; expiresAt: Date }[]>
  /**
   * Calls `on` for each change, with `'lost'` when changes may be missed and `'resumed'` when none are any more. Resolves once
   * the feed is up, with the function that ends it.
   */
  watch?(on: (change: KeyChange) => void): Promise<() => Promise<void>>
  /** Resolves when the store answers; rejects with the driver's own error. Gives up when `signal` aborts. */
  ready?(signal: AbortSignal): Promise<void>
  /** Closes what the store opened itself. */
  close?(): Promise<void>
}

/** Which records `list` gives. */
export type KeyQuery = Parameters<KeyStore['list']>[0]

/** A token that no server takes any more, and when it would have expired. */
export type TokenRevocation = Parameters<NonNullable<KeyStore['revokeToken']>>[0]

/** How long a revocation is kept beyond the token's expiry: where a clock is behind, the token still passes. */
export const KEPT_BEYOND_MS = 3_600_000

/** What one server tells the others: which key or token has changed, nothing of what it is. */
export type ChangeNotice = Exclude<KeyChange, string>

export function textOfNotice(notice: ChangeNotice): string {
  return JSON.stringify(notice)
}

/** `null`: it is none, such as a heartbeat, or what a later version may tell. */
export function noticeOfText(text: string): ChangeNotice | null {
  const message = parsed(text)
  const keyId = ownMember(message, 'keyId')
  if (typeof keyId === 'string') return { keyId }
  const tokenId = ownMember(message, 'tokenId')
  return typeof tokenId === 'string' ? { tokenId } : null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/**
 * The options of a store by name, own members alone: what every object inherits is no option.
 * @throws {ConfigError} where they are no object, or one has none of the `names`.
 */
export function readStoreOptions(
  store: string,
  options: unknown,
  names: readonly string[],
): ReadonlyMap<string, unknown> {
  const expected = names.map((name) => `\`${name}\``).join(', ')
  if (typeof options !== 'object' || options === null) {
    throw new ConfigError(options === undefined ? 'CONFIG_MISSING' : 'CONFIG_INVALID', store, {
      problem: options === undefined ? 'its options are missing.' : 'its options are no object.',
      remedy: `Give an object; there is ${expected}.`,
    })
  }
  const own = new Map<string, unknown>(Object.entries(options))
  const unknown = [...own.keys()].find((name) => !names.includes(name))
  if (unknown === undefined) return own
  throw new ConfigError('CONFIG_UNKNOWN_OPTION', `${store}.${unknown}`, {
    problem: 'is no option.',
    remedy: `Check its spelling: there is ${expected}.`,
  })
}
