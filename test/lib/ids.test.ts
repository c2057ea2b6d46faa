import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createIds, randomHex, uuidv7 } from '../../src/lib/ids.ts'

const bytesFrom = (value: number) => (view: Uint8Array) => {
  view.fill(value)
}

describe('a UUIDv7', () => {
  test('has the form of RFC 9562, appendix A.6, for its moment and its random bits', () => {
    // rand_a 0xcc3, rand_b 0x18c4dc0c0c07398f, unix_ts_ms 0x017f22e279b0.
    const random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]
    const { uuidv7: make } = createIds((view) => view.set(random))
    expect(make(1_645_557_742_000)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
  })

  test.each([
    [0xff, 'ffff-7fff-bfff-ffffffffffff'],
    [0x00, 'ffff-7000-8000-000000000000'],
  ])('keeps version and variant whatever the random bytes are (%i)', (value, tail) => {
    expect(createIds(bytesFrom(value)).uuidv7(2 ** 48 - 1)).toBe(`ffffffff-${tail}`)
  })

  test.each([
    ['before 1970', -1, '00000000-0000'],
    ['no number', Number.NaN, '00000000-0000'],
    ['beyond 48 bits', 2 ** 60, 'ffffffff-ffff'],
    ['with a fraction', 65_536.9, '00000001-0000'],
  ])('holds a moment that is %s as the nearest that it can', (_, nowMs, head) => {
    expect(uuidv7(nowMs).slice(0, 13)).toBe(head)
  })

  test('sorts by the moment of its making', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 31 }), fc.nat({ max: 2 ** 31 }), (one, more) => {
        const [early, late] = [one * 1000, one * 1000 + more + 1]
        expect(uuidv7(early) < uuidv7(late)).toBe(true)
      }),
    )
  })

  test('is never made twice', () => {
    const ids = new Set(Array.from({ length: 100_000 }, () => uuidv7(1_700_000_000_000)))
    expect(ids.size).toBe(100_000)
  })
})

describe('random hexadecimal digits', () => {
  test('are two for each byte', () => {
    expect(randomHex(5)).toMatch(/^[0-9a-f]{10}$/)
    expect(randomHex(256)).toMatch(/^[0-9a-f]{512}$/)
  })

  test.each([0, -1, 257, 1.5, Number.NaN])('are refused for %d bytes', (bytes) => {
    expect(() => randomHex(bytes)).toThrow(RangeError)
  })

  test('use each byte of the source once', () => {
    let next = 0
    const ids = createIds((view) => {
      for (let at = 0; at < view.length; at += 1) view[at] = Math.floor(next++ / 16) & 0xff
    })
    const seen = Array.from({ length: 1000 }, () => ids.randomHex(16))
    // 256 blocks of 16 equal bytes fill one pool: a block that came twice would be out of step.
    expect(seen.slice(0, 3)).toEqual(['00'.repeat(16), '01'.repeat(16), '02'.repeat(16)])
    expect(seen[256]).toBe('00'.repeat(16))
    expect(seen[999]).toBe((999 & 0xff).toString(16).repeat(16))
  })
})
