import { createRequire } from 'node:module'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent, AuditOutcome } from '../../src/audit/event.ts'
import type { AuditLine, AuditSink, RetryableError } from '../../src/audit/sink.ts'
import { otlpSink, type OtlpSinkOptions } from '../../src/sinks/otlp.ts'
import { polluted } from '../keys/parts.ts'
import { searchFor } from '../security/search.ts'
import { lineAt, linesOf, markOf } from './lines.ts'
import { exportAnswer, throughProtobuf, type Attribute, type LogRecord, type LogsRequest } from './otlp-schema.ts'
import { answering, refusing, startReceiver, taking, type Answering, type ReceiverServer } from './receiver-server.ts'

const NEVER = new AbortController().signal
const JSON_TYPE = { 'content-type': 'application/json' }

let server: ReceiverServer

beforeAll(async () => {
  server = await startReceiver()
})
afterAll(() => server.close())
afterEach(() => server.become(taking()))

const sinkOf = (more: Partial<OtlpSinkOptions> = {}): AuditSink => otlpSink({ url: server.url, ...more })

async function askedDuring(run: () => Promise<unknown>): Promise<ReceiverServer['asked']> {
  const before = server.asked.length
  await run()
  return server.asked.slice(before)
}

async function failureOf(sink: AuditSink, batch: readonly AuditLine[], signal = NEVER): Promise<RetryableError> {
  const error: unknown = await sink.write(batch, signal).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  return error as RetryableError
}

/** The one request that a batch makes, as a receiver reads it. */
async function sent(batch: readonly AuditLine[], more: Partial<OtlpSinkOptions> = {}): Promise<LogsRequest> {
  const asked = await askedDuring(async () => expect(await sinkOf(more).write(batch, NEVER)).toEqual({ rejected: [] }))
  expect(asked).toHaveLength(1)
  const body = asked[0]?.body ?? ''
  const read = throughProtobuf(body)
  // Nothing is lost on the way: each member that was sent is one of the schema, and has its type.
  expect(read).toEqual(withoutEventNames(JSON.parse(body) as LogsRequest))
  return JSON.parse(body) as LogsRequest
}

/** The schema that is installed does not have this one; and an empty list is in protobuf as good as none. */
function withoutEventNames(request: LogsRequest): LogsRequest {
  const text = JSON.stringify(request, (name, value: unknown) => {
    if (name === 'eventName' || (name === 'values' && Array.isArray(value) && value.length === 0)) return undefined
    return value
  })
  return JSON.parse(text) as LogsRequest
}

const recordsOf = (request: LogsRequest): readonly LogRecord[] =>
  request.resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords))

async function recordOf(change: Partial<AuditEvent> = {}): Promise<LogRecord> {
  const records = recordsOf(await sent(linesOf(1, () => change)))
  expect(records).toHaveLength(1)
  return records.find(() => true) ?? expect.unreachable()
}

/** By name; each name stands once. */
function attributesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  const named = Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]))
  expect(Object.keys(named)).toHaveLength(attributes.length)
  return named
}

/** Integers are decimal texts: said in front, so that one is no text and no fraction. */
function plain(value: Readonly<Record<string, unknown>>): unknown {
  const [[kind, content] = ['', null]] = Object.entries(value)
  if (kind === 'arrayValue')
    return ((content as { values?: Readonly<Record<string, unknown>>[] }).values ?? []).map(plain)
  if (kind === 'intValue') return `int ${String(content)}`
  return kind === 'doubleValue' ? `double ${String(content)}` : content
}

describe('an event as a log record', () => {
  test('has name, times, severity, and the line of the journal as its body', async () => {
    const line = lineAt(linesOf(1), 0)
    const [record] = recordsOf(await sent([line]))
    expect(record).toMatchObject({
      timeUnixNano: `${Date.UTC(2026, 10, 24, 3, 5, 11, 123)}000000`,
      observedTimeUnixNano: `${Date.UTC(2026, 10, 24, 3, 5, 11, 136)}000000`,
      severityNumber: 9,
      severityText: 'INFO',
      eventName: 'healthcloud.audit.access',
      body: { stringValue: line.text },
    })
  })

  test('has these attributes', async () => {
    const line = lineAt(linesOf(1), 0)
    const [record] = recordsOf(await sent([line]))
    expect(attributesOf(record?.attributes ?? [])).toEqual({
      'log.record.uid': line.event.id,
      'http.request.method': 'GET',
      'http.route': '/v1/patients/:id',
      'http.response.status_code': 'int 200',
      'client.address': '203.0.113.7',
      'healthcloud.audit.v': 'int 1',
      'healthcloud.audit.kind': 'access',
      'healthcloud.audit.name': 'request',
      'healthcloud.audit.duration_ms': 'double 12.4',
      'healthcloud.audit.outcome': 'success',
      'healthcloud.audit.action': 'R',
      'healthcloud.audit.actor.kind': 'api-key',
      'healthcloud.audit.actor.org': 'org_1',
      'healthcloud.audit.actor.key_id': 'key_1',
      'healthcloud.audit.env': 'live',
      'healthcloud.audit.scopes.granted': ['read:patients'],
      'healthcloud.audit.scopes.required': ['read:patients'],
      'healthcloud.audit.request_id': 'req_1',
      'healthcloud.audit.purpose': 'TREAT',
      'healthcloud.audit.phi.interaction': 'read',
      'healthcloud.audit.phi.types': ['Patient'],
      'healthcloud.audit.phi.patients': ['pt_k1_0123456789abcdefghijkl'],
      'healthcloud.audit.phi.patient_count': 'int 1',
      'healthcloud.audit.phi.resource_count': 'int 1',
      'healthcloud.audit.phi.bulk': false,
      'healthcloud.audit.phi.attribution': 'route',
      'healthcloud.audit.delivered': 'full',
      'healthcloud.audit.count': 'int 1',
      'healthcloud.audit.writer': line.event.writer,
      'healthcloud.audit.seq': 'int 1',
      'healthcloud.audit.client.via': 'int 1',
      'healthcloud.audit.http.query': ['_count'],
      'healthcloud.audit.http.bytes': 'int 812',
    })
  })

  test('has nothing of what the event does not know', async () => {
    const { attributes } = await recordOf({
      http: null,
      phi: null,
      client: { ip: null, via: 0 },
      requestId: null,
      purpose: null,
      delivered: null,
      action: null,
      scopes: { granted: [], required: [] },
    })
    const names = Object.keys(attributesOf(attributes))
    expect(names.filter((name) => /http|phi|address|request_id|purpose|delivered|action/.test(name))).toEqual([])
    expect(attributesOf(attributes)['healthcloud.audit.scopes.granted']).toEqual([])
  })

  test('has the members of system and admin events', async () => {
    const { attributes } = await recordOf({
      kind: 'system',
      name: 'audit.retention',
      target: { keyId: 'key_2', org: 'org_2', fields: ['scopes', 'expiresAt'] },
      part: { n: 2, of_id: 'e1' },
      retention: {
        writer: 'w2',
        segments: [1, 7],
        lastSeq: 4711,
        lastHash: 'ab',
        signed: { keyId: 'ed25519:0123', signature: 'c2ln' },
      },
    })
    expect(attributesOf(attributes)).toMatchObject({
      'healthcloud.audit.target.key_id': 'key_2',
      'healthcloud.audit.target.fields': ['scopes', 'expiresAt'],
      'healthcloud.audit.part.n': 'int 2',
      'healthcloud.audit.part.of_id': 'e1',
      'healthcloud.audit.retention.segments': ['int 1', 'int 7'],
      'healthcloud.audit.retention.last_seq': 'int 4711',
      'healthcloud.audit.retention.signed.key_id': 'ed25519:0123',
    })
  })

  test.each([
    ['success', 9, 'INFO'],
    ['denied', 13, 'WARN'],
    ['aborted', 13, 'WARN'],
    ['error', 17, 'ERROR'],
    ['interrupted', 17, 'ERROR'],
  ] as readonly (readonly [AuditOutcome, number, string])[])(
    'of outcome %s has severity %i',
    async (outcome, number, text) => {
      const record = await recordOf({ outcome, reason: outcome === 'success' ? null : 'handler_error' })
      expect(record).toMatchObject({ severityNumber: number, severityText: text })
      expect(attributesOf(record.attributes)['error.type']).toBe(outcome === 'success' ? undefined : 'handler_error')
    },
  )

  test.each(['access', 'auth', 'admin', 'system'] as const)('of kind %s is named after it', async (kind) => {
    expect((await recordOf({ kind })).eventName).toBe(`healthcloud.audit.${kind}`)
  })

  test.each([
    [
      'PROPFIND',
      '/a',
      { 'http.request.method': '_OTHER', 'http.request.method_original': 'PROPFIND', 'http.route': '/a' },
    ],
    ['get', '/a', { 'http.request.method': '_OTHER', 'http.request.method_original': 'get', 'http.route': '/a' }],
    ['PATCH', '*', { 'http.request.method': 'PATCH' }],
  ])('of %s %s keeps to the conventions of HTTP', async (method, route, expected) => {
    const { attributes } = await recordOf({ http: { method, route, status: null, query: [], bytes: 0 } })
    const named = Object.entries(attributesOf(attributes)).filter(([name]) => name.startsWith('http.'))
    expect(Object.fromEntries(named)).toEqual(expected)
  })

  test('has one type for each number, whole or not', async () => {
    for (const durationMs of [0, 12, 12.5]) {
      const { attributes } = await recordOf({ durationMs })
      expect(attributesOf(attributes)['healthcloud.audit.duration_ms']).toBe(`double ${durationMs}`)
    }
  })

  test('names without a prefix of ours are stable in the semantic conventions, but for log.record.uid', async () => {
    const require = createRequire(createRequire(import.meta.url).resolve('@opentelemetry/otlp-transformer'))
    const conventions = require('@opentelemetry/semantic-conventions') as Readonly<Record<string, unknown>>
    const stable = new Set(
      Object.entries(conventions).flatMap(([name, value]) => (name.startsWith('ATTR_') ? [value] : [])),
    )
    const { attributes } = await recordOf({
      outcome: 'error',
      reason: 'handler_error',
      http: { method: 'X', route: '/a', status: 500, query: [], bytes: 0 },
    })
    const foreign = attributes.map(({ key }) => key).filter((key) => !key.startsWith('healthcloud.audit.'))
    expect(foreign.length).toBeGreaterThan(5)
    expect(foreign.filter((key) => !stable.has(key))).toEqual(['log.record.uid'])
  })

  test('keeps every text through protobuf', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 40 }), async (text) => {
        const line = lineAt(
          linesOf(1, () => ({ requestId: text, service: { name: text, version: null, instance: text } })),
          0,
        )
        const request = await sent([line])
        const [record] = recordsOf(throughProtobuf(JSON.stringify(request)))
        expect(record?.body.stringValue).toBe(line.text)
        expect(attributesOf(record?.attributes ?? [])['healthcloud.audit.request_id']).toBe(text)
      }),
      { numRuns: 30 },
    )
  })

  test('is made of own members: a planted toJSON has no say', async () => {
    const batch = linesOf(1)
    const asked = await polluted({ toJSON: () => 'forged', reason: 'planted', retention: { writer: 'planted' } }, () =>
      askedDuring(() => sinkOf().write(batch, NEVER)),
    )
    expect(asked[0]?.body).not.toMatch(/forged|planted/)
    expect(recordsOf(throughProtobuf(asked[0]?.body ?? ''))[0]?.body.stringValue).toBe(batch[0]?.text)
  })
})

describe('a batch', () => {
  test('is one POST in JSON, the records in order', async () => {
    const batch = linesOf(500)
    const [asked] = await askedDuring(() => sinkOf({ headers: { 'x-api-key': 's3cret' } }).write(batch, NEVER))
    expect(asked).toMatchObject({ method: 'POST', path: '/v1/logs' })
    expect(asked?.headers).toMatchObject({ 'content-type': 'application/json', 'x-api-key': 's3cret' })
    const { resourceLogs } = throughProtobuf(asked?.body ?? '')
    expect(resourceLogs.map(({ scopeLogs }) => scopeLogs.map(({ scope }) => scope))).toEqual([
      [{ name: '@healthcloud/auth' }],
    ])
    expect(recordsOf({ resourceLogs }).map(({ body }) => body.stringValue)).toEqual(batch.map(({ text }) => text))
  })

  test('has the service as resource, and what is given beside it', async () => {
    const resource = { 'deployment.environment.name': 'production', 'k8s.pod.count': 3, 'x.share': 0.5, 'x.on': true }
    const { resourceLogs } = await sent(linesOf(2), { resource })
    expect(resourceLogs.map((each) => attributesOf(each.resource.attributes))).toEqual([
      {
        'service.name': 'records',
        'service.version': '1.2.3',
        'service.instance.id': 'host:1',
        'deployment.environment.name': 'production',
        'k8s.pod.count': 'int 3',
        'x.share': 'double 0.5',
        'x.on': true,
      },
    ])
  })

  test('of several services keeps the order', async () => {
    const services = ['a', 'a', 'b', 'a']
    const batch = linesOf(4, (seq) => ({ service: { name: services[seq - 1] ?? '', version: null, instance: 'i' } }))
    const request = await sent(batch)
    expect(request.resourceLogs.map(({ resource }) => attributesOf(resource.attributes)['service.name'])).toEqual([
      'a',
      'b',
      'a',
    ])
    expect(recordsOf(request).map(({ body }) => body.stringValue)).toEqual(batch.map(({ text }) => text))
  })

  test.each([
    ['no member at all', {}],
    ['a number for a service', { service: 7 }],
    ['half a service', { service: { name: 'records' } }],
    ['half an HTTP call', { http: { method: 'GET' } }],
    ['an unknown outcome', { outcome: 'constructor' }],
    ['no time', { time: 'soon' }],
    ['a status that is none', { http: { method: 'GET', route: '/', status: '200', query: [], bytes: 0 } }],
    ['nothing where there is a list', { scopes: { granted: [null], required: [] } }],
    ['something that JSON has not', { purpose: 7n }],
  ])('loses a line with %s, and says so; the others go', async (_what, change) => {
    const [first, second, third] = linesOf(3) as [AuditLine, AuditLine, AuditLine]
    const { id } = second.event
    const event = Object.keys(change).length === 0 ? { id } : { ...second.event, ...change }
    const broken = { event: event as unknown as AuditEvent, text: '{}' }
    const [asked] = await askedDuring(async () => {
      expect(await sinkOf().write([first, broken, third], NEVER)).toEqual({
        rejected: [{ id, reason: 'otlp_no_event' }],
      })
    })
    expect(recordsOf(throughProtobuf(asked?.body ?? '')).map(({ body }) => body.stringValue)).toEqual([
      first.text,
      third.text,
    ])
    expect(await askedDuring(() => sinkOf().write([broken], NEVER))).toEqual([])
  })
})

describe('the answer', () => {
  test.each([
    ['nothing', ''],
    ['an empty message', '{}'],
    ['a full success', exportAnswer(0)],
    ['a warning', exportAnswer(0, 'Slow down, please')],
    ['a partial success of nobody', '{"partialSuccess":null}'],
    ['members that nobody knows', '{"partialSuccess":{"rejectedSpans":"7"},"x":1}'],
  ])('%s is an acknowledgement', async (_what, body) => {
    server.become(answering(200, JSON_TYPE, body))
    expect(await sinkOf().write(linesOf(3), NEVER)).toEqual({ rejected: [] })
  })

  test.each([
    [1, 1],
    [2, 5],
    [5, 5],
    [7, 5],
  ])(
    'with %i of so many records rejected has all %i in the dead-letter file, and sends none again',
    async (count, size) => {
      server.become(answering(200, JSON_TYPE, exportAnswer(count, 'Ada Lovelace is no attribute')))
      const batch = linesOf(size)
      const reason = `otlp_rejected_${Math.min(count, size)}_of_${size}`
      const asked = await askedDuring(async () => {
        expect(await sinkOf().write(batch, NEVER)).toEqual({
          rejected: batch.map(({ event }) => ({ id: event.id, reason })),
        })
      })
      expect(asked).toHaveLength(1)
    },
  )

  test('with a number for the 64-bit integer is read as well', async () => {
    server.become(answering(200, JSON_TYPE, '{"partialSuccess":{"rejectedLogRecords":1}}'))
    expect(await sinkOf().write(linesOf(1), NEVER)).toMatchObject({ rejected: [{ reason: 'otlp_rejected_1_of_1' }] })
  })

  test.each([
    ['a page', { 'content-type': 'text/html' }, '<!doctype html><title>Sign in</title>'],
    ['half of it', JSON_TYPE, '{"partialSuccess":'],
    ['a list', JSON_TYPE, '[]'],
    ['null', JSON_TYPE, 'null'],
    ['a count that is none', JSON_TYPE, '{"partialSuccess":{"rejectedLogRecords":"many"}}'],
    ['a count below zero', JSON_TYPE, '{"partialSuccess":{"rejectedLogRecords":-1}}'],
    ['more than 256 KiB', JSON_TYPE, `{}${' '.repeat(262_144)}`],
  ])('%s is none, and the batch comes again', async (_what, headers, body) => {
    server.become(answering(200, headers, body))
    const error = await failureOf(sinkOf(), linesOf(2))
    expect(error.message).toMatch(/^The receiver of otlp (does not answer as OTLP\/HTTP does|sent more than)/)
  })

  test.each([401, 403, 404, 405, 415, 429, 500, 502, 503, 504])('%i has the batch come again', async (status) => {
    const sink = sinkOf()
    await sink.write(linesOf(1), NEVER)
    server.become(answering(status, { 'retry-after': '7' }, '{"message":"Ada Lovelace"}'))
    const asked = await askedDuring(async () => {
      const error = await failureOf(sink, linesOf(4))
      expect(error.message).toMatch(new RegExp(`^The receiver of otlp answered ${status}\\b`))
      expect(error).toMatchObject({ retryAfterMs: 7000 })
    })
    expect(asked).toHaveLength(1)
  })

  test.each([301, 302, 307, 308])('%i is not followed', async (status) => {
    server.become(answering(status, { location: '/elsewhere' }))
    const asked = await askedDuring(() => failureOf(sinkOf(), linesOf(1)))
    expect(asked.map(({ path }) => path)).toEqual(['/v1/logs'])
  })

  test.each([400, 413])('%i halves the batch until the record that is to blame stands alone', async (status) => {
    const batch = linesOf(500)
    const poison = lineAt(batch, 321)
    server.become(refusing([markOf(poison)], status))
    const asked = await askedDuring(async () => {
      expect(await sinkOf().write(batch, NEVER)).toEqual({
        rejected: [{ id: poison.event.id, reason: `http_${status}` }],
      })
    })
    expect(asked.length).toBeLessThanOrEqual(19)
    const taken = asked
      .filter(({ body }) => !body.includes(markOf(poison)))
      .flatMap(({ body }) => recordsOf(throughProtobuf(body)).map((record) => record.body.stringValue))
    expect(taken).toEqual(batch.flatMap((line) => (line === poison ? [] : [line.text])))
  })

  test('is not waited for longer than timeoutMs, nor longer than the signal', async () => {
    server.become(() => undefined)
    const started = performance.now()
    expect((await failureOf(sinkOf({ timeoutMs: 100 }), linesOf(1))).message).toMatch('did not answer in time')
    expect((await failureOf(sinkOf(), linesOf(1), AbortSignal.timeout(100))).message).toMatch('did not answer in time')
    expect(performance.now() - started).toBeLessThan(2000)
  })

  test('that is lost has the same records come again, whole and alone', async () => {
    const sink = sinkOf()
    const batch = linesOf(9)
    server.become((response) => void response.destroy())
    const lost = await askedDuring(() => failureOf(sink, batch.slice(0, 4)))
    server.become(taking())
    const [again, rest] = await askedDuring(() => sink.write(batch, NEVER))
    expect(again?.body).toBe(lost[0]?.body)
    expect(recordsOf(throughProtobuf(rest?.body ?? '')).map(({ body }) => body.stringValue)).toEqual(
      batch.slice(4).map(({ text }) => text),
    )
  })
})

describe('a secret header', () => {
  const secret = 'Zq7-canary/SECRET+token=='
  const search = searchFor([{ name: 'secret', text: secret }])

  test.each([
    ['echoes it', (r, { headers }) => void r.writeHead(500).end(JSON.stringify(headers))],
    ['echoes it in a 200', (r, { headers }) => void r.writeHead(200, JSON_TYPE).end(`${JSON.stringify(headers)}x`)],
    ['hangs up', (r) => void r.destroy()],
  ] as readonly (readonly [string, Answering])[])('shows nowhere when the receiver %s', async (_what, answer) => {
    server.become(answer)
    const sink = sinkOf({ headers: { authorization: secret } })
    const error = await failureOf(sink, linesOf(2))
    expect(server.asked.at(-1)?.headers.authorization).toBe(secret)
    const faces = [sink, error].map((each) => inspect(each, { depth: 9, showHidden: true }) + JSON.stringify(each))
    expect(search(`${faces.join('\n')}${error.stack}`)).toEqual([])
  })
})

describe('the options', () => {
  test('are read when the sink is made', () => {
    expect(sinkOf()).toMatchObject({ name: 'otlp', acks: true, required: false, retains: false })
    expect(sinkOf({ name: 'loki', required: true, retains: true })).toMatchObject({
      name: 'loki',
      required: true,
      retains: true,
    })
  })

  test.each([
    ['url', undefined, 'CONFIG_MISSING'],
    ['url', 'http://collector.example:4318/v1/logs', 'CONFIG_INVALID'],
    ['name', 'a/b', 'CONFIG_INVALID'],
    ['timeoutMs', 1e9, 'CONFIG_INVALID'],
    ['headers', { 'content-type': 'hunter2' }, 'CONFIG_INVALID'],
    ['resource', 'hunter2', 'CONFIG_INVALID'],
    ['resource', new Map([['a', 'b']]), 'CONFIG_INVALID'],
    ['resource', { 'service.name': 'hunter2' }, 'CONFIG_INVALID'],
    ['resource', { a: Number.NaN }, 'CONFIG_INVALID'],
    ['resource', { a: ['hunter2'] }, 'CONFIG_INVALID'],
    ['resource', { a: null }, 'CONFIG_INVALID'],
    ['resource', { '': 'hunter2' }, 'CONFIG_INVALID'],
    ['resources', {}, 'CONFIG_UNKNOWN_OPTION'],
  ])('%s: %j is refused', (name, value, code) => {
    const make = () => otlpSink({ url: server.url, [name]: value })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(expect.objectContaining({ code, option: `otlpSink.${name}` }))
    expect(make).not.toThrow(/hunter2/)
  })
})
