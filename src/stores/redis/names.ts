/** The names of everything that a store keeps, all behind its prefix. */
export interface Names {
  readonly version: string
  /** Ids of all records, a sorted set with one score: its members are in order of their bytes. */
  readonly ids: string
  /** Revoked tokens, a sorted set by expiry in epoch milliseconds. */
  readonly revoked: string
  /** Where changes are published. */
  readonly channel: string
  /** The record's text. */
  key(id: string): string
  /** The id of the record with this digest. */
  digest(digest: string): string
  /** Ids of the records of one organization, like `ids`. */
  organization(organizationId: string): string
  /** When a key was last used, ISO 8601: beside the record, so that it conflicts with no change. */
  used(id: string): string
  /** A write that was made. */
  done(write: string): string
}

export function namesOf(prefix: string): Names {
  return Object.freeze({
    version: `${prefix}version`,
    ids: `${prefix}ids`,
    revoked: `${prefix}revoked`,
    channel: `${prefix}changes`,
    key: (id: string) => `${prefix}key:${id}`,
    digest: (digest: string) => `${prefix}digest:${digest}`,
    organization: (organizationId: string) => `${prefix}org:${organizationId}`,
    used: (id: string) => `${prefix}used:${id}`,
    done: (write: string) => `${prefix}done:${write}`,
  })
}
