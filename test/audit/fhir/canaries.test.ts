import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { toFhirAuditEvents } from '../../../src/audit/fhir.ts'
import { shownText } from '../../../src/audit/fhir/shown-text.ts'
import { searchFor, windowsOf } from '../../security/search.ts'
import { anyEvent } from './arbitrary-event.ts'

/** A journal holds no credential; should one get in, it comes no further. */

const base62 = (length: number) =>
  Array.from(
    randomBytes(length),
    (byte) => 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'[byte % 57],
  ).join('')
const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

const BODIES = [base62(36), base62(36), base62(16), base62(36)]
const SIGNATURE = randomBytes(256).toString('base64url')
const CLAIMS = base64url({ sub: `usr_${base62(12)}`, name: `Quirinus ${base62(8)}`, exp: 1 })
const TOKEN = `${base64url({ alg: 'RS256', typ: 'JWT' })}.${CLAIMS}.${SIGNATURE}`

const PLANTED = [
  `hc_live_sk_${BODIES[0]}`,
  `hc_test_sk_${BODIES[1]}`,
  `hc_live_sk_${BODIES[2]}`,
  `HC_LIVE_SK_${BODIES[3]}`,
  TOKEN,
  // As a journal cuts what is too long for a line: the signature and its dot are gone.
  `${TOKEN.slice(0, TOKEN.indexOf('.') + 40)}…`,
]

const search = searchFor([
  ...BODIES.map((text) => ({ name: `key ${text}`, text, parts: windowsOf(text, 8) })),
  { name: 'claims', text: CLAIMS, parts: windowsOf(CLAIMS, 16) },
  { name: 'signature', text: SIGNATURE, parts: windowsOf(SIGNATURE, 24) },
])

const canary = fc.constantFrom(...PLANTED)
const around = fc.constantFrom('', ' ', 'Bearer ', 'x', '/v1/', '?key=', '"', '\u2028', '\ud800', 'pt_k1_')
const planted = fc.tuple(around, canary, around).map((parts) => parts.join(''))
const words = fc.oneof({ weight: 3, arbitrary: planted }, fc.constantFrom('harmless', 'key_1'))

/** All that a reader of the resources can see: their text, and what it holds in base64. */
function seen(event: Parameters<typeof toFhirAuditEvents>[0]): string {
  const resources = toFhirAuditEvents(event)
  const queries = resources.flatMap(({ entity }) => entity.flatMap(({ query }) => (query === undefined ? [] : [query])))
  return [JSON.stringify(resources), ...queries.map((query) => Buffer.from(query, 'base64').toString())].join('\n')
}

test('no credential in any text of an event comes out', () => {
  fc.assert(
    fc.property(anyEvent(words), (event) => {
      expect(search(seen(event))).toEqual([])
    }),
    { numRuns: 400 },
  )
})

test('the search finds what it is to find', () => {
  for (const [index, text] of PLANTED.entries()) expect(search(`x${text}y`).length, String(index)).toBeGreaterThan(0)
})

test.each(PLANTED.map((text, index) => [index, text] as const))('planted text %i is masked', (_, text) => {
  expect(shownText(text)).toBe('*')
  expect(shownText(`before ${text} behind`)).toBe('*')
})

test.each([
  'pt_k1_eyJhbGciOiJSUzI1NiIsIn',
  'host.example.org:4711',
  '019abcde-0000-7000-8000-000000000001',
  '/v1/patients/:id',
  'ops@example.org',
  'eyJ',
  'a.eyJb',
])('%s is shown', (text) => {
  expect(shownText(text)).toBe(text)
})

test.each([
  ['a\u00a0b', 'a b'],
  ['\ufeffa\u2028\u2029\r\n\tb\0', 'a b'],
  ['a\ud800b', 'a\ufffdb'],
  ['😀', '😀'],
  ['', null],
  [' \u0000\u2028 ', null],
  [null, null],
])('%j is shown as %j', (text, expected) => {
  expect(shownText(text)).toBe(expected)
})

test('a long text takes no long time', () => {
  const started = performance.now()
  for (const text of ['eyJ'.repeat(1e5), '.'.repeat(3e5), ' '.repeat(3e5), 'hc_live'.repeat(4e4)]) shownText(text)
  expect(performance.now() - started).toBeLessThan(1000)
})
