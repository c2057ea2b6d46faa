import { KeyStateError, StoreConflict, type KeyStateCode } from '../errors.ts'
import { frozenCopy } from '../lib/frozen-copy.ts'
import type { Scope } from '../scopes.ts'
import { canOrThrow, changing, getRecord, newRecord, readable, type KeyAdminSettings } from './admin-parts.ts'
import { generateKey } from './generate.ts'
import { readKeyId, readRevocation, readRotation, readUpdate } from './key-request.ts'
import { statusAt } from './record.ts'
import { changedRecord, type KeyRecord } from './store.ts'

/** Who replaces a key by a new one, and how long the old one lives on. */
export interface RotateKey {
  /** Who asks for it, for the audit event: `[A-Za-z0-9._@:+-]{1,128}`. */
  readonly by: string
  /** How long the old key goes on working: whole seconds up to 31 days, default 86,400. 0 ends it at once. */
  readonly graceSeconds?: number | undefined
}

/** Who ends a key, and why. */
export interface RevokeKey {
  /** As in `RotateKey`. */
  readonly by: string
  /** For people, kept in the record: 1 to 256 characters. It does not reach the journal. */
  readonly reason: string
}

/** At least one member beside `by`. */
export interface UpdateKey {
  readonly by: string
  readonly name?: string | undefined
  readonly scopes?: readonly Scope[] | undefined
  /** CIDR blocks that the key may be used from; an empty list: anywhere. */
  readonly allowedCidrs?: readonly string[] | undefined
}

/** The changes of a key that is there. */
export interface KeyChanges {
  /**
   * Makes a key in the place of this one, with the same organization, environment, name, scopes, allowlist and expiry: a
   * rotation never extends an expiry. The old key is valid strictly before now + `graceSeconds`. The full text of the new one
   * is in the result, this once and never again; so is its record.
   * @throws {KeyStateError} for a key that is revoked, expired or already replaced, and one that the store does not have.
   */
  readonly rotate: (id: string, request: RotateKey) => Promise<{ readonly key: string; readonly record: KeyRecord }>
  /**
   * Ends a key at once, and with it the tokens that name it. One that replaced it, or that it replaced, is not touched. A
   * revoked key stays revoked as it was, with its first reason: asking again changes nothing and is no audit event.
   * @throws {KeyStateError} for a key that the store does not have.
   */
  readonly revoke: (id: string, request: RevokeKey) => Promise<{ readonly record: KeyRecord }>
  /**
   * Sets what is given and leaves the rest. A key that replaced it is not touched.
   * @throws {KeyStateError} for a key that is revoked, and one that the store does not have.
   */
  readonly update: (id: string, request: UpdateKey) => Promise<{ readonly record: KeyRecord }>
}

const WRITTEN = ['name', 'scopes', 'allowedCidrs', 'revokedAt', 'revokedReason'] as const

export function createKeyChanges(settings: KeyAdminSettings): KeyChanges {
  const writable = (id: unknown): string => {
    canOrThrow(settings.store, 'write')
    canOrThrow(settings.store, 'get')
    return readKeyId(id)
  }
  return {
    rotate: async (id, request) => {
      const keyId = writable(id)
      const rotation = readRotation(request)
      try {
        return await rotate(settings, keyId, rotation)
      } catch (error) {
        if (!(error instanceof StoreConflict)) throw error
        // Somebody was faster: what the key is now decides, and once more only.
        return await rotate(settings, keyId, rotation)
      }
    },
    revoke: async (id, request) => {
      const keyId = writable(id)
      const { by, reason } = readRevocation(request)
      const record = await known(settings, keyId)
      if (record.revokedAt !== null) return Object.freeze({ record })
      const change = { revokedAt: new Date(settings.clock.now()), revokedReason: reason }
      return write(settings, record, { name: 'key.revoke', by, change })
    },
    update: async (id, request) => {
      const keyId = writable(id)
      const { by, change } = readUpdate(request, settings.catalogue)
      const record = await known(settings, keyId)
      if (record.revokedAt !== null) throw new KeyStateError('KEY_REVOKED', keyId)
      return write(settings, record, { name: 'key.update', by, change })
    },
  }
}

async function rotate(
  settings: KeyAdminSettings,
  id: string,
  { by, graceSeconds }: { by: string; graceSeconds: number },
): Promise<{ readonly key: string; readonly record: KeyRecord }> {
  const old = await known(settings, id)
  const state = unrotatable(old, settings.clock.now())
  if (state !== null) throw new KeyStateError(state, id)
  const key = generateKey(old.environment, settings.random)
  const fresh = newRecord(settings, key, { ...old, createdBy: by })
  const rotatedAt = fresh.createdAt
  const validUntil = new Date(rotatedAt.getTime() + graceSeconds * 1000)
  const record = Object.freeze({ ...old, rotatedAt, validUntil, replacedBy: fresh.id })
  const fields = Object.freeze(['rotatedAt', 'validUntil', 'replacedBy'])
  settings.beforeChange(old.environment)
  await changing(settings, { name: 'key.rotate', record, by, fields }, () =>
    settings.store.replace(frozenCopy(record), frozenCopy(fresh)),
  )
  return Object.freeze({ key, record: frozenCopy(fresh) })
}

interface Write {
  readonly name: 'key.revoke' | 'key.update'
  readonly by: string
  readonly change: Partial<KeyRecord>
}

async function write(
  settings: KeyAdminSettings,
  old: KeyRecord,
  { name, by, change }: Write,
): Promise<{ readonly record: KeyRecord }> {
  const { id } = old
  const fields = Object.freeze(WRITTEN.filter((each) => Object.hasOwn(change, each)))
  const told = { name, record: Object.freeze(changedRecord(old, change)), by, fields }
  settings.beforeChange(old.environment)
  const answer = await changing(settings, told, () => settings.store.update(id, change)).catch((error: unknown) => {
    throw error instanceof StoreConflict ? new KeyStateError('KEY_UNKNOWN', id) : error
  })
  const isRevocation = name === 'key.revoke'
  const record = readable(answer, (each) => each.id === id && (!isRevocation || each.revokedAt !== null))
  return Object.freeze({ record })
}

/** The record as it is now. What is cached of it may be older, if another instance changed it and no feed told of it. */
async function known({ store, forget }: KeyAdminSettings, id: string): Promise<KeyRecord> {
  const record = await getRecord(store, id)
  forget(id)
  if (record === null) throw new KeyStateError('KEY_UNKNOWN', id)
  return record
}

/** Why a key cannot be rotated; `null`: it can. A second rotation would extend the grace of the first. */
function unrotatable(record: KeyRecord, now: number): KeyStateCode | null {
  const status = statusAt(record, now)
  if (status === 'revoked') return 'KEY_REVOKED'
  if (status === 'expired') return 'KEY_EXPIRED'
  const { rotatedAt, validUntil, replacedBy } = record
  return rotatedAt === null && validUntil === null && replacedBy === null ? null : 'KEY_REPLACED'
}
