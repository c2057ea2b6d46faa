import { KeyError, StoreCapabilityError } from '../errors.ts'
import type { RandomBytes } from '../lib/base62.ts'
import { compileCidrs } from '../lib/cidr.ts'
import type { Clock } from '../lib/clock.ts'
import { frozenCopy } from '../lib/frozen-copy.ts'
import type { Environment } from '../principal.ts'
import type { Scope, ScopeCatalogue } from '../scopes.ts'
import type { Digester } from './digest.ts'
import { environmentOf, hintOf } from './format.ts'
import { generateKey, generateKeyId } from './generate.ts'
import { checkRecord } from './record.ts'
import type { KeyRecord, KeyStore } from './store.ts'

interface KeyFacts {
  readonly organizationId: string
  /** For people. */
  readonly name: string
  /** Only those that the key needs. */
  readonly scopes: readonly Scope[]
  /** CIDR blocks that the key may be used from; none: anywhere. */
  readonly allowedCidrs?: readonly string[] | undefined
  readonly expiresAt?: Date | null | undefined
  /** Who asks for it, for the audit event: `[A-Za-z0-9._@:+-]{1,128}`. */
  readonly by: string
}

export interface CreateKey extends KeyFacts {
  readonly environment: Environment
}

export interface ImportKey extends KeyFacts {
  /** A key issued elsewhere, in either form; digested and forgotten. Its prefix says the environment. */
  readonly key: string
}

export interface ListKeys {
  readonly organizationId: string
  /** The last id of the page before. */
  readonly after?: string | undefined
  /** Default 100, at most 1000. */
  readonly limit?: number | undefined
}

/** `auth.keys`. Whatever is wrong with a request is a `KeyError` that names the member, and nothing is written. */
export interface KeyAdmin {
  /** Makes a key. The full text is in the result, this once and never again. */
  readonly create: (request: CreateKey) => Promise<{ readonly key: string; readonly record: KeyRecord }>
  readonly import: (request: ImportKey) => Promise<{ readonly record: KeyRecord }>
  readonly get: (id: string) => Promise<KeyRecord | null>
  /** In order of id. */
  readonly list: (query: ListKeys) => Promise<readonly KeyRecord[]>
}

export interface KeyAdminChange {
  readonly name: 'key.create' | 'key.import'
  readonly record: KeyRecord
  readonly by: string
  /** Names of the members that were set. */
  readonly fields: readonly string[]
}

export interface KeyAdminSettings {
  readonly store: KeyStore
  readonly digester: Digester
  readonly catalogue: ScopeCatalogue
  readonly clock: Clock
  readonly random: RandomBytes
  /** Throws where a change cannot be audited: then it is not made. */
  readonly beforeChange: () => void
  readonly onChange: (change: KeyAdminChange) => void
  readonly forgetMisses: () => void
}

const FIELDS = ['name', 'scopes', 'allowedCidrs', 'expiresAt'] as const
const ADMIN_DEADLINE_MS = 10_000

export function createKeyAdmin(settings: KeyAdminSettings): KeyAdmin {
  const { store, digester, catalogue, clock, random } = settings
  const insert = async (name: KeyAdminChange['name'], key: string, request: KeyFacts) => {
    if (!store.can.write) throw new StoreCapabilityError(`The store ${store.name} cannot be written.`)
    const environment = environmentOf(key)
    if (environment === null) throw new KeyError('KEY_INVALID', 'key', 'is no well-formed key.')
    const facts = checkFacts(request, { catalogue, now: clock.now() })
    const record = recordOf(facts, { key, environment, id: generateKeyId(random), digest: digester.first(key), now: clock.now() })
    settings.beforeChange()
    await store.insert(record)
    settings.forgetMisses()
    settings.onChange({ name, record, by: record.createdBy, fields: FIELDS.filter((each) => isSet(record[each])) })
    return frozenCopy(record)
  }
  return Object.freeze({
    create: async (request: CreateKey) => {
      const environment = own(request, 'environment')
      if (environment !== 'live' && environment !== 'test') {
        throw new KeyError('KEY_ENVIRONMENT', 'environment', "is neither 'live' nor 'test'.")
      }
      const key = generateKey(environment, random)
      return Object.freeze({ key, record: await insert('key.create', key, request) })
    },
    import: async (request: ImportKey) => {
      const key = own(request, 'key')
      if (typeof key !== 'string') throw new KeyError('KEY_INVALID', 'key', 'is no well-formed key.')
      return Object.freeze({ record: await insert('key.import', key, request) })
    },
    get: async (id: string) => {
      if (!store.can.get) throw new StoreCapabilityError(`The store ${store.name} cannot look keys up by id.`)
      const record = await store.get(id, { signal: AbortSignal.timeout(ADMIN_DEADLINE_MS) })
      return record === null ? null : readable(record)
    },
    list: async ({ organizationId, after, limit = 100 }: ListKeys) => {
      if (!store.can.list) throw new StoreCapabilityError(`The store ${store.name} cannot list keys.`)
      if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1000) {
        throw new KeyError('KEY_INVALID', 'limit', 'is no whole number from 1 to 1000.')
      }
      const query = { organizationId, limit, ...(after === undefined ? {} : { after }) }
      return Object.freeze((await store.list(query)).map(readable))
    },
  })
}

/** For people: a record that is broken is an error here, never shown in part. */
function readable(record: KeyRecord): KeyRecord {
  const checked = checkRecord(record)
  if (checked === null) throw new KeyError('KEY_INVALID', 'record', 'is broken in the store.')
  return frozenCopy(checked)
}

interface CheckedFacts {
  readonly organizationId: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly allowedCidrs: readonly string[]
  readonly expiresAt: Date | null
  readonly by: string
}

function checkFacts(request: KeyFacts, { catalogue, now }: { catalogue: ScopeCatalogue; now: number }): CheckedFacts {
  return {
    organizationId: checkText(request, 'organizationId', /^[\x21-\x7e]{1,128}$/),
    name: checkText(request, 'name', /^[^\p{Cc}]{1,128}$/u),
    scopes: checkScopes(own(request, 'scopes'), catalogue),
    allowedCidrs: checkCidrs(own(request, 'allowedCidrs')),
    expiresAt: checkExpiry(own(request, 'expiresAt'), now),
    by: checkText(request, 'by', /^[A-Za-z0-9._@:+-]{1,128}$/),
  }
}

function checkText(request: KeyFacts, member: 'organizationId' | 'name' | 'by', form: RegExp): string {
  const value = own(request, member)
  if (typeof value === 'string' && form.test(value)) return value
  throw new KeyError('KEY_INVALID', member, `is missing, or does not match ${form.source}.`)
}

function checkScopes(scopes: unknown, catalogue: ScopeCatalogue): readonly string[] {
  if (!Array.isArray(scopes)) throw new KeyError('KEY_INVALID', 'scopes', 'is no list of scopes.')
  for (const [index, scope] of scopes.entries()) {
    if (typeof scope !== 'string' || !catalogue.has(scope)) {
      throw new KeyError('KEY_SCOPE_UNKNOWN', `scopes[${index}]`, `is none of ${catalogue.names().join(', ')}.`)
    }
  }
  return Object.freeze([...new Set(scopes as string[])])
}

function checkCidrs(rules: unknown): readonly string[] {
  if (rules === undefined) return Object.freeze([])
  if (!Array.isArray(rules) || !rules.every((rule) => typeof rule === 'string')) {
    throw new KeyError('KEY_INVALID', 'allowedCidrs', 'is no list of CIDR blocks.')
  }
  try {
    compileCidrs(rules)
  } catch (error) {
    throw new KeyError('KEY_INVALID', 'allowedCidrs', error instanceof Error ? error.message : 'holds a bad rule.')
  }
  return Object.freeze([...rules])
}

function checkExpiry(expiresAt: unknown, now: number): Date | null {
  if (expiresAt === undefined || expiresAt === null) return null
  if (!(expiresAt instanceof Date) || !(expiresAt.getTime() > now)) {
    throw new KeyError('KEY_INVALID', 'expiresAt', 'is no Date in the future.')
  }
  return new Date(expiresAt)
}

function recordOf(
  facts: CheckedFacts,
  made: { key: string; environment: Environment; id: string; digest: string; now: number },
): KeyRecord {
  return Object.freeze({
    id: made.id,
    organizationId: facts.organizationId,
    environment: made.environment,
    name: facts.name,
    scopes: facts.scopes,
    hint: hintOf(made.key),
    digest: made.digest,
    allowedCidrs: facts.allowedCidrs,
    createdAt: new Date(made.now),
    createdBy: facts.by,
    expiresAt: facts.expiresAt,
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
  })
}

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== null
}

/** Own members only: nothing inherited can become a scope or an expiry. */
function own(object: object, name: string): unknown {
  return typeof object === 'object' && object !== null && Object.hasOwn(object, name) ? Reflect.get(object, name) : undefined
}
