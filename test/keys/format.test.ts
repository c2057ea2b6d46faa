import { crc32 } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkOf, environmentOf, hintOf } from '../../src/keys/format.ts'
import { newKey } from './parts.ts'

const ZEROS = '0'.repeat(30)

describe('a key is well-formed', () => {
  test.each([
    ['the documented key', 'hc_live_sk_AbC12xYz9kLmNpQr', 'live'],
    ['a documented test key', 'hc_test_sk_0000000000000000', 'test'],
    ['the vector of the contract', `hc_live_sk_${ZEROS}41YlZV`, 'live'],
    ['the same for test', `hc_test_sk_${ZEROS}1IFYkw`, 'test'],
    ['all digits and letters', 'hc_live_sk_0123456789ABCDEFGHIJKLMNOPQRST1hUud6', 'live'],
    ['the documented form with other letters', 'hc_test_sk_WXYZabcdefghijkl', 'test'],
    ['a check that begins with zeros', 'hc_test_sk_xss6P6y3VxcV97iVGB36YT4BxLTmYA00u3uJ', 'test'],
  ])('%s', (_, key, environment) => {
    expect(environmentOf(key)).toBe(environment)
  })
})

describe('a key is malformed', () => {
  test.each([
    ['nothing', ''],
    ['the prefix alone', 'hc_live_sk_'],
    ['15 characters', 'hc_live_sk_AbC12xYz9kLmNpQ'],
    ['17 characters', 'hc_live_sk_AbC12xYz9kLmNpQrx'],
    ['35 characters', `hc_live_sk_${ZEROS}41YlZ`],
    ['37 characters', `hc_live_sk_${ZEROS}41YlZV0`],
    ['a wrong check', `hc_live_sk_${ZEROS}41YlZW`],
    ['the check of the other environment', `hc_test_sk_${ZEROS}41YlZV`],
    ['another environment', 'hc_prod_sk_AbC12xYz9kLmNpQr'],
    ['a public key', 'hc_live_pk_AbC12xYz9kLmNpQr'],
    ['upper case', 'HC_LIVE_SK_AbC12xYz9kLmNpQr'],
    ['mixed case in the prefix', 'hc_Live_sk_AbC12xYz9kLmNpQr'],
    ['one more underscore', 'hc_live__sk_AbC12xYz9kLmNpQ'],
    ['an underscore in the body', 'hc_live_sk_AbC12xYz9kLmNpQ_'],
    ['a full-width digit', 'hc_live_sk_AbC12xYz9kLmNpQ０'],
    ['an Arabic digit', 'hc_live_sk_AbC12xYz9kLmNpQ٣'],
    ['a NUL', 'hc_live_sk_AbC12xYz9kLmNpQ\0'],
    ['a line feed at the end', 'hc_live_sk_AbC12xYz9kLmNpQ\n'],
    ['a line feed behind the end', 'hc_live_sk_AbC12xYz9kLmNpQr\n'],
    ['a space in front', ' hc_live_sk_AbC12xYz9kLmNpQr'],
    ['another key behind it', 'hc_live_sk_AbC12xYz9kLmNpQrhc_live_sk_AbC12xYz9'],
  ])('%s', (_, key) => {
    expect(environmentOf(key)).toBeNull()
  })

  test('where any one character of an issued key is another', () => {
    const printable = fc.integer({ min: 0, max: 0x2ff }).map((code) => String.fromCharCode(code))
    fc.assert(
      fc.property(fc.constantFrom('live', 'test'), fc.nat({ max: 46 }), printable, (environment, at, other) => {
        const key = newKey(environment)
        fc.pre(key[at] !== other)
        expect(environmentOf(key.slice(0, at) + other + key.slice(at + 1))).toBeNull()
      }),
      { numRuns: 3000 },
    )
  })

  test('where two neighbours of an issued key have changed places', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 45 }), (at) => {
        const key = newKey()
        fc.pre(key[at] !== key[at + 1])
        const swapped = `${key.slice(0, at)}${key[at + 1]}${key[at]}${key.slice(at + 2)}`
        expect(environmentOf(swapped)).toBeNull()
      }),
    )
  })

  test('in time that does not grow with its length', () => {
    const long = `hc_live_sk_${'a'.repeat(5_000_000)}`
    const start = performance.now()
    for (let round = 0; round < 1000; round += 1) environmentOf(long)
    expect(performance.now() - start).toBeLessThan(100)
  })
})

test('the check is the CRC-32 of everything before', () => {
  expect(checkOf(`hc_live_sk_${ZEROS}`)).toBe('41YlZV')
  expect(crc32('123456789')).toBe(0xcb_f4_39_26)
})

test('the hint is the prefix and the last four characters', () => {
  expect(hintOf('hc_live_sk_AbC12xYz9kLmNpQr')).toBe('hc_live_sk_…NpQr')
  expect(hintOf(`hc_test_sk_${ZEROS}1IFYkw`)).toBe('hc_test_sk_…FYkw')
})
