import { webcrypto } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isUuid, uuidv5 } from '../../../src/audit/fhir/uuid-v5.ts'

const DNS = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'

test('gives the example of RFC 9562 appendix A.4', () => {
  expect(uuidv5(DNS, 'www.example.com')).toBe('2ed6657d-e927-568b-95e1-2665a8aea6a2')
})

/** From Python's `uuid.uuid5`. */
test.each([
  ['019abcde-0000-7000-8000-000000000001', 'pt_k1_0000000000000000000001', '2538aabb-50f1-519e-a72c-6d70ae4607ea'],
  ['019abcde-0000-7000-8000-000000000001', '', '6095b4e2-00c0-5633-a9a3-a2337f3c57e7'],
  ['00000000-0000-0000-0000-000000000000', 'Zoë-7 😀', '489c36b3-c571-550d-8658-1bd517976f6a'],
  ['ffffffff-ffff-ffff-ffff-ffffffffffff', 'x'.repeat(300), '7d454389-9ef6-57b3-b824-ccfdc30f12e7'],
])('%s, %j', (namespace, name, expected) => {
  expect(uuidv5(namespace, name)).toBe(expected)
})

/** By another SHA-1 and by arithmetic on one large number. */
async function independent(namespace: string, name: string): Promise<string> {
  const space = BigInt(`0x${namespace.replaceAll('-', '')}`)
  const head = Uint8Array.from({ length: 16 }, (_, at) => Number((space >> BigInt(8 * (15 - at))) & 0xffn))
  const tail = new TextEncoder().encode(name)
  const input = new Uint8Array(head.length + tail.length)
  input.set(head)
  input.set(tail, head.length)
  const hash = new Uint8Array(await webcrypto.subtle.digest('SHA-1', input))
  let value = hash.slice(0, 16).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  value = (value & ~(0xfn << 76n)) | (5n << 76n)
  value = (value & ~(3n << 62n)) | (2n << 62n)
  const hex = value.toString(16).padStart(32, '0')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

test('gives what an independent computation gives', async () => {
  const pairs = fc.array(fc.tuple(fc.uuid(), fc.string({ unit: 'binary' })), { minLength: 50, maxLength: 50 })
  await fc.assert(
    fc.asyncProperty(pairs, async (names) => {
      expect(names.map(([namespace, name]) => uuidv5(namespace, name))).toEqual(
        await Promise.all(names.map(([namespace, name]) => independent(namespace, name))),
      )
    }),
    { numRuns: 4 },
  )
})

test('is a UUID of version 5, different for each name and namespace', () => {
  const ids = new Set<string>()
  for (let n = 0; n < 1000; n += 1) ids.add(uuidv5(DNS, String(n)))
  ids.add(uuidv5('019abcde-0000-7000-8000-000000000001', '0'))
  expect(ids.size).toBe(1001)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('takes a namespace in any case, and nothing but a UUID', () => {
  expect(uuidv5(DNS.toUpperCase(), 'x')).toBe(uuidv5(DNS, 'x'))
  for (const namespace of ['', 'x', DNS.slice(1), `${DNS}\n`, DNS.replaceAll('-', '')]) {
    expect(isUuid(namespace)).toBe(false)
    expect(() => uuidv5(namespace, 'x')).toThrow(new TypeError('The namespace of a UUIDv5 is a UUID.'))
  }
})
