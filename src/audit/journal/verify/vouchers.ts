import { createPublicKey, KeyObject, type JsonWebKey } from 'node:crypto'
import { ownMember as own } from '../../../lib/own-member.ts'
import { checkpointText, isSignedBy, keyIdOf, retentionText } from '../../chain/checkpoint.ts'
import type { AuditCheckpoint, AuditEvent, AuditRetention } from '../../event.ts'
import { eventLine } from '../../chain/event-line.ts'
import type { AuditLine } from '../../sink.ts'
import { readWrittenLine, type WrittenLine } from './written-line.ts'

/** A public key of Ed25519: PEM (SPKI), JWK or `KeyObject`. */
export type JournalKey = string | JsonWebKey | KeyObject
/** A checkpoint as a sink received it: the line, the event, or both. */
export type KeptCheckpoint = string | AuditEvent | AuditLine

/** What stands outside of the journal and can say something about it. */
export interface Vouchers {
  /** Is this checkpoint signed with one of the keys? `null`: it is signed, and there are no keys to check it with. */
  signs(event: AuditEvent): boolean | null
  signsRetention(retention: AuditRetention): boolean
  /** What sinks know of this writer, by `seq`. */
  keptOf(writer: string): ReadonlyMap<number, Kept>
  /** Writers that sinks know. */
  readonly writers: readonly string[]
}

/** A kept checkpoint. */
export interface Kept {
  /** `null`: there are several for one place. */
  readonly text: string | null
  readonly signed: boolean | null
}

const NONE: ReadonlyMap<number, Kept> = new Map()

/** @throws {TypeError} where a key is no public key of Ed25519, or a checkpoint is none. */
export function createVouchers(
  publicKeys: readonly JournalKey[] | undefined,
  checkpoints: readonly KeptCheckpoint[] = [],
): Vouchers {
  const keys = publicKeys === undefined ? null : keysById(publicKeys)
  const signs = (event: AuditEvent): boolean | null => {
    const seal = Object.hasOwn(event, 'checkpoint') ? event.checkpoint : undefined
    if (seal === undefined) return false
    return keys === null ? null : isSignedByOneOf(keys, checkpointText(event), seal)
  }

  const kept = new Map<string, Map<number, Kept>>()
  for (const [index, each] of checkpoints.entries()) {
    const { writer, number, text, event } = checkpointOf(each, index)
    const known = kept.get(writer) ?? new Map<number, Kept>()
    const there = known.get(number)
    const isOther = there !== undefined && there.text !== text
    known.set(number, { text: isOther ? null : text, signed: signs(event) })
    kept.set(writer, known)
  }
  return Object.freeze({
    signs,
    signsRetention: (retention: AuditRetention) =>
      keys === null || (retention.signed !== null && isSignedByOneOf(keys, retentionText(retention), retention.signed)),
    keptOf: (writer: string) => kept.get(writer) ?? NONE,
    writers: [...kept.keys()],
  })
}

function isSignedByOneOf(keys: ReadonlyMap<string, KeyObject>, text: string, seal: AuditCheckpoint): boolean {
  const key = keys.get(seal.keyId)
  return key !== undefined && isSignedBy(text, seal, key)
}

function keysById(publicKeys: readonly JournalKey[]): ReadonlyMap<string, KeyObject> {
  return new Map(
    publicKeys.map((each, index) => {
      const key = publicKeyOf(each)
      if (key?.asymmetricKeyType !== 'ed25519')
        throw new TypeError(
          `verifyJournal: \`publicKeys[${index}]\` is no public key of Ed25519 (PEM, JWK or KeyObject).`,
        )
      return [keyIdOf(key), key]
    }),
  )
}

/** A private key signs, and has no business where journals are examined. What the parser says of it may quote it. */
function publicKeyOf(key: JournalKey): KeyObject | null {
  try {
    if (key instanceof KeyObject) return key.type === 'public' ? key : null
    if (typeof key === 'string') return key.includes('PRIVATE KEY') ? null : createPublicKey(key)
    return own(key, 'd') === undefined ? createPublicKey({ key, format: 'jwk' }) : null
  } catch {
    return null
  }
}

function checkpointOf(given: KeptCheckpoint, index: number): WrittenLine & { readonly event: AuditEvent } {
  const line = readWrittenLine(Buffer.from(textOf(given) ?? ''))
  const event = line?.event ?? null
  if (line === null || event?.name !== 'audit.checkpoint')
    throw new TypeError(`verifyJournal: \`checkpoints[${index}]\` is no \`audit.checkpoint\` event or line.`)
  return { ...line, event }
}

function textOf(given: KeptCheckpoint): string | null {
  if (typeof given === 'string') return given.replace(/\r?\n$/, '')
  const text = own(given, 'text')
  if (typeof text === 'string') return text
  try {
    return eventLine(given as AuditEvent)
  } catch {
    return null
  }
}
