import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { comingTooSoon, createKeySchedule } from '../../src/tokens/key-schedule.ts'
import type { SigningKey } from '../../src/tokens/signing-keys.ts'
import { NOW } from './token-world.ts'

const T = NOW * 1000
const LIFE = 3600

/** The schedule reads nothing of a key but its name and instant. */
const key = (kid: string, from: number): SigningKey => ({ kid, from }) as SigningKey
const names = (keys: readonly SigningKey[]) => keys.map(({ kid }) => kid).join(' ')

const bare = key('bare', Number.NEGATIVE_INFINITY)
const second = key('second', T)
const third = key('third', T + 7_200_000)
const schedule = createKeySchedule([third, bare, second], LIFE)

describe('the schedule of signing keys', () => {
  test.each<readonly [what: string, now: number, signing: string, published: string]>([
    ['long before', T - 1e9, 'bare', 'bare second third'],
    ['just before the second one', T - 1, 'bare', 'bare second third'],
    ['at its instant', T, 'second', 'bare second third'],
    ['while the last token of the first one may live', T + 3_660_000 - 1, 'second', 'bare second third'],
    ['when that is over everywhere', T + 3_660_000, 'second', 'second third'],
    ['at the third one', T + 7_200_000, 'third', 'second third'],
    ['when the second one is over', T + 10_860_000, 'third', 'third'],
    ['in a hundred years', T + 3e12, 'third', 'third'],
  ])('%s: who signs, and who is published', (_what, now, signing, published) => {
    expect(schedule.signing(now).kid).toBe(signing)
    expect(names(schedule.published(now))).toBe(published)
  })

  test('asked in any order of time, it says the same', () => {
    const instants = [T + 1e8, T - 5, T + 3_660_000, T, T + 7_200_001, T - 1e9]
    const fresh = (now: number) => names(createKeySchedule([bare, second, third], LIFE).published(now))
    expect(instants.map((now) => names(schedule.published(now)))).toEqual(instants.map(fresh))
  })

  test('gives the same list while nothing changes', () => {
    expect(schedule.published(T + 5)).toBe(schedule.published(T + 3_659_999))
    expect(schedule.published(T + 5)).not.toBe(schedule.published(T + 3_660_000))
  })

  test('without one that counts from the beginning, the first signs before its time, since no other can', () => {
    const early = createKeySchedule([third, second], LIFE)
    expect(early.signing(T - 1).kid).toBe('second')
    expect(names(early.published(T - 1))).toBe('second third')
  })

  test('needs a key', () => {
    expect(() => createKeySchedule([], LIFE)).toThrow(TypeError)
  })

  test('says which keys come sooner than verifiers have read the key set anew', () => {
    const keys = [bare, key('now', T), key('soon', T + 599_999), key('later', T + 600_000)]
    expect(names(comingTooSoon(keys, 600, T))).toBe('soon')
  })
})

test('whatever the keys, skews, jumps and restarts: no token that has not expired is of an unpublished key', () => {
  const instant = fc.integer({ min: -20_000, max: 20_000 }).map((seconds) => T + seconds * 1000 + 137)
  const keysOf = (froms: readonly number[]) => [bare, ...froms.map((from, index) => key(`k${index}`, from))]
  fc.assert(
    fc.property(
      fc.uniqueArray(instant, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 3600 }),
      instant,
      // The verifier's clock beside the issuer's: a minute late to a minute ahead; and when it looks.
      fc.integer({ min: -60_000, max: 60_000 }),
      fc.integer({ min: 0, max: 3_700_000 }),
      fc.array(instant, { maxLength: 3 }),
      (froms, lifetime, mintedAt, skew, age, jumps) => {
        const issuer = createKeySchedule(keysOf(froms), lifetime)
        const verifier = createKeySchedule(keysOf(froms).toReversed(), lifetime)
        for (const jump of jumps) {
          issuer.published(jump)
          verifier.published(jump)
        }
        const { kid } = issuer.signing(mintedAt)
        const expires = (Math.floor(mintedAt / 1000) + lifetime) * 1000
        const now = mintedAt + skew + age
        // With the largest tolerance that can be set.
        fc.pre(now < expires + 60_000)
        expect(names(verifier.published(now)).split(' ')).toContain(kid)
      },
    ),
    { numRuns: 3000 },
  )
})
