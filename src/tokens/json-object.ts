/** A JSON object whose members were each written once. */
export type JsonObject = Readonly<Record<string, unknown>>

/** RFC 8259 section 9 allows a limit; nothing of ours nests deeper than a list of strings. */
const MAX_DEPTH = 16

/**
 * The object that a text holds, or `null`: no JSON, no object, too deep, or a member written twice, at any depth
 * (RFC 7515 section 4: names must be unique; readers that take the first and readers that take the last would differ).
 */
export function parseObject(text: string): JsonObject | null {
  const members = countMembers(text)
  if (members === -1) return null
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  return countParsed(value) === members ? (value as JsonObject) : null
}

/** Own members alone count: `__proto__` and what hangs on a polluted prototype are not ours. */
export function own(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

const QUOTE = 34
const COLON = 58
const BACKSLASH = 92
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [91, 93, 123, 125]

/** Colons outside strings are members, in any text that is JSON at all; -1 where it nests too deep. */
function countMembers(text: string): number {
  let members = 0
  let depth = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (code === COLON) members += 1
    else if (code === OPEN_OBJECT || code === OPEN_LIST) {
      depth += 1
      if (depth > MAX_DEPTH) return -1
    } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) depth -= 1
  }
  return members
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end === -1 ? text.length : end
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1
  return backslashes % 2 === 1
}

/** A member that was written twice is parsed once. The depth of the value is bounded by now. */
function countParsed(value: object): number {
  const parts: readonly unknown[] = Object.values(value)
  let members = Array.isArray(value) ? 0 : parts.length
  for (const part of parts) if (typeof part === 'object' && part !== null) members += countParsed(part)
  return members
}
