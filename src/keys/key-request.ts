import { types } from 'node:util'
import { KeyError } from '../errors.ts'
import { compileCidrs } from '../lib/cidr.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import type { KeyRecord } from './store.ts'

/** What a caller may say about a new key, checked. */
export type KeyFacts = Pick<
  KeyRecord,
  'organizationId' | 'name' | 'scopes' | 'allowedCidrs' | 'expiresAt' | 'createdBy'
>

/** A key in the wrong member would be stored, listed and written into the journal. */
const LOOKS_LIKE_A_KEY = /hc_(?:live|test)_/i

/** Reads each member once, own members alone. @throws {KeyError} that names the member and never shows its value. */
export function readKeyFacts(
  request: unknown,
  { catalogue, now }: { catalogue: ScopeCatalogue; now: number },
): KeyFacts {
  return {
    organizationId: readOrganization(request),
    name: readText(request, 'name', {
      form: /^[^\p{Cc}]{1,128}$/u,
      is: '1 to 128 characters without control characters',
    }),
    scopes: readScopes(ownMember(request, 'scopes'), catalogue),
    allowedCidrs: readCidrs(ownMember(request, 'allowedCidrs')),
    expiresAt: readExpiry(ownMember(request, 'expiresAt'), now),
    createdBy: readText(request, 'by', { form: /^[A-Za-z0-9._@:+-]{1,128}$/, is: '[A-Za-z0-9._@:+-]{1,128}' }),
  }
}

export function readOrganization(request: unknown): string {
  return readText(request, 'organizationId', {
    form: /^[\x21-\x7e]{1,128}$/,
    is: '1 to 128 printable ASCII characters',
  })
}

/** Nothing inherited can become a scope or an expiry. */
export function ownMember(object: unknown, name: string): unknown {
  return typeof object === 'object' && object !== null && Object.hasOwn(object, name)
    ? Reflect.get(object, name)
    : undefined
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
