import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { randomBase62, toBase62 } from '../../src/lib/base62.ts'

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

describe('a number in base 62', () => {
  test.each([
    [0, 6, '000000'],
    [61, 1, 'z'],
    [62, 2, '10'],
    [62, 6, '000010'],
    [4_294_967_295, 6, '4gfFC3'],
  ])('%d in %d digits is %s', (value, width, text) => {
    expect(toBase62(value, width)).toBe(text)
  })

  test('is read back as the same number', () => {
    fc.assert(
      fc.property(fc.nat({ max: 0xffff_ffff }), (value) => {
        const back = [...toBase62(value, 6)].reduce((sum, digit) => sum * 62n + BigInt(DIGITS.indexOf(digit)), 0n)
        expect(back).toBe(BigInt(value))
      }),
    )
  })
})

describe('random base 62', () => {
  test('throws away the bytes that would favour the first eight digits', () => {
    const bytes = [255, 248, 247, 251, 0, 62, 61, 250]
    expect(randomBase62(4, () => Uint8Array.from(bytes))).toBe('z00z')
  })

  test('asks again where too many bytes were thrown away', () => {
    const draws = [Uint8Array.of(255, 255, 1), Uint8Array.of(254, 2, 3)]
    expect(randomBase62(3, () => draws.shift() ?? new Uint8Array(0))).toBe('123')
  })

  test('uses each of the 62 digits as often as the others', () => {
    const counts = new Map<string, number>()
    for (const digit of randomBase62(62_000, randomBytes)) counts.set(digit, (counts.get(digit) ?? 0) + 1)
    const chiSquare = [...DIGITS].reduce((sum, digit) => sum + ((counts.get(digit) ?? 0) - 1000) ** 2 / 1000, 0)
    // 61 degrees of freedom: exceeded once in 10^9 runs. A plain `byte % 62` gives some 1,700.
    expect(chiSquare).toBeLessThan(150)
  })
})
