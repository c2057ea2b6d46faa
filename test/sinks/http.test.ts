import net, { type AddressInfo } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { AuditLine, AuditSink, RetryableError } from '../../src/audit/sink.ts'
import { httpSink, type HttpSinkOptions } from '../../src/sinks/http.ts'
import { polluted } from '../keys/parts.ts'
import { searchFor } from '../security/search.ts'
import { lineAt, linesOf, markOf, WRITER } from './lines.ts'
import { answering, refusing, startReceiver, taking, type Answering, type ReceiverServer } from './receiver-server.ts'

const NEVER = new AbortController().signal
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }

let server: ReceiverServer

beforeAll(async () => {
  server = await startReceiver()
})
afterAll(() => server.close())
afterEach(() => server.become(taking()))

const sinkOf = (more: Partial<HttpSinkOptions> = {}): AuditSink => httpSink({ url: server.url, ...more })

/** One that the receiver has taken something from: whom it refuses now, it refuses because of what it is sent. */
async function knownSink(more: Partial<HttpSinkOptions> = {}): Promise<AuditSink> {
  const sink = sinkOf(more)
  await sink.write(linesOf(1), NEVER)
  return sink
}

async function failureOf(sink: AuditSink, batch: readonly AuditLine[], signal = NEVER): Promise<RetryableError> {
  const error: unknown = await sink.write(batch, signal).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  return error as RetryableError
}

/** What arrived while this ran. */
async function askedDuring(run: () => Promise<unknown>): Promise<ReceiverServer['asked']> {
  const before = server.asked.length
  await run()
  return server.asked.slice(before)
}

const textsOf = (batch: readonly AuditLine[]) => batch.map(({ text }) => text)
const keysOf = (asked: ReceiverServer['asked']) => asked.map(({ headers }) => headers['idempotency-key'])

describe('a batch', () => {
  test('is one POST with the lines of the journal, byte for byte', async () => {
    const batch = linesOf(3, (seq) => ({ requestId: `ré\u2028"\\${seq}` }))
    const sink = sinkOf({ headers: { Authorization: 'Bearer s3cret', 'x-tenant': 'a b' } })
    const [asked, ...more] = await askedDuring(async () => {
      expect(await sink.write(batch, NEVER)).toEqual({ rejected: [] })
    })
    expect(more).toEqual([])
    expect(asked).toMatchObject({ method: 'POST', path: '/v1/logs', body: `${textsOf(batch).join('\n')}\n` })
    expect(asked?.headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      accept: 'application/json',
      'idempotency-key': `"${WRITER}-1-3"`,
      authorization: 'Bearer s3cret',
      'x-tenant': 'a b',
    })
  })

  test('whatever the lines are, arrives as it is, and each of them is JSON', async () => {
    const sink = sinkOf()
    const texts = fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(texts, async (ids) => {
        const batch = linesOf(ids.length, (seq) => ({ requestId: ids[seq - 1] ?? '' }))
        const [asked] = await askedDuring(() => sink.write(batch, NEVER))
        expect(asked?.lines).toEqual(textsOf(batch))
        expect(asked?.lines.map((line) => (JSON.parse(line) as { requestId: string }).requestId)).toEqual(ids)
      }),
      { numRuns: 30 },
    )
  })

  test('that is empty is not sent', async () => {
    const asked = await askedDuring(async () => expect(await sinkOf().write([], NEVER)).toEqual({ rejected: [] }))
    expect(asked).toEqual([])
  })

  test('of a line that somebody has changed in the journal still goes, under the hash of what it holds', async () => {
    const line = lineAt(linesOf(1), 0)
    const broken = { event: { ...line.event, writer: 'a\r\nx: y' }, text: '{"seq":1}' } as AuditLine
    const asked = await askedDuring(() => sinkOf().write([broken], NEVER))
    expect(asked[0]?.body).toBe('{"seq":1}\n')
    expect(keysOf(asked)).toEqual([expect.stringMatching(/^"[0-9a-f]{64}"$/)])
  })

  test.each([
    ['204', taking(204)],
    ['201 with a text', answering(201, { 'content-type': 'text/plain' }, 'ok')],
    ['200 with 1 MiB of a page', answering(200, { 'content-type': 'text/html' }, 'x'.repeat(1_048_576))],
    ['200 with a page in latin1', (r) => void r.writeHead(200).end(Buffer.from([0xe9]))],
    ['200 with JSON of its own', answering(200, JSON_TYPE, '{"ok":true}')],
    ['200 with an empty list', answering(200, JSON_TYPE, '{"rejected":[]}')],
    ['200 that claims to be JSON and is empty', answering(200, JSON_TYPE)],
    ['202 with a number', answering(202, JSON_TYPE, '7')],
  ] as readonly (readonly [string, Answering])[])('is taken by %s', async (_what, answer) => {
    server.become(answer)
    const asked = await askedDuring(async () =>
      expect(await sinkOf().write(linesOf(2), NEVER)).toEqual({ rejected: [] }),
    )
    expect(asked).toHaveLength(1)
  })

  test('is taken although the text of the answer never ends', async () => {
    server.become((response) => {
      const more = () => {
        if (!response.closed && response.write('x'.repeat(16_384))) setImmediate(more)
      }
      response.writeHead(200, { 'content-type': 'text/plain' }).on('drain', more)
      more()
    })
    const started = performance.now()
    expect(await sinkOf({ timeoutMs: 5000 }).write(linesOf(2), NEVER)).toEqual({ rejected: [] })
    expect(performance.now() - started).toBeLessThan(4000)
  })

  test('goes over the connection of the one before, whatever was answered to that', async () => {
    server.become(answering(201, { 'content-type': 'text/plain' }, 'taken'.repeat(1000)))
    const sink = await knownSink()
    const before = server.connections()
    for (let n = 0; n < 5; n += 1) await sink.write(linesOf(2), NEVER)
    expect(server.connections() - before).toBe(0)
  })
})

describe('an event that the receiver names', () => {
  const naming =
    (reasons: readonly unknown[], status = 200, type: Readonly<Record<string, string>> = JSON_TYPE): Answering =>
    (response, { lines }) => {
      const rejected = reasons.map((reason, at) => ({ id: (JSON.parse(lines[at] ?? '') as { id: string }).id, reason }))
      response.writeHead(status, type).end(JSON.stringify({ rejected }))
    }

  test.each([200, 202, 207])('is rejected with its code, by %i', async (status) => {
    server.become(naming(['schema_violation'], status))
    const batch = linesOf(3)
    expect(await sinkOf().write(batch, NEVER)).toEqual({
      rejected: [{ id: batch[0]?.event.id, reason: 'schema_violation' }],
    })
  })

  test('is so in application/problem+json as well, and twice is once', async () => {
    const batch = linesOf(2)
    const id = batch[1]?.event.id
    const body = JSON.stringify({ rejected: [{ id }, { id, reason: 'x' }] })
    server.become(answering(200, { 'content-type': 'application/vnd.x+json' }, body))
    expect(await sinkOf().write(batch, NEVER)).toEqual({ rejected: [{ id, reason: 'x' }] })
  })

  test.each([['Ada Lovelace, born 1815'], ['PT_K1'], [''], ['a'.repeat(41)], [7], [null], [undefined], [{ a: 1 }]])(
    'is rejected as `rejected` where the reason is no code: %j',
    async (reason) => {
      server.become(naming([reason]))
      const batch = linesOf(1)
      expect(await sinkOf().write(batch, NEVER)).toEqual({
        rejected: [{ id: batch[0]?.event.id, reason: 'rejected' }],
      })
    },
  )

  test.each([
    ['half of it', '{"rejected":['],
    ['no list', '{"rejected":{"id":"x"}}'],
    ['an id that was not sent', '{"rejected":[{"id":"x","reason":"y"}]}'],
    ['an entry without id', '{"rejected":[{"reason":"y"}]}'],
    ['an entry that is null', '{"rejected":[null]}'],
    ['more than 256 KiB', `{"rejected":[]}${' '.repeat(262_144)}`],
    ['no UTF-8', Buffer.from('{"rejected":"\xe9"}', 'latin1')],
  ])('cannot be told from %s, and the batch comes again', async (_what, body) => {
    server.become((response) => void response.writeHead(200, JSON_TYPE).end(body))
    const error = await failureOf(sinkOf(), linesOf(2))
    expect(error.message).toMatch(/^The receiver of http (answered with JSON that says nothing|sent )/)
  })

  test.each([JSON_TYPE, { 'content-type': 'text/plain' }])('is read from own members alone: %o', async (type) => {
    server.become(answering(201, type, '{}'))
    const batch = linesOf(1)
    const rejected = [{ id: lineAt(batch, 0).event.id, reason: 'planted' }]
    const planted = { rejected, statusText: '\n', start: 7, flush: 7, readableType: 'x', retryAfterMs: 7, taken: false }
    const sink = sinkOf()
    expect(await polluted(planted, () => sink.write(batch, NEVER))).toEqual({ rejected: [] })
  })
})

describe('a batch comes again, and nothing of it is rejected,', () => {
  test.each([401, 402, 403, 404, 405, 408, 409, 410, 415, 425, 429, 431, 500, 501, 502, 503, 504, 507, 599])(
    'after %i',
    async (status) => {
      const sink = await knownSink()
      server.become(answering(status, JSON_TYPE, '{"rejected":[{"id":"x"}]}'))
      const asked = await askedDuring(async () => {
        const error = await failureOf(sink, linesOf(5))
        expect(error.message).toMatch(new RegExp(`^The receiver of http answered ${status}\\b`))
        expect(error.retryAfterMs).toBeUndefined()
      })
      expect(asked).toHaveLength(1)
    },
  )

  test('after 407, which fetch itself takes for an error', async () => {
    const sink = await knownSink()
    server.become(answering(407))
    expect((await failureOf(sink, linesOf(5))).message).toBe('The receiver of http could not be reached.')
  })

  test.each([301, 302, 303, 307, 308])('after the redirect %i, which is not followed', async (status) => {
    const sink = await knownSink({ headers: { authorization: 'Bearer s3cret' } })
    server.become((response, { path }) => {
      if (path === '/elsewhere') response.end()
      else response.writeHead(status, { location: '/elsewhere' }).end()
    })
    const asked = await askedDuring(async () => {
      expect((await failureOf(sink, linesOf(2))).message).toContain(`answered ${status}: check its URL`)
    })
    expect(asked.map(({ path }) => path)).toEqual(['/v1/logs'])
  })

  test.each([
    ['0', 0],
    ['2', 2000],
    ['86400', 3_600_000],
    ['9999999999', 3_600_000],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 3_600_000],
    ['soon', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['2026-11-24T00:00:00Z', undefined],
  ])('in time: Retry-After %s', async (value, expected) => {
    server.become(answering(503, { 'retry-after': value }))
    expect((await failureOf(sinkOf(), linesOf(1))).retryAfterMs).toBe(expected)
  })

  test('in time: Retry-After as a date', async () => {
    server.become(answering(429, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() }))
    const { retryAfterMs = 0 } = await failureOf(sinkOf(), linesOf(1))
    expect(retryAfterMs).toBeGreaterThan(50_000)
    expect(retryAfterMs).toBeLessThanOrEqual(60_000)
  })

  test('from a receiver that flaps, under the same key, until it is taken', async () => {
    const sink = sinkOf()
    const batch = linesOf(4)
    let left = 3
    server.become((response) => {
      left -= 1
      response.writeHead(left < 0 ? 200 : 503, left < 0 ? {} : { 'retry-after': '0' }).end()
    })
    const asked = await askedDuring(async () => {
      for (let n = 0; n < 3; n += 1) expect((await failureOf(sink, batch)).retryAfterMs).toBe(0)
      expect(await sink.write(batch, NEVER)).toEqual({ rejected: [] })
    })
    expect(new Set(keysOf(asked))).toEqual(new Set([`"${WRITER}-1-4"`]))
    expect(new Set(asked.map(({ body }) => body)).size).toBe(1)
  })

  const hanging: readonly (readonly [what: string, answer: Answering])[] = [
    ['never answers', () => undefined],
    ['answers after 30 s', (response) => void setTimeout(() => response.end(), 30_000).unref()],
    ['sends headers and then nothing', (response) => response.writeHead(200, JSON_TYPE).flushHeaders()],
    ['sends a text and no end', (response) => void response.writeHead(200).write('x')],
    [
      'sends one byte after the other',
      (response) => {
        const timer = setInterval(() => response.write(' '), 20)
        response.writeHead(200, JSON_TYPE).on('close', () => clearInterval(timer))
      },
    ],
  ]

  test.each(hanging)('when time is up: the receiver %s', async (_what, answer) => {
    server.become(answer)
    const started = performance.now()
    expect((await failureOf(sinkOf({ timeoutMs: 150 }), linesOf(2))).message).toBe(
      'The receiver of http did not answer in time.',
    )
    expect(performance.now() - started).toBeLessThan(1500)
  })

  test.each(hanging)('as soon as it is called off: the receiver %s', async (_what, answer) => {
    server.become(answer)
    const started = performance.now()
    await failureOf(sinkOf(), linesOf(2), AbortSignal.timeout(100))
    expect(performance.now() - started).toBeLessThan(1500)
  })

  test('and is not sent at all where it was called off before', async () => {
    expect(await askedDuring(() => failureOf(sinkOf(), linesOf(2), AbortSignal.abort()))).toEqual([])
  })

  test('from a receiver that is down, until it is up', async () => {
    const sink = await knownSink()
    const batch = linesOf(3)
    await server.shut()
    try {
      expect((await failureOf(sink, batch)).message).toMatch(
        /^The receiver of http could not be reached \(E[A-Z]+\)\.$/,
      )
    } finally {
      await server.open()
    }
    const [asked] = await askedDuring(() => sink.write(batch, NEVER))
    expect(asked?.lines).toEqual(textsOf(batch))
  })

  test('from a receiver that has taken it and could not say so: same key, same body', async () => {
    const kept = new Map<string, string>()
    let cuts = 3
    server.become((response, { headers, body }) => {
      kept.set(String(headers['idempotency-key']), body)
      cuts -= 1
      if (cuts < 0) response.end()
      else response.destroy()
    })
    const sink = sinkOf()
    const batch = linesOf(50)
    const asked = await askedDuring(async () => {
      // The first two cuts are one attempt: a connection that is reset is tried once more.
      await failureOf(sink, batch)
      await sink.write(batch, NEVER)
    })
    expect(asked).toHaveLength(4)
    expect([...kept]).toEqual([[`"${WRITER}-1-50"`, asked[0]?.body]])
  })

  test('in the same parts although more has been written meanwhile: no line goes under two keys', async () => {
    const sink = sinkOf()
    const batch = linesOf(9)
    const kept: string[] = []
    const keys = new Set<unknown>()
    let down = true
    server.become((response, { headers, lines }) => {
      if (!keys.has(headers['idempotency-key'])) kept.push(...lines)
      keys.add(headers['idempotency-key'])
      if (down) response.destroy()
      else response.end()
    })
    for (const size of [3, 5, 5, 8]) await failureOf(sink, batch.slice(0, size))
    down = false
    expect(await sink.write(batch, NEVER)).toEqual({ rejected: [] })
    expect(keys).toEqual(new Set([`"${WRITER}-1-3"`, `"${WRITER}-4-9"`]))
    expect(kept).toEqual(textsOf(batch))
  })
})

describe('an event that is to blame', () => {
  test.each([
    [400, 500, 211],
    [400, 500, 1],
    [400, 500, 500],
    [413, 37, 12],
    [422, 2, 1],
    [418, 3, 2],
  ])('for a %i stands alone in the end: one of %i, the %ith', async (status, size, seq) => {
    const batch = linesOf(size)
    const poison = lineAt(batch, seq - 1)
    const taken: string[] = []
    server.become((response, asked) => {
      if (asked.body.includes(markOf(poison))) response.writeHead(status).end('Ada Lovelace')
      else {
        taken.push(...asked.lines)
        response.end()
      }
    })
    const asked = await askedDuring(async () => {
      expect(await sinkOf().write(batch, NEVER)).toEqual({
        rejected: [{ id: poison.event.id, reason: `http_${status}` }],
      })
    })
    expect(taken).toEqual(textsOf(batch).filter((text) => text !== poison.text))
    expect(asked.length).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(size)))
    expect(new Set(keysOf(asked)).size).toBe(asked.length)
  })

  test('and all others like it, wherever they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 2, maxLength: 24 }), async (bad) => {
        fc.pre(bad.includes(false))
        const batch = linesOf(bad.length)
        const poison = batch.filter((_, at) => bad[at])
        server.become(refusing(poison.map(markOf)))
        expect(await sinkOf().write(batch, NEVER)).toEqual({
          rejected: poison.map(({ event }) => ({ id: event.id, reason: 'http_400' })),
        })
      }),
      { numRuns: 25 },
    )
  })

  test('is found although the receiver fails in between: nothing that was settled is sent again', async () => {
    const batch = linesOf(64)
    const poison = [lineAt(batch, 9), lineAt(batch, 40)]
    const taken: string[] = []
    let turn = 0
    server.become((response, { body, lines }) => {
      turn += 1
      if (turn % 3 === 0) response.writeHead(503).end()
      else if (poison.some((line) => body.includes(markOf(line)))) response.writeHead(400).end()
      else {
        taken.push(...lines)
        response.end()
      }
    })
    const sink = sinkOf()
    let result: unknown = null
    let attempts = 0
    for (; result === null && attempts < 50; attempts += 1) result = await sink.write(batch, NEVER).catch(() => null)
    expect(attempts).toBeGreaterThan(3)
    expect(result).toEqual({ rejected: poison.map(({ event }) => ({ id: event.id, reason: 'http_400' })) })
    expect(taken).toEqual(textsOf(batch.filter((line) => !poison.includes(line))))
  })

  test('is found by a slow receiver as well, although no turn has time for the whole search', async () => {
    const batch = linesOf(32)
    const poison = lineAt(batch, 20)
    const answer = refusing([markOf(poison)])
    server.become((response, asked) => void setTimeout(() => answer(response, asked), 20))
    const sink = sinkOf()
    let result: unknown = null
    for (let n = 0; result === null && n < 30; n += 1) {
      result = await sink.write(batch, AbortSignal.timeout(60)).catch(() => null)
    }
    expect(result).toEqual({ rejected: [{ id: poison.event.id, reason: 'http_400' }] })
  })

  test('is to blame alone where the receiver has taken another before', async () => {
    const sink = await knownSink()
    const line = lineAt(linesOf(1), 0)
    server.become(answering(400))
    expect(await sink.write([line], NEVER)).toEqual({
      rejected: [{ id: line.event.id, reason: 'http_400' }],
    })
  })
})

describe('a receiver that refuses everything with 400', () => {
  test('costs no event where it has never taken one', async () => {
    server.become(answering(400))
    const sink = sinkOf()
    const batch = linesOf(7)
    for (let n = 0; n < 3; n += 1) {
      expect((await failureOf(sink, batch)).message).toBe(
        'The receiver of http refuses everything: check its URL and its headers.',
      )
    }
    server.become(taking())
    expect(await sink.write(batch, NEVER)).toEqual({ rejected: [] })
  })

  test('costs one batch at most where it breaks, and takes the rest when it is mended', async () => {
    const sink = await knownSink()
    server.become(answering(400))
    const [first, second] = [linesOf(3), linesOf(4)]
    expect(await sink.write(first, NEVER)).toMatchObject({ rejected: [{}, {}, {}] })
    await failureOf(sink, second)
    await failureOf(sink, second)
    server.become(taking())
    expect(await sink.write(second, NEVER)).toEqual({ rejected: [] })
  })
})

describe('writers at the same time', () => {
  test('do not meet', async () => {
    const sink = sinkOf()
    const batches = ['a1', 'b2', 'c3'].map((writer) => linesOf(20, () => ({ writer })))
    const poison = batches.map((batch, at) => lineAt(batch, at * 7))
    const answer = refusing(poison.map(markOf))
    server.become((response, asked) => void after(Math.random() * 5).then(() => answer(response, asked)))
    const answers = await Promise.all(batches.map((batch) => sink.write(batch, NEVER)))
    expect(answers).toEqual(poison.map(({ event }) => ({ rejected: [{ id: event.id, reason: 'http_400' }] })))
  })
})

describe('a secret header', () => {
  const secret = 'Zq7-canary/SECRET+token=='
  const search = searchFor([
    { name: 'secret', text: secret },
    { name: 'URL', text: 'tok-in-url-4711' },
  ])
  const facesOf = (value: unknown) =>
    [inspect(value, { depth: 9, showHidden: true, getters: true }), JSON.stringify(value), String(value)].join('\n')

  const broken: readonly (readonly [what: string, answer: Answering])[] = [
    ['echoes all headers in a 500', (r, { headers }) => void r.writeHead(500).end(JSON.stringify(headers))],
    ['echoes them in a 400', (r, { headers }) => void r.writeHead(400).end(JSON.stringify(headers))],
    [
      'echoes them in broken JSON',
      (r, { headers }) => void r.writeHead(200, JSON_TYPE).end(`${JSON.stringify(headers)}x`),
    ],
    [
      'echoes them in Retry-After',
      (r, { headers }) => void r.writeHead(503, { 'retry-after': String(headers.authorization) }).end(),
    ],
    [
      'redirects to them',
      (r, { headers }) => void r.writeHead(302, { location: `/${String(headers.authorization)}` }).end(),
    ],
    ['hangs up', (r) => void r.destroy()],
    ['hangs', () => undefined],
  ]

  test.each(broken)('shows nowhere when the receiver %s', async (_what, answer) => {
    server.become(answer)
    const sink = sinkOf({
      url: `${server.url}?token=tok-in-url-4711`,
      headers: { authorization: secret },
      timeoutMs: 200,
    })
    const error = await failureOf(sink, linesOf(2))
    expect(server.asked.at(-1)?.headers.authorization).toBe(secret)
    expect(search([facesOf(sink), facesOf(error), error.stack].join('\n'))).toEqual([])
    expect(error.cause).toBeUndefined()
  })

  test('shows nowhere when fetch repeats it in its error', async () => {
    const sink = sinkOf({
      headers: { authorization: secret },
      fetch: (_url, init) => {
        throw Object.assign(new Error(JSON.stringify(init)), { code: secret, headers: init?.headers })
      },
    })
    expect(search(facesOf(await failureOf(sink, linesOf(1))))).toEqual([])
  })

  test('of whatever form shows in no error of the options', () => {
    const values = fc.oneof(fc.string({ unit: 'binary', minLength: 8 }), fc.string({ minLength: 8 }))
    fc.assert(
      fc.property(values, (value) => {
        const error = mistakeOf({ headers: { 'x-key': `${value}\n` } })
        expect(error.message).not.toContain(value)
        expect(inspect(error, { showHidden: true }).includes(value)).toBe(false)
      }),
    )
  })

  test('is what it was when the sink was made', async () => {
    const headers = { authorization: 'first' }
    const sink = sinkOf({ headers })
    headers.authorization = 'second'
    const [asked] = await askedDuring(() => sink.write(linesOf(1), NEVER))
    expect(asked?.headers.authorization).toBe('first')
  })
})

function mistakeOf(more: object): TypeError & { option?: string; remedy?: string; code?: string } {
  try {
    httpSink({ url: server.url, ...more })
  } catch (error) {
    return error as TypeError
  }
  throw new Error('There was no mistake.')
}

describe('the options', () => {
  test('are read when the sink is made, and nothing is opened', async () => {
    const own = await startReceiver()
    const sink = httpSink({ url: own.url, name: 'siem-2', required: true, retains: true })
    expect(sink).toMatchObject({ name: 'siem-2', acks: true, required: true, retains: true })
    expect(sinkOf()).toMatchObject({ name: 'http', acks: true, required: false, retains: false })
    expect(Object.isFrozen(sink)).toBe(true)
    await after(20)
    expect(own.connections()).toBe(0)
    await own.close()
  })

  test.each([
    ['url', undefined, 'CONFIG_MISSING'],
    ['url', '', 'CONFIG_INVALID'],
    ['url', '/v1', 'CONFIG_INVALID'],
    ['url', 'http://siem.example/v1', 'CONFIG_INVALID'],
    ['url', 'ftp://siem.example/v1', 'CONFIG_INVALID'],
    ['url', 'https://user:hunter2@siem.example/', 'CONFIG_INVALID'],
    ['url', 7, 'CONFIG_INVALID'],
    ['name', '', 'CONFIG_INVALID'],
    ['name', '../x', 'CONFIG_INVALID'],
    ['name', 'Siem', 'CONFIG_INVALID'],
    ['name', 'a'.repeat(65), 'CONFIG_INVALID'],
    ['required', 'true', 'CONFIG_INVALID'],
    ['retains', 1, 'CONFIG_INVALID'],
    ['timeoutMs', 0, 'CONFIG_INVALID'],
    ['timeoutMs', -1, 'CONFIG_INVALID'],
    ['timeoutMs', Number.NaN, 'CONFIG_INVALID'],
    ['timeoutMs', 60_001, 'CONFIG_INVALID'],
    ['timeoutMs', '10', 'CONFIG_INVALID'],
    ['fetch', {}, 'CONFIG_INVALID'],
    ['headers', 'authorization: hunter2', 'CONFIG_INVALID'],
    ['headers', new Headers({ authorization: 'hunter2' }), 'CONFIG_INVALID'],
    ['headers', new Map([['authorization', 'hunter2']]), 'CONFIG_INVALID'],
    ['headers', [['authorization', 'hunter2']], 'CONFIG_INVALID'],
    ['headers', { 'a b': 'hunter2' }, 'CONFIG_INVALID'],
    ['headers', { a: 'hunter2\r\nx: y' }, 'CONFIG_INVALID'],
    ['headers', { a: '' }, 'CONFIG_INVALID'],
    ['headers', { a: ' hunter2' }, 'CONFIG_INVALID'],
    ['headers', { a: 7 }, 'CONFIG_INVALID'],
    ['headers', { a: 'hunter2', A: 'hunter3' }, 'CONFIG_INVALID'],
    ['headers', { 'Content-Type': 'text/plain' }, 'CONFIG_INVALID'],
    ['headers', { 'Idempotency-Key': 'x' }, 'CONFIG_INVALID'],
    ['headers', { Host: 'x' }, 'CONFIG_INVALID'],
    ['retain', true, 'CONFIG_UNKNOWN_OPTION'],
  ])('%s: %j is refused', (name, value, code) => {
    const error = mistakeOf({ [name]: value })
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code, option: `httpSink.${name}` })
    expect(error.message.startsWith(`httpSink.${name}: `)).toBe(true)
    expect(error.message).toContain(error.remedy)
    expect(error.message).not.toContain('hunter')
  })

  test.each([[undefined], [null], ['https://siem.example']])('%j are none', (options) => {
    expect(() => httpSink(options as unknown as HttpSinkOptions)).toThrow(
      /^httpSink: its options are (missing|no object)/,
    )
  })

  test.each([
    'https://siem.example/v1',
    'http://127.0.0.1:9/',
    'http://[::1]:9/',
    'http://localhost/',
    new URL('https://a.b/'),
  ])('the url %s is taken', (url) => expect(httpSink({ url }).acks).toBe(true))

  test('are own members: nothing planted on a prototype is one', async () => {
    const [asked] = await polluted({ headers: { planted: 'x' }, url: 'https://evil.example', planted: 'y' }, () => {
      const sink = httpSink({ url: server.url })
      return askedDuring(() => sink.write(linesOf(1), NEVER))
    })
    expect(asked?.headers.planted).toBeUndefined()
    await polluted({ url: server.url }, () => {
      expect(() => httpSink({} as HttpSinkOptions)).toThrow('httpSink.url: is missing.')
    })
  })
})

test('a receiver that speaks no HTTP is no receiver', async () => {
  const nonsense = net.createServer((socket) => socket.on('error', () => undefined).end('hello\r\n\r\n'))
  await new Promise<void>((resolve) => {
    nonsense.listen(0, '127.0.0.1', resolve)
  })
  const { port } = nonsense.address() as AddressInfo
  const error = await failureOf(httpSink({ url: `http://127.0.0.1:${port}` }), linesOf(1))
  expect(error.message).toMatch(/^The receiver of http could not be reached/)
  nonsense.close()
})
