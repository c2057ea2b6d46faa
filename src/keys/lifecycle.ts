import { KeyError, StoreConflict } from '../errors.ts'
import { frozenCopy } from '../lib/frozen-copy.ts'
import { ownMember } from '../lib/own-member.ts'
import type { Environment } from '../principal.ts'
import type { Scope } from '../scopes.ts'
import {
  canOrThrow,
  asked,
  changing,
  getRecord,
  newRecord,
  readable,
  type KeyAdminChange,
  type KeyAdminSettings,
} from './admin-parts.ts'
import { environmentOf } from './format.ts'
import { generateKey } from './generate.ts'
import { createKeyChanges, type KeyChanges } from './key-change.ts'
import { readDueQuery, readKeyFacts, readOrganization } from './key-request.ts'
import { isKeyId } from './record.ts'
import { findRotationDue, type RotationDue } from './rotation-due.ts'
import type { KeyRecord } from './store.ts'

export type { KeyAdminChange, KeyAdminSettings } from './admin-parts.ts'

interface NewKey {
  /** Printable ASCII. */
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

/** A key to be made: its record, and its environment. */
export interface CreateKey extends NewKey {
  readonly environment: Environment
}

/** A key that was issued elsewhere, to be taken in. */
export interface ImportKey extends NewKey {
  /** A key issued elsewhere, in either form; digested and forgotten. Its prefix says the environment. */
  readonly key: string
}

/** A page of the keys of one organization, in order of id. */
export interface ListKeys {
  readonly organizationId: string
  /** The last id of the page before. */
  readonly after?: string | undefined
  /** Default 100, at most 1000. */
  readonly limit?: number | undefined
}

/**
 * `auth.keys`. Whatever is wrong with a request is a `KeyError` that names the member, and nothing is written; a change that
 * the key does not allow any more is a `KeyStateError`; what the store cannot do is a `StoreCapabilityError`; an outage is the
 * store's own error. Records are frozen copies. Each change is in force here when its promise resolves, elsewhere within the
 * reach of the store's feed, and is one `admin` audit event; one that cannot be audited is not made.
 */
export interface KeyAdmin extends KeyChanges {
  /** Makes a key. The full text is in the result, this once and never again. */
  readonly create: (request: CreateKey) => Promise<{ readonly key: string; readonly record: KeyRecord }>
  /** Takes in a key issued elsewhere. `KeyError` `KEY_EXISTS` where the store has it. */
  readonly import: (request: ImportKey) => Promise<{ readonly record: KeyRecord }>
  readonly get: (id: string) => Promise<KeyRecord | null>
  /** In order of id. */
  readonly list: (query: ListKeys) => Promise<readonly KeyRecord[]>
  /** Keys that are active, were created more than `afterDays` (default 90) ago and are not rotated, in order of id. */
  readonly rotationDue: (query?: RotationDue) => Promise<readonly KeyRecord[]>
}

const FIELDS = ['name', 'scopes', 'allowedCidrs', 'expiresAt'] as const
const MAX_PAGE = 1000

export function createKeyAdmin(settings: KeyAdminSettings): KeyAdmin {
  const { store, clock } = settings
  return Object.freeze({
    ...createKeyChanges(settings),
    create: async (request: CreateKey) => {
      canOrThrow(store, 'write')
      const environment = ownMember(request, 'environment')
      if (environment !== 'live' && environment !== 'test') {
        throw new KeyError('KEY_ENVIRONMENT', 'environment', "expected 'live' or 'test'.")
      }
      const facts = readKeyFacts(request, {
        catalogue: settings.catalogue,
        now: settings.clock.now(),
        also: 'environment',
      })
      const key = generateKey(environment, settings.random)
      return Object.freeze({ key, record: await insert(settings, 'key.create', newRecord(settings, key, facts)) })
    },
    import: async (request: ImportKey) => {
      canOrThrow(store, 'write')
      const key = ownMember(request, 'key')
      if (typeof key !== 'string' || environmentOf(key) === null) {
        throw new KeyError('KEY_INVALID', 'key', 'expected a well-formed API key.')
      }
      const facts = readKeyFacts(request, {
        catalogue: settings.catalogue,
        now: settings.clock.now(),
        also: 'key',
      })
      await mustBeNew(settings, key)
      return Object.freeze({ record: await insert(settings, 'key.import', newRecord(settings, key, facts)) })
    },
    get: async (id: string) => {
      canOrThrow(store, 'get')
      if (typeof id !== 'string') throw new KeyError('KEY_INVALID', 'id', 'expected a string.')
      // Nothing else is sent to the store, least of all a key in place of its id.
      return isKeyId(id) ? getRecord(store, id) : null
    },
    list: async (request: ListKeys) => {
      canOrThrow(store, 'list')
      const query = readQuery(request)
      const records = await asked(() => store.list(query))
      return Object.freeze(
        records.map((record) => readable(record, (each) => each.organizationId === query.organizationId)),
      )
    },
    rotationDue: async (request?: RotationDue) => {
      canOrThrow(store, 'list')
      return findRotationDue(store, clock.now(), readDueQuery(request))
    },
  })
}

async function insert(settings: KeyAdminSettings, name: KeyAdminChange['name'], record: KeyRecord): Promise<KeyRecord> {
  settings.beforeChange(record.environment)
  const fields = Object.freeze(FIELDS.filter((each) => isSet(record[each])))
  const change = { name, record, by: record.createdBy, fields }
  await changing(settings, change, () => settings.store.insert(frozenCopy(record))).catch((error: unknown) => {
    throw error instanceof StoreConflict ? exists() : error
  })
  return frozenCopy(record)
}

/**
 * A second record of one key, under the digest of another pepper, would live on when the first is revoked. (Two imports at
 * the same time with one pepper are told apart by the store.)
 */
async function mustBeNew({ store, digester }: KeyAdminSettings, key: string): Promise<void> {
  const lookup = { digests: digester.all(key), reveal: () => key }
  if ((await asked((signal) => store.find(lookup, { signal }))) !== null) throw exists()
}

function exists(): KeyError {
  return new KeyError('KEY_EXISTS', 'key', 'the store has this key already.')
}

function readQuery(request: unknown): { organizationId: string; after?: string; limit: number } {
  const organizationId = readOrganization(request)
  const after = ownMember(request, 'after')
  const limit = ownMember(request, 'limit') ?? 100
  if (after !== undefined && typeof after !== 'string')
    throw new KeyError('KEY_INVALID', 'after', 'expected the id of a key.')
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw new KeyError('KEY_INVALID', 'limit', `expected a whole number from 1 to ${MAX_PAGE}.`)
  }
  const query = after === undefined ? { organizationId, limit } : { organizationId, after, limit }
  // Without a prototype: a store that takes the query apart must not find an `after` that nobody gave.
  return Object.assign(Object.create(null) as object, query)
}

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== null
}
