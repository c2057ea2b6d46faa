import type { KeyRecord } from './stored-record.ts'

/** What a store rejects with; part of the port, so that a driver needs nothing else. */
export { StoreCapabilityError, StoreConflict } from '../errors.ts'
/** How a store that keeps texts writes and reads a record, and what a change may do to it. */
export { changedRecord, isOnlyUse, isRotationOf, recordOfText, textOfRecord } from './stored-record.ts'
export type { KeyRecord } from './stored-record.ts'

/** What a look-up asks with. `reveal` gives the key itself; the introspection store alone calls it. */
export interface KeyLookup {
  readonly digests: readonly string[]
  reveal(): string
}

export type KeyChange = { readonly keyId: string } | { readonly tokenId: string } | 'lost' | 'resumed'

export interface StoreContext {
  readonly signal: AbortSignal
}

/** Where keys live. A store that cannot do something says so in `can`, and its method rejects with `StoreCapabilityError`. */
export interface KeyStore {
  readonly name: string
  readonly can: {
    readonly write: boolean
    readonly watch: boolean
    readonly list: boolean
    readonly get: boolean
    readonly revocations: boolean
  }
  /** The record with one of the digests, or `null`. Rejects when the store is out of reach: an error is never "unknown". */
  find(lookup: KeyLookup, context: StoreContext): Promise<KeyRecord | null>
  get(id: string, context: StoreContext): Promise<KeyRecord | null>
  /** Rejects with `StoreConflict` where the id or the digest is taken. */
  insert(record: KeyRecord): Promise<void>
  /**
   * One transaction. `old` is the record as it was read, with the rotation (`rotatedAt`, `validUntil`, `replacedBy`) in it;
   * rejects with `StoreConflict` if the stored one has changed since, its last use excepted (`isRotationOf`), or if the id
   * or digest of `fresh` is taken.
   */
  replace(old: KeyRecord, fresh: KeyRecord): Promise<void>
  update(id: string, change: Partial<KeyRecord>): Promise<KeyRecord>
  /** In order of id; `after` is the last id of the page before. */
  list(query: { organizationId?: string; after?: string; limit?: number }): Promise<readonly KeyRecord[]>
  /** Kept until `expiresAt`. */
  revokeToken?(revocation: { tokenId: string; expiresAt: Date }): Promise<void>
  /** Those not yet expired. */
  revokedTokens?(): Promise<readonly { tokenId: string; expiresAt: Date }[]>
  watch?(on: (change: KeyChange) => void): Promise<() => Promise<void>>
  ready?(signal: AbortSignal): Promise<void>
  close?(): Promise<void>
}
