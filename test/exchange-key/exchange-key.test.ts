import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import express from 'express'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  ConfigError,
  ExchangeError,
  exchangeKey,
  type ExchangeKeyOptions,
  type KeyExchange,
  type Scope,
} from '../../src/index.ts'
import { refuse, startExchangeIssuer, type ExchangeIssuer, type Misbehaviour } from './exchange-issuer.ts'
import { manualClock, newKey, polluted, START, type ManualClock } from '../keys/parts.ts'
import { searchFor } from '../security/search.ts'

const SCOPES: readonly Scope[] = ['read:patients', 'exec:agents']
/** Long enough for a machine that is busy with other suites. */
const TIMEOUT_MS = 1000

let issuer: ExchangeIssuer
let clock: ManualClock
let key: string

beforeAll(async () => {
  issuer = await startExchangeIssuer()
})
afterAll(() => issuer.close())
beforeEach(() => {
  clock = manualClock()
  key = newKey()
  issuer.grant(key, SCOPES)
})
afterEach(() => {
  issuer.become(null)
  issuer.lifetime(3600)
})

const exchangeOf = (more: Partial<ExchangeKeyOptions> = {}): KeyExchange =>
  exchangeKey({ url: issuer.url, key, scopes: SCOPES, clock, timeoutMs: TIMEOUT_MS, ...more })

/** How many requests arrive meanwhile, those included that nobody waits for. */
async function requestsOf(run: () => Promise<unknown>): Promise<number> {
  const before = issuer.asked.length
  await run()
  await sleep(20)
  return issuer.asked.length - before
}

async function failureOf(exchange: KeyExchange): Promise<ExchangeError> {
  const error: unknown = await exchange.token().then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ExchangeError)) throw new Error('expected an ExchangeError', { cause: error })
  return error
}

/** Until what goes on in the background has come so far. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await holds()); waited += 5) {
    if (waited > 5000) throw new Error('it never came to that')
    await sleep(5)
  }
}

const json = (response: ServerResponse, more: Record<string, string> = {}) =>
  response.writeHead(200, { 'content-type': 'application/json', ...more })
const answers = (body: () => unknown): Misbehaviour => {
  return (response) => {
    const made = body()
    json(response).end(typeof made === 'string' ? made : JSON.stringify(made))
  }
}
const refuses = (status: number, headers: Record<string, string> = {}): Misbehaviour => {
  return (response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    refuse(response, status, 'SOME_CODE')
  }
}

describe('the documented exchange', () => {
  test('sends the documented request, to the letter', async () => {
    expect(await requestsOf(() => exchangeOf().token())).toBe(1)
    const { method, path, headers, rawHeaders, body } = issuer.asked.at(-1) ?? { rawHeaders: [] }
    expect([method, path, body]).toEqual(['POST', '/v1/auth/token', '{"scope":["read:patients","exec:agents"]}'])
    expect(headers).toMatchObject({ authorization: `Bearer ${key}`, 'content-type': 'application/json' })
    expect(rawHeaders.filter((text) => text.includes(key))).toEqual([`Bearer ${key}`])
  })

  test('reads the documented answer, to the letter', async () => {
    issuer.become((response) =>
      json(response).end(
        '{"access_token":"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln","token_type":"Bearer","expires_in":3600,' +
          '"scope":"read:patients exec:agents","issued_at":"2026-03-18T12:00:00Z"}',
      ),
    )
    const { accessToken, expiresAt, scopes } = await exchangeOf().token()
    expect(accessToken).toBe('eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln')
    expect(expiresAt).toEqual(new Date('2026-03-18T13:00:00Z'))
    expect(scopes).toEqual(['read:patients', 'exec:agents'])
  })

  test('gives the token as a header that can be spread, and sent by fetch as it is', async () => {
    const exchange = exchangeOf()
    const { accessToken } = await exchange.token()
    const header = await exchange.authorization()
    expect({ accept: 'x', ...header }).toEqual({ accept: 'x', authorization: `Bearer ${accessToken}` })
    expect([...new Headers(header)]).toEqual([['authorization', `Bearer ${accessToken}`]])
    const seen: unknown[] = []
    issuer.become((response, { headers }) => {
      seen.push(headers.authorization)
      response.end()
    })
    await fetch(issuer.url, { headers: header })
    await request(issuer.url.origin).get('/').set(header)
    expect(seen).toEqual([`Bearer ${accessToken}`, `Bearer ${accessToken}`])
  })

  test('opens nothing before the first call', async () => {
    expect(await requestsOf(async () => void exchangeOf())).toBe(0)
  })
})

describe('a token is held', () => {
  test('by all who ask: 1,000 calls at once cost one request, and so do 1,000 after them', async () => {
    const exchange = exchangeOf()
    const waiting: (() => void)[] = []
    issuer.become((response) => void waiting.push(() => json(response).end(JSON.stringify(issuer.answer()))))
    const calls = Array.from({ length: 1000 }, (_, at) => (at % 2 === 0 ? exchange.token() : exchange.authorization()))
    const before = issuer.asked.length
    await until(() => waiting.length > 0)
    for (const release of waiting) release()
    const tokens = (await Promise.all(calls)).map((each) =>
      'accessToken' in each ? each.accessToken : each.authorization,
    )
    expect([new Set(tokens.map((each) => each.replace('Bearer ', ''))).size, waiting.length]).toEqual([1, 1])
    for (let each = 0; each < 1000; each += 1) await exchange.token()
    expect(issuer.asked.length - before).toBe(1)
  })

  test('until a minute before its end, and served on while a new one is fetched behind it', async () => {
    const exchange = exchangeOf()
    const first = await exchange.token()
    clock.advance(3_539_999)
    expect(await requestsOf(() => exchange.token())).toBe(0)
    clock.advance(1)
    const before = issuer.asked.length
    expect((await exchange.token()).accessToken).toBe(first.accessToken)
    await until(async () => (await exchange.token()).accessToken !== first.accessToken)
    expect(issuer.asked.length - before).toBe(1)
    expect((await exchange.token()).expiresAt).toEqual(new Date(START + 3_540_000 + 3_600_000))
  })

  test.each([
    ['refreshBeforeSeconds', 3600, 300, 3300],
    ['half of its life, where that is later', 60, 60, 30],
    ['half of its life, where it lives a second', 1, 60, 0.5],
    ['its end, with 0', 3600, 0, 3600],
  ])('and replaced at %s', async (_what, life, refreshBeforeSeconds, renewed) => {
    issuer.lifetime(life)
    const exchange = exchangeOf({ refreshBeforeSeconds })
    await exchange.token()
    clock.advance(renewed * 1000 - 1)
    expect(await requestsOf(() => exchange.token())).toBe(0)
    clock.advance(1)
    const before = issuer.asked.length
    await exchange.token()
    await until(() => issuer.asked.length > before)
  })

  test.each([
    ['expires_in', { expires_in: 120 }, 120],
    ['the life that a token claims, where that is shorter', { access_token: jwt({ iat: 1000, exp: 1120 }) }, 120],
    ['expires_in, where a token claims to live longer', { access_token: jwt({ iat: 0, exp: 9e9 }) }, 3600],
    ['expires_in, where a token claims to be over', { access_token: jwt({ iat: 9, exp: 9 }) }, 3600],
    ['expires_in, where a token claims it in words', { access_token: jwt({ iat: '1', exp: '2' }) }, 3600],
    ['expires_in, where a token has two parts', { access_token: jwt({ iat: 1, exp: 9 }).slice(0, -3) }, 3600],
    ['expires_in, where a token has four parts', { access_token: `${jwt({ iat: 1, exp: 9 })}.x` }, 3600],
    ['expires_in, where a token cannot be read', { access_token: 'an.opaque.token' }, 3600],
    ['expires_in, where a token is one word', { access_token: 'opaque' }, 3600],
  ])('for %s', async (_what, more, life) => {
    issuer.become(answers(() => issuer.answer(more)))
    const exchange = exchangeOf({ refreshBeforeSeconds: 0 })
    expect((await exchange.token()).expiresAt.getTime() - START).toBe(life * 1000)
    clock.advance(life * 1000 - 1)
    expect(await requestsOf(() => exchange.token())).toBe(0)
    clock.advance(1)
    expect(await requestsOf(() => exchange.token())).toBe(1)
  })

  test.each([
    ['back a day', -86_400_000],
    ['ahead a day', 86_400_000],
  ])('for as long, when the wall clock jumps %s', async (_what, jump) => {
    const exchange = exchangeOf({ refreshBeforeSeconds: 0 })
    await exchange.token()
    clock.setWall(START + jump)
    clock.advance(3_599_999)
    expect(await requestsOf(() => exchange.token())).toBe(0)
    clock.advance(1)
    expect(await requestsOf(() => exchange.token())).toBe(1)
    expect((await exchange.token()).expiresAt).toEqual(new Date(clock.now() + 3_600_000))
  })

  test('counted from before the request, however long the answer takes', async () => {
    issuer.become((response) => {
      clock.advance(10_000)
      json(response).end(JSON.stringify(issuer.answer()))
    })
    const exchange = exchangeOf({ refreshBeforeSeconds: 0 })
    expect((await exchange.token()).expiresAt).toEqual(new Date(START + 3_600_000))
    clock.advance(3_590_000)
    expect(await requestsOf(() => exchange.token())).toBe(1)
  })

  test('with the scopes that were granted, which may be fewer', async () => {
    issuer.become(answers(() => issuer.answer({ scope: 'exec:agents' })))
    expect((await exchangeOf().token()).scopes).toEqual(['exec:agents'])
  })

  test('and cannot be changed by whoever holds it', async () => {
    const exchange = exchangeOf()
    const token = await exchange.token()
    token.expiresAt.setTime(0)
    expect(() => Object.assign(token, { scopes: [] })).toThrow(TypeError)
    expect(Object.isFrozen(token.scopes)).toBe(true)
    expect((await exchange.token()).expiresAt).toEqual(new Date(START + 3_600_000))
  })
})

function jwt(claims: object): string {
  return ['{"alg":"none"}', JSON.stringify(claims), 'x']
    .map((text) => Buffer.from(text).toString('base64url'))
    .join('.')
}

describe('forget', () => {
  test('makes the next call get a new one', async () => {
    const exchange = exchangeOf()
    const { accessToken } = await exchange.token()
    exchange.forget()
    expect(await requestsOf(() => exchange.token())).toBe(1)
    expect((await exchange.token()).accessToken).not.toBe(accessToken)
  })

  test('costs one exchange, however many calls were refused at once with one token', async () => {
    const exchange = exchangeOf()
    const [{ accessToken }, { authorization }] = [await exchange.token(), await exchange.authorization()]
    const retry = async (at: number) => {
      exchange.forget(at % 2 === 0 ? accessToken : authorization)
      // Every tenth hears of it when the new one is there already.
      if (at % 10 === 0) await exchange.token()
      exchange.forget(accessToken)
      return (await exchange.token()).accessToken
    }
    const before = issuer.asked.length
    const fresh = await Promise.all(Array.from({ length: 1000 }, (_, at) => retry(at)))
    expect([new Set(fresh).size, fresh.includes(accessToken)]).toEqual([1, false])
    expect(issuer.asked.length - before).toBe(1)
  })

  test.each([
    ['the token', async (exchange: KeyExchange) => (await exchange.token()).accessToken],
    ['the header', async (exchange: KeyExchange) => (await exchange.authorization()).authorization],
  ])('given %s that was refused forgets that one, and no newer one', async (_what, refusedOf) => {
    const exchange = exchangeOf()
    const refused = await refusedOf(exchange)
    exchange.forget(refused)
    expect(await requestsOf(() => exchange.token())).toBe(1)
    exchange.forget(refused)
    expect(await requestsOf(() => exchange.token())).toBe(0)
  })

  test('of nothing does nothing', async () => {
    const exchange = exchangeOf()
    exchange.forget()
    expect(await requestsOf(() => exchange.token())).toBe(1)
  })
})

describe('the key', () => {
  test('may be read by a function, anew before each exchange, and so be rotated', async () => {
    const rotated = newKey()
    issuer.grant(rotated, SCOPES)
    let current = key
    const exchange = exchangeOf({ key: async () => current })
    await exchange.token()
    current = rotated
    expect(await requestsOf(() => exchange.token())).toBe(0)
    exchange.forget()
    await exchange.token()
    expect(issuer.asked.slice(-2).map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${key}`,
      `Bearer ${rotated}`,
    ])
  })

  test('once refused is not sent again for a second; another is, at once', async () => {
    let current = newKey()
    const exchange = exchangeOf({ key: () => current })
    expect(await failureOf(exchange)).toMatchObject({ code: 'EXCHANGE_REFUSED', issuerStatus: 401 })
    clock.advance(999)
    const again = await requestsOf(async () =>
      expect(await failureOf(exchange)).toMatchObject({ code: 'EXCHANGE_REFUSED', issuerStatus: 401 }),
    )
    clock.advance(1)
    expect([again, await requestsOf(() => failureOf(exchange))]).toEqual([0, 1])
    current = key
    expect(await requestsOf(() => exchange.token())).toBe(1)
  })

  test('once refused is asked about anew when another one was good meanwhile', async () => {
    let current = newKey()
    const [first, exchange] = [current, exchangeOf({ key: () => current })]
    expect(await failureOf(exchange)).toMatchObject({ code: 'EXCHANGE_REFUSED' })
    current = key
    await exchange.token()
    issuer.grant(first, SCOPES)
    current = first
    exchange.forget()
    expect(await requestsOf(() => exchange.token())).toBe(1)
  })

  test('is not read again within a second of a refusal, while a token is held', async () => {
    let reads = 0
    const exchange = exchangeOf({
      key: () => {
        reads += 1
        return key
      },
    })
    await exchange.token()
    issuer.revoke(key)
    clock.advance(3_540_000)
    expect(await requestsOf(() => exchange.token())).toBe(1)
    for (let each = 0; each < 100; each += 1) await exchange.token()
    expect(reads).toBe(2)
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error(key)
      },
    ],
    ['rejects', async () => Promise.reject(new Error(key))],
    ['never answers', () => new Promise<string>(() => undefined)],
  ])('is out of reach where its function %s: an outage, of which nothing is said but that', async (_what, read) => {
    const exchange = exchangeOf({ key: read, timeoutMs: 50 })
    const failed = failureOf(exchange)
    expect(await requestsOf(() => failed)).toBe(0)
    const error = await failed
    expect(error).toMatchObject({ code: 'EXCHANGE_UNAVAILABLE', issuerStatus: null, retryAfterSeconds: 1 })
    expect(error.message).toContain('The function given as `key`')
    expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain(key)
  })

  test.each([
    ['undefined', undefined, 'CONFIG_MISSING'],
    ['an empty text', '', 'CONFIG_MISSING'],
    ['a number', 7, 'CONFIG_INVALID'],
    ['a line end', 'hc_live_sk_AbC12xYz9kLmNpQr\n', 'CONFIG_INVALID'],
  ])('is a mistake in the configuration where its function returns %s', async (_what, value, code) => {
    const read = () => value as string
    const [exchange, before] = [exchangeOf({ key: read }), issuer.asked.length]
    await expect(exchange.token()).rejects.toMatchObject({ name: 'ConfigError', code, option: 'exchangeKey.key' })
    expect(issuer.asked.length).toBe(before)
  })
})

/** What an issuer does with a good key that it does not like at the moment. */
const REFUSALS: readonly (readonly [what: string, misbehaviour: Misbehaviour, remedy: RegExp, more: object])[] = [
  ['401', refuses(401), /^Check `key`/, { issuerStatus: 401, issuerCode: 'SOME_CODE', requestId: 'req_abc123xyz' }],
  ['400', refuses(400), /^Check `scopes`/, { issuerStatus: 400, issuerCode: 'SOME_CODE' }],
  ['403', refuses(403), /holds all of `scopes`/, { issuerStatus: 403, issuerCode: 'SOME_CODE' }],
  ['404', refuses(404), /^Check `url`/, { issuerStatus: 404 }],
  ['401 and Retry-After', refuses(401, { 'retry-after': '9' }), /^Check `key`/, { retryAfterSeconds: null }],
  [
    '401 and a page',
    (response) => void response.writeHead(401, { 'content-type': 'text/html' }).end('<p>no</p>'),
    /^Check `key`/,
    { issuerStatus: 401, issuerCode: null, requestId: null },
  ],
  [
    "400 and an error of RFC 6749's",
    (response) => void response.writeHead(400).end('{"error":"invalid_scope"}'),
    /^Check/,
    { issuerCode: 'invalid_scope', requestId: null },
  ],
  [
    '401 and texts that are no texts',
    (response) => void response.writeHead(401).end('{"error":{"code":["A"],"requestId":{"a":1}}}'),
    /^Check/,
    { issuerCode: null, requestId: null },
  ],
  [
    '401 and texts that would forge a line in a log',
    (response) => void response.writeHead(401).end(String.raw`{"error":{"code":"A\nB","requestId":"r\u001b[31m"}}`),
    /^Check/,
    { issuerCode: null, requestId: null },
  ],
  [
    '401 and a body that never ends',
    (response) => void response.writeHead(401).write('{"error":'),
    /^Check/,
    { issuerStatus: 401, issuerCode: null },
  ],
]

test.each(REFUSALS)('the issuer answers %s: refused, and asked once', async (_what, misbehaviour, remedy, more) => {
  issuer.become(misbehaviour)
  const failed = failureOf(exchangeOf())
  expect(await requestsOf(() => failed)).toBe(1)
  const error = await failed
  expect(error).toMatchObject({ name: 'ExchangeError', code: 'EXCHANGE_REFUSED', ...more })
  expect(error.remedy).toMatch(remedy)
  expect(error.message).toContain(issuer.url.host)
})

test('a refusal says what the issuer said', async () => {
  issuer.revoke(key)
  expect((await failureOf(exchangeOf())).message).toBe(
    `The token endpoint at ${issuer.url.host} refused (401, UNAUTHORIZED, request req_abc123xyz). ` +
      'Check `key`: that it is the current one, of this environment, neither expired nor revoked.',
  )
})

const BOMB = gzipSync(' '.repeat(16_777_216))

function endless(response: ServerResponse): void {
  const more = () => {
    if (!response.closed && response.write(' '.repeat(16_384))) setImmediate(more)
  }
  response.on('drain', more)
  more()
}

function drip(response: ServerResponse): void {
  const timer = setInterval(() => response.write(' '), 20)
  response.on('close', () => clearInterval(timer))
}

/** Says nothing about the key. */
const OUTAGES: readonly (readonly [what: string, misbehaviour: Misbehaviour, status: number | null])[] = [
  ...[408, 425, 429, 500, 502, 503, 504, 599].map((each) => [`answers ${each}`, refuses(each), each] as const),
  ['answers 500 without end', (response) => endless(response.writeHead(500)), 500],
  ['answers 503 one byte at a time', (response) => drip(response.writeHead(503)), 503],
  ['drops the connection', (response) => void response.socket?.destroy(), null],
  ['never answers', () => undefined, null],
  ['answers with headers and then nothing', (response) => json(response).flushHeaders(), 200],
  ['answers one byte at a time', (response) => drip(json(response)), 200],
  [
    'stops in the middle',
    (response) => void json(response, { 'content-length': '999' }).write('{', () => response.destroy()),
    200,
  ],
]

/** No answer of a token endpoint. A good one is in it wherever it can be. */
const good = (more: Readonly<Record<string, unknown>> = {}) => JSON.stringify(issuer.answer(more))
const INVALID: readonly (readonly [what: string, misbehaviour: Misbehaviour])[] = [
  ...[201, 202, 204, 206].map(
    (status) =>
      [
        `${status}`,
        (response: ServerResponse) =>
          void response.writeHead(status, { 'content-type': 'application/json' }).end(status === 204 ? '' : good()),
      ] as const,
  ),
  ...[301, 302, 303, 307, 308].map(
    (status) =>
      [
        `a redirect with ${status}`,
        (response: ServerResponse, { url }: { url?: string | undefined }) => {
          if (url === '/elsewhere') json(response).end(good())
          else response.writeHead(status, { location: '/elsewhere' }).end()
        },
      ] as const,
  ),
  ['text/html', (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end(good())],
  ['no media type', (response) => void response.writeHead(200).end(good())],
  ['10 MiB', (response) => void json(response).end(good() + ' '.repeat(10_485_760))],
  ['65,537 bytes', answers(() => good().padEnd(65_537))],
  ['spaces without end', (response) => endless(json(response))],
  ['16 MiB in 16 KiB of gzip', (response) => void json(response, { 'content-encoding': 'gzip' }).end(BOMB)],
  ['no UTF-8', (response) => void json(response).end(Buffer.from(good({ x: '\u00ff' }), 'latin1'))],
  ['nothing', answers(() => '')],
  ['half of an answer', answers(() => good().slice(0, -1))],
  ['a list', answers(() => `[${good()}]`)],
  ['null', answers(() => 'null')],
  ['a member twice', answers(() => good().replace('{', '{"scope":"read:patients",'))],
  ['brackets without end', answers(() => good().replace('{', `{"x":${'['.repeat(9999)}${']'.repeat(9999)},`))],
  ['all of it behind __proto__', answers(() => `{"__proto__":${good()}}`)],
  ...(
    [
      ['token_type', undefined, 'MAC', 'Bearer ', '', 1, ['Bearer'], null],
      ['access_token', undefined, '', 'a b', 'a\r\nx: y', '=', 'ä', 1, null, {}, 'a'.repeat(8193)],
      ['expires_in', undefined, 0, -1, 0.5, '3600', 86_401, 1e300, null, true],
      [
        'scope',
        undefined,
        '',
        ' ',
        ['read:patients'],
        'admin:org',
        'read:patients exec:agents admin:org',
        'read:patients  exec:agents',
        ' read:patients',
        'read:patients,exec:agents',
        'Read:patients',
        null,
      ],
      [
        'issued_at',
        '',
        'yesterday',
        '2026-03-18T12:00:00',
        '2026-03-18T12:00:00+01:00',
        '2026-13-18T12:00:00Z',
        0,
        null,
      ],
    ] as const
  ).flatMap(([member, ...values]) =>
    values.map(
      (value) =>
        [
          `${member} ${value === undefined ? 'left out' : JSON.stringify(value).slice(0, 40)}`,
          answers(() => good({ [member]: value })),
        ] as const,
    ),
  ),
]

test.each(INVALID)('the issuer answers with %s: invalid, and asked once', async (_what, misbehaviour) => {
  issuer.become(misbehaviour)
  const exchange = exchangeOf()
  const failed = failureOf(exchange)
  expect(await requestsOf(() => failed)).toBe(1)
  expect(await failed).toMatchObject({ code: 'EXCHANGE_INVALID', requestId: null, retryAfterSeconds: null })
  issuer.become(null)
  clock.advance(1000)
  expect((await exchange.token()).scopes).toEqual(SCOPES)
})

test.each([
  ['token_type in other letters', { token_type: 'bEARER' }],
  ['no issued_at', { issued_at: undefined }],
  ['issued_at with a fraction', { issued_at: '2026-03-18T12:00:00.123Z' }],
  ['scopes in another order, one of them twice', { scope: 'exec:agents read:patients exec:agents' }],
  ['members that mean nothing here', { refresh_token: 1, constructor: 2, org: [] }],
  ['a token of 8192 characters', { access_token: 'a'.repeat(8192) }],
])('an answer is good with %s', async (_what, more) => {
  issuer.become(answers(() => issuer.answer(more)))
  expect((await exchangeOf().token()).scopes.toSorted()).toEqual(SCOPES.toSorted())
})

test('an answer is good with a media type that has parameters, and with exactly 65,536 bytes', async () => {
  issuer.become(
    (response) => void json(response, { 'content-type': 'Application/JSON; charset=utf-8' }).end(good().padEnd(65_536)),
  )
  expect((await exchangeOf().token()).scopes).toEqual(SCOPES)
})

describe('an outage', () => {
  test.each(OUTAGES)('the issuer %s: unavailable within the deadline', async (_what, misbehaviour, issuerStatus) => {
    issuer.become(misbehaviour)
    const [exchange, start] = [exchangeOf(), performance.now()]
    const error = await failureOf(exchange)
    expect(error).toMatchObject({ code: 'EXCHANGE_UNAVAILABLE', issuerStatus, retryAfterSeconds: 1 })
    expect(performance.now() - start).toBeLessThan(TIMEOUT_MS + 1500)
    issuer.become(null)
    clock.advance(1000)
    expect((await exchange.token()).scopes).toEqual(SCOPES)
  })

  test('nobody listens: unavailable, with the code of the connection', async () => {
    const tcp = createTcpServer()
    await new Promise<void>((resolve) => {
      tcp.listen(0, '127.0.0.1', resolve)
    })
    const { port } = tcp.address() as AddressInfo
    await new Promise((resolve) => {
      tcp.close(resolve)
    })
    expect((await failureOf(exchangeOf({ url: `http://127.0.0.1:${port}/` }))).message).toMatch(
      /^The token endpoint at 127\.0\.0\.1:\d+ could not be reached \(ECONNREFUSED\)\. Nothing was decided; ask again/,
    )
  })

  test('a fetch that does not listen to its signal is left behind', async () => {
    const error = await failureOf(exchangeOf({ fetch: () => new Promise(() => undefined), timeoutMs: 30 }))
    expect(error).toMatchObject({ code: 'EXCHANGE_UNAVAILABLE', issuerStatus: null })
  })

  test.each([...OUTAGES, ...INVALID, ...REFUSALS].map(([what, misbehaviour]) => [what, misbehaviour] as const))(
    'goes unnoticed in the last minute of a token, until its very end: %s',
    async (_what, misbehaviour) => {
      const exchange = exchangeOf({ timeoutMs: TIMEOUT_MS })
      const { accessToken } = await exchange.token()
      issuer.become(misbehaviour)
      clock.advance(3_540_000)
      const before = issuer.asked.length
      expect((await exchange.token()).accessToken).toBe(accessToken)
      await until(() => issuer.asked.length > before)
      clock.advance(59_999)
      expect((await exchange.token()).accessToken).toBe(accessToken)
      clock.advance(1)
      expect(await failureOf(exchange)).toBeInstanceOf(ExchangeError)
      issuer.become(null)
      clock.advance(1000)
      expect((await exchange.token()).accessToken).not.toBe(accessToken)
    },
  )

  test('costs at most one request a second, whoever asks, with a token in hand and without', async () => {
    const exchange = exchangeOf()
    await exchange.token()
    issuer.become(refuses(500))
    clock.advance(3_540_000)
    const before = issuer.asked.length
    await exchange.token()
    await until(() => issuer.asked.length > before)
    // The answer is on its way; when it has come, nothing more is sent.
    await sleep(200)
    for (let each = 0; each < 100; each += 1) await exchange.token()
    expect(issuer.asked.length - before).toBe(1)
    exchange.forget()
    const calls = Array.from({ length: 100 }, () => failureOf(exchange))
    expect((await Promise.all(calls)).every(({ code }) => code === 'EXCHANGE_UNAVAILABLE')).toBe(true)
    expect(issuer.asked.length - before).toBe(1)
    clock.advance(1000)
    await Promise.all(Array.from({ length: 100 }, () => failureOf(exchange)))
    expect(issuer.asked.length - before).toBe(2)
  })

  const inSeconds = (seconds: number) => new Date(START + seconds * 1000).toUTCString()
  test.each([
    ['429', '30', 30],
    ['503', '30', 30],
    ['503', '1', 1],
    ['503', '0', 1],
    ['503', inSeconds(90), 90],
    ['503', inSeconds(-90), 1],
    ['503', '86400', 3600],
    ['503', inSeconds(86_400), 3600],
    ['503', '-5', 1],
    ['503', 'soon', 1],
    ['503', '2999-01-01', 1],
  ])('with %s and Retry-After: %s sends nothing for %s seconds', async (status, retryAfter, seconds) => {
    issuer.become(refuses(Number(status), { 'retry-after': retryAfter }))
    const exchange = exchangeOf()
    expect(await failureOf(exchange)).toMatchObject({ issuerStatus: Number(status), retryAfterSeconds: seconds })
    issuer.become(null)
    clock.advance(seconds * 1000 - 1)
    const early = await requestsOf(async () =>
      expect(await failureOf(exchange)).toMatchObject({ code: 'EXCHANGE_UNAVAILABLE', retryAfterSeconds: 1 }),
    )
    clock.advance(1)
    expect([early, await requestsOf(() => exchange.token())]).toEqual([0, 1])
  })

  test('is over once an exchange has succeeded, and the next one begins with a second again', async () => {
    issuer.become(refuses(503, { 'retry-after': '100' }))
    const exchange = exchangeOf()
    expect(await failureOf(exchange)).toMatchObject({ retryAfterSeconds: 100 })
    clock.advance(40_000)
    expect(await failureOf(exchange)).toMatchObject({ retryAfterSeconds: 60 })
    clock.advance(60_000)
    issuer.become(null)
    await exchange.token()
    exchange.forget()
    issuer.become(refuses(500))
    expect(await failureOf(exchange)).toMatchObject({ issuerStatus: 500, retryAfterSeconds: 1 })
  })

  test('a connection that was kept and is found closed is none', async () => {
    let resets = 0
    issuer.become((response) => {
      resets += 1
      if (resets === 1) response.socket?.destroy()
      else json(response).end(good())
    })
    expect((await exchangeOf().token()).scopes).toEqual(SCOPES)
    expect(resets).toBe(2)
  })

  test('is never the caller\u2019s 401: an Express route that lets the error through answers 500', async () => {
    issuer.revoke(key)
    const exchange = exchangeOf()
    const app = express().get('/', async (_request, response) => void response.json(await exchange.token()))
    app.set('env', 'test')
    expect((await request(app).get('/')).status).toBe(500)
  })
})

describe('neither key nor token', () => {
  const accessToken = jwt({ jti: 'a canary among tokens', iat: 1, exp: 3601 })
  const search = () =>
    searchFor([
      { name: 'key', text: key, parts: [key.slice(11)] },
      { name: 'token', text: accessToken, parts: accessToken.split('.').filter((part) => part.length > 9) },
    ])
  const shown = (value: unknown) =>
    [
      inspect(value, { showHidden: true, depth: 9, getters: true }),
      inspect({ value }, { depth: 9 }),
      String(value instanceof Error ? value.stack : value),
      JSON.stringify(value),
      JSON.stringify({ ...Object(value) }),
      value instanceof Error ? inspect([value.message, value.cause]) : '',
    ].join('\n')

  test('is shown by what exchangeKey returns, and by a token', async () => {
    issuer.become(answers(() => issuer.answer({ access_token: accessToken })))
    const exchange = exchangeOf()
    const token = await exchange.token()
    expect(token.accessToken).toBe(accessToken)
    expect(search()(`${shown(exchange)}${shown(token)}`)).toEqual([])
    expect(inspect(exchange)).toContain(issuer.url.host)
    expect(JSON.parse(JSON.stringify(token))).toEqual({ expiresAt: '2026-03-18T13:00:00.000Z', scopes: SCOPES })
  })

  test('is shown by a header, but to whoever reads or spreads it', async () => {
    issuer.become(answers(() => issuer.answer({ access_token: accessToken })))
    const header = await exchangeOf().authorization()
    expect(search()(`${inspect(header, { showHidden: true })}${JSON.stringify(header)}`)).toEqual([])
    expect(header.authorization).toContain(accessToken)
  })

  const ECHOES: readonly (readonly [what: string, echo: (secret: string) => string])[] = [
    ['plain', (secret) => secret],
    ['without its prefix', (secret) => secret.slice(11)],
    ['in capitals', (secret) => secret.toUpperCase()],
    ['in hex', (secret) => Buffer.from(secret.slice(11)).toString('hex').slice(0, 64)],
    ['in base64url', (secret) => Buffer.from(secret.slice(11)).toString('base64url')],
    ['in base64url behind a letter', (secret) => Buffer.from(`x${secret.slice(11)}`).toString('base64url')],
    ['in base64url behind two', (secret) => Buffer.from(`xy${secret.slice(11)}`).toString('base64url')],
    ['behind a prefix', (secret) => `req_${secret.slice(11)}`],
    ['in URL form', (secret) => encodeURIComponent(`${secret} `)],
  ]
  test.each(ECHOES)('is in an error where the issuer echoes it %s, wherever it can', async (_what, echo) => {
    // The documented form is shorter, so that each echo fits into a request id; letters alone fit into a code.
    for (const each of [`hc_live_sk_AbCdwxYzqkLmNpQr`, 'hc_test_sk_QwErTyUiOpAsDfGh']) {
      key = each
      const text = echo(each)
      const error = { code: text, requestId: text, message: text, [text]: text }
      for (const body of [{ error }, { error: text }, text, { access_token: text, token_type: text, scope: text }]) {
        for (const status of [200, 302, 400, 401, 403, 429, 503]) {
          issuer.become((response) =>
            response
              .writeHead(status, {
                'content-type': 'application/json',
                'retry-after': text,
                location: `/${text}`,
                'x-request-id': text,
              })
              .end(JSON.stringify(body)),
          )
          expect(search()(shown(await failureOf(exchangeOf({ key: each }))))).toEqual([])
        }
      }
    }
  })

  test.each([newKey(), newKey('test').toUpperCase(), `x${jwt({}).slice(0, 40)}`])(
    'of anybody else is in an error either: %s',
    async (text) => {
      issuer.become((response) =>
        response.writeHead(401).end(JSON.stringify({ error: { code: 'X_Y', requestId: text } })),
      )
      expect(await failureOf(exchangeOf())).toMatchObject({ issuerCode: 'X_Y', requestId: null })
    },
  )

  test('is in an error that comes from fetch itself', async () => {
    const error = await failureOf(
      exchangeOf({
        fetch: async (_url, init) => Promise.reject(new Error(inspect(init), { cause: new Error(key) })),
      }),
    )
    expect(error.code).toBe('EXCHANGE_UNAVAILABLE')
    expect(search()(shown(error))).toEqual([])
  })

  test('is in an error where a token is no token', async () => {
    issuer.become(answers(() => issuer.answer({ access_token: `${accessToken} ` })))
    expect(search()(shown(await failureOf(exchangeOf())))).toEqual([])
  })
})

describe('a polluted prototype', () => {
  const MEMBERS: Readonly<Record<string, unknown>> = {
    toJSON: () => 'x',
    redirect: 'follow',
    method: 'PUT',
    fetch: () => undefined,
    timeoutMs: 0,
    refreshBeforeSeconds: 3600,
    clock: null,
    extra: 1,
    statusText: '\n',
    value: 1,
    writable: true,
    enumerable: true,
    start: 1,
    cause: 1,
    headers: { authorization: 'x' },
    access_token: 'stolen',
    problem: 'x',
  }

  test.each([...Object.entries(MEMBERS).map(([name, value]) => ({ [name]: value })), MEMBERS])(
    'changes nothing: %o',
    async (members) => {
      const [accessToken, before] = [jwt({ iat: 1, exp: 3601 }), issuer.asked.length]
      const text = JSON.stringify(issuer.answer({ access_token: accessToken }))
      issuer.become(answers(() => text))
      const token = await polluted(members, () => exchangeKey({ url: issuer.url, key, scopes: SCOPES }).token())
      expect([token.accessToken, token.scopes]).toEqual([accessToken, SCOPES])
      expect(issuer.asked.slice(before).map(({ method, body }) => [method, body])).toEqual([
        ['POST', '{"scope":["read:patients","exec:agents"]}'],
      ])
    },
  )

  test.each([{ status: 200 }, { status: 500 }, { body: 'x' }, { error: { code: 'X' } }])(
    "that misleads Node's own fetch makes an outage at most: %o",
    async (members) => {
      const exchange = exchangeOf({ key: newKey() })
      const error = await polluted(members, () => failureOf(exchange))
      expect(error.code).toMatch(/^EXCHANGE_/)
      clock.advance(1000)
      expect(await failureOf(exchange)).toMatchObject({ code: 'EXCHANGE_REFUSED', issuerStatus: 401 })
    },
  )

  test('gives no option, and completes no answer', async () => {
    await polluted({ key, url: issuer.url, scopes: SCOPES }, () => {
      expect(() => exchangeKey({} as ExchangeKeyOptions)).toThrow(ConfigError)
    })
    issuer.become(answers(() => issuer.answer({ scope: undefined })))
    const failed = await polluted({ scope: 'read:patients' }, () => failureOf(exchangeOf()))
    expect(failed.code).toBe('EXCHANGE_INVALID')
  })
})

describe('an option', () => {
  const MISTAKES: readonly (readonly [what: string, options: unknown, code: string, option: string])[] = [
    ['all of them left out', undefined, 'CONFIG_MISSING', 'exchangeKey'],
    ['url left out', { url: undefined }, 'CONFIG_MISSING', 'exchangeKey.url'],
    ['url over http', { url: 'http://issuer.example/v1/auth/token' }, 'CONFIG_INVALID', 'exchangeKey.url'],
    ['url that only begins like loopback', { url: 'http://127.0.0.1.example/' }, 'CONFIG_INVALID', 'exchangeKey.url'],
    ['url that is none', { url: 'issuer' }, 'CONFIG_INVALID', 'exchangeKey.url'],
    ['url of a file', { url: 'file:///etc/passwd' }, 'CONFIG_INVALID', 'exchangeKey.url'],
    ['url with a password', { url: 'https://a:b@issuer.example/' }, 'CONFIG_INVALID', 'exchangeKey.url'],
    ['key left out', { key: undefined }, 'CONFIG_MISSING', 'exchangeKey.key'],
    ['key empty', { key: '' }, 'CONFIG_MISSING', 'exchangeKey.key'],
    ['key with its scheme', { key: 'Bearer hc_live_sk_AbC12xYz9kLmNpQr' }, 'CONFIG_INVALID', 'exchangeKey.key'],
    ['key with a line end', { key: 'hc_live_sk_AbC12xYz9kLmNpQr\r\n' }, 'CONFIG_INVALID', 'exchangeKey.key'],
    ['scopes left out', { scopes: undefined }, 'CONFIG_MISSING', 'exchangeKey.scopes'],
    ['no scopes', { scopes: [] }, 'CONFIG_INVALID', 'exchangeKey.scopes'],
    ['scopes as text', { scopes: 'read:patients' }, 'CONFIG_INVALID', 'exchangeKey.scopes'],
    ['a scope with a quote', { scopes: ['read:patients', '"],"x":["'] }, 'CONFIG_INVALID', 'exchangeKey.scopes[1]'],
    ['a scope that is a number', { scopes: [1] }, 'CONFIG_INVALID', 'exchangeKey.scopes[0]'],
    ['a scope twice', { scopes: ['exec:agents', 'exec:agents'] }, 'CONFIG_INVALID', 'exchangeKey.scopes[1]'],
    ['fetch that is none', { fetch: {} }, 'CONFIG_INVALID', 'exchangeKey.fetch'],
    ['timeoutMs 0', { timeoutMs: 0 }, 'CONFIG_INVALID', 'exchangeKey.timeoutMs'],
    ['timeoutMs as text', { timeoutMs: '5000' }, 'CONFIG_INVALID', 'exchangeKey.timeoutMs'],
    ['timeoutMs NaN', { timeoutMs: Number.NaN }, 'CONFIG_INVALID', 'exchangeKey.timeoutMs'],
    ['timeoutMs too long', { timeoutMs: 30_001 }, 'CONFIG_INVALID', 'exchangeKey.timeoutMs'],
    ['refreshBeforeSeconds -1', { refreshBeforeSeconds: -1 }, 'CONFIG_INVALID', 'exchangeKey.refreshBeforeSeconds'],
    ['a clock that is none', { clock: { now: 1 } }, 'CONFIG_INVALID', 'exchangeKey.clock'],
    ['a name misspelt', { scope: ['read:patients'] }, 'CONFIG_UNKNOWN_OPTION', 'exchangeKey.scope'],
  ]
  test.each(MISTAKES)('%s is a mistake', (_what, options, code, option) => {
    const given = options === undefined ? options : { url: issuer.url, key, scopes: SCOPES, ...Object(options) }
    expect(() => exchangeKey(given as ExchangeKeyOptions)).toThrow(expect.objectContaining({ code, option }))
  })

  test('is not repeated in an error, the key least of all', () => {
    for (const options of [{ key: `${key} ` }, { [key]: 1 }, { url: key }, { scopes: [`${key} `] }]) {
      const given = { url: issuer.url, key, scopes: SCOPES, ...options } as ExchangeKeyOptions
      expect(() => exchangeKey(given)).toThrow(expect.objectContaining({ message: expect.not.stringContaining(key) }))
    }
  })
})
