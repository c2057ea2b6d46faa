import { ConfigError } from '../errors.ts'
import { ownMember } from '../lib/own-member.ts'
import { isBadSigningKey, loadSigningKey } from '../tokens/signing-keys.ts'
import type { PrivateSigningKey, SigningKey } from './auth-options.ts'

/** The text of a variable, or of the file that it names. */
export interface SecretSource {
  readonly name: string
  readonly text: string
}

/**
 * One private key (PEM, or the JSON text of a JWK), or a JSON list whose entries are such keys or
 * `{ "key": …, "from": "2027-01-01T00:00:00Z" }`.
 * @throws {ConfigError} that names the variable, and which key of a list; never what it holds.
 */
export function readSigningKeys({ name, text }: SecretSource): readonly SigningKey[] {
  if (!text.startsWith('[')) return [checked(withLineEnds(text), { name, place: '' })]
  const list = listOf(text)
  if (list === null || list.length === 0) {
    throw new ConfigError('CONFIG_INVALID', name, {
      problem: 'is no JSON list of keys.',
      remedy: 'Give a list such as `[<JWK>, { "key": <JWK>, "from": "2027-01-01T00:00:00Z" }]`.',
    })
  }
  return list.map((entry, index) => checked(keyOf(entry), { name, place: `number ${index + 1}: ` }))
}

function listOf(text: string): readonly unknown[] | null {
  try {
    const parsed: unknown = JSON.parse(text)
    return Array.isArray(parsed) ? parsed : null
  } catch {
    return null
  }
}

/** What `from` says is the only thing that JSON cannot hold as it is. */
function keyOf(entry: unknown): unknown {
  if (ownMember(entry, 'key') === undefined) return entry
  return { ...Object(entry), from: instantOf(ownMember(entry, 'from')) }
}

/** Without an offset it would be another instant on another machine. */
const INSTANT = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/

function instantOf(value: unknown): Date | undefined {
  const [text, day] = typeof value === 'string' ? (INSTANT.exec(value) ?? []) : []
  if (text === undefined || day === undefined) return undefined
  const midnight = Date.parse(day)
  // The parser takes 31 February for a day in March.
  if (Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== day) return undefined
  const instant = new Date(text)
  return Number.isNaN(instant.getTime()) ? undefined : instant
}

/** Files of variables hold one line each: a PEM in them has `\n` in the place of its line ends. */
function withLineEnds(text: string): string {
  return text.startsWith('-----BEGIN ') && !text.includes('\n') ? text.replaceAll('\\n', '\n') : text
}

/** Here, so that the error names the variable. */
function checked(key: unknown, { name, place }: { name: string; place: string }): SigningKey {
  const loaded = loadSigningKey(key)
  if (!isBadSigningKey(loaded)) return key as PrivateSigningKey
  const isInstant = loaded.member === 'from'
  throw new ConfigError('CONFIG_INVALID', name, {
    problem: `${place}${isInstant ? 'expected `from`, the instant from which on the key signs.' : loaded.problem}`,
    remedy: isInstant
      ? 'Give it as ISO 8601 with its offset, such as `2027-01-01T00:00:00Z`.'
      : 'Make one with `hc-auth token keygen`.',
  })
}
