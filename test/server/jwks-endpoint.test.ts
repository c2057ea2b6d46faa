import { allowInsecureRequests, validateJwtAccessToken, type AuthorizationServer } from 'oauth4webapi'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createAuth } from '../../src/index.ts'
import { jwksEndpoint, tokenEndpoint } from '../../src/server/index.ts'
import { manualClock } from '../keys/parts.ts'
import {
  AUDIENCE,
  createServerWorld,
  exchange,
  ISSUER,
  privateJwk,
  send,
  SIGNING,
  START,
  tokenOf,
  type ServerWorld,
} from './server-world.ts'
import { serveHandler } from './web-server.ts'

const worlds: ServerWorld[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})
function open(...given: Parameters<typeof createServerWorld>): ServerWorld {
  const world = createServerWorld(...given)
  worlds.push(world)
  return world
}

describe('the published key set', () => {
  test('holds the public keys alone, may be kept for five minutes, is open to everybody and writes no event', async () => {
    const world = open()
    const response = await send(jwksEndpoint(world.auth), { method: 'GET', caller: { ip: null, secure: false } })
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'application/jwk-set+json',
      'cache-control': 'public, max-age=300',
      'x-request-id': expect.stringMatching(/^req_/),
    })
    const text = await response.text()
    expect(JSON.parse(text)).toEqual({
      keys: [{ kty: 'RSA', n: SIGNING.n, e: 'AQAB', kid: expect.any(String), alg: 'RS256', use: 'sig' }],
    })
    for (const secret of [SIGNING.d, SIGNING.p, SIGNING.q]) expect(text).not.toContain(secret)
    expect(await world.events()).toEqual([])
  })

  test('may be kept for half of jwksMaxAgeSeconds', async () => {
    const world = open({ tokens: { issuer: ISSUER, audience: AUDIENCE, jwksMaxAgeSeconds: 61 } })
    const response = await send(jwksEndpoint(world.auth), { method: 'GET' })
    expect(response.headers.get('cache-control')).toBe('public, max-age=30')
  })

  test('HEAD gives the headers; every other method is 405 and says which are taken', async () => {
    const handler = jwksEndpoint(open().auth)
    const head = await send(handler, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-type'), await head.text()]).toEqual([
      200,
      'application/jwk-set+json',
      '',
    ])
    const post = await send(handler, { method: 'POST' })
    expect([post.status, post.headers.get('allow'), post.headers.get('cache-control')]).toEqual([
      405,
      'GET, HEAD',
      'no-store',
    ])
    expect(await post.json()).toMatchObject({
      error: { code: 'METHOD_NOT_ALLOWED', message: 'This endpoint takes GET and HEAD.' },
    })
  })

  test('oauth4webapi takes a minted token by it (RFC 9068)', async () => {
    const world = open({ clock: manualClockAt(Date.now()) })
    const server = await serveHandler(jwksEndpoint(world.auth))
    try {
      const token = await tokenOf(exchange(tokenEndpoint(world.auth), ['exec:agents']))
      const as: AuthorizationServer = { issuer: ISSUER, jwks_uri: server.url }
      const request = new Request('https://us.healthcloud.example/', { headers: { authorization: `Bearer ${token}` } })
      const claims = await validateJwtAccessToken(as, request, AUDIENCE, { [allowInsecureRequests]: true })
      expect(claims).toMatchObject({ iss: ISSUER, aud: AUDIENCE, client_id: 'key_good', scope: 'exec:agents' })
    } finally {
      await server.close()
    }
  })

  const manualClockAt = (now: number) => {
    const clock = manualClock()
    clock.setWall(now)
    return clock
  }
})

describe('rotation of signing keys', () => {
  const from = new Date(START + 3_600_000)
  const next = privateJwk()
  const rotating = () => ({
    issuing: { issuer: ISSUER, audience: AUDIENCE, signingKeys: [SIGNING, { key: next, from }] },
  })
  const verify = async ({ auth }: ServerWorld, token: string) => {
    const verdict = await auth.verify(token, { ip: null, secure: null, operation: 'x' })
    return verdict.ok ? 'accepted' : verdict.reason
  }

  test('the new key is published ahead, signs from its instant, and the old one leaves when its last token is over', async () => {
    const world = open(rotating())
    const handler = jwksEndpoint(world.auth)
    const published = async () =>
      ((await (await send(handler, { method: 'GET' })).json()) as { keys: unknown[] }).keys.length
    const mint = () => tokenOf(exchange(tokenEndpoint(world.auth), ['exec:agents']))
    expect(await published()).toBe(2)
    world.clock.advance(3_599_000)
    const last = await mint()
    world.clock.advance(1000)
    const first = await mint()
    expect(kidOf(last)).not.toBe(kidOf(first))
    expect([await verify(world, last), await verify(world, first)]).toEqual(['accepted', 'accepted'])
    world.clock.advance(3_598_000)
    expect([await published(), await verify(world, last)]).toEqual([2, 'accepted'])
    world.clock.advance(62_000)
    expect([await published(), await verify(world, last), await verify(world, first)]).toEqual([
      1,
      'jwt_expired',
      'jwt_expired',
    ])
    expect(await verify(world, await mint())).toBe('accepted')
  })

  test('a key that is taken out of the options is refused, from then on', async () => {
    const before = open(rotating())
    const token = await tokenOf(exchange(tokenEndpoint(before.auth), ['exec:agents']))
    const after = open({ issuing: { issuer: ISSUER, audience: AUDIENCE, signingKeys: [next] } })
    expect([await verify(before, token), await verify(after, token)]).toEqual(['accepted', 'jwt_unknown_key'])
  })

  test('two instances a minute apart, a restart and a clock that jumps back refuse no good token', async () => {
    const tolerant = { tokens: { issuer: ISSUER, audience: AUDIENCE, clockToleranceSeconds: 60 } }
    const [early, late] = [open({ ...rotating(), ...tolerant }), open({ ...rotating(), ...tolerant })]
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    early.clock.advance(60_000)
    const outcomes = new Set<string>()
    for (let minute = 0; minute < 130; minute += 2) {
      const tokens = await Promise.all(
        [early, late].map(({ auth }) => tokenOf(exchange(tokenEndpoint(auth), ['exec:agents']))),
      )
      const restarted = open({ ...rotating(), ...tolerant, clock: late.clock })
      for (const token of tokens) for (const world of [early, late, restarted]) outcomes.add(await verify(world, token))
      worlds.splice(worlds.indexOf(restarted), 1)
      await restarted.close()
      const step = minute === 66 ? -300_000 : 120_000
      for (const { clock } of [early, late]) clock.setWall(clock.now() + step)
    }
    warn.mockRestore()
    expect([...outcomes]).toEqual(['accepted'])
  })

  test('a `from` that is nearer than verifiers read the key set anew is warned of, once, and the key is not shown', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    try {
      const clock = manualClock()
      const soon = [SIGNING, { key: next, from: new Date(clock.now() + 599_000) }]
      open({ clock, issuing: { issuer: ISSUER, audience: AUDIENCE, signingKeys: soon } })
      open(rotating())
      const codes = warn.mock.calls.map(([, options]) => (options as unknown as { code: string }).code)
      expect(codes).toEqual(['HC_AUTH_SIGNING_KEY_SOON'])
      expect(String(warn.mock.calls[0]?.[0])).toContain('less than 600 seconds')
      expect(String(warn.mock.calls[0]?.[0])).not.toContain(String(next.d))
    } finally {
      warn.mockRestore()
    }
  })

  function kidOf(token: string): unknown {
    return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
  }
})

test('an issuer that takes no tokens itself still mints, and refuses a token at its guards', async () => {
  const world = open({ tokens: undefined })
  const token = await tokenOf(exchange(tokenEndpoint(world.auth), ['exec:agents']))
  const verdict = await world.auth.verify(token, { ip: null, secure: null, operation: 'x' })
  expect(verdict).toMatchObject({ ok: false, reason: 'credential_not_accepted' })
  expect(() =>
    createAuth({ environment: 'test', issuing: { issuer: ISSUER, audience: AUDIENCE, signingKeys: [SIGNING] } }),
  ).toThrow(expect.objectContaining({ option: 'keys' }))
})
