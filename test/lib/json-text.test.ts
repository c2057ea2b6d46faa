import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { quote } from '../../src/lib/json-text.ts'

/** Each unit there is, alone and between others. */
const UNITS = Array.from({ length: 0x10000 }, (_, unit) => String.fromCharCode(unit))

test('a text is read back from its JSON, whatever unit it holds, and holds no line end', () => {
  for (const unit of UNITS) {
    const text = quote(`a${unit}z`)
    if (JSON.parse(text) !== `a${unit}z` || /[\n\r\u0085\u2028\u2029]/.test(text))
      throw new Error(`U+${unit.charCodeAt(0).toString(16)}`)
  }
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => JSON.parse(quote(text)) === text))
})

test('it is what JSON.stringify makes of it, but for the three line ends that JSON allows raw', () => {
  const raw = /[\u0085\u2028\u2029]/
  for (const unit of UNITS) if (!raw.test(unit) && quote(unit) !== JSON.stringify(unit)) throw new Error(quote(unit))
  expect(quote('\u0085\u2028\u2029')).toBe(String.raw`"\u0085\u2028\u2029"`)
})
