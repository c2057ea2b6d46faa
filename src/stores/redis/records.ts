import { randomUUID } from 'node:crypto'
import { types } from 'node:util'
import {
  changedRecord,
  isOnlyUse,
  isRotationOf,
  KEPT_BEYOND_MS,
  recordOfText,
  StoreConflict,
  textOfNotice,
  textOfRecord,
  type KeyQuery,
  type KeyRecord,
  type TokenRevocation,
} from '../../keys/store.ts'
import { listOf, textOf, type Command, type Commands } from './commands.ts'
import { otherVersion, type Condition } from './condition.ts'
import type { Names } from './options.ts'
import { INSERT, MARK_USED, REPLACE, REVOKE_TOKEN, UPDATE, VERSION } from './scripts.ts'

export interface Shelf {
  readonly commands: Commands
  readonly condition: Condition
  readonly names: Names
  readonly prefix: string
}

/** A record as it is stored: its own text without a last use, which is kept beside it. */
interface Stored {
  readonly text: string
  readonly used: string | null
}

/** How often a change is made again from what is stored by then, where another one came between. */
const ROUNDS = 5

export async function findRecord(
  shelf: Shelf,
  digests: readonly string[],
  signal: AbortSignal,
): Promise<KeyRecord | null> {
  const { commands, condition, names } = shelf
  // Each by a command of its own: MGET calls a key of another type "nothing".
  const wanted = [names.version, ...digests.map((digest) => names.digest(digest))]
  const [version, ...ids] = await commands.ask(
    wanted.map((key) => ['GET', key]),
    signal,
  )
  condition.check(version)
  const id = ids.map(textOf).find((each) => each !== null)
  if (id === undefined) return null
  const stored = storedOf(await commands.ask(readingOf(names, id), signal))
  if (stored === null) throw new Error(`Redis: the record ${id} is named by its digest, but is not there.`)
  return recordOf(stored)
}

export async function getRecord(shelf: Shelf, id: string, signal: AbortSignal): Promise<KeyRecord | null> {
  const stored = await read(shelf, id, signal)
  return stored === null ? null : recordOf(stored)
}

export async function insertRecord(shelf: Shelf, record: KeyRecord): Promise<void> {
  const { keys, args } = insertionOf(shelf, record)
  settle(shelf, await evaluate(shelf, INSERT, { keys, args, write: randomUUID() }))
}

export async function replaceRecord(shelf: Shelf, old: KeyRecord, fresh: KeyRecord): Promise<void> {
  const insertion = insertionOf(shelf, fresh)
  const write = randomUUID()
  await inRounds(async () => {
    const stored = await read(shelf, old.id)
    if (stored === null || !isRotationOf(wholeRecord(stored, old.id), old)) throw changed()
    const exchange = exchangeOf(shelf, stored, old)
    const keys = [...exchange.keys, ...insertion.keys]
    return settle(shelf, await evaluate(shelf, REPLACE, { keys, args: [...exchange.args, ...insertion.args], write }))
  })
}

export async function updateRecord(shelf: Shelf, id: string, change: Partial<KeyRecord>): Promise<KeyRecord> {
  const write = randomUUID()
  const record = await inRounds(async () => {
    const stored = await read(shelf, id)
    if (stored === null) throw new StoreConflict('No record has this id.')
    const next = changedRecord(recordOf(stored), change)
    mustBeWhole(next, id)
    if (isOnlyUse(change)) return next
    const { keys, args } = exchangeOf(shelf, stored, next)
    return settle(shelf, await evaluate(shelf, UPDATE, { keys, args, write })) ? next : null
  })
  return Object.hasOwn(change, 'lastUsedAt') ? markUsed(shelf, record) : record
}

export async function listRecords(shelf: Shelf, query: KeyQuery): Promise<readonly KeyRecord[]> {
  const { commands, condition, names } = shelf
  const { organizationId, after, limit = 100 } = Object.assign(Object.create(null) as KeyQuery, query)
  const index = organizationId === undefined ? names.ids : names.organization(organizationId)
  const from = after === undefined || after === '' ? '-' : `(${after}`
  const [version, reply] = await commands.ask([
    ['GET', names.version],
    ['ZRANGEBYLEX', index, from, '+', 'LIMIT', '0', String(limit)],
  ])
  condition.check(version)
  const ids = listOf(reply).map((id) => textOf(id) ?? '')
  if (ids.length === 0) return []
  const [texts, uses] = await commands.ask([
    ['MGET', ...ids.map((id) => names.key(id))],
    ['MGET', ...ids.map((id) => names.used(id))],
  ])
  const used = listOf(uses)
  return listOf(texts).map((each, at) => {
    const text = textOf(each)
    if (text === null) throw new Error(`Redis: the record ${ids[at] ?? ''} is in the list of ids, but is not there.`)
    return recordOf({ text, used: textOf(used[at] ?? null) })
  })
}

/** Writes a revocation, and takes out those that nobody needs any more. */
export async function writeRevocation(shelf: Shelf, { tokenId, expiresAt }: TokenRevocation): Promise<void> {
  const expiry = expiresAt.getTime()
  if (typeof tokenId !== 'string' || !Number.isFinite(expiry)) {
    throw new TypeError('A revocation needs a tokenId and an expiresAt that is an instant.')
  }
  const args = [tokenId, textOfNotice({ tokenId }), String(expiry), String(Date.now() - KEPT_BEYOND_MS)]
  const keys = [shelf.names.revoked]
  settle(shelf, await evaluate(shelf, REVOKE_TOKEN, { keys, args, write: randomUUID() }))
}

/** All that are kept; whoever reads them goes by his own clock. */
export async function readRevocations({ commands, condition, names }: Shelf): Promise<readonly TokenRevocation[]> {
  const [version, reply] = await commands.ask([
    ['GET', names.version],
    ['ZRANGE', names.revoked, '0', '-1', 'WITHSCORES'],
  ])
  condition.check(version)
  const flat = listOf(reply)
  return Array.from({ length: flat.length / 2 }, (_, at) => ({
    tokenId: textOf(flat[2 * at]) ?? '',
    expiresAt: new Date(Number(flat[2 * at + 1])),
  }))
}

async function read({ commands, condition, names }: Shelf, id: string, signal?: AbortSignal): Promise<Stored | null> {
  const [version, ...replies] = await commands.ask([['GET', names.version], ...readingOf(names, id)], signal)
  condition.check(version)
  return storedOf(replies)
}

function readingOf(names: Names, id: string): readonly Command[] {
  return [names.key(id), names.used(id)].map((key) => ['GET', key])
}

function storedOf([record, used]: readonly unknown[]): Stored | null {
  const text = textOf(record)
  return text === null ? null : { text, used: textOf(used) }
}

function recordOf({ text, used }: Stored): KeyRecord {
  const record = recordOfText(text)
  return used === null ? record : { ...record, lastUsedAt: new Date(used) }
}

function textWithoutUse(record: KeyRecord): string {
  return textOfRecord({ ...record, lastUsedAt: null })
}

/** Never sets it back: another server may have written a later use meanwhile. */
async function markUsed({ commands, names }: Shelf, record: KeyRecord): Promise<KeyRecord> {
  if (record.lastUsedAt === null) return record
  const [reply] = await commands.ask([['EVAL', MARK_USED, '1', names.used(record.id), record.lastUsedAt.toISOString()]])
  return { ...record, lastUsedAt: new Date(textOf(reply) ?? Number.NaN) }
}

interface Writing {
  readonly keys: readonly string[]
  readonly args: readonly string[]
}

function insertionOf({ names }: Shelf, record: KeyRecord): Writing {
  const { id, digest, organizationId, lastUsedAt } = record
  mustBeWhole(record, id)
  return {
    keys: [names.key(id), names.digest(digest), names.ids, names.organization(organizationId), names.used(id)],
    args: [id, textOfNotice({ keyId: id }), textWithoutUse(record), lastUsedAt?.toISOString() ?? ''],
  }
}

function exchangeOf({ names }: Shelf, { text }: Stored, next: KeyRecord): Writing {
  const { id, organizationId } = next
  const before = recordOfText(text).organizationId
  return {
    keys: [names.key(id), names.organization(before), names.organization(organizationId)],
    args: [id, textOfNotice({ keyId: id }), text, textWithoutUse(next)],
  }
}

/** `write` names this write, however often it is sent. */
async function evaluate(
  { commands, names }: Shelf,
  script: string,
  { keys, args, write }: Writing & { write: string },
): Promise<string> {
  const all = [names.version, names.done(write), ...keys]
  const [reply] = await commands.ask([['EVAL', script, String(all.length), ...all, VERSION, names.channel, ...args]])
  return textOf(reply) ?? ''
}

/** `true`: done; `null`: another change came between. @throws for everything else that a script answers. */
function settle({ condition, prefix }: Pick<Shelf, 'condition' | 'prefix'>, outcome: string): true | null {
  if (outcome === 'changed') return null
  if (outcome === 'exists') throw new StoreConflict('A record with this id or digest exists.')
  if (outcome.startsWith('version:')) throw new Error(otherVersion(prefix, outcome.slice('version:'.length)))
  if (outcome !== 'ok') throw new Error('Redis: a script gave an answer that is unknown here.')
  condition.check(VERSION)
  return true
}

async function inRounds<T>(round: () => Promise<T | null>): Promise<T> {
  for (let count = 0; count < ROUNDS; count += 1) {
    const done = await round()
    if (done !== null) return done
  }
  throw changed()
}

function changed(): StoreConflict {
  return new StoreConflict('The record has changed.')
}

function wholeRecord(stored: Stored, id: string): KeyRecord {
  const record = recordOf(stored)
  mustBeWhole(record, id)
  return record
}

/** A text is no place for an instant that is none: it would be `null`, and a key with a broken expiry one without. */
function mustBeWhole(record: KeyRecord, id: string): void {
  if (record.id !== id || typeof record.digest !== 'string' || typeof record.organizationId !== 'string') {
    throw new TypeError('The record is broken: it has no id, digest or organization of its own.')
  }
  for (const [name, member] of Object.entries(record)) {
    if (types.isDate(member) && Number.isNaN(member.getTime())) {
      throw new TypeError(`The record is broken: ${name} is no instant.`)
    }
  }
}
