import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { searchFor, windowsOf } from './search.ts'

const SECRET = 'q7Zk2LmX9aBcD4eFgHjK8nPqRsTuVw'
const canaries = [
  { name: 'key', text: `hc_live_sk_${SECRET}`, parts: windowsOf(SECRET, 12) },
  { name: 'name', text: 'Quirin Ångström/Doe' },
]
const search = searchFor(canaries)

/** The positive control: what the canary test finds nowhere, it would find. */
describe('the search finds what is planted:', () => {
  const encodings: readonly (readonly [string, (text: string, noise: Buffer) => string])[] = [
    ['plain', (text, noise) => noise.toString('hex') + text + noise.toString('hex')],
    ['plain', (text) => JSON.stringify({ a: [{ b: text }] })],
    ['plain', (text) => text.toUpperCase()],
    ['base64', (text, noise) => Buffer.concat([noise, Buffer.from(text), noise]).toString('base64')],
    ['base64url', (text, noise) => Buffer.concat([noise, Buffer.from(text), noise]).toString('base64url')],
    ['hex', (text, noise) => Buffer.concat([noise, Buffer.from(text), noise]).toString('hex')],
    [
      'hex',
      (text, noise) =>
        Buffer.concat([noise, Buffer.from(text), noise])
          .toString('hex')
          .toUpperCase(),
    ],
    ['url', (text) => `?a=${encodeURIComponent(text)}`],
    [
      'url',
      (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    ],
  ]

  test.each(encodings.map(([form, encode], index) => [`${form} ${index}`, form, encode] as const))(
    '%s',
    (_title, form, encode) => {
      for (const { name, text, parts = [] } of canaries) {
        for (const each of [text, ...parts]) {
          for (let length = 0; length < 4; length += 1) {
            expect(search(encode(each, randomBytes(length)))).toContainEqual({ canary: name, form })
          }
        }
      }
    },
  )

  test('every part of a key that is 12 characters long', () => {
    expect(windowsOf(SECRET, 12)).toHaveLength(19)
    for (const part of windowsOf(SECRET, 12)) expect(search(part)).toContainEqual({ canary: 'key', form: 'plain' })
  })
})

test('and nothing where nothing is', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (text, bytes) => {
      expect(search(text + Buffer.from(bytes).toString('base64') + Buffer.from(bytes).toString('hex'))).toEqual([])
    }),
  )
  expect(search(SECRET.slice(0, 11))).toEqual([])
})
