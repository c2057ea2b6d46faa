import { assert, nat, property, string, uint8Array } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalLength } from '../../src/tokens/base64url.ts'

/** What the parser relies on: the text is the canonical one of some bytes if it decodes to as many as it must hold. */
const isCanonical = (text: string) => Buffer.from(text, 'base64url').length === canonicalLength(text)

describe('canonicalLength, with what Node decodes', () => {
  test('accepts what Node encodes', () => {
    assert(
      property(uint8Array({ maxLength: 300 }), (bytes) => {
        expect(isCanonical(Buffer.from(bytes).toString('base64url'))).toBe(true)
      }),
    )
  })

  test('accepts of all texts of four characters or less exactly those that Node encodes', () => {
    const alphabet = [...'ABQgwxyz0189-_=~.!']
    const shorter = ['', ...alphabet]
    for (const a of shorter) {
      for (const b of shorter) {
        for (const c of shorter) {
          for (const d of shorter) {
            const text = a + b + c + d
            expect(isCanonical(text), text).toBe(Buffer.from(text, 'base64url').toString('base64url') === text)
          }
        }
      }
    }
  })

  test('agrees with encoding anew on any ASCII text without + and /', () => {
    const text = string({ unit: 'binary-ascii', maxLength: 60 }).filter((each) => !/[+/]/.test(each))
    assert(
      property(text, (each) => {
        expect(isCanonical(each)).toBe(Buffer.from(each, 'base64url').toString('base64url') === each)
      }),
      { numRuns: 2000 },
    )
  })

  test('agrees with encoding anew on texts that are canonical but for one character', () => {
    assert(
      property(
        uint8Array({ minLength: 1, maxLength: 40 }),
        nat(),
        string({ unit: 'binary-ascii', minLength: 1, maxLength: 1 }).filter((each) => !/[+/]/.test(each)),
        (bytes, at, char) => {
          const good = Buffer.from(bytes).toString('base64url')
          const place = at % good.length
          const text = good.slice(0, place) + char + good.slice(place + 1)
          expect(isCanonical(text)).toBe(Buffer.from(text, 'base64url').toString('base64url') === text)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
