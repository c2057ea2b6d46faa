import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import express from 'express'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { introspectionEndpoint, jwksEndpoint, tokenEndpoint } from '../../src/server/index.ts'
import { createServerWorld, KEYS, type ServerWorld } from '../server/server-world.ts'
import { mount as mountExpress } from '../../adapters/express.ts'
import { serve, type RunningServer } from './frameworks.ts'
import { MOUNT_HOSTS, type MountHost } from './mount-hosts.ts'
import { rawClient, settled } from './raw-client.ts'
import { send } from './send.ts'

let world: ServerWorld

beforeEach(() => {
  world = createServerWorld({ transport: { trustedProxies: 1 } })
})
afterEach(() => world.close())

type Headers = readonly (readonly [string, string])[]

/** What the proxy says of a caller on the internet. */
const PROXIED: Headers = [
  ['X-Forwarded-For', '203.0.113.7'],
  ['X-Forwarded-Proto', 'https'],
]
const JSON_TYPE: Headers = [['Content-Type', 'application/json']]
const BEARER: Headers = [['Authorization', `Bearer ${KEYS.good}`]]
const REFUSED = { code: 'INVALID_REQUEST', message: 'The request is malformed.' }

function start(host: MountHost, parser?: 'parser' | 'swallow'): Promise<RunningServer> {
  return host.serve(
    [
      { path: '/v1/auth/token', handler: tokenEndpoint(world.auth) },
      { path: '/v1/auth/introspect', handler: introspectionEndpoint(world.auth) },
      { method: 'GET', path: '/v1/keys', handler: jwksEndpoint(world.auth) },
    ],
    { parser },
  )
}

async function events() {
  return (await world.events()).map(({ kind, name, reason, outcome, client, actor }) => ({
    kind,
    name,
    reason,
    outcome,
    ip: client?.ip,
    keyId: actor?.keyId,
  }))
}

const CASES = MOUNT_HOSTS.flatMap((host) =>
  ([undefined, 'parser'] as const).map((parser) => [host.name, parser ?? 'no parser', { host, parser }] as const),
)

describe.each(CASES)('the endpoints on %s with %s', (_name, _before, { host, parser }) => {
  let server: RunningServer

  beforeEach(async () => {
    server = await start(host, parser)
  })
  afterEach(() => server.close())

  const exchange = (headers: Headers, body = '{"scope":["read:patients","exec:agents"]}') =>
    send(server.url, { method: 'POST', path: '/v1/auth/token', headers: [...JSON_TYPE, ...headers], body })
  test('a key is exchanged as documented, and the token introspected', async () => {
    const { status, headers, body } = await exchange([...PROXIED, ...BEARER])
    expect(status).toBe(200)
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'content-length': String(body.length) })
    const token = (JSON.parse(body) as { access_token: string }).access_token
    expect(body).toBe(
      `{"access_token":"${token}","token_type":"Bearer","expires_in":3600,"scope":"read:patients exec:agents","issued_at":"2026-03-18T12:00:00Z"}`,
    )
    const asked = await send(server.url, {
      method: 'POST',
      path: '/v1/auth/introspect',
      headers: [['Content-Type', 'application/x-www-form-urlencoded'], ...PROXIED, ...BEARER],
      body: `token=${token}&token_type_hint=access_token`,
    })
    expect(JSON.parse(asked.body)).toMatchObject({ active: true, client_id: 'key_good' })
    const same = { kind: 'auth', outcome: 'success', reason: null, ip: '203.0.113.7', keyId: 'key_good' }
    expect(await events()).toEqual([
      { ...same, name: 'token.exchange' },
      { ...same, name: 'token.introspect' },
    ])
  })

  test.each<[string, Headers]>([
    ['the same twice', [...BEARER, ...BEARER]],
    ['a good one and another scheme', [...BEARER, ['authorization', 'Basic YTpi']]],
    ['a good one and an empty one', [...BEARER, ['AUTHORIZATION', '']]],
  ])('two Authorization headers, %s: 400, and one event', async (_what, headers) => {
    const answer = await exchange([...PROXIED, ...headers, ['X-Request-Id', 'r-1']])
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([400, { error: { ...REFUSED, requestId: 'r-1' } }])
    expect(await events()).toMatchObject([{ name: 'token.exchange', reason: 'credential_duplicate', keyId: null }])
  })

  test('what came unencrypted is refused, whatever Host and others say', async () => {
    const plain: Headers = [
      ['X-Forwarded-For', '203.0.113.7'],
      ['Forwarded', 'proto=https'],
    ]
    const answer = await exchange([...plain, ...BEARER])
    expect([answer.status, answer.body]).toEqual([403, expect.stringContaining('HTTPS_REQUIRED')])
    expect(await events()).toMatchObject([{ reason: 'https_required', ip: '203.0.113.7' }])
  })

  test('a content type that is none is refused in our envelope', async () => {
    const answer = await send(server.url, {
      method: 'POST',
      path: '/v1/auth/token',
      headers: [['Content-Type', 'json'], ...PROXIED, ...BEARER],
      body: '{"scope":["read:patients"]}',
    })
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([400, { error: REFUSED }])
    expect(await events()).toMatchObject([{ name: 'token.exchange', reason: 'request_malformed' }])
  })

  test('GET and HEAD of the key set', async () => {
    const got = await send(server.url, { path: '/v1/keys' })
    expect(JSON.parse(got.body)).toMatchObject({ keys: [{ kty: 'RSA', use: 'sig' }] })
    const head = await send(server.url, { method: 'HEAD', path: '/v1/keys' })
    expect([head.status, head.body]).toEqual([200, ''])
    for (const name of ['content-type', 'content-length', 'cache-control']) {
      expect(head.headers[name]).toBe(got.headers[name])
    }
  })
})

test.each(MOUNT_HOSTS.map((host) => [host.name, host] as const))(
  'a body that was read before and is nowhere, on %s: 500, an event, and the operator is told',
  async (_name, host) => {
    const server = await start(host, 'swallow')
    const warned = once(process, 'warning')
    const headers = [...PROXIED, ...BEARER, ...JSON_TYPE]
    const answer = await send(server.url, { method: 'POST', path: '/v1/auth/token', headers, body: '{"scope":[]}' })
    expect([answer.status, answer.body]).toEqual([500, expect.stringContaining('INTERNAL_ERROR')])
    expect(await events()).toMatchObject([{ name: 'token.exchange', outcome: 'error', reason: 'handler_error' }])
    expect(await warned).toMatchObject([{ code: 'HC_AUTH_MOUNT_FAILED' }])
    // Of a type that the endpoint does not take, the body is not missed.
    const other: Headers = [...PROXIED, ...BEARER, ['Content-Type', 'multipart/form-data; boundary=x']]
    expect(
      (await send(server.url, { method: 'POST', path: '/v1/auth/token', headers: other, body: '--x--' })).status,
    ).toBe(400)
    await server.close()
  },
)

test('TRACE, where a route takes every method, is refused like other wrong methods, and audited', async () => {
  const app = express()
  app.all('/v1/auth/token', mountExpress(tokenEndpoint(world.auth)))
  const server = await serve({ name: 'Express', listener: async () => listening(app) }, [], { routes: [] })
  const client = await rawClient(server)
  client.send({ method: 'TRACE', path: '/v1/auth/token', headers: Object.fromEntries([...PROXIED, ...BEARER]) })
  await client.answers(1)
  expect(client.received()).toMatch(/^HTTP\/1\.1 405 [\s\S]*\r\nAllow: POST\r\n/)
  expect(client.received()).not.toContain(KEYS.good)
  expect(await events()).toMatchObject([{ name: 'token.exchange', outcome: 'denied', reason: 'request_malformed' }])
  await client.leave()
  await server.close()
})

const listening = (app: unknown) => ({ listener: app as RequestListener, close: async () => undefined })

describe.each(MOUNT_HOSTS.map((host) => [host.name, host] as const))('a body that %s gets in pieces', (_name, host) => {
  let server: RunningServer

  beforeEach(async () => {
    server = await start(host)
  })
  afterEach(() => server.close())

  test('a body of 1 MiB is refused on a connection that goes on', async () => {
    const client = await rawClient(server)
    const headers = Object.fromEntries([...PROXIED, ...BEARER, ...JSON_TYPE])
    const large = { method: 'POST', path: '/v1/auth/token', headers, body: `{"scope":"${'x'.repeat(1024 * 1024)}"}` }
    client.send(large, { ...large, body: '{"scope":["read:patients"]}' })
    await client.answers(2)
    await client.until((text) => text.includes('issued_at'))
    expect(client.received().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200'])
    await client.leave()
    expect(await events()).toMatchObject([{ reason: 'request_malformed' }, { reason: null }])
  })

  test('a client that leaves in the middle of its body is one event', async () => {
    const client = await rawClient(server)
    const lines = [...PROXIED, ...BEARER, ...JSON_TYPE].map(([name, value]) => `${name}: ${value}`)
    client.socket.write(
      ['POST /v1/auth/token HTTP/1.1', 'Host: x', ...lines, 'Content-Length: 99', '', '{"scope":'].join('\r\n'),
    )
    await settled(() => client.peer.bytesRead > 0)
    await client.leave()
    await expect.poll(events).toMatchObject([{ name: 'token.exchange', reason: 'client_aborted' }])
  })
})
