import { compileCidrs } from '../lib/cidr.ts'
import type { KeyRecord } from './store.ts'

export type KeyStatus = 'active' | 'grace' | 'expired' | 'revoked' | 'rotated_out'

/** What a key is good for at an instant. A rotated key is valid strictly before `validUntil`. */
export function statusAt(record: Pick<KeyRecord, 'revokedAt' | 'expiresAt' | 'validUntil'>, now: number): KeyStatus {
  if (record.revokedAt !== null) return 'revoked'
  if (record.expiresAt !== null && now >= record.expiresAt.getTime()) return 'expired'
  if (record.validUntil === null) return 'active'
  return now < record.validUntil.getTime() ? 'grace' : 'rotated_out'
}

type Check = (value: unknown) => boolean

const text: Check = (value) => typeof value === 'string' && value.length > 0 && value.length <= 1024
const matching =
  (pattern: RegExp): Check =>
  (value) =>
    typeof value === 'string' && pattern.test(value)
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value)
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every((each) => check(each))
const instant: Check = (value) => value instanceof Date && !Number.isNaN(value.getTime())

/** A forgotten member is a compile error. */
const MEMBERS: Readonly<Record<keyof KeyRecord, Check>> = {
  id: matching(/^key_[A-Za-z0-9_-]{1,64}$/),
  organizationId: text,
  environment: (value) => value === 'live' || value === 'test',
  name: text,
  scopes: list(text),
  hint: text,
  digest: matching(/^[A-Za-z0-9]{1,16}:[A-Za-z0-9_-]{43}$/),
  allowedCidrs: (value) => list(text)(value) && compiles(value as readonly string[]),
  createdAt: instant,
  createdBy: text,
  expiresAt: orNull(instant),
  rotatedAt: orNull(instant),
  validUntil: orNull(instant),
  replacedBy: orNull(text),
  revokedAt: orNull(instant),
  revokedReason: orNull(text),
  lastUsedAt: orNull(instant),
}

const NAMES = Object.keys(MEMBERS) as readonly (keyof KeyRecord)[]

/** The record if every member is what it must be, else `null`: a broken record is an outage, never a partial identity. */
export function checkRecord(value: unknown): KeyRecord | null {
  if (typeof value !== 'object' || value === null) return null
  for (const name of NAMES) {
    if (!Object.hasOwn(value, name) || !MEMBERS[name](Reflect.get(value, name))) return null
  }
  return value as KeyRecord
}

function compiles(rules: readonly string[]): boolean {
  try {
    compileCidrs(rules)
    return true
  } catch {
    return false
  }
}

/** A copy that nobody can change, dates included (a `Date` cannot be frozen, so it is copied). */
export function copyRecord(record: KeyRecord): KeyRecord {
  const copy = {} as Record<keyof KeyRecord, unknown>
  for (const name of NAMES) {
    const value = record[name]
    copy[name] = value instanceof Date ? new Date(value) : Array.isArray(value) ? Object.freeze([...value]) : value
  }
  return Object.freeze(copy) as unknown as KeyRecord
}
