/** JSON allows them raw; Node's `readline`, Python's `splitlines` and others end a line there. */
const LINE_ENDS = /[\u0085\u2028\u2029]/g

/**
 * A text as JSON that holds no line end of anybody. Plain texts, which most are, cost a fraction of `JSON.stringify`.
 * @throws {TypeError} for anything else: what was read from a file may be it, whatever its type says.
 */
export function quote(text: string): string {
  if (typeof text !== 'string') throw new TypeError('Not a text.')
  if (isPlain(text)) return `"${text}"`
  return JSON.stringify(text).replaceAll(
    LINE_ENDS,
    (end) => `\\u${(end.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  )
}

const [SPACE, QUOTE, BACKSLASH, TILDE] = [0x20, 0x22, 0x5c, 0x7e]

/** Needs no escape in JSON, and none for anybody who splits lines. */
function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    if (unit < SPACE || unit > TILDE || unit === QUOTE || unit === BACKSLASH) return false
  }
  return true
}
