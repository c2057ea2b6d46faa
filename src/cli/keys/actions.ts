import { KeyStateError } from '../../errors.ts'
import { environmentOf } from '../../keys/format.ts'
import type { KeyRecord } from '../../keys/store.ts'
import type { Scope } from '../../scopes.ts'
import { checkScopes } from './check-scopes.ts'
import { CommandError, EXIT, usage } from '../command-error.ts'
import { nameOf, viewOf } from './view.ts'
import { changing, mustFit, reading } from './work.ts'
import { withKeys, type OpenKeys } from './open-keys.ts'
import { operatorOf } from '../operator.ts'
import { readKey } from './read-key.ts'
import { readInstant, readSeconds } from '../read-values.ts'
import type { Shell } from '../shell.ts'

export interface Output {
  readonly json?: boolean
}

export interface NewKeyOptions extends Output {
  readonly org: string
  readonly name: string
  readonly scope: readonly string[]
  readonly allowScope?: readonly string[]
  readonly cidr?: readonly string[]
  readonly expires?: string
  readonly by?: string
}

export async function createKey(shell: Shell, options: NewKeyOptions): Promise<void> {
  const facts = factsOf(shell, options)
  await withKeys(shell, { intent: 'create', ownScopes: options.allowScope ?? [] }, async (keys) => {
    const { environment, admin } = keys
    const { key, record } = await changing(shell, keys, () => admin.create({ ...facts, environment }))
    if (options.json !== true) shell.narrate(`Created ${record.id}: ${nameOf(record)}.\n${ONCE}`)
    await handOver(shell, options, { key, record })
    await keys.audited()
  })
}

export async function importKey(shell: Shell, options: NewKeyOptions): Promise<void> {
  const facts = factsOf(shell, options)
  const key = await readKey(shell, { what: 'to import', command: 'hc-auth keys import' })
  await withKeys(shell, { intent: 'create', ownScopes: options.allowScope ?? [] }, async (keys) => {
    mustFit(environmentOf(key) ?? '', keys)
    const { record } = await changing(shell, keys, () => keys.admin.import({ ...facts, key }))
    if (options.json !== true) shell.narrate(`Imported ${nameOf(record)}.`)
    await shell.print(options.json === true ? JSON.stringify({ record: viewOf(record, Date.now()) }) : record.id)
    await keys.audited()
  })
}

export interface RotateOptions extends Output {
  readonly grace?: string
  readonly by?: string
}

export async function rotateKey(shell: Shell, id: string, options: RotateOptions): Promise<void> {
  const by = operatorOf(shell.env, options.by)
  const graceSeconds = options.grace === undefined ? 86_400 : readSeconds('--grace', options.grace)
  await withKeys(shell, { intent: 'change' }, async (keys) => {
    const { replacedBy } = await recordToChange(keys, id)
    if (replacedBy !== null) {
      throw new CommandError(EXIT.failed, `${id} was rotated before. Rotate the key in its place: ${replacedBy}.`)
    }
    const { key, record } = await changing(shell, keys, () => keys.admin.rotate(id, { by, graceSeconds }))
    if (options.json !== true) {
      const end = new Date(record.createdAt.getTime() + graceSeconds * 1000).toISOString()
      const old = graceSeconds === 0 ? 'has ended' : `works until ${end}`
      shell.narrate(`Rotated: ${id} ${old}.\nIn its place: ${record.id}: ${nameOf(record)}.\n${ONCE}`)
    }
    await handOver(shell, options, { key, record })
    await keys.audited()
  })
}

export interface RevokeOptions extends Output {
  readonly reason: string
  readonly by?: string
}

export async function revokeKey(shell: Shell, id: string, options: RevokeOptions): Promise<void> {
  const by = operatorOf(shell.env, options.by)
  await withKeys(shell, { intent: 'change' }, async (keys) => {
    const before = await recordToChange(keys, id)
    const { record } = await changing(shell, keys, () => keys.admin.revoke(id, { by, reason: options.reason }))
    if (options.json === true) await shell.print(JSON.stringify({ record: viewOf(record, Date.now()) }))
    else shell.narrate(revocationText(before, record))
    await keys.audited()
  })
}

const ONCE = 'This is the key, this once and never again; the store has its digest alone.'

function factsOf(shell: Shell, options: NewKeyOptions) {
  checkScopes(options.scope, options.allowScope ?? [])
  const expiresAt = options.expires === undefined ? null : readInstant('--expires', options.expires, Date.now())
  return {
    organizationId: options.org,
    name: options.name,
    scopes: options.scope as readonly Scope[],
    allowedCidrs: options.cidr ?? [],
    expiresAt,
    by: operatorOf(shell.env, options.by),
  }
}

/** On a live server every change is audited: a key of the other environment must not be changed past the journal. */
async function recordToChange(keys: OpenKeys, id: string): Promise<KeyRecord> {
  if (!/^key_[A-Za-z0-9]{1,64}$/.test(id))
    throw usage('Expected the id of a key, such as key_…; `hc-auth keys list` shows it.')
  const record = await reading(keys, () => keys.admin.get(id))
  if (record === null) throw new KeyStateError('KEY_UNKNOWN', id)
  mustFit(record.environment, keys)
  return record
}

interface Made {
  readonly key: string
  readonly record: KeyRecord
}

/** Alone on its line. A key that nobody has read is lost, and must not stay good. */
async function handOver(shell: Shell, { json }: Output, { key, record }: Made): Promise<void> {
  try {
    await shell.print(json === true ? JSON.stringify({ key, record: viewOf(record, Date.now()) }) : key)
  } catch {
    throw new CommandError(
      EXIT.failed,
      `The key is made, but standard output could not be written: nobody has it.\n` +
        `Revoke it (hc-auth keys revoke ${record.id} --reason lost) and make another.`,
    )
  }
}

function revocationText(before: KeyRecord, record: KeyRecord): string {
  if (before.revokedAt === null) return `Revoked ${record.id}: ${nameOf(record)}. Tokens that name it end with it.`
  return `${record.id} was revoked before, on ${before.revokedAt.toISOString()}. Nothing is changed.`
}
