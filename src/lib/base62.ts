const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** A whole number in base 62 (`0-9A-Za-z`), padded with zeros to `width`. */
export function toBase62(value: number, width: number): string {
  let text = ''
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) text = `${DIGITS[rest % 62] ?? ''}${text}`
  return text.padStart(width, '0')
}

/** Gives that many random bytes. */
export type RandomBytes = (count: number) => Uint8Array

/** Unbiased: bytes from 248 on, which would favour the first eight digits, are thrown away. */
export function randomBase62(length: number, random: RandomBytes): string {
  let text = ''
  while (text.length < length) {
    for (const byte of random(length + 8)) {
      if (byte < 248 && text.length < length) text += DIGITS[byte % 62] ?? ''
    }
  }
  return text
}
