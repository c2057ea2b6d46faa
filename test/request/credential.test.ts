import * as fc from 'fast-check'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { credentialOf, readCredential } from '../../src/request/credential.ts'

const KEY = 'hc_live_sk_AbC12xYz9kLmNpQr'
const JWT = 'eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJrZXlfMSJ9.c2lnbmF0dXJl'

/** `kind:text` of a credential, or the reason of a denial with the message it chooses. */
function read(...rawHeaders: readonly string[]): string {
  return told(readCredential(rawHeaders))
}

function told(found: ReturnType<typeof readCredential>): string {
  if (!found.ok) return `${found.reason} (${found.credential})`
  return found.kind === 'none' ? 'none' : `${found.kind}:${found.text}`
}

describe('readCredential', () => {
  test.each<[header: string, expected: string]>([
    [`Bearer ${KEY}`, `api-key:${KEY}`],
    [`bearer ${KEY}`, `api-key:${KEY}`],
    [`BEARER ${KEY}`, `api-key:${KEY}`],
    [`bEaReR ${KEY}`, `api-key:${KEY}`],
    [`Bearer  ${KEY}`, `api-key:${KEY}`],
    [`Bearer     ${KEY}`, `api-key:${KEY}`],
    [`Bearer ${KEY} `, `api-key:${KEY}`],
    [`Bearer  ${KEY}   `, `api-key:${KEY}`],
    [`Bearer ${JWT}`, `access-token:${JWT}`],
    ['Bearer a.b.c', 'access-token:a.b.c'],
    ['Bearer a.b.', 'access-token:a.b.'],
    ['Bearer ..', 'access-token:..'],
    [`Bearer ${JWT}==`, `access-token:${JWT}==`],
    ['Bearer a.b', 'api-key:a.b'],
    ['Bearer a.b.c.d', 'api-key:a.b.c.d'],
    ['Bearer a.b.c.d.e', 'api-key:a.b.c.d.e'],
    ['Bearer hc_live_sk_a.b.c', 'api-key:hc_live_sk_a.b.c'],
    ['Bearer hc_a.b.c', 'api-key:hc_a.b.c'],
    ['Bearer HC_a.b.c', 'access-token:HC_a.b.c'],
    ['Bearer ~+/-._==', 'api-key:~+/-._=='],
    ['Bearer __proto__', 'api-key:__proto__'],
    ['', 'credential_malformed (null)'],
    ['Bearer', 'credential_malformed (null)'],
    ['Bearer ', 'credential_malformed (null)'],
    ['Bearer     ', 'credential_malformed (null)'],
    [`Bearer\t${KEY}`, 'credential_malformed (null)'],
    [`Bearer \t${KEY}`, 'credential_malformed (null)'],
    [`Bearer\t ${KEY}`, 'credential_malformed (null)'],
    [`Bearer ${KEY}\t`, 'credential_malformed (null)'],
    [` Bearer ${KEY}`, 'credential_malformed (null)'],
    [`Bearer: ${KEY}`, 'credential_malformed (null)'],
    [`Bearer:${KEY}`, 'credential_malformed (null)'],
    [`Bearer,${KEY}`, 'credential_malformed (null)'],
    [`Bearer=${KEY}`, 'credential_malformed (null)'],
    [`Bearer${KEY}`, 'credential_malformed (null)'],
    [KEY, 'credential_malformed (null)'],
    ['Basic', 'credential_malformed (null)'],
    [`Bearer ${KEY} extra`, 'credential_malformed (null)'],
    [`Bearer ${KEY},Bearer ${KEY}`, 'credential_malformed (null)'],
    [`Bearer ${KEY}, Bearer ${KEY}`, 'credential_malformed (null)'],
    [`Bearer ${KEY},`, 'credential_malformed (null)'],
    [`Bearer "${KEY}"`, 'credential_malformed (null)'],
    [`Bearer ${KEY}\u0000`, 'credential_malformed (null)'],
    [`Bearer ${KEY}\u0080`, 'credential_malformed (null)'],
    [`Bearer ${KEY}\n`, 'credential_malformed (null)'],
    [`Bearer ${KEY}é`, 'credential_malformed (null)'],
    [`Bearer ${KEY}\u200b`, 'credential_malformed (null)'],
    ['Bearer =', 'credential_malformed (null)'],
    ['Bearer a=b', 'credential_malformed (null)'],
    ['Bearer a.b.c d', 'credential_malformed (null)'],
    [`Be\u0430rer ${KEY}`, 'credential_malformed (null)'],
    ['Basic dXNlcjpw', 'scheme_unsupported (null)'],
    [`Token ${KEY}`, 'scheme_unsupported (null)'],
    [`Bearerx ${KEY}`, 'scheme_unsupported (null)'],
    [`Beare ${KEY}`, 'scheme_unsupported (null)'],
    ['Digest username="x", realm="y"', 'scheme_unsupported (null)'],
    [`DPoP ${JWT}`, 'scheme_unsupported (null)'],
    [`Bearer ${'a'.repeat(8192)}`, `api-key:${'a'.repeat(8192)}`],
    [`Bearer ${'a'.repeat(8193)}`, 'credential_too_long (null)'],
    [`Bearer ${'é'.repeat(8193)}`, 'credential_too_long (null)'],
    [`Bearer ${'a'.repeat(16_000)}`, 'credential_too_long (null)'],
    // A token is answered with its own message, whatever is wrong with it.
    [`Bearer ${'a'.repeat(8193)}.b.c`, 'credential_too_long (access-token)'],
    ['a'.repeat(9000), 'credential_too_long (null)'],
  ])('reads %j', (header, expected) => {
    expect(read('Host', 'x', 'Authorization', header, 'Accept', '*/*')).toBe(expected)
  })

  test.each<[rawHeaders: readonly string[], expected: string]>([
    [[], 'none'],
    [['Host', 'x'], 'none'],
    [['AUTHORIZATION', `Bearer ${KEY}`], `api-key:${KEY}`],
    [['authorization', `Bearer ${KEY}`], `api-key:${KEY}`],
    [['aUTHORIZATION', `Bearer ${KEY}`], `api-key:${KEY}`],
    [['Authorization', `Bearer ${KEY}`, 'Authorization', `Bearer ${KEY}`], 'credential_duplicate (null)'],
    [['Authorization', `Bearer ${KEY}`, 'authorization', 'Bearer other'], 'credential_duplicate (null)'],
    [['Authorization', 'Basic x', 'Host', 'x', 'AUTHORIZATION', ''], 'credential_duplicate (null)'],
    [['Authorization', '', 'Authorization', ''], 'credential_duplicate (null)'],
    [['Authorizatiom', `Bearer ${KEY}`], 'none'],
    [['Proxy-Authorization', `Bearer ${KEY}`], 'none'],
    [['X-Api-Key', KEY, 'Cookie', `access_token=${KEY}`], 'none'],
    [['X-Value', 'Authorization', 'Authorization', `Bearer ${KEY}`], `api-key:${KEY}`],
    [['X-Value', 'authorization'], 'none'],
  ])('of the headers %j', (rawHeaders, expected) => {
    expect(read(...rawHeaders)).toBe(expected)
  })

  test('is not led astray by a polluted Object.prototype', () => {
    const polluted = ['ok', 'kind', 'text', 'authorization', '0', '1']
    for (const name of polluted) Reflect.set(Object.prototype, name, 'planted')
    try {
      expect(read()).toBe('none')
      expect(read('Host')).toBe('none')
      expect(read('Authorization', 'Bearer')).toBe('credential_malformed (null)')
    } finally {
      for (const name of polluted) Reflect.deleteProperty(Object.prototype, name)
    }
  })

  test('never throws, and an accepted text is one token68 of at most 8,192 characters', () => {
    const part = fc.constantFrom('Bearer', 'bearer', ' ', '  ', '\t', KEY, JWT, ',', '=', '.', ':', 'é', '"', 'hc_')
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(part, { maxLength: 6 }).map((parts) => parts.join('')),
          fc.string(),
        ),
        (header) => {
          const found = readCredential(['Authorization', header])
          expect(found.ok && found.kind === 'none').toBe(false)
          if (!found.ok || found.kind === 'none') return
          expect(found.text).toMatch(/^[A-Za-z0-9._~+/-]+=*$/)
          expect(header.toLowerCase().startsWith('bearer ')).toBe(true)
          expect(header.slice(7).replaceAll(' ', '')).toBe(found.text)
          expect(found.kind).toBe(
            found.text.split('.').length === 3 && !found.text.startsWith('hc_') ? 'access-token' : 'api-key',
          )
        },
      ),
      { numRuns: 3_000 },
    )
  })

  test('costs less than a millisecond where the credential is too long', () => {
    const rawHeaders = ['Authorization', `Bearer ${'a.'.repeat(8_000)}`]
    readCredential(rawHeaders)
    const startedMs = performance.now()
    for (let turn = 0; turn < 100; turn += 1) readCredential(rawHeaders)
    expect((performance.now() - startedMs) / 100).toBeLessThan(1)
  })
})

describe('credentialOf', () => {
  test.each<[text: string, expected: string]>([
    [KEY, `api-key:${KEY}`],
    [JWT, `access-token:${JWT}`],
    ['', 'credential_malformed (null)'],
    [`Bearer ${KEY}`, 'credential_malformed (null)'],
    [` ${KEY}`, 'credential_malformed (null)'],
    ['a'.repeat(8193), 'credential_too_long (null)'],
  ])('of %j', (text, expected) => {
    expect(told(credentialOf(text))).toBe(expected)
  })

  test('takes what is no string for no credential', () => {
    const foreign: readonly string[] = JSON.parse('[null, 7, {"length": 3}, ["hc_"]]')
    expect(foreign.map((text) => told(credentialOf(text)))).toEqual(['none', 'none', 'none', 'none'])
  })
})

describe('over a socket', () => {
  test.each<[label: string, options: { joinDuplicateHeaders: boolean }]>([
    ['by default', { joinDuplicateHeaders: false }],
    ['with joinDuplicateHeaders', { joinDuplicateHeaders: true }],
  ])('two Authorization headers are seen %s', async (_, options) => {
    const server = createServer(options, (incoming, response) => {
      response.end(read(...incoming.rawHeaders))
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const { port } = server.address() as AddressInfo
    const ask = (values: readonly string[]): Promise<string> =>
      new Promise((resolve, reject) => {
        const headers = ['Host', 'x', ...values.flatMap((value) => ['Authorization', value])]
        const outgoing = httpRequest({ port, host: '127.0.0.1', headers, agent: false }, (response) => {
          response.setEncoding('utf8')
          let text = ''
          response.on('data', (chunk: string) => {
            text += chunk
          })
          response.on('end', () => resolve(text))
        })
        outgoing.on('error', reject)
        outgoing.end()
      })
    expect(await ask([`Bearer ${KEY}`])).toBe(`api-key:${KEY}`)
    expect(await ask([`Bearer ${KEY} \t `])).toBe(`api-key:${KEY}`)
    expect(await ask([`Bearer ${KEY}`, `Bearer ${KEY}`])).toBe('credential_duplicate (null)')
    expect(await ask([`Bearer ${KEY}`, 'Basic eDp5'])).toBe('credential_duplicate (null)')
    expect(await ask([])).toBe('none')
    server.close()
  })
})
