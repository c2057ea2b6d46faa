import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError, createAuth, memoryKeyStore } from '../../src/index.ts'
import { introspectionEndpoint, tokenEndpoint, type ServerHandler } from '../../src/server/index.ts'
import { introspectionKeyStore } from '../../src/stores/introspection.ts'
import { recordOf } from '../keys/parts.ts'
import {
  AUDIENCE,
  createServerWorld,
  exchange,
  ISSUER,
  KEYS,
  records,
  send,
  SIGNING,
  START,
  tokenOf,
  type Sent,
  type ServerWorld,
} from './server-world.ts'
import { serveHandler } from './web-server.ts'

let world: ServerWorld
let handler: ServerHandler

beforeAll(() => {
  world = createServerWorld()
  handler = introspectionEndpoint(world.auth)
})
beforeEach(() => world.events())
afterAll(() => world.close())

const form = { 'content-type': 'application/x-www-form-urlencoded' }
const ask = (token: string, sent: Sent = {}, endpoint: ServerHandler = handler) =>
  send(endpoint, { key: KEYS.bare, headers: form, body: new URLSearchParams({ token }).toString(), ...sent })
const mint = (key: string = KEYS.good) => tokenOf(exchange(tokenEndpoint(world.auth), ['exec:agents'], { key }))

describe('introspection', () => {
  test('of a key: all that our client store reads, and who it is', async () => {
    const response = await ask(KEYS.good)
    expect([response.status, response.headers.get('content-type'), response.headers.get('cache-control')]).toEqual([
      200,
      'application/json; charset=utf-8',
      'no-store',
    ])
    expect(await response.json()).toEqual({
      active: true,
      scope: 'read:patients exec:agents admin:org',
      client_id: 'key_good',
      key_id: 'key_good',
      token_type: 'Bearer',
      sub: 'key_good',
      org: 'org_1',
      env: 'live',
      allowed_cidrs: [],
      valid_until: null,
    })
  })

  test.each<readonly [what: string, key: string, members: object]>([
    ['a rotated key', KEYS.grace, { valid_until: '2026-03-18T12:10:00.000Z', key_id: 'key_grace' }],
    ['a key that ends', KEYS.ending, { exp: START / 1000 + 90, valid_until: null }],
    ['a key with an allowlist', KEYS.fenced, { allowed_cidrs: ['203.0.113.0/24', '2001:db8::/32'] }],
    ['a key without scopes', KEYS.bare, { scope: '' }],
  ])('of %s', async (_what, key, members) => {
    expect(await (await ask(key)).json()).toMatchObject({ active: true, ...members })
  })

  test('of a token', async () => {
    const token = await mint()
    expect(await (await ask(token)).json()).toEqual({
      active: true,
      scope: 'exec:agents',
      client_id: 'key_good',
      key_id: 'key_good',
      token_type: 'Bearer',
      exp: START / 1000 + 3600,
      iat: START / 1000,
      sub: 'key_good',
      jti: expect.stringMatching(/^tok_/),
      org: 'org_1',
      env: 'live',
    })
  })

  test.each<readonly [what: string, token: string | (() => Promise<string>)]>([
    ['an unknown key', KEYS.unknown],
    ['a revoked key', KEYS.revoked],
    ['an expired key', KEYS.expired],
    ['a rotated-out key', KEYS.rotatedOut],
    ['a key of another organization', KEYS.other],
    ['a key of the other environment', KEYS.test],
    ['a malformed key', 'hc_live_sk_x'],
    ['any text', 'ä b'],
    ['a text that is too long', 'x'.repeat(9000)],
    ['a token of nobody', 'eyJhbGciOiJub25lIn0.e30.'],
    ['a token of another organization', () => mint(KEYS.other)],
    ['a token with another signature', async () => `${(await mint()).slice(0, -4)}AAAA`],
  ])('of %s says no more than that it is not active', async (_what, token) => {
    const response = await ask(typeof token === 'string' ? token : await token())
    expect([response.status, await response.text()]).toEqual([200, '{"active":false}'])
  })

  test('is one auth event of the caller, whatever was asked about, and never names that', async () => {
    await ask(KEYS.good)
    await ask(KEYS.other)
    const events = await world.events()
    expect(events).toHaveLength(2)
    for (const event of events) {
      expect(event).toMatchObject({
        kind: 'auth',
        name: 'token.introspect',
        outcome: 'success',
        actor: { keyId: 'key_bare', jti: null },
      })
      expect(JSON.stringify(event)).not.toMatch(/key_good|key_other|hc_live/)
    }
  })

  test.each<readonly [what: string, sent: Sent, status: number, reason: string]>([
    ['nobody', { key: null }, 401, 'credential_missing'],
    ['an unknown key', { key: KEYS.unknown }, 401, 'key_unknown'],
    ['a JWT', { key: 'a.b.c' }, 401, 'credential_not_accepted'],
    ['a key from elsewhere', { key: KEYS.fenced, caller: { ip: '198.51.100.1', secure: true } }, 403, 'ip_not_allowed'],
    ['plain HTTP', { caller: { ip: '203.0.113.7', secure: false } }, 403, 'https_required'],
    ['GET', { method: 'GET', body: null }, 405, 'request_malformed'],
    ['JSON', { headers: { 'content-type': 'application/json' }, body: '{"token":"x"}' }, 400, 'request_malformed'],
    ['no token', { body: 'token_type_hint=access_token' }, 400, 'request_malformed'],
    ['an empty token', { body: 'token=' }, 400, 'request_malformed'],
    ['two tokens', { body: 'token=a&token=b' }, 400, 'request_malformed'],
    ['more than 16 KiB', { body: `token=${'x'.repeat(16_384)}` }, 400, 'request_malformed'],
  ])('by %s is refused', async (_what, sent, status, reason) => {
    const response = await ask(KEYS.good, sent)
    expect([response.status, await response.text()]).toEqual([status, expect.not.stringContaining('"active"')])
    expect(await world.events()).toMatchObject([{ name: 'token.introspect', outcome: 'denied', reason }])
  })

  test('in an outage is 503, never "inactive"', async () => {
    let down = false
    const memory = memoryKeyStore(records())
    const store: typeof memory = {
      ...memory,
      find: (lookup, context) => (down ? Promise.reject(new Error('down')) : memory.find(lookup, context)),
    }
    const own = createServerWorld({ store })
    const endpoint = introspectionEndpoint(own.auth)
    expect((await ask(KEYS.bare, {}, endpoint)).status).toBe(200)
    down = true
    const response = await ask(KEYS.good, {}, endpoint)
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    await own.events()
    await own.close()
  })

  test("what is asked about spends nobody's budget of failed attempts", async () => {
    const own = createServerWorld({ failures: { max: 2 } })
    const endpoint = introspectionEndpoint(own.auth)
    for (let count = 0; count < 10; count += 1) {
      const stranger = KEYS.unknown.replace(/......$/, `zzzz${count}z`)
      expect(await (await ask(stranger, {}, endpoint)).json()).toEqual({ active: false })
      expect(await (await ask(KEYS.unknown, {}, endpoint)).json()).toEqual({ active: false })
    }
    expect(await (await ask(KEYS.good, {}, endpoint)).json()).toMatchObject({ active: true })
    expect((await ask(KEYS.good, { key: KEYS.grace }, endpoint)).status).toBe(200)
    await own.close()
  })

  test('of own tokens, where this server takes none at its guards', async () => {
    const own = createServerWorld({ tokens: undefined })
    const token = await tokenOf(exchange(tokenEndpoint(own.auth), ['exec:agents']))
    expect(await (await ask(token, {}, introspectionEndpoint(own.auth))).json()).toMatchObject({
      active: true,
      sub: 'key_good',
    })
    await own.close()
  })

  test('needs keys', async () => {
    const auth = createAuth({
      environment: 'test',
      tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [{ kty: 'RSA', n: SIGNING.n, e: SIGNING.e }] } },
    })
    expect(() => introspectionEndpoint(auth)).toThrow(ConfigError)
    await auth.close()
  })
})

describe('introspectionKeyStore against the endpoint', () => {
  test('a partner verifies keys that he does not hold: scopes, allowlist, deadline, refusals and readiness', async () => {
    const clock = { now: () => START, monotonicMs: () => performance.now() }
    const server = await serveHandler(handler)
    const client = recordOf(KEYS.bare)
    expect(client.scopes).toEqual(['read:patients'])
    const partner = createServerWorld({
      store: introspectionKeyStore({ url: server.url, clientCredential: KEYS.fenced }),
      issuing: undefined,
      tokens: undefined,
      clock: { ...clock, advance: () => undefined, setWall: () => undefined },
    })
    const own = createServerWorld({
      store: introspectionKeyStore({ url: server.url, clientCredential: KEYS.bare }),
      issuing: undefined,
      tokens: undefined,
      clock: { ...clock, advance: () => undefined, setWall: () => undefined },
    })
    const verify = async (key: string, ip: string | null = null) => {
      const verdict = await own.auth.verify(key, { ip, secure: null, operation: 'x' })
      return verdict.ok ? verdict.principal : verdict.reason
    }
    try {
      await own.auth.ready()
      expect(await verify(KEYS.good)).toMatchObject({ keyId: 'key_good', organizationId: 'org_1', environment: 'live' })
      expect(await verify(KEYS.grace)).toMatchObject({ rotation: { validUntil: new Date(START + 600_000) } })
      expect(await verify(KEYS.ending)).toMatchObject({ expiresAt: new Date(START + 90_000) })
      expect(await verify(KEYS.fenced, '203.0.113.9')).toMatchObject({ keyId: 'key_fenced' })
      expect(await verify(KEYS.fenced, '198.51.100.1')).toBe('ip_not_allowed')
      expect(await verify(KEYS.bare)).toMatchObject({ keyId: 'key_bare' })
      for (const key of [KEYS.unknown, KEYS.revoked, KEYS.rotatedOut, KEYS.other])
        expect(await verify(key)).toBe('key_unknown')
      // The partner's own key may be used from elsewhere alone: that is his outage, not the fault of his callers.
      const refused = await partner.auth.verify(KEYS.good, { ip: null, secure: null, operation: 'x' })
      expect(refused).toMatchObject({ ok: false, status: 503, reason: 'store_unavailable' })
    } finally {
      await own.close()
      await partner.close()
      await server.close()
    }
  })
})
