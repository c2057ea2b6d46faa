import { types } from 'node:util'
import { KeyError } from '../errors.ts'
import { compileCidrs } from '../lib/cidr.ts'
import { ownMember } from '../lib/own-member.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { isKeyId } from './record.ts'
import type { KeyRecord } from './store.ts'

/** What a caller may say about a new key, checked. */
export type KeyFacts = Pick<
  KeyRecord,
  'organizationId' | 'name' | 'scopes' | 'allowedCidrs' | 'expiresAt' | 'createdBy'
>

/** What a caller may say about a key that is there. */
export type KeyUpdate = Partial<Pick<KeyRecord, 'name' | 'scopes' | 'allowedCidrs'>>

/** A key in the wrong member would be stored, listed and written into the journal. */
const LOOKS_LIKE_A_KEY = /hc_(?:live|test)_/i

const DAY_SECONDS = 86_400
/** Two keys that open one door are meant for the change-over alone. */
const MAX_GRACE_SECONDS = 31 * DAY_SECONDS
const MAX_AFTER_DAYS = 3650

/** Reads each member once, own members alone. @throws {KeyError} that names the member and never shows its value. */
export function readKeyFacts(
  request: unknown,
  { catalogue, now, also }: { catalogue: ScopeCatalogue; now: number; also: 'environment' | 'key' },
): KeyFacts {
  refuseOthers(request, ['organizationId', 'name', 'scopes', 'allowedCidrs', 'expiresAt', 'by', also])
  return {
    organizationId: readOrganization(request),
    name: readName(request),
    scopes: readScopes(ownMember(request, 'scopes'), catalogue),
    allowedCidrs: readCidrs(ownMember(request, 'allowedCidrs')),
    expiresAt: readExpiry(ownMember(request, 'expiresAt'), now),
    createdBy: readBy(request),
  }
}

export function readRotation(request: unknown): { by: string; graceSeconds: number } {
  refuseOthers(request, ['by', 'graceSeconds'])
  const by = readBy(request)
  const graceSeconds = ownMember(request, 'graceSeconds') ?? DAY_SECONDS
  if (!isNumber(graceSeconds, MAX_GRACE_SECONDS) || !Number.isInteger(graceSeconds)) {
    throw new KeyError('KEY_INVALID', 'graceSeconds', `expected a whole number from 0 to ${MAX_GRACE_SECONDS}.`)
  }
  return { by, graceSeconds }
}

export function readRevocation(request: unknown): { by: string; reason: string } {
  refuseOthers(request, ['by', 'reason'])
  return {
    by: readBy(request),
    reason: readText(request, 'reason', {
      form: /^[^\p{Cc}]{1,256}$/u,
      is: '1 to 256 characters without control characters',
    }),
  }
}

/** `change` has the members that were given and no others, and inherits nothing: a store takes it apart. */
export function readUpdate(request: unknown, catalogue: ScopeCatalogue): { by: string; change: KeyUpdate } {
  refuseOthers(request, ['by', 'name', 'scopes', 'allowedCidrs'])
  const by = readBy(request)
  const isGiven = (name: string) => ownMember(request, name) !== undefined
  const change: KeyUpdate = Object.assign(
    Object.create(null) as KeyUpdate,
    isGiven('name') ? { name: readName(request) } : null,
    isGiven('scopes') ? { scopes: readScopes(ownMember(request, 'scopes'), catalogue) } : null,
    isGiven('allowedCidrs') ? { allowedCidrs: readCidrs(ownMember(request, 'allowedCidrs')) } : null,
  )
  if (Object.keys(change).length === 0) {
    throw new KeyError('KEY_INVALID', 'request', 'expected at least one of name, scopes, allowedCidrs.')
  }
  return { by, change: Object.freeze(change) }
}

export function readDueQuery(request: unknown): { afterDays: number; organizationId: string | null } {
  if (request !== undefined) refuseOthers(request, ['afterDays', 'organizationId'])
  const afterDays = ownMember(request, 'afterDays') ?? 90
  if (!isNumber(afterDays, MAX_AFTER_DAYS)) {
    throw new KeyError('KEY_INVALID', 'afterDays', `expected a number of days from 0 to ${MAX_AFTER_DAYS}.`)
  }
  const organizationId = ownMember(request, 'organizationId')
  return { afterDays, organizationId: organizationId === undefined ? null : readOrganization(request) }
}

/** A key in place of its id must not travel to the store. */
export function readKeyId(id: unknown): string {
  if (!isKeyId(id)) throw new KeyError('KEY_INVALID', 'id', 'expected the id of a key, `key_…`.')
  return id
}

export function readOrganization(request: unknown): string {
  return readText(request, 'organizationId', {
    form: /^[\x21-\x7e]{1,128}$/,
    is: '1 to 128 printable ASCII characters',
  })
}

function readBy(request: unknown): string {
  return readText(request, 'by', { form: /^[A-Za-z0-9._@:+-]{1,128}$/, is: '[A-Za-z0-9._@:+-]{1,128}' })
}

function readName(request: unknown): string {
  return readText(request, 'name', {
    form: /^[^\p{Cc}]{1,128}$/u,
    is: '1 to 128 characters without control characters',
  })
}

/** Whoever asks for a change that is not on offer must not believe that it was made. */
function refuseOthers(request: unknown, names: readonly string[]): void {
  if (typeof request !== 'object' || request === null) {
    throw new KeyError('KEY_INVALID', 'request', `expected an object with ${names.join(', ')}.`)
  }
  const other = Object.keys(request).find((name) => !names.includes(name))
  if (other === undefined) return
  const member = /^[A-Za-z]{1,40}$/.test(other) ? other : 'request'
  throw new KeyError('KEY_INVALID', member, `is not taken here, but ${names.join(', ')}.`)
}

function isNumber(value: unknown, max: number): value is number {
  return typeof value === 'number' && value >= 0 && value <= max
}

function readText(request: unknown, member: string, { form, is }: { form: RegExp; is: string }): string {
  const value = ownMember(request, member)
  if (typeof value !== 'string' || !form.test(value)) throw new KeyError('KEY_INVALID', member, `expected ${is}.`)
  if (LOOKS_LIKE_A_KEY.test(value)) throw new KeyError('KEY_INVALID', member, 'holds what looks like an API key.')
  return value
}

function readScopes(value: unknown, catalogue: ScopeCatalogue): readonly string[] {
  const scopes = readTexts('scopes', value)
  const unknown = scopes.findIndex((scope) => !catalogue.has(scope))
  if (unknown !== -1) {
    throw new KeyError('KEY_SCOPE_UNKNOWN', `scopes[${unknown}]`, `expected one of ${catalogue.names().join(', ')}.`)
  }
  return Object.freeze([...new Set(scopes)])
}

function readCidrs(value: unknown): readonly string[] {
  if (value === undefined) return Object.freeze([])
  const rules = readTexts('allowedCidrs', value)
  const problem = problemOf(rules)
  if (problem === null) return Object.freeze(rules)
  const bad = rules.findIndex((rule) => problemOf([rule]) !== null)
  throw new KeyError('KEY_INVALID', `allowedCidrs[${bad}]`, problem)
}

function problemOf(rules: readonly string[]): string | null {
  try {
    compileCidrs(rules)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : 'is no CIDR block.'
  }
}

function readTexts(member: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw new KeyError('KEY_INVALID', member, 'expected a list of strings.')
  return Array.from({ length: value.length }, (_, index) => {
    const each: unknown = Object.hasOwn(value, index) ? value[index] : undefined
    if (typeof each !== 'string') throw new KeyError('KEY_INVALID', `${member}[${index}]`, 'expected a string.')
    return each
  })
}

function readExpiry(value: unknown, now: number): Date | null {
  if (value === undefined || value === null) return null
  const expiresAt = types.isDate(value) ? new Date(value) : null
  if (expiresAt === null || !(now < expiresAt.getTime())) {
    throw new KeyError('KEY_INVALID', 'expiresAt', 'expected a Date in the future.')
  }
  return expiresAt
}
