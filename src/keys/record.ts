import { types } from 'node:util'
import { compileCidrs } from '../lib/cidr.ts'
import type { KeyRecord } from './store.ts'

export type KeyStatus = 'active' | 'grace' | 'expired' | 'revoked' | 'rotated_out'

/** When a key ends by the clock, in epoch milliseconds; `null`: never. */
export interface KeyEnds {
  readonly expiresAt: number | null
  readonly graceEnds: number | null
}

/** What a key is good for at an instant. A rotated key is valid strictly before its deadline; revoked wins over all. */
export function statusOf(revoked: boolean, { expiresAt, graceEnds }: KeyEnds, now: number): KeyStatus {
  if (revoked) return 'revoked'
  if (expiresAt !== null && !(now < expiresAt)) return 'expired'
  if (graceEnds === null) return 'active'
  return now < graceEnds ? 'grace' : 'rotated_out'
}

export function statusAt(record: Pick<KeyRecord, 'revokedAt' | 'expiresAt' | 'validUntil'>, now: number): KeyStatus {
  return statusOf(record.revokedAt !== null, endsOf(record), now)
}

export function endsOf({ expiresAt, validUntil }: Pick<KeyRecord, 'expiresAt' | 'validUntil'>): KeyEnds {
  return { expiresAt: expiresAt?.getTime() ?? null, graceEnds: validUntil?.getTime() ?? null }
}

const KEY_ID = /^key_[A-Za-z0-9]{1,64}$/

export function isKeyId(id: unknown): id is string {
  return typeof id === 'string' && KEY_ID.test(id)
}

/** A clean copy of a member, or `undefined` where it is not what it must be. */
type Read<T> = (value: unknown) => T | undefined

/** A forgotten member is a compile error. */
const MEMBERS: { readonly [K in keyof KeyRecord]: Read<KeyRecord[K]> } = {
  id: matching(KEY_ID),
  organizationId: matching(/^.{1,1024}$/su),
  environment: (value) => (value === 'live' || value === 'test' ? value : undefined),
  name: label,
  scopes: readList,
  hint: label,
  digest: matching(/^[A-Za-z0-9]{1,16}:[A-Za-z0-9_-]{43}$/),
  allowedCidrs: readCidrs,
  createdAt: readDate,
  createdBy: label,
  expiresAt: orNull(readDate),
  rotatedAt: orNull(readDate),
  validUntil: orNull(readDate),
  replacedBy: orNull(matching(KEY_ID)),
  revokedAt: orNull(readDate),
  revokedReason: orNull(label),
  lastUsedAt: orNull(readDate),
}

const NAMES = Object.keys(MEMBERS) as readonly (keyof KeyRecord)[]

/**
 * A frozen copy of what a store handed out, or `null` unless every member is its own and what it must be: a broken
 * record is an outage, never a partial identity. Each member is read once, so that it cannot be good when it is checked and
 * another when it is used.
 */
export function checkRecord(value: unknown): KeyRecord | null {
  try {
    return readRecord(value)
  } catch {
    // A getter or a proxy that throws.
    return null
  }
}

function readRecord(value: unknown): KeyRecord | null {
  if (typeof value !== 'object' || value === null) return null
  const copy: Partial<Record<keyof KeyRecord, unknown>> = {}
  for (const name of NAMES) {
    if (!Object.hasOwn(value, name)) return null
    const member = MEMBERS[name](Reflect.get(value, name))
    if (member === undefined) return null
    copy[name] = member
  }
  return Object.freeze(copy) as KeyRecord
}

function label(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= 1024 ? value : undefined
}

function matching(form: RegExp): Read<string> {
  return (value) => (typeof value === 'string' && form.test(value) ? value : undefined)
}

function orNull<T>(read: Read<T>): Read<T | null> {
  return (value) => (value === null ? null : read(value))
}

function readDate(value: unknown): Date | undefined {
  if (!types.isDate(value)) return undefined
  const copy = new Date(value)
  return Number.isNaN(copy.getTime()) ? undefined : copy
}

/** Texts, each its own member: a hole in a list would be filled by whatever a prototype holds under its number. */
function readList(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined
  const list: string[] = []
  for (let index = 0; index < value.length; index += 1) {
    const each: unknown = Object.hasOwn(value, index) ? value[index] : undefined
    if (typeof each !== 'string') return undefined
    list.push(each)
  }
  return Object.freeze(list)
}

function readCidrs(value: unknown): readonly string[] | undefined {
  const rules = readList(value)
  if (rules !== undefined) compileCidrs(rules)
  return rules
}
