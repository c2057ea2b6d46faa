import { randomFillSync } from 'node:crypto'

/** Fills the whole view with random bytes. */
export type RandomSource = (view: Uint8Array) => void

export interface Ids {
  /** RFC 9562 section 5.7: 48 bits of time, 74 random bits; sorts by time of making. */
  uuidv7(nowMs: number): string
  /** At most 256 random bytes as lower-case hexadecimal digits. */
  randomHex(bytes: number): string
}

const POOL_BYTES = 4096
const MAX_BYTES = 256
const LAST_MS = 2 ** 48 - 1

const HEX: readonly string[] = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'))

/** Draws from a pool: one call of the generator for each id costs ten times as much. No byte is used twice. */
export function createIds(fill: RandomSource = randomFillSync): Ids {
  const pool = Buffer.alloc(POOL_BYTES)
  let used = POOL_BYTES

  /** Where the next `bytes` unused ones start. */
  const take = (bytes: number): number => {
    if (used + bytes > POOL_BYTES) {
      fill(pool)
      used = 0
    }
    used += bytes
    return used - bytes
  }
  /** One text at once: putting it together byte by byte leaves a piece behind for each. */
  const hex = (at: number, bytes: number) => pool.toString('hex', at, at + bytes)

  return Object.freeze({
    uuidv7(nowMs: number) {
      const at = take(10)
      const version = HEX[0x70 | ((pool[at] ?? 0) & 0x0f)] ?? ''
      const variant = HEX[0x80 | ((pool[at + 2] ?? 0) & 0x3f)] ?? ''
      return `${timeOf(nowMs)}-${version}${hex(at + 1, 1)}-${variant}${hex(at + 3, 1)}-${hex(at + 4, 6)}`
    },
    randomHex(bytes: number) {
      if (!Number.isInteger(bytes) || bytes < 1 || bytes > MAX_BYTES)
        throw new RangeError('randomHex takes 1 to 256 bytes.')
      return hex(take(bytes), bytes)
    },
  })
}

/** 48 bits as `xxxxxxxx-xxxx`. A clock outside of what they hold counts as their first or last moment. */
function timeOf(nowMs: number): string {
  const ms = nowMs > 0 ? Math.min(Math.floor(nowMs), LAST_MS) : 0
  const high = Math.floor(ms / 0x10000)
  return `${byte(high >>> 24)}${byte(high >>> 16)}${byte(high >>> 8)}${byte(high)}-${byte(ms / 0x100)}${byte(ms)}`
}

function byte(value: number): string {
  return HEX[value & 0xff] ?? ''
}

let shared: Ids | null = null

/** A UUIDv7 from the operating system's generator. */
export function uuidv7(nowMs: number): string {
  shared ??= createIds()
  return shared.uuidv7(nowMs)
}

/** Random bytes from the operating system's generator, as lower-case hexadecimal digits: for ids, never for secrets. */
export function randomHex(bytes: number): string {
  shared ??= createIds()
  return shared.randomHex(bytes)
}
