import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { eventLine } from '../../../src/audit/chain/event-line.ts'
import { intentLine } from '../../../src/audit/chain/intent-line.ts'
import { placedEvent, placedIntent } from '../../../src/audit/chain/placed-event.ts'
import { readWrittenLine } from '../../../src/audit/journal/verify/written-line.ts'
import { draft, phi } from '../../fixtures/audit.ts'
import { closedJournal, handWriter, sha256 } from './verify-journal.ts'

const ID = '01936b2f-9a00-7000-8000-000000000001'
const service = { name: 'records', version: '1.2.3', instance: 'i' }
const place = {
  id: ID,
  recorded: 1_764_000_000_000,
  env: 'live',
  service,
  writer: 'w1',
  seq: 7,
  prev: sha256(''),
} as const
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '"\\', '\u2028\u0085', '\ud800', '😀', '__proto__'),
)
const maybe = fc.option(text, { nil: null })
const number = fc.oneof(fc.nat(), fc.double({ min: 0, max: 1e21, noNaN: true }))

describe('what our own serializer writes is read,', () => {
  test('an event, whatever it holds', () => {
    fc.assert(
      fc.property(text, maybe, fc.array(text), number, (name, other, list, amount) => {
        const line = eventLine(
          placedEvent(
            draft({
              actor: {
                kind: 'access-token',
                org: name,
                keyId: other,
                sub: other,
                jti: other,
                graceEnds: other,
                by: other,
              },
              target: { keyId: name, org: name, fields: list },
              scopes: { granted: list, required: list },
              client: { ip: other, via: amount },
              http: { method: name, route: name, status: amount, query: list, bytes: amount },
              phi: phi({ interaction: other, patientCount: null, resourceCount: amount }),
              part: { n: amount, of_id: name },
              durationMs: amount,
              requestId: other,
              operation: other,
              purpose: other,
            }),
            place,
          ),
        )
        expect(readWrittenLine(Buffer.from(line))).toMatchObject({ sort: 'event', number: 7, writer: 'w1', text: line })
      }),
      { numRuns: 200 },
    )
  })

  test('an intent', () => {
    const { time, action, actor, scopes, client } = draft()
    const http = { method: 'GET', route: '/', query: [] }
    for (const each of [phi(), null]) {
      const intent = { time, action, actor, scopes, client, http, requestId: null, phi: each }
      const line = intentLine(placedIntent(intent, { ...place, n: 3 }))
      expect(readWrittenLine(Buffer.from(line))).toEqual({
        sort: 'intent',
        number: 3,
        writer: 'w1',
        prev: sha256(''),
        text: line,
        event: null,
      })
    }
  })

  test('as is what a program writes that knows the format alone', () => {
    for (const line of closedJournal(40).lines) expect(readWrittenLine(Buffer.from(line))).not.toBeNull()
  })
})

describe('a line is refused', () => {
  const own = handWriter('w1')
  const EVENT = own.event()
  const INTENT = own.intent()
  const CHECKPOINT = own.checkpoint()
  const RETENTION = own.retention({ writer: 'w9', segments: [1, 2], lastSeq: 5, lastHash: sha256('') })

  test.each([
    ['with white space', (line: string) => line.replace(',', ', ')],
    ['with a member more', (line: string) => line.replace(/\}$/, ',"more":1}')],
    ['with a member less', (line: string) => line.replace('"env":"live",', '')],
    ['with a member twice', (line: string) => line.replace('"env":"live",', '"env":"live","env":"live",')],
    ['in another order', (line: string) => line.replace(/"writer":"w1",(.*)\}$/, '$1,"writer":"w1"}')],
    ['in another spelling', (line: string) => line.replace('"live"', '"\\u006cive"')],
    ['with another number', (line: string) => line.replace('"via":0', '"via":0.0')],
    ['with a carriage return', (line: string) => `${line}\r`],
    ['with a byte order mark', (line: string) => `\uFEFF${line}`],
    ['of another version', (line: string) => line.replace('"v":1', '"v":2')],
    ['with a word that we do not know', (line: string) => line.replace('"env":"live"', '"env":"beta"')],
    ['with null for a word', (line: string) => line.replace('"env":"live"', '"env":null')],
    ['with null for a number', (line: string) => line.replace('"via":0', '"via":null')],
    ['with a text for a number', (line: string) => line.replace('"via":0', '"via":"0"')],
    ['with an id of another version', (line: string) => line.replace('-7000-8000-', '-4000-8000-')],
    ['with a time that is none', (line: string) => line.replace('"time":"2026-11', '"time":"2026-13')],
    ['with a time in another zone', (line: string) => line.replace('.123Z', '.123+00:00')],
    ['with half a link', (line: string) => line.replace(/"prev":"\w\w/, '"prev":"')],
    ['with a link in capitals', (line: string) => line.replace(/"prev":"\w+"/, `"prev":"${'AB'.repeat(32)}"`)],
    ['without a link', (line: string) => line.replace(/"prev":"\w+"/, '"prev":""')],
    ['with a number that counts nothing', (line: string) => line.replace(/"(seq|n)":\d+/, '"$1":0')],
    ['with half a number', (line: string) => line.replace(/"(seq|n)":\d+/, '"$1":1.5')],
    ['with a number for a text', (line: string) => line.replace('"org":"org_1"', '"org":5')],
    ['with an object for a text', (line: string) => line.replace('"org":"org_1"', '"org":{"length":4000000000}')],
    ['with a number for a list', (line: string) => line.replace(/"granted":\[[^\]]*\]/, '"granted":5')],
    [
      'with an object for a list',
      (line: string) => line.replace(/"granted":\[[^\]]*\]/, '"granted":{"length":4000000000}'),
    ],
    ['with null in a list', (line: string) => line.replace(/"granted":\[[^\]]*\]/, '"granted":[null]')],
    ['with null for its number', (line: string) => line.replace(/"(seq|n)":\d+/, '"$1":null')],
  ])('%s', (_, change) => {
    for (const line of [EVENT, INTENT]) {
      expect(readWrittenLine(Buffer.from(line))).not.toBeNull()
      expect(change(line)).not.toBe(line)
      expect(readWrittenLine(Buffer.from(change(line)))).toBeNull()
    }
  })

  test.each([
    ['kind', '"kind":"access"', '"kind":"other"'],
    ['name', '"name":"request"', '"name":"other"'],
    ['checkpoint without the name', '"name":"audit.checkpoint"', '"name":"audit.gap"'],
    ['retention without the name', '"name":"audit.retention"', '"name":"audit.gap"'],
    ['name without a retention', '"name":"audit.checkpoint"', '"name":"audit.retention"'],
    ['outcome', '"outcome":"success"', '"outcome":"fine"'],
    ['reason', '"reason":null', '"reason":"other"'],
    ['action', '"action":"R"', '"action":"X"'],
    ['kind of actor', '"kind":"api-key"', '"kind":"key"'],
    ['status', '"status":200', '"status":"200"'],
    ['bytes', '"bytes":812', '"bytes":null'],
    ['count', '"count":1', '"count":null'],
    ['duration', '"durationMs":12.4', '"durationMs":-1'],
    ['duration', '"durationMs":12.4', '"durationMs":null'],
    ['bulk', '"bulk":false', '"bulk":null'],
    ['patientCount', '"patientCount":1', '"patientCount":"1"'],
    ['attribution', '"attribution":"route"', '"attribution":"guess"'],
    ['delivered', '"delivered":"full"', '"delivered":"some"'],
    ['part', '"part":null', '"part":{"n":null,"of_id":"x"}'],
    ['recorded', '"recorded":"2026-11-24', '"recorded":"2026-14-24'],
    ['signature', '"signature":"', '"signature":"A'],
    ['segments', '"segments":[1,2]', '"segments":[2,1]'],
    ['segments', '"segments":[1,2]', '"segments":[0,2]'],
    ['lastSeq', '"lastSeq":5', '"lastSeq":null'],
    ['lastHash', '"lastHash":"e', '"lastHash":"'],
  ])('for its %s', (_, from, to) => {
    const line = [EVENT, CHECKPOINT, RETENTION].find((each) => each.includes(from)) ?? ''
    expect(readWrittenLine(Buffer.from(line))).not.toBeNull()
    expect(readWrittenLine(Buffer.from(line.replace(from, to)))).toBeNull()
  })

  test('for a signature that decodes to the same bytes', () => {
    const last = CHECKPOINT.at(-4) ?? ''
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const twin = digits[digits.indexOf(last) + 1] ?? ''
    const changed = `${CHECKPOINT.slice(0, -4)}${twin}"}}`
    expect(Buffer.from(last, 'base64url')).toEqual(Buffer.from(twin, 'base64url'))
    expect(changed).toHaveLength(CHECKPOINT.length)
    expect(readWrittenLine(Buffer.from(changed))).toBeNull()
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(100)],
    ['no UTF-8', Buffer.concat([Buffer.from(EVENT.slice(0, 40)), Buffer.from([0xc3]), Buffer.from(EVENT.slice(41))])],
    ['null', Buffer.from('null')],
    ['an array', Buffer.from('[]')],
    ['a text', Buffer.from('"{}"')],
    ['an empty object', Buffer.from('{}')],
    ['an object of null', Buffer.from('{"v":1,"intent":null}')],
  ])('that is %s', (_, bytes) => {
    expect(readWrittenLine(bytes)).toBeNull()
  })

  test('and a polluted prototype neither adds a member nor hides one', () => {
    const polluted = { env: 'live', checkpoint: { keyId: 'k', signature: 's' }, retention: {}, intent: 'x', prev: null }
    Object.assign(Object.prototype, polluted)
    try {
      expect(readWrittenLine(Buffer.from(EVENT))).not.toBeNull()
      expect(readWrittenLine(Buffer.from(CHECKPOINT))).not.toBeNull()
      expect(readWrittenLine(Buffer.from(EVENT.replace('"env":"live",', '')))).toBeNull()
    } finally {
      for (const name of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, name)
    }
  })
})
