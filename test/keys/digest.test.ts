import { describe, expect, test } from 'vitest'
import { createDigester, type Pepper } from '../../src/keys/digest.ts'

const KEY = 'hc_live_sk_AbC12xYz9kLmNpQr'
const SEVENS: Pepper = { id: 'default', secret: Buffer.alloc(32, 7) }
const COUNTED: Pepper = { id: 'p2', secret: Buffer.from(Array.from({ length: 32 }, (_, index) => index)) }

/*
 * printf %s KEY | openssl dgst -sha256 -binary | basenc --base64url
 * printf %s KEY | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707… -binary | basenc --base64url
 */
const PLAIN = 'sha256:d8-nF-pKK-si8B8UM2vCDMzpd4D_v3HV9ElxzWAGywA'
const WITH_SEVENS = 'default:dObdRJP9JxRF1UWZBwmPW8qiD9ZkoBrCL0WNEqbjRzI'
const WITH_COUNTED = 'p2:XCw6HvK_hxT2xRJLASrmlzh7JQ0Vfdphdki-8DPaYxA'

describe('the digests of a key', () => {
  test.each([
    ['no pepper', [], [PLAIN]],
    ['SHA-256 alone', ['sha256'], [PLAIN]],
    ['one pepper', [SEVENS], [WITH_SEVENS]],
    ['two peppers, in their order', [COUNTED, SEVENS], [WITH_COUNTED, WITH_SEVENS]],
    ['a pepper, and keys from before it', [SEVENS, 'sha256'], [WITH_SEVENS, PLAIN]],
  ] satisfies [string, Pepper[], string[]][])('%s', (_, peppers, expected) => {
    const digester = createDigester(peppers)
    expect(digester.all(KEY)).toEqual(expected)
    expect(digester.first(KEY)).toBe(expected[0])
    expect(Object.isFrozen(digester.all(KEY))).toBe(true)
  })

  test('refuse a list in which new keys would go without a pepper', () => {
    expect(() => createDigester(['sha256', SEVENS])).toThrow(TypeError)
  })

  test('do not change when the bytes of the pepper are wiped afterwards', () => {
    const secret = Buffer.alloc(32, 7)
    const digester = createDigester([{ id: 'default', secret }])
    secret.fill(0)
    expect(digester.first(KEY)).toBe(WITH_SEVENS)
  })
})
