import type { Environment } from '../principal.ts'

/** What a store rejects with; part of the port, so that a driver needs nothing else. */
export { StoreCapabilityError, StoreConflict } from '../errors.ts'

/** An API key as it is stored. Holds a digest, never the key. Records are never deleted: they are evidence. */
export interface KeyRecord {
  /** `key_…` */
  readonly id: string
  readonly organizationId: string
  readonly environment: Environment
  readonly name: string
  readonly scopes: readonly string[]
  /** Prefix and last four characters, for people: `hc_live_sk_…pQr1`. */
  readonly hint: string
  /** `<pepperId or 'sha256'>:<base64url>` */
  readonly digest: string
  /** CIDR blocks; empty: any address. */
  readonly allowedCidrs: readonly string[]
  readonly createdAt: Date
  readonly createdBy: string
  readonly expiresAt: Date | null
  readonly rotatedAt: Date | null
  /** Rotation deadline: the key is valid strictly before it. */
  readonly validUntil: Date | null
  readonly replacedBy: string | null
  readonly revokedAt: Date | null
  readonly revokedReason: string | null
  readonly lastUsedAt: Date | null
}

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
  /** One transaction; rejects with `StoreConflict` if `old` has changed. */
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
