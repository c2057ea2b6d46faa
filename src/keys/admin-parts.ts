import { KeyError, StoreCapabilityError, StoreConflict } from '../errors.ts'
import type { RandomBytes } from '../lib/base62.ts'
import type { Clock } from '../lib/clock.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import type { Environment } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import type { Digester } from './digest.ts'
import { environmentOf, hintOf } from './format.ts'
import { generateKeyId } from './generate.ts'
import type { KeyFacts } from './key-request.ts'
import { checkRecord } from './record.ts'
import type { KeyRecord, KeyStore } from './store.ts'

export interface KeyAdminChange {
  readonly name: 'key.create' | 'key.import' | 'key.rotate' | 'key.revoke' | 'key.update'
  /** As it is after the change; of a rotation: the old one. */
  readonly record: KeyRecord
  readonly by: string
  /** Names of the members that were set. */
  readonly fields: readonly string[]
  /** `error`: the store failed, and may have made the change all the same. */
  readonly outcome: 'success' | 'error'
}

export interface KeyAdminSettings {
  readonly store: KeyStore
  readonly digester: Digester
  readonly catalogue: ScopeCatalogue
  readonly clock: Clock
  readonly random: RandomBytes
  /** Throws where a change of a key of this environment cannot be audited: then it is not made. */
  readonly beforeChange: (environment: Environment) => void
  readonly onChange: (change: KeyAdminChange) => void
  readonly forgetMisses: () => void
  /** What is cached of this key here is dropped, and what is being looked up is asked again. */
  readonly forget: (keyId: string) => void
}

/** Of one question to the store. */
const DEADLINE_MS = 10_000
const LATE = 'The key store did not answer in time.'

export function canOrThrow({ name, can }: KeyStore, what: 'write' | 'get' | 'list'): void {
  if (can[what] !== true) throw new StoreCapabilityError(`The key store '${name}' cannot ${what}.`)
}

/** One question to the store, within the deadline: it may heed no signal. */
export function asked<T>(question: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(DEADLINE_MS)
  return unlessAborted(question(signal), signal, LATE)
}

/**
 * One change in the store. Where the store fails, nobody knows whether it was made: it is told as such, so that no change goes
 * without its event, and what is cached of the key is given up.
 */
export async function changing<T>(
  settings: KeyAdminSettings,
  change: Omit<KeyAdminChange, 'outcome'>,
  make: () => Promise<T>,
): Promise<T> {
  const tell = (outcome: KeyAdminChange['outcome']) => settings.onChange(Object.freeze({ ...change, outcome }))
  try {
    const answer = await asked(make)
    tell('success')
    return answer
  } catch (error) {
    if (!(error instanceof StoreConflict)) tell('error')
    throw error
  } finally {
    settings.forget(change.record.id)
    settings.forgetMisses()
  }
}

/** The record with this id, or `null`. */
export async function getRecord(store: KeyStore, id: string): Promise<KeyRecord | null> {
  const record = await asked((signal) => store.get(id, { signal }))
  return record === null ? null : readable(record, (each) => each.id === id)
}

/** A record that is broken, or not what was asked for, is an error here, never shown in part. */
export function readable(record: unknown, fits: (record: KeyRecord) => boolean): KeyRecord {
  const checked = checkRecord(record)
  if (checked === null || !fits(checked)) throw new KeyError('KEY_INVALID', 'record', 'is broken in the store.')
  return checked
}

export function newRecord({ digester, clock, random }: KeyAdminSettings, key: string, facts: KeyFacts): KeyRecord {
  return Object.freeze({
    id: generateKeyId(random),
    organizationId: facts.organizationId,
    environment: environmentOf(key) ?? 'test',
    name: facts.name,
    scopes: facts.scopes,
    hint: hintOf(key),
    digest: digester.first(key),
    allowedCidrs: facts.allowedCidrs,
    createdAt: new Date(clock.now()),
    createdBy: facts.createdBy,
    expiresAt: facts.expiresAt,
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
  })
}
