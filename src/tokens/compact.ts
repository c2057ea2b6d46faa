import { isUtf8 } from 'node:buffer'
import { parseObject, type JsonObject } from './json-object.ts'

/** A compact JWS (RFC 7515 section 7.1), taken apart. */
export interface Compact {
  readonly header: JsonObject
  readonly payload: JsonObject
  readonly signature: Buffer
  /** What is signed: the first two segments and the dot between them. */
  readonly signed: string
}

/**
 * Takes a token apart, strictly: there is exactly one text for one token. `null` for anything else: not three segments,
 * padding, spaces, other alphabets, unused bits that are set, no UTF-8, no JSON object, a member written twice.
 */
export function parseCompact(token: string): Compact | null {
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  if (first < 1 || second === -1 || token.indexOf('.', second + 1) !== -1) return null
  const header = decodeObject(token.slice(0, first))
  if (header === null) return null
  const payload = decodeObject(token.slice(first + 1, second))
  const signature = decode(token.slice(second + 1))
  if (payload === null || signature === null) return null
  return { header, payload, signature, signed: token.slice(0, second) }
}

/** RFC 7515 section 2, base64url without padding. Node decodes other texts too; the one that it encodes is canonical. */
function decode(segment: string): Buffer | null {
  const bytes = Buffer.from(segment, 'base64url')
  return segment !== '' && bytes.toString('base64url') === segment ? bytes : null
}

function decodeObject(segment: string): JsonObject | null {
  const bytes = decode(segment)
  return bytes !== null && isUtf8(bytes) ? parseObject(bytes.toString('utf8')) : null
}
