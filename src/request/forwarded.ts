import { normalizeAddress } from '../lib/cidr.ts'
import { rawValues } from './raw-headers.ts'

/** Characters and entries; a longer chain says nothing. */
const MAX_LENGTH = 4096
const MAX_ENTRIES = 64

/**
 * The entries of a forwarded header, leftmost first, all its lines joined in their order (RFC 9110 section 5.3).
 * `[]`: the header is absent. `null`: it is longer than anybody's chain.
 */
export function forwardedList(rawHeaders: readonly string[], lowerName: string): readonly string[] | null {
  const lines = rawValues(rawHeaders, lowerName)
  if (lines.length === 0) return lines
  if (lines.length > MAX_ENTRIES || lines.reduce((sum, line) => sum + line.length, 0) > MAX_LENGTH) return null
  const entries = lines.flatMap((line) => line.split(','))
  return entries.length > MAX_ENTRIES ? null : entries.map(withoutBlanks)
}

/** The address in an entry of `X-Forwarded-For`; some proxies add the port, and IPv6 then stands in brackets. */
export function entryAddress(entry: string): string | null {
  if (entry.startsWith('[')) {
    const [, inner] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(entry) ?? []
    return inner === undefined || !inner.includes(':') ? null : normalizeAddress(inner)
  }
  const [, host] = /^([\d.]+):\d{1,5}$/.exec(entry) ?? []
  return normalizeAddress(host ?? entry)
}

/** RFC 9110 section 5.6.3: optional whitespace is space and tab, not all that `trim` takes away. */
function withoutBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}
