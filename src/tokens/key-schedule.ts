import type { SigningKey } from './signing-keys.ts'

/**
 * Which key signs and which are published, by the clock alone: any number of instances agree without talking, and one
 * that is started anew, or whose clock is set back, knows as much as before.
 */
export interface KeySchedule {
  /** In order of `from`. */
  readonly keys: readonly SigningKey[]
  /** The one with the latest `from` that has come; before the first has, the first. `now` in epoch milliseconds. */
  signing(now: number): SigningKey
  /**
   * The one that signs, those to come, and those that have signed until the last token of theirs is over everywhere. The
   * same list for as long as nothing changes.
   */
  published(now: number): readonly SigningKey[]
}

/** Beyond the life of a token: for its verifier's tolerance, and for an issuer whose clock is late. */
const MARGIN_SECONDS = 60

/** @throws {TypeError} without keys. */
export function createKeySchedule(given: readonly SigningKey[], lifetimeSeconds: number): KeySchedule {
  const keys = Object.freeze(given.toSorted((a, b) => a.from - b.from))
  const [first] = keys
  if (first === undefined) throw new TypeError('A schedule needs at least one key.')
  const retired = keys.map((_, index) => retiresAt(keys, index, lifetimeSeconds))
  // Between two of these nothing changes.
  const turns = [...keys.map(({ from }) => from), ...retired].toSorted((a, b) => a - b)
  let from = Number.NaN
  let until = Number.NaN
  let list: readonly SigningKey[] = []

  return Object.freeze({
    keys,
    signing: (now: number) => keys.findLast((key) => key.from <= now) ?? first,
    published: (now: number) => {
      if (now >= from && now < until) return list
      from = turns.findLast((turn) => turn <= now) ?? Number.NEGATIVE_INFINITY
      until = turns.find((turn) => turn > now) ?? Number.POSITIVE_INFINITY
      list = Object.freeze(keys.filter((_, index) => now < (retired[index] ?? 0)))
      return list
    },
  })
}

/** Its last token was signed just before its successor's `from`. */
function retiresAt(keys: readonly SigningKey[], index: number, lifetimeSeconds: number): number {
  const successor = keys[index + 1]
  return successor === undefined ? Number.POSITIVE_INFINITY : successor.from + (lifetimeSeconds + MARGIN_SECONDS) * 1000
}

/** Those whose turn comes sooner than every verifier has read the key set anew; `now` in epoch milliseconds. */
export function comingTooSoon(keys: readonly SigningKey[], maxAgeSeconds: number, now: number): readonly SigningKey[] {
  return keys.filter(({ from }) => from > now && from < now + maxAgeSeconds * 1000)
}
