import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { AuditEvent } from '../../audit/event.ts'
import type { JournalKey, KeptCheckpoint } from '../../audit/journal/verify.ts'
import { ownMember } from '../../lib/own-member.ts'
import { isWholeEvent } from './shape.ts'
import { usage, type CommandError } from '../command-error.ts'
import type { Shell } from '../shell.ts'
import { systemCode } from '../writable-folder.ts'

/**
 * The keys of files: PEM, one or several; JWK, or a JSON list or set (`keys`) of them.
 * @throws {CommandError} of usage, for a file that holds none or something else; a key that nobody could check with would
 * make every signature look forged.
 */
export function readPublicKeys({ cwd }: Shell, paths: readonly string[]): readonly JournalKey[] {
  return paths.flatMap((path, index) => {
    const place = paths.length === 1 ? '--public-key' : `--public-key (number ${index + 1})`
    const keys = keysIn(readText(resolve(cwd, path), place))
    if (keys.some(isPrivate)) {
      throw usage(
        `${place}: holds a private key. Keep it away from here, and give the public one (openssl pkey -pubout).`,
      )
    }
    if (keys.length === 0 || !keys.every(isEd25519)) {
      throw usage(`${place}: expected public keys of Ed25519, as PEM or JWK.`)
    }
    return keys
  })
}

function readText(path: string, place: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw unreadableFile(place, error)
  }
}

function unreadableFile(place: string, error: unknown): CommandError {
  return usage(`${place}: cannot be read (${systemCode(error)}).`)
}

const PEM = /-----BEGIN ([A-Z ]+)-----[\s\S]*?-----END \1-----/g

function keysIn(text: string): readonly JournalKey[] {
  if (!/^[[{]/.test(text)) return Array.from(text.matchAll(PEM), ([block]) => block)
  try {
    const parsed: unknown = JSON.parse(text)
    const list = ownMember(parsed, 'keys') ?? parsed
    return (Array.isArray(list) ? list : [list]) as readonly JsonWebKey[]
  } catch {
    return []
  }
}

function isPrivate(key: JournalKey): boolean {
  return typeof key === 'string' ? key.includes('PRIVATE KEY') : ownMember(key, 'd') !== undefined
}

function isEd25519(key: JournalKey): boolean {
  try {
    const read =
      typeof key === 'string' ? createPublicKey(key) : createPublicKey({ key: key as JsonWebKey, format: 'jwk' })
    return read.asymmetricKeyType === 'ed25519'
  } catch {
    return false
  }
}

export interface GivenCheckpoints {
  readonly checkpoints: readonly KeptCheckpoint[]
  /** The line of the file that each stands in, from 1. */
  readonly lines: readonly number[]
}

/**
 * `audit.checkpoint` events of a file of JSON lines: an export of what a sink keeps, or the log that `loggerSink` writes to.
 * Other events and other log lines are passed over.
 * @throws {CommandError} of usage, where there is none: nothing would be checked.
 */
export async function readCheckpoints({ cwd, goOn }: Shell, path: string): Promise<GivenCheckpoints> {
  const checkpoints: KeptCheckpoint[] = []
  const lines: number[] = []
  let line = 0
  try {
    for await (const text of createInterface({ input: createReadStream(resolve(cwd, path)), crlfDelay: Infinity })) {
      goOn()
      line += 1
      const checkpoint = text.includes('audit.checkpoint') ? checkpointIn(text) : null
      if (checkpoint === null) continue
      checkpoints.push(checkpoint)
      lines.push(line)
    }
  } catch (error) {
    if (error instanceof Error && Object.hasOwn(error, 'syscall')) throw unreadableFile('--checkpoints', error)
    throw error
  }
  if (checkpoints.length === 0) throw usage('--checkpoints: holds no audit.checkpoint event.')
  return { checkpoints, lines }
}

/** The exact line where it is one, else the event in it. What cannot be read at all is for the examination to refuse. */
function checkpointIn(text: string): KeptCheckpoint | null {
  const parsed = parse(text)
  if (parsed === undefined) return text
  const logged = ownMember(parsed, 'audit')
  if (isWholeEvent(logged)) return isCheckpoint(logged) ? logged : null
  return ownMember(parsed, 'name') === 'audit.checkpoint' ? text : null
}

function isCheckpoint({ name }: AuditEvent): boolean {
  return name === 'audit.checkpoint'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
