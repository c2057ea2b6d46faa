import type { Environment } from '../principal.ts'

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

const DATES = ['createdAt', 'expiresAt', 'rotatedAt', 'validUntil', 'revokedAt', 'lastUsedAt'] as const

/** What a rotation sets. */
const SET_BY_ROTATION: ReadonlySet<string> = new Set(['rotatedAt', 'validUntil', 'replacedBy'])

/**
 * A record as one JSON text, its instants in ISO 8601 UTC: how a store that holds texts keeps it.
 * @throws {TypeError} on an invalid date, which JSON would make `null` of: no expiry at all.
 */
export function textOfRecord(record: KeyRecord): string {
  const invalid = DATES.find((name) => Number.isNaN(record[name]?.getTime()))
  if (invalid !== undefined) throw new TypeError(`The record's ${invalid} is no valid date.`)
  return JSON.stringify(record)
}

/**
 * The record of such a text, as far as it is one. Not checked: whoever asked the store checks what it hands out, and calls
 * a broken record an outage, so that a text which is none at all gives an empty object here.
 */
export function recordOfText(text: string): KeyRecord {
  const members = membersOf(text)
  for (const name of DATES) {
    const value = members[name]
    if (typeof value === 'string') members[name] = new Date(value)
  }
  return members as unknown as KeyRecord
}

/**
 * A record with a change in it. Its id and digest are what it is, and no change touches them; when and why it was revoked
 * first is evidence, and stays; when it was last used never goes back, though servers write it in any order.
 */
export function changedRecord(record: KeyRecord, change: Partial<KeyRecord>): KeyRecord {
  const { id, digest, revokedAt, revokedReason } = record
  const ended = revokedAt instanceof Date ? { revokedAt, revokedReason } : {}
  const lastUsedAt = laterOf(record.lastUsedAt, change.lastUsedAt ?? null)
  return { ...record, ...change, ...ended, lastUsedAt, id, digest }
}

function laterOf(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b
  return b > a ? b : a
}

/** Whether a change says no more than when the key was last used: nobody has to hear of it. */
export function isOnlyUse(change: Partial<KeyRecord>): boolean {
  return Object.keys(change).every((name) => name === 'lastUsedAt')
}

/**
 * Whether `old`, the record as it was read with a rotation in it, still fits what is stored: everything that the rotation
 * does not set must be the same (but for the last use, which is written out of any order), and what it sets must be unset.
 */
export function isRotationOf(stored: KeyRecord, old: KeyRecord): boolean {
  const now = new Map<string, unknown>(Object.entries(stored))
  return Object.entries(old).every(([name, member]) => {
    if (name === 'lastUsedAt') return true
    return SET_BY_ROTATION.has(name) ? now.get(name) === null : isSame(now.get(name), member)
  })
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function membersOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
