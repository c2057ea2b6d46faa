import { isUtf8 } from 'node:buffer'
import { canonicalLength } from './base64url.ts'
import { createBoundedCache } from './bounded-cache.ts'
import { readHeader, type BadHeader, type Header, type HeaderRules } from './header.ts'
import { parseObject, type JsonObject } from './json-object.ts'

/** Characters; longer tokens are refused before anything reads them. */
export const MAX_TOKEN_LENGTH = 8192

/** A compact JWS (RFC 7515 section 7.1), taken apart. */
export interface Compact {
  readonly header: Header | BadHeader
  readonly payload: JsonObject
  /** Empty where the token has none, as an unsecured one (RFC 7515 appendix A.5): no key verifies it. */
  readonly signature: Buffer
  /** What is signed: the first two segments and the dot between them. */
  readonly signed: string
}

export type CompactParser = (token: string) => Compact | null

/** An issuer writes few headers, and many tokens with each. */
const MAX_HEADERS = 64

/**
 * Takes tokens apart, strictly: one token has one text. `null` for anything else: not three segments, padding, spaces,
 * another alphabet, unused bits that are set, no UTF-8, no JSON object, a member written twice. What a header says is
 * read by the rules.
 */
export function createCompactParser(rules: HeaderRules): CompactParser {
  const headers = createBoundedCache<Header>(MAX_HEADERS)

  const headerOf = (segment: string): Header | BadHeader | null => {
    const known = headers.get(segment)
    if (known !== undefined) return known
    const members = decodeObject(segment)
    if (members === null) return null
    const header = readHeader(members, rules)
    if (header.ok) headers.set(segment, header)
    return header
  }
  return (token) => {
    if (!isPlain(token)) return null
    const first = token.indexOf('.')
    const second = token.indexOf('.', first + 1)
    if (first === -1 || second === -1 || token.indexOf('.', second + 1) !== -1) return null
    const header = headerOf(token.slice(0, first))
    if (header === null) return null
    const payload = decodeObject(token.slice(first + 1, second))
    const signature = decodeSignature(token.slice(second + 1))
    if (payload === null || signature === null) return null
    return { header, payload, signature, signed: token.slice(0, second) }
  }
}

/** No other characters than ASCII, and none of the alphabet that base64url replaces: what is left, decoding tells. */
function isPlain(token: string): boolean {
  return Buffer.byteLength(token) === token.length && !token.includes('+') && !token.includes('/')
}

function decodeSignature(segment: string): Buffer | null {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.length === canonicalLength(segment) ? bytes : null
}

/** Decoding is synchronous, and so one piece of memory serves all. */
const scratch = Buffer.alloc(MAX_TOKEN_LENGTH)

function decodeObject(segment: string): JsonObject | null {
  if (segment.length > MAX_TOKEN_LENGTH) return null
  const length = scratch.write(segment, 'base64url')
  if (length !== canonicalLength(segment)) return null
  const text = scratch.toString('utf8', 0, length)
  return isAscii(text, length) || isUtf8(scratch.subarray(0, length)) ? parseObject(text) : null
}

/** As many characters as bytes, and none of them a replacement of what could not be read. */
function isAscii(text: string, bytes: number): boolean {
  return text.length === bytes && !text.includes('\ufffd')
}
