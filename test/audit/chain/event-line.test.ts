import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChainLine } from '../../../src/audit/chain/chain-line.ts'
import type { AuditDraft, AuditEvent } from '../../../src/audit/event.ts'
import { eventLine } from '../../../src/audit/chain/event-line.ts'
import { placedEvent, type EventPlace } from '../../../src/audit/chain/placed-event.ts'
import { draft, phi } from '../../fixtures/audit.ts'

const PLACE: EventPlace = {
  id: '019abcde-0000-7000-8000-000000000001',
  recorded: Date.parse('2026-11-24T03:05:11.136Z'),
  env: 'live',
  service: { name: 'records', version: '1.2.3', instance: 'host:1' },
  writer: '0a1b2c3d4e',
  seq: 17,
  prev: 'f'.repeat(64),
}

/** The line, the event that is read from it, and the one that it was written from. */
function lineOf(
  change: Partial<AuditDraft> = {},
  place: Partial<EventPlace> = {},
): { event: AuditEvent; text: string; written: AuditEvent } {
  const written = placedEvent(draft(change), { ...PLACE, ...place })
  const text = eventLine(written)
  return { event: new ChainLine(PLACE.id, draft(change), text).event, text, written }
}

describe('the line of an event', () => {
  test('is the one of the contract, member by member', () => {
    expect(lineOf().text).toBe(
      '{"v":1,"id":"019abcde-0000-7000-8000-000000000001","kind":"access","name":"request","time":"2026-11-24T03:05:11.123Z",' +
        '"recorded":"2026-11-24T03:05:11.136Z","durationMs":12.4,"outcome":"success","reason":null,"action":"R",' +
        '"actor":{"kind":"api-key","org":"org_1","keyId":"key_1","sub":null,"jti":null,"graceEnds":null,"by":null},' +
        '"target":null,"env":"live","scopes":{"granted":["read:patients"],"required":["read:patients"]},' +
        '"client":{"ip":"203.0.113.7","via":0},' +
        '"http":{"method":"GET","route":"/v1/patients/:id","status":200,"query":["_count"],"bytes":812},' +
        '"requestId":"req_1","operation":null,"purpose":null,' +
        '"phi":{"interaction":"read","types":["Patient"],"patients":["pt_k1_0123456789abcdefghijkl"],"patientCount":1,' +
        '"resourceCount":1,"bulk":false,"attribution":"route"},"delivered":"full","count":1,"part":null,' +
        '"service":{"name":"records","version":"1.2.3","instance":"host:1"},' +
        `"writer":"0a1b2c3d4e","seq":17,"prev":"${'f'.repeat(64)}"}`,
    )
  })

  test('holds every other member, too', () => {
    const { written, text } = lineOf(
      {
        kind: 'admin',
        name: 'key.create',
        outcome: 'aborted',
        reason: 'client_aborted',
        action: null,
        actor: {
          kind: 'access-token',
          org: 'o',
          keyId: 'key_2',
          sub: 's',
          jti: 'j',
          graceEnds: '2026-11-25T00:00:00.000Z',
          by: 'ops@example.org',
        },
        target: { keyId: 'key_3', org: 'org_2', fields: ['name', 'scopes'] },
        client: { ip: null, via: 2 },
        http: { method: 'GET', route: '*', status: null, query: [], bytes: 0 },
        requestId: null,
        operation: 'queue.pull',
        purpose: 'TREAT',
        phi: null,
        delivered: null,
        part: { n: 2, of_id: '019abcde-0000-7000-8000-000000000000' },
        count: 12,
      },
      { prev: null, env: 'test', service: { name: 'unnamed', version: null, instance: 'i' } },
    )
    expect(JSON.parse(text)).toEqual(written)
    expect(text).toContain('"target":{"keyId":"key_3","org":"org_2","fields":["name","scopes"]},"env":"test"')
    expect(text).toContain(
      '"phi":null,"delivered":null,"count":12,"part":{"n":2,"of_id":"019abcde-0000-7000-8000-000000000000"}',
    )
    expect(text).toContain('"http":{"method":"GET","route":"*","status":null,"query":[],"bytes":0}')
    expect(
      text.endsWith(
        '"service":{"name":"unnamed","version":null,"instance":"i"},"writer":"0a1b2c3d4e","seq":17,"prev":null}',
      ),
    ).toBe(true)
  })

  test('has its members in the order of the event object', () => {
    const { written, text } = lineOf()
    expect(text).toBe(JSON.stringify(written))
  })

  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.string({
      unit: fc.constantFrom(
        '\ud800',
        '\udfff',
        '\u2028',
        '\u2029',
        '\u0085',
        '\r',
        '\n',
        '\0',
        '"',
        '\\',
        '\u007f',
        'é',
        '😀',
      ),
    }),
    fc.string({ minLength: 900, maxLength: 3000 }),
    fc.string({ minLength: 900, maxLength: 3000, unit: fc.constantFrom('\ud800', 'x', '医') }),
  )
  const maybeText = fc.option(anyText)
  const fits = (text: string): boolean => Buffer.byteLength(JSON.stringify(text)) < 256

  test('is exactly one line that tells what fits, and stays within 32 KiB, whatever the texts hold', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyText, { minLength: 12, maxLength: 12 }),
        fc.array(anyText, { maxLength: 60 }),
        maybeText,
        async (texts, many, ip) => {
          const [
            org = '',
            keyId = '',
            sub = '',
            jti = '',
            by = '',
            route = '',
            requestId = '',
            operation = '',
            purpose = '',
            method = '',
          ] = texts
          const { written, event, text } = lineOf({
            actor: { kind: 'access-token', org, keyId, sub, jti, graceEnds: null, by },
            target: { keyId: by, org: jti, fields: many },
            scopes: { granted: many, required: many },
            client: { ip, via: 0 },
            http: { method, route, status: 200, query: many, bytes: 1 },
            requestId,
            operation,
            purpose,
            phi: phi({ types: many, patients: ['pt_k1_0123456789abcdefghijkl'], interaction: org }),
            part: { n: 2, of_id: sub },
          })
          expect(JSON.parse(text)).toEqual(event)
          expect(eventLine(event)).toBe(text)
          if (texts.every(fits) && fits(many.join('')) && fits(ip ?? '')) expect(event).toEqual(written)
          expect(Buffer.byteLength(text)).toBeLessThanOrEqual(32_768 - 1024)
          expect(text).not.toMatch(/[\n\r\0\u0085\u2028\u2029]/)
          const lines: string[] = []
          for await (const line of createInterface({ input: Readable.from([Buffer.from(`${text}\n`)]) }))
            lines.push(line)
          expect(lines).toEqual([text])
        },
      ),
    )
  })

  test('is not what a planted toJSON makes of it', () => {
    const { event } = lineOf()
    for (const prototype of [Object.prototype, String.prototype, Array.prototype]) {
      Object.defineProperty(prototype, 'toJSON', { value: () => 'planted', configurable: true })
    }
    try {
      expect(eventLine(event)).toContain('"org":"org_1","keyId":"key_1"')
      expect(eventLine(event)).not.toContain('planted')
    } finally {
      for (const prototype of [Object.prototype, String.prototype, Array.prototype])
        Reflect.deleteProperty(prototype, 'toJSON')
    }
  })
})

describe('an event that is read from its line', () => {
  test('is frozen throughout', () => {
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen))
    const { event } = lineOf({ target: { keyId: 'k', org: 'o', fields: ['name'] }, part: { n: 2, of_id: 'x' } })
    expect(frozen(event)).toBe(true)
  })

  test('takes over no member that is not on the list', () => {
    const more = {
      ...draft(),
      authorization: 'Bearer x',
      http: { ...draft().http, path: '/v1/patients/7' },
    } as unknown as AuditDraft
    const text = eventLine(placedEvent(more, PLACE))
    expect(text).not.toContain('Bearer')
    expect(text).not.toContain('/v1/patients/7')
  })

  test.each([
    [12.3456, 12.346],
    [0, 0],
    [-5, 0],
    [Number.NaN, 0],
    [Number.POSITIVE_INFINITY, 0],
  ])('of a duration of %d ms says %d', (durationMs, expected) => {
    expect(lineOf({ durationMs }).event.durationMs).toBe(expected)
  })

  test('knows no negative zero, which JSON would turn into another number', () => {
    expect(lineOf({ count: -0 }).event.count).toBe(0)
  })

  test('of a clock that is out of its mind is still an event', () => {
    expect(lineOf({ time: Number.NaN }).event.time).toBe('1970-01-01T00:00:00.000Z')
    expect(lineOf({ time: 1e300 }).event.time).toBe('1970-01-01T00:00:00.000Z')
    expect(lineOf().event.time).toBe('2026-11-24T03:05:11.123Z')
  })

  test('cuts a text that is too long with an ellipsis, and a list with a star', () => {
    const { event } = lineOf({
      requestId: 'x'.repeat(5000),
      scopes: {
        granted: Array.from({ length: 200 }, (_, index) => `scope:${String(index).padStart(20, '0')}`),
        required: [],
      },
    })
    expect(event.requestId).toMatch(/^x{900,1023}…$/)
    expect(event.scopes.granted.at(-1)).toBe('*')
    expect(event.scopes.granted.length).toBeGreaterThan(10)
  })

  test('does not cut what fits', () => {
    const text = 'x'.repeat(1024)
    expect(lineOf({ requestId: text }).event.requestId).toBe(text)
    expect(
      lineOf({ scopes: { granted: Array.from({ length: 24 }, (_, index) => `partner:scope-${index}`), required: [] } })
        .event.scopes.granted,
    ).toHaveLength(24)
  })
})
