/** RFC 4648 section 5, in the order of their values. */
const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Those that a text may end with, where it ends after two or three of four: the bits that hold nothing are zero. */
const LAST_OF_TWO = everyNth(16)
const LAST_OF_THREE = everyNth(4)

/**
 * How many bytes a text without padding holds if it is canonical (RFC 7515 section 2: each value has one text); -1 where its
 * length or its end rule that out. Its other characters are not looked at: `Buffer` passes over those of no alphabet, and so
 * decodes to fewer bytes; only `+` and `/` it takes for `-` and `_`.
 */
export function canonicalLength(text: string): number {
  const { length } = text
  const rest = length % 4
  if (rest === 1) return -1
  if (rest === 2 && !LAST_OF_TWO.has(text.charAt(length - 1))) return -1
  if (rest === 3 && !LAST_OF_THREE.has(text.charAt(length - 1))) return -1
  return Math.floor((length * 3) / 4)
}

function everyNth(step: number): ReadonlySet<string> {
  return new Set([...CHARACTERS].filter((_, value) => value % step === 0))
}
