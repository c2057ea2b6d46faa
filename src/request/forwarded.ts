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
  const text = lines.join(',')
  if (text.length > MAX_LENGTH) return null
  const entries: string[] = []
  for (let at = 0; at <= text.length;) {
    if (entries.length === MAX_ENTRIES) return null
    const comma = text.indexOf(',', at)
    const end = comma === -1 ? text.length : comma
    entries.push(withoutBlanks(text, at, end))
    at = end + 1
  }
  return entries
}

/** The address in an entry of `X-Forwarded-For`; some proxies add the port, and IPv6 then stands in brackets. */
export function entryAddress(entry: string): string | null {
  const [, inner, host] = WITH_PORT.exec(entry) ?? []
  if (inner !== undefined) return inner.includes(':') ? normalizeAddress(inner) : null
  return normalizeAddress(host ?? entry)
}

const WITH_PORT = /^(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/

/** RFC 9110 section 5.6.3: optional whitespace is space and tab, not all that `trim` takes away. */
function withoutBlanks(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}
