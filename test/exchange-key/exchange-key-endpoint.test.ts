import { afterAll, beforeAll, expect, test } from 'vitest'
import { exchangeKey, type ExchangeKeyOptions } from '../../src/index.ts'
import { tokenEndpoint } from '../../src/server/index.ts'
import { createServerWorld, KEYS, START, type ServerWorld } from '../server/server-world.ts'
import { serveHandler, type WebServer } from '../server/web-server.ts'

/** The client against our own endpoint, over a socket: what one means the other understands. */
let world: ServerWorld
let server: WebServer

beforeAll(async () => {
  world = createServerWorld()
  await world.auth.ready()
  server = await serveHandler(tokenEndpoint(world.auth))
})
afterAll(async () => {
  await server.close()
  await world.close()
})

const exchangeOf = (more: Partial<ExchangeKeyOptions> = {}) =>
  exchangeKey({ url: server.url, key: KEYS.good, scopes: ['read:patients'], clock: world.clock, ...more })

const verified = (token: string) =>
  world.auth.verify(token, { ip: null, secure: null, scopes: ['read:patients'], operation: 'test' })

test('gets a token that our verifier takes, for an hour', async () => {
  const { accessToken, expiresAt, scopes } = await exchangeOf().token()
  expect([expiresAt, scopes]).toEqual([new Date(START + 3_600_000), ['read:patients']])
  const verdict = await verified(accessToken)
  expect(verdict).toMatchObject({ ok: true, principal: { kind: 'access-token', keyId: 'key_good' } })
})

test('gets one that lives no longer than its key', async () => {
  const { expiresAt } = await exchangeOf({ key: KEYS.ending }).token()
  expect(expiresAt).toEqual(new Date(START + 90_000))
})

test.each([
  ['a key that nobody has', { key: KEYS.unknown }, 401, 'UNAUTHORIZED', /^Check `key`/],
  ['a revoked key', { key: KEYS.revoked }, 401, 'UNAUTHORIZED', /^Check `key`/],
  ['a scope that the key does not hold', { scopes: ['publish:assets'] }, 400, 'INVALID_SCOPE', /^Check `scopes`/],
] as const)('is told why there is none for %s', async (_what, more, issuerStatus, issuerCode, remedy) => {
  await expect(exchangeOf(more).token()).rejects.toMatchObject({
    code: 'EXCHANGE_REFUSED',
    issuerStatus,
    issuerCode,
    requestId: expect.stringMatching(/^req_/) as string,
    remedy: expect.stringMatching(remedy) as string,
  })
})

test('is told that a token cannot be exchanged', async () => {
  const { accessToken } = await exchangeOf().token()
  await expect(exchangeOf({ key: accessToken }).token()).rejects.toMatchObject({ code: 'EXCHANGE_REFUSED' })
})
