import { describe, expect, test } from 'vitest'
import { createCompactParser } from '../../src/tokens/compact.ts'
import { encode } from '../fixtures/issuer-keys.ts'

const HEADER = encode('{"alg":"RS256","typ":"JWT"}')
const PAYLOAD = encode('{"sub":"üb"}')
const SIGNATURE = encode(Buffer.from([0xfb, 0xff, 0xfe, 1]))
const TOKEN = `${HEADER}.${PAYLOAD}.${SIGNATURE}`
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const parse = createCompactParser({ algorithms: ['RS256'], types: new Set(['jwt']) })

describe('a compact JWS', () => {
  test('is taken apart', () => {
    expect(parse(TOKEN)).toEqual({
      header: { ok: true, algorithm: 'RS256', kid: null },
      payload: { sub: 'üb' },
      signature: Buffer.from([0xfb, 0xff, 0xfe, 1]),
      signed: `${HEADER}.${PAYLOAD}`,
    })
  })

  test('may have an empty signature, which no key verifies', () => {
    expect(parse(`${HEADER}.${PAYLOAD}.`)?.signature).toHaveLength(0)
  })

  test.each([
    ['nothing', ''],
    ['one part', HEADER],
    ['two parts', `${HEADER}.${PAYLOAD}`],
    ['four parts', `${TOKEN}.${SIGNATURE}`],
    ['five parts (RFC 7516)', `${TOKEN}.${SIGNATURE}.${SIGNATURE}`],
    ['a dot behind', `${TOKEN}.`],
    ['a dot in front', `.${TOKEN}`],
    ['no header', `.${PAYLOAD}.${SIGNATURE}`],
    ['no payload', `${HEADER}..${SIGNATURE}`],
    ['dots alone', '..'],
    ['the JSON serialisation', JSON.stringify({ protected: HEADER, payload: PAYLOAD, signature: SIGNATURE })],
    ['padding behind the signature', `${TOKEN}==`],
    ['padding behind the header', `${HEADER}=.${PAYLOAD}.${SIGNATURE}`],
    ['padding behind the payload', `${HEADER}.${PAYLOAD}=.${SIGNATURE}`],
    ['a space behind', `${TOKEN} `],
    ['a space in front', ` ${TOKEN}`],
    ['a space in the signature', TOKEN.replace(/..$/, ' $&')],
    ['a line feed behind', `${TOKEN}\n`],
    ['a line feed in the payload', `${HEADER}.${PAYLOAD.slice(0, 4)}\n${PAYLOAD.slice(4)}.${SIGNATURE}`],
    ['a tab in the header', `\t${TOKEN}`],
    ['a NUL', `${TOKEN}\0`],
    ['the alphabet of base64', `${HEADER}.${PAYLOAD}.${SIGNATURE.replaceAll('-', '+').replaceAll('_', '/')}`],
    ['a letter beyond ASCII', `${HEADER}.${PAYLOAD}.${SIGNATURE}ä`],
    ['a letter that ends in the byte of another', `${TOKEN.slice(0, -1)}\u0141`],
    ['a single character as signature', `${HEADER}.${PAYLOAD}.A`],
    ['a single character too many', `${HEADER}.${encode('{}')}A.${SIGNATURE}`],
    ['a header that is no JSON', `${encode('{alg:RS256}')}.${PAYLOAD}.${SIGNATURE}`],
    ['a header that is a list', `${encode('[]')}.${PAYLOAD}.${SIGNATURE}`],
    ['alg twice', `${encode('{"alg":"none","alg":"RS256"}')}.${PAYLOAD}.${SIGNATURE}`],
    ['a payload that is a list', `${HEADER}.${encode('[]')}.${SIGNATURE}`],
    ['a payload that is a number', `${HEADER}.${encode('1')}.${SIGNATURE}`],
    ['a payload that is a string', `${HEADER}.${encode('"x"')}.${SIGNATURE}`],
    ['a payload that is null', `${HEADER}.${encode('null')}.${SIGNATURE}`],
    ['a payload that is no UTF-8', `${HEADER}.${encode(Buffer.from('{"sub":"\xff"}', 'latin1'))}.${SIGNATURE}`],
    ['an overlong form of UTF-8', `${HEADER}.${encode(Buffer.from('{"sub":"\xc0\xae"}', 'latin1'))}.${SIGNATURE}`],
    ['a byte order mark', `${HEADER}.${encode('\ufeff{}')}.${SIGNATURE}`],
    ['UTF-16', `${HEADER}.${encode(Buffer.from('{}', 'utf16le'))}.${SIGNATURE}`],
    ['a payload of spaces', `${HEADER}.${encode(' '.repeat(6000))}.${SIGNATURE}`],
    ['a payload of brackets', `${HEADER}.${encode('['.repeat(6000))}.${SIGNATURE}`],
    ['a segment that no buffer of ours holds', `${HEADER}.${encode(`{"a":"${'a'.repeat(20_000)}"}`)}.${SIGNATURE}`],
  ])('is not %s', (_name, text) => {
    expect(parse(text)).toBeNull()
  })

  test.each([
    ['signature', (last: string) => `${TOKEN.slice(0, -1)}${last}`],
    ['payload', (last: string) => `${HEADER}.${PAYLOAD.slice(0, -1)}${last}.${SIGNATURE}`],
  ])('has one last character of its %s, and none whose unused bits are set', (_name, withLast) => {
    const bytesOf = (text: string) => Buffer.from(text, 'base64url').toString('hex')
    const others = [...ALPHABET].map(withLast).filter((text) => text !== TOKEN)
    const same = others.filter((text) => {
      const [, payload = '', signature = ''] = text.split('.')
      return bytesOf(payload) === bytesOf(PAYLOAD) && bytesOf(signature) === bytesOf(SIGNATURE)
    })
    expect(same).toHaveLength(15)
    expect(same.filter((text) => parse(text) !== null)).toEqual([])
  })

  test('is taken apart where its header is refused, too', () => {
    expect(parse(`${encode('{"alg":"none"}')}.${PAYLOAD}.`)?.header).toEqual({ ok: false, reason: 'jwt_algorithm' })
  })

  test('keeps what it knows of a header to that very text', () => {
    const others = Array.from({ length: 200 }, (_each, n) => encode(`{"alg":"RS256","typ":"JWT","kid":"${n}"}`))
    for (const header of [...others, ...others.toReversed()]) {
      const kid = (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }).kid
      expect(parse(`${header}.${PAYLOAD}.${SIGNATURE}`)?.header).toMatchObject({ kid })
      expect(parse(`${header}=.${PAYLOAD}.${SIGNATURE}`)).toBeNull()
    }
  })
})
