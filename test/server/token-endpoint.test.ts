import * as fc from 'fast-check'
import { createLocalJWKSet, decodeJwt, jwtVerify, type JSONWebKeySet } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError, createAuth, GuardError, memoryKeyStore, type Auth } from '../../src/index.ts'
import { authOfHandler, jwksEndpoint, tokenEndpoint, type ServerHandler } from '../../src/server/index.ts'
import { SCOPES } from '../../src/scopes.ts'
import { recordOf } from '../keys/parts.ts'
import {
  AUDIENCE,
  CALLER,
  createServerWorld,
  exchange,
  ISSUER,
  KEYS,
  records,
  send,
  START,
  tokenOf,
  type Sent,
  type ServerWorld,
} from './server-world.ts'

let world: ServerWorld
let handler: ServerHandler

beforeAll(() => {
  world = createServerWorld()
  handler = tokenEndpoint(world.auth)
})
beforeEach(() => world.events())
afterAll(() => world.close())

describe('the documented exchange', () => {
  test('answers to the letter: members, their order, and the instant in whole seconds', async () => {
    const response = await exchange(handler, ['read:patients', 'exec:agents'])
    expect(response.status).toBe(200)
    const text = await response.text()
    const token = (JSON.parse(text) as { access_token: string }).access_token
    expect(text).toBe(
      `{"access_token":"${token}","token_type":"Bearer","expires_in":3600,` +
        '"scope":"read:patients exec:agents","issued_at":"2026-03-18T12:00:00Z"}',
    )
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-request-id': expect.stringMatching(/^req_[\da-f]{24}$/),
    })
  })

  test('mints what jose verifies by the published keys, and what our own guard accepts', async () => {
    const token = await tokenOf(exchange(handler, 'read:patients exec:agents'))
    const keySet = await (await send(jwksEndpoint(world.auth), { method: 'GET' })).json()
    const { payload } = await jwtVerify(token, createLocalJWKSet(keySet as JSONWebKeySet), {
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: 'at+jwt',
      algorithms: ['RS256'],
      currentDate: new Date(START),
    })
    expect(payload).toMatchObject({
      sub: 'key_good',
      client_id: 'key_good',
      org: 'org_1',
      env: 'live',
      scope: 'read:patients exec:agents',
    })
    const verdict = await world.auth.verify(token, {
      ip: null,
      secure: null,
      operation: 'x',
      scopes: ['read:patients'],
    })
    expect(verdict).toMatchObject({ ok: true, principal: { kind: 'access-token', keyId: 'key_good' } })
  })

  test('is one auth event that names the key, the scopes and the token', async () => {
    const token = await tokenOf(exchange(handler, ['exec:agents'], { headers: { 'x-request-id': 'abc-1' } }))
    expect(await world.events()).toEqual([
      expect.objectContaining({
        kind: 'auth',
        name: 'token.exchange',
        outcome: 'success',
        reason: null,
        action: 'E',
        actor: {
          kind: 'api-key',
          org: 'org_1',
          keyId: 'key_good',
          sub: null,
          jti: decodeJwt(token).jti,
          graceEnds: null,
          by: null,
        },
        scopes: { granted: ['read:patients', 'exec:agents', 'admin:org'], required: ['exec:agents'] },
        client: { ip: '203.0.113.7', via: 0 },
        requestId: 'abc-1',
        http: null,
        phi: null,
      }),
    ])
  })

  test.each<readonly [what: string, key: string, expiresIn: number, headers: Record<string, string>]>([
    ['a key that ends sooner', KEYS.ending, 90, {}],
    ['a rotated key', KEYS.grace, 600, { 'healthcloud-key-expires': 'Wed, 18 Mar 2026 12:10:00 GMT' }],
    ['a key with an allowlist, from there', KEYS.fenced, 3600, {}],
  ])('%s gets a token that does not outlive it', async (_what, key, expiresIn, headers) => {
    const response = await exchange(handler, ['exec:agents'], { key })
    expect(await response.json()).toMatchObject({ expires_in: expiresIn })
    expect(Object.fromEntries(response.headers)).toMatchObject(headers)
  })
})

type Refusal = readonly [what: string, sent: Sent, status: number, code: string, reason: string]

const json = { 'content-type': 'application/json' }
const BODY = '{"scope":["exec:agents"]}'
const good: Sent = { key: KEYS.good, headers: json, body: BODY }
const withBody = (body: Sent['body'], headers: Record<string, string> = json): Sent => ({
  key: KEYS.good,
  headers,
  body,
})
const withKey = (key: string | null): Sent => ({ ...good, key })
const bytes = (...list: number[]) => new Uint8Array(list)
const nested = (open: string, close: string, depth: number) =>
  `{"scope":["exec:agents"],"x":${open.repeat(depth)}1${close.repeat(depth)}}`

const REFUSALS: readonly Refusal[] = [
  ['no credential', withKey(null), 401, 'UNAUTHORIZED', 'credential_missing'],
  [
    'another scheme',
    { ...good, key: null, headers: { ...json, authorization: 'Basic eA==' } },
    401,
    'UNAUTHORIZED',
    'scheme_unsupported',
  ],
  ['an unknown key', withKey(KEYS.unknown), 401, 'UNAUTHORIZED', 'key_unknown'],
  ['a revoked key', withKey(KEYS.revoked), 401, 'UNAUTHORIZED', 'key_revoked'],
  ['an expired key', withKey(KEYS.expired), 401, 'UNAUTHORIZED', 'key_expired'],
  ['a rotated-out key', withKey(KEYS.rotatedOut), 401, 'UNAUTHORIZED', 'key_rotated_out'],
  ['a key with less than a second left', withKey(KEYS.ended), 401, 'UNAUTHORIZED', 'key_expired'],
  ['a key of the test environment', withKey(KEYS.test), 401, 'UNAUTHORIZED', 'environment_mismatch'],
  ['a malformed key', withKey('hc_live_sk_x'), 401, 'UNAUTHORIZED', 'key_malformed'],
  [
    'two credentials',
    { ...good, key: null, headers: { ...json, authorization: `Bearer ${KEYS.good}, Bearer ${KEYS.good}` } },
    400,
    'INVALID_REQUEST',
    'credential_duplicate',
  ],
  ['plain HTTP', { ...good, caller: { ip: '203.0.113.7', secure: false } }, 403, 'HTTPS_REQUIRED', 'https_required'],
  [
    'an address that is not allowed',
    { ...withKey(KEYS.fenced), caller: { ip: '198.51.100.1', secure: true } },
    403,
    'IP_NOT_ALLOWED',
    'ip_not_allowed',
  ],
  [
    'an unknown address, for a key with an allowlist',
    { ...withKey(KEYS.fenced), caller: { ip: null, secure: true } },
    403,
    'IP_NOT_ALLOWED',
    'ip_not_allowed',
  ],
  ['GET', { key: KEYS.good, method: 'GET' }, 405, 'METHOD_NOT_ALLOWED', 'request_malformed'],
  ['PUT', { ...good, method: 'PUT' }, 405, 'METHOD_NOT_ALLOWED', 'request_malformed'],
  ['no body', { key: KEYS.good, headers: json }, 400, 'INVALID_REQUEST', 'request_malformed'],
  ['an empty body', withBody(''), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['no content type', withBody(new Blob([BODY]), {}), 400, 'INVALID_REQUEST', 'request_malformed'],
  [
    'a form',
    withBody('scope=exec:agents', { 'content-type': 'application/x-www-form-urlencoded' }),
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  [
    'JSON that calls itself text',
    withBody(BODY, { 'content-type': 'text/plain' }),
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  [
    'JSON of another type',
    withBody(BODY, { 'content-type': 'application/json-patch+json' }),
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  ['half an object', withBody('{"scope":["exec:agents"]'), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['a list', withBody('["exec:agents"]'), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['null', withBody('null'), 400, 'INVALID_REQUEST', 'request_malformed'],
  [
    'a member written twice',
    withBody('{"scope":["exec:agents"],"scope":["admin:org"]}'),
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  [
    'a member written twice, once escaped',
    withBody('{"scope":["exec:agents"],"sc\\u006fpe":["admin:org"]}'),
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  [
    'a member written twice further down',
    withBody('{"scope":["exec:agents"],"x":{"a":1,"a":2}}'),
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  ['lists within lists', withBody(nested('[', ']', 5000)), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['objects within objects', withBody(nested('{"a":', '}', 2000)), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['no UTF-8', withBody(bytes(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['an overlong encoding', withBody(bytes(0x22, 0xc0, 0xaf, 0x22)), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['UTF-16', withBody(Buffer.from(BODY, 'utf16le')), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['a byte order mark', withBody(`\ufeff${BODY}`), 400, 'INVALID_REQUEST', 'request_malformed'],
  ['16 KiB and a byte', withBody(BODY.padEnd(16_385)), 400, 'INVALID_REQUEST', 'request_malformed'],
  [
    'a length that is a lie',
    withBody(BODY, { ...json, 'content-length': '16385' }),
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  // What is malformed is said before anybody asks who sent it; what a key may have only to a key.
  [
    'a malformed body and an unknown key',
    { ...withKey(KEYS.unknown), body: '{' },
    400,
    'INVALID_REQUEST',
    'request_malformed',
  ],
  [
    'an unknown scope and an unknown key',
    { ...withKey(KEYS.unknown), body: '{"scope":"x"}' },
    401,
    'UNAUTHORIZED',
    'key_unknown',
  ],
  [
    'plain HTTP and a malformed body',
    { ...good, body: '{', caller: { ip: null, secure: false } },
    403,
    'HTTPS_REQUIRED',
    'https_required',
  ],
  [
    'an address that is not allowed and an unknown scope',
    { ...withKey(KEYS.fenced), body: '{"scope":"x"}', caller: { ip: null, secure: true } },
    403,
    'IP_NOT_ALLOWED',
    'ip_not_allowed',
  ],
]

describe('what is refused', () => {
  test.each(REFUSALS)('%s', async (_what, sent, status, code, reason) => {
    const response = await send(handler, sent)
    const body = (await response.json()) as { error: Record<string, string> }
    expect([response.status, body.error['code']]).toEqual([status, code])
    expect(Object.keys(body.error)).toEqual(['code', 'message', 'requestId', 'docsUrl'])
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('x-request-id')).toBe(body.error['requestId'])
    expect(response.headers.get('allow')).toBe(status === 405 ? 'POST' : null)
    expect(response.headers.get('www-authenticate')).toBe(challenge(status, reason))
    const events = await world.events()
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({ kind: 'auth', name: 'token.exchange', outcome: 'denied', reason })
    expect(JSON.stringify(events)).not.toContain('hc_live_sk_')
  })

  const challenge = (status: number, reason: string) => {
    if (status !== 401) return null
    const none = reason === 'credential_missing' || reason === 'scheme_unsupported'
    return `Bearer realm="healthcloud"${none ? '' : ', error="invalid_token"'}`
  }

  test('HEAD: the headers of the refusal, and no body', async () => {
    const response = await send(handler, { key: KEYS.good, method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([405, ''])
  })

  test('a JWT cannot be exchanged, good or bad: 401 with the message for tokens', async () => {
    const token = await tokenOf(exchange(handler, ['exec:agents']))
    await world.events()
    for (const key of [token, 'eyJ.eyJ.x']) {
      const response = await exchange(handler, ['exec:agents'], { key })
      expect(response.status).toBe(401)
      expect(await response.json()).toMatchObject({ error: { message: 'Invalid or expired access token.' } })
    }
    const events = await world.events()
    expect(events.map(({ reason, actor }) => [reason, actor.kind])).toEqual([
      ['credential_not_accepted', 'access-token'],
      ['credential_not_accepted', 'access-token'],
    ])
  })

  test('over plain HTTP the event still names the key that must be rotated', async () => {
    await exchange(handler, ['exec:agents'], { caller: { ip: '203.0.113.7', secure: false } })
    expect((await world.events())[0]).toMatchObject({ reason: 'https_required', actor: { keyId: 'key_good' } })
  })

  test('a caller of whom nothing is said, and one with inherited members, came unencrypted', async () => {
    const request = () =>
      new Request('https://x.example/', {
        method: 'POST',
        headers: { ...json, authorization: `Bearer ${KEYS.good}` },
        body: BODY,
      })
    const callers = [
      undefined,
      null,
      {},
      Object.create(CALLER),
      { ip: 5, secure: 'true' },
    ] as unknown as readonly (typeof CALLER)[]
    for (const caller of callers) expect((await handler(request(), caller)).status).toBe(403)
  })
})

describe('scope', () => {
  const message = async (scope: unknown) => {
    const response = await exchange(handler, scope)
    const { error } = (await response.json()) as { error?: { code: string; message: string } }
    return [response.status, error?.code, error?.message]
  }
  const FORM = 'The member scope is a list of scopes, or scopes with one space between them.'
  const NONE = `Scope is required: name at least one. ${FORM}`

  test.each<readonly [what: string, scope: unknown, message: string]>([
    ['missing', undefined, NONE],
    ['null', null, NONE],
    ['an empty list', [], NONE],
    ['an empty text', '', NONE],
    ['a number', 5, FORM],
    ['an object', { 0: 'exec:agents', length: 1 }, FORM],
    ['true', true, FORM],
    ['a number in the list', ['exec:agents', 5], FORM],
    ['null in the list', [null], FORM],
    ['a list in the list', [['exec:agents']], FORM],
    ['two in one text of the list', ['read:patients exec:agents'], FORM],
    ['two spaces', 'read:patients  exec:agents', FORM],
    ['a space at the end', 'read:patients ', FORM],
    ['a tab', 'read:patients\texec:agents', FORM],
    ['an unknown one', ['read:patient', 'exec:agents'], 'Unknown scope: read:patient.'],
    ['one of an object', ['constructor'], 'Unknown scope: constructor.'],
    ['all of them, so to say', '*', 'Unknown scope: *.'],
    ['two unknown ones', 'a b', 'Unknown scopes: a, b.'],
    [
      'one that the key does not hold',
      ['read:patients', 'admin:billing'],
      'This API key does not hold scope: admin:billing.',
    ],
    [
      'two that it does not hold',
      'write:patients publish:assets',
      'This API key does not hold scopes: write:patients, publish:assets.',
    ],
    ['a key in the wrong place', [KEYS.other], 'Unknown scope: (a credential).'],
    [
      'thousands',
      Array.from({ length: 1500 }, (_, index) => `s${index}`),
      `Unknown scopes: ${Array.from({ length: 10 }, (_, index) => `s${index}`).join(', ')}, and 1490 more.`,
    ],
  ])('%s: 400 INVALID_SCOPE', async (_what, scope, expected) => {
    expect(await message(scope)).toEqual([400, 'INVALID_SCOPE', expected])
    expect((await world.events())[0]).toMatchObject({
      outcome: 'denied',
      reason: 'scope_invalid',
      actor: { keyId: 'key_good' },
    })
  })

  test('what is not known never stands in the event', async () => {
    await exchange(handler, ['exec:agents', 'patient-47110815471108154711'])
    const [event] = await world.events()
    expect(event?.scopes.required).toEqual(['exec:agents'])
    expect(JSON.stringify(event)).not.toContain('47110815471108154711')
  })

  test('one that is named twice counts once; order is that of the request', async () => {
    const response = await exchange(handler, ['exec:agents', 'read:patients', 'exec:agents'])
    expect(await response.json()).toMatchObject({ scope: 'exec:agents read:patients' })
  })

  test('a key without scopes gets no token', async () => {
    expect((await exchange(handler, ['read:patients'], { key: KEYS.bare })).status).toBe(400)
  })

  test('other members are ignored, whatever they ask for', async () => {
    const body = JSON.stringify({
      scope: ['exec:agents'],
      orgId: 'org_2',
      org: 'org_2',
      env: 'test',
      expires_in: 86_400,
      ttl: 86_400,
      aud: 'x',
      sub: 'key_other',
      grant_type: 'password',
      scopes: ['admin:org'],
      __proto__x: { scope: ['admin:org'] },
    })
    const response = await exchange(handler, null, { body: body.replace('__proto__x', '__proto__') })
    const answer = (await response.json()) as { access_token: string; expires_in: number; scope: string }
    expect([answer.expires_in, answer.scope]).toEqual([3600, 'exec:agents'])
    expect(decodeJwt(answer.access_token)).toMatchObject({ org: 'org_1', env: 'live', aud: AUDIENCE, sub: 'key_good' })
  })

  test('16 KiB to the byte, a charset and capitals are taken', async () => {
    const headers = { 'content-type': 'Application/JSON ; charset=UTF-8' }
    expect((await exchange(handler, null, { body: BODY.padEnd(16_384), headers })).status).toBe(200)
  })

  test('whatever is asked: a token holds what was requested of what the key holds, and ends with it, or there is none', async () => {
    const known = Object.keys(SCOPES)
    const own = createServerWorld({ store: memoryKeyStore() })
    const endpoint = tokenEndpoint(own.auth)
    const any = fc.array(fc.oneof(fc.constantFrom(...known), fc.string({ maxLength: 12 })), { maxLength: 6 })
    const asked = fc
      .tuple(fc.subarray(known), fc.boolean())
      .chain(([held, within]) =>
        fc.tuple(fc.constant(held), within && held.length > 0 ? fc.subarray(held, { minLength: 1 }) : any),
      )
    const restMs = fc.option(fc.integer({ min: 1000, max: 10_000_000 }))
    let tokens = 0
    try {
      await fc.assert(
        fc.asyncProperty(asked, restMs, fc.boolean(), async ([held, requested], rest, asText) => {
          const { key, record } = await own.auth.keys.create({
            organizationId: 'org_1',
            environment: 'live',
            name: 'k',
            by: 'tests',
            scopes: held as (keyof typeof SCOPES)[],
            expiresAt: rest === null ? null : new Date(START + rest),
          })
          const scope = asText ? requested.join(' ') : requested
          const words = typeof scope === 'string' ? scope.split(' ') : scope
          const response = await exchange(endpoint, scope, { key })
          const isGood = words.length > 0 && words.every((word) => held.includes(word))
          expect(response.status).toBe(isGood ? 200 : 400)
          if (!isGood) return
          tokens += 1
          const answer = (await response.json()) as { access_token: string; expires_in: number }
          const claims = decodeJwt(answer.access_token)
          expect(new Set(String(claims['scope']).split(' '))).toEqual(new Set(words))
          expect(claims['client_id']).toBe(record.id)
          const most = Math.min(3600, Math.floor((rest ?? Number.POSITIVE_INFINITY) / 1000))
          expect([answer.expires_in, Number(claims.exp) - Number(claims.iat)]).toEqual([most, most])
        }),
        { numRuns: 100 },
      )
    } finally {
      await own.close()
    }
    expect(tokens).toBeGreaterThanOrEqual(20)
  })
})

describe('a body', () => {
  const stream = (
    pull: (controller: ReadableStreamDefaultController<unknown>, turn: number) => void,
    onCancel = () => {},
  ) => {
    let turn = 0
    return new ReadableStream<Uint8Array>(
      { pull: (controller) => pull(controller, turn++), cancel: onCancel },
      { highWaterMark: 0 },
    )
  }

  test('that never ends is read to 16 KiB and no further, and not cancelled: its connection has an answer to carry', async () => {
    let [read, cancelled] = [0, false]
    const body = stream(
      (controller) => {
        read += 1024
        controller.enqueue(new Uint8Array(1024).fill(32))
      },
      () => {
        cancelled = true
      },
    )
    const response = await exchange(handler, null, { body })
    expect([response.status, read, cancelled]).toEqual([400, 17 * 1024, false])
  })

  test('that comes byte by byte is read whole', async () => {
    const body = stream((controller, turn) => {
      if (turn < BODY.length) controller.enqueue(bytes(BODY.charCodeAt(turn)))
      else controller.close()
    })
    expect((await exchange(handler, null, { body })).status).toBe(200)
  })

  test('that breaks off ends cleanly: one event, aborted, nothing is minted', async () => {
    const body = stream((controller, turn) => {
      if (turn === 0) controller.enqueue(bytes(0x7b))
      else controller.error(new DOMException('gone', 'AbortError'))
    })
    expect((await exchange(handler, null, { body })).status).toBe(499)
    expect(await world.events()).toMatchObject([{ outcome: 'aborted', reason: 'client_aborted', actor: { jti: null } }])
  })

  test('that somebody has read before is a mistake of the host: 500, and the event says so', async () => {
    const request = new Request('https://x.example/', {
      method: 'POST',
      headers: { ...json, authorization: `Bearer ${KEYS.good}` },
      body: BODY,
    })
    await request.text()
    expect((await handler(request, CALLER)).status).toBe(500)
    expect(await world.events()).toMatchObject([{ outcome: 'error', reason: 'handler_error' }])
  })
})

describe('outages', () => {
  test('a store that is down: 503, never 401', async () => {
    const down = { ...memoryKeyStore(), find: () => Promise.reject(new Error('down')) }
    const own = createServerWorld({ store: down })
    const response = await exchange(tokenEndpoint(own.auth), ['exec:agents'])
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await response.json()).toMatchObject({ error: { code: 'AUTH_UNAVAILABLE' } })
    expect(await own.events()).toMatchObject([{ outcome: 'error', reason: 'store_unavailable' }])
    await own.close()
  })

  test('a live call that cannot be audited: 503 AUDIT_UNAVAILABLE, and nothing is minted', async () => {
    const own = createServerWorld({ audit: { directory: '/proc/nowhere' } })
    const response = await exchange(tokenEndpoint(own.auth), ['exec:agents'])
    const text = await response.text()
    expect(response.status).toBe(503)
    expect(text).toContain('AUDIT_UNAVAILABLE')
    expect(text).not.toContain('eyJ')
    const granted = await own.auth.tokens.exchange({ key: KEYS.good, scopes: ['exec:agents'] })
    expect(granted).toMatchObject({ ok: false, status: 503, code: 'AUDIT_UNAVAILABLE', retryAfterSeconds: 1 })
    expect((await exchange(tokenEndpoint(own.auth), ['exec:agents'], { key: KEYS.unknown })).status).toBe(401)
    await own.auth.close()
  })

  test('closing: 503', async () => {
    const own = createServerWorld()
    const endpoint = tokenEndpoint(own.auth)
    await own.close()
    expect((await exchange(endpoint, ['exec:agents'])).status).toBe(503)
    expect(await own.auth.tokens.exchange({ key: KEYS.good, scopes: ['exec:agents'] })).toMatchObject({
      reason: 'closing',
    })
  })

  test('an address over its budget: 429 for a key that is not known yet, and no look-up', async () => {
    let finds = 0
    const memory = memoryKeyStore(records())
    const store: typeof memory = { ...memory, find: (lookup, context) => ((finds += 1), memory.find(lookup, context)) }
    const own = createServerWorld({ store, failures: { max: 1 } })
    const endpoint = tokenEndpoint(own.auth)
    expect((await exchange(endpoint, ['exec:agents'], { key: KEYS.unknown })).status).toBe(401)
    const response = await exchange(endpoint, ['exec:agents'])
    expect([response.status, response.headers.get('retry-after'), finds]).toEqual([429, '60', 1])
    expect((await exchange(endpoint, ['exec:agents'], { caller: { ip: '198.51.100.9', secure: true } })).status).toBe(
      200,
    )
    await own.close()
  })
})

describe('auth.tokens.exchange', () => {
  test('mints what the endpoint mints, and shows the token to nobody who prints it', async () => {
    const granted = await world.auth.tokens.exchange({ key: KEYS.good, scopes: ['exec:agents'] })
    if (!granted.ok) throw new Error(granted.reason)
    expect(decodeJwt(granted.accessToken)).toMatchObject({ scope: 'exec:agents', jti: granted.tokenId })
    expect([granted.expiresInSeconds, granted.issuedAt, granted.expiresAt, granted.scopes]).toEqual([
      3600,
      new Date(START),
      new Date(START + 3_600_000),
      ['exec:agents'],
    ])
    expect(JSON.stringify(granted)).not.toContain(granted.accessToken)
    expect(await world.events()).toMatchObject([{ name: 'token.exchange', outcome: 'success', requestId: null }])
  })

  test.each<readonly [what: string, request: object, status: number, reason: string]>([
    ['an unknown key', { key: KEYS.unknown, scopes: ['exec:agents'] }, 401, 'key_unknown'],
    ['a JWT', { key: 'a.b.c', scopes: ['exec:agents'] }, 401, 'credential_not_accepted'],
    ['a scope that is not held', { key: KEYS.good, scopes: ['admin:billing'] }, 400, 'scope_invalid'],
    ['an unknown scope', { key: KEYS.good, scopes: ['made:up'] }, 400, 'scope_invalid'],
    ['no scope', { key: KEYS.good, scopes: [] }, 400, 'scope_invalid'],
    ['a key with an allowlist, from nowhere', { key: KEYS.fenced, scopes: ['exec:agents'] }, 403, 'ip_not_allowed'],
    [
      'the same from elsewhere',
      { key: KEYS.fenced, scopes: ['exec:agents'], ip: '198.51.100.1' },
      403,
      'ip_not_allowed',
    ],
  ])('%s is a value and one event', async (_what, request, status, reason) => {
    const refused = await world.auth.tokens.exchange(request as Parameters<Auth['tokens']['exchange']>[0])
    expect(refused).toMatchObject({ ok: false, status, reason })
    expect(await world.events()).toMatchObject([{ name: 'token.exchange', outcome: 'denied', reason }])
  })

  test.each<readonly [what: string, request: unknown]>([
    ['nothing', undefined],
    ['no key', { scopes: ['exec:agents'] }],
    ['scopes as a text', { key: KEYS.good, scopes: 'exec:agents' }],
    ['an address that is a number', { key: KEYS.good, scopes: ['exec:agents'], ip: 5 }],
    ['inherited members', Object.create({ key: KEYS.good, scopes: ['exec:agents'] })],
  ])('%s is a mistake in the program', async (_what, request) => {
    const asked = world.auth.tokens.exchange(request as Parameters<Auth['tokens']['exchange']>[0])
    await expect(asked).rejects.toBeInstanceOf(GuardError)
  })
})

describe('an endpoint', () => {
  test('carries its auth, and cannot be changed', () => {
    expect(authOfHandler(handler)).toBe(world.auth)
    expect(authOfHandler(async () => new Response())).toBeUndefined()
    expect(Object.isFrozen(handler)).toBe(true)
  })

  test('needs an auth of ours that mints tokens', async () => {
    const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore([recordOf(KEYS.test)]) } })
    expect(() => tokenEndpoint(auth)).toThrow(ConfigError)
    expect(() => jwksEndpoint(auth)).toThrow(expect.objectContaining({ option: 'issuing', code: 'CONFIG_MISSING' }))
    expect(() => tokenEndpoint({ ...world.auth })).toThrow(GuardError)
    await expect(auth.tokens.exchange({ key: KEYS.test, scopes: ['exec:agents'] })).rejects.toBeInstanceOf(ConfigError)
    await auth.close()
  })
})
