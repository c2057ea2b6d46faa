import { randomBytes } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { decodeJwt } from 'jose'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mount } from '../../adapters/express.ts'
import type { KeyStore } from '../../src/index.ts'
import { introspectionEndpoint, jwksEndpoint, tokenEndpoint } from '../../src/server/index.ts'
import { postgresKeyStore } from '../../src/stores/postgres.ts'
import { redisKeyStore } from '../../src/stores/redis.ts'
import { newKey, recordOf } from '../keys/parts.ts'
import { dropTables, isReachable, newTable, POSTGRES_URL } from '../stores/postgres-world.ts'
import { CLIENTS, REDIS, removeAll, type ClientMaker } from '../stores/redis-clients.ts'
import { answersPing } from '../stores/redis-engine.ts'
import { AUDIENCE, createServerWorld, ISSUER, type ServerWorld } from './server-world.ts'

const SCOPES = ['read:patients', 'exec:agents']
/** The documented request. */
const BODY = '{"scope":["read:patients","exec:agents"]}'
const clock = { now: () => Date.now(), monotonicMs: () => performance.now() }

interface Engine {
  readonly name: string
  readonly reachable: boolean
  /** Stores of two processes at one place, each on connections of its own. */
  open(): Promise<{ readonly stores: readonly [KeyStore, KeyStore]; close(): Promise<void> }>
}

const postgres: Engine = {
  name: 'PostgreSQL',
  reachable: await isReachable(POSTGRES_URL),
  open: async () => {
    const table = newTable()
    const newPool = () => new Pool({ connectionString: POSTGRES_URL, max: 4 })
    const [one, two] = [newPool(), newPool()]
    return {
      stores: [postgresKeyStore(one, { table }), postgresKeyStore(two, { table })],
      close: async () => {
        await dropTables(one)
        await Promise.all([one.end(), two.end()])
      },
    }
  },
}

const redisAnswers = await answersPing(REDIS.host, REDIS.port)
const redisBy = ({ name, connect }: ClientMaker): Engine => ({
  name: `Redis, ${name}`,
  reachable: redisAnswers,
  open: async () => {
    const prefix = `{hc-test-${randomBytes(6).toString('hex')}}:`
    const [one, two] = [await connect(REDIS.url), await connect(REDIS.url)]
    return {
      stores: [redisKeyStore(one.client, { prefix }), redisKeyStore(two.client, { prefix })],
      close: async () => {
        await removeAll(one, prefix)
        one.close()
        two.close()
      },
    }
  },
})

interface Issuer extends ServerWorld {
  readonly url: string
}

/** The issuer as a partner mounts it, behind a proxy that speaks TLS. `cacheSeconds`: only the feed can reach a revocation. */
async function startIssuer(store: KeyStore): Promise<Issuer> {
  const world = createServerWorld({
    store,
    clock: { ...clock, advance: () => undefined, setWall: () => undefined },
    keys: { store, cacheSeconds: 3600 },
    transport: { trustedProxies: 1 },
  })
  await world.auth.ready()
  const app = express().set('env', 'test')
  app.post('/v1/auth/token', mount(tokenEndpoint(world.auth)))
  app.post('/v1/auth/introspect', mount(introspectionEndpoint(world.auth)))
  app.get('/.well-known/jwks.json', mount(jwksEndpoint(world.auth)))
  const server = http.createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    ...world,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await world.close()
    },
  }
}

const post = ({ url }: Issuer, path: string, { headers, body }: { headers: Record<string, string>; body: string }) =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'X-Forwarded-For': '203.0.113.7', 'X-Forwarded-Proto': 'https', ...headers },
    body,
  })

const documented = (issuer: Issuer, key: string, body = BODY) =>
  post(issuer, '/v1/auth/token', {
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body,
  })

async function mint(issuer: Issuer, key: string): Promise<string> {
  return ((await (await documented(issuer, key)).json()) as { access_token: string }).access_token
}

const verify = async ({ auth }: Issuer, token: string) => {
  const verdict = await auth.verify(token, { ip: null, secure: null, operation: 'x' })
  return verdict.ok ? 'accepted' : verdict.reason
}

const isActive = async (issuer: Issuer, token: string, key: string) => {
  const response = await post(issuer, '/v1/auth/introspect', {
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token }).toString(),
  })
  return ((await response.json()) as { active: boolean }).active
}

/** The reach of the store. */
const SOON = { interval: 5, timeout: 1000 }

for (const engine of [postgres, ...CLIENTS.map(redisBy)]) {
  // In CI an engine that is missing is a failure.
  const skip = !engine.reachable && process.env['CI'] === undefined
  describe.skipIf(skip)(`two issuers over one store: ${engine.name}`, () => {
    let [one, two] = [] as unknown as [Issuer, Issuer]
    let store: KeyStore
    let close = async () => {}

    beforeAll(async () => {
      const opened = await engine.open()
      store = opened.stores[0]
      const both = await Promise.all([startIssuer(opened.stores[0]), startIssuer(opened.stores[1])])
      ;[one, two] = both
      close = async () => {
        for (const each of both) await each.close()
        await opened.close()
      }
    })
    afterAll(() => close())

    /** A key that no test has used before, and its id. */
    async function insertKey(): Promise<{ key: string; id: string }> {
      const key = newKey()
      const id = `key_${randomBytes(8).toString('hex')}`
      await store.insert(recordOf(key, { id, scopes: SCOPES }))
      return { key, id }
    }

    test('the documented request is answered as documented, by both alike', async () => {
      const { key, id } = await insertKey()
      for (const issuer of [one, two]) {
        const before = Math.floor(Date.now() / 1000)
        const response = await documented(issuer, key)
        expect([response.status, response.headers.get('content-type'), response.headers.get('cache-control')]).toEqual([
          200,
          'application/json; charset=utf-8',
          'no-store',
        ])
        const text = await response.text()
        const { access_token: token, issued_at: issued } = JSON.parse(text) as {
          access_token: string
          issued_at: string
        }
        expect(text).toBe(
          `{"access_token":"${token}","token_type":"Bearer","expires_in":3600,"scope":"read:patients exec:agents","issued_at":"${issued}"}`,
        )
        expect(issued).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
        const at = Date.parse(issued) / 1000
        expect(at).toBeGreaterThanOrEqual(before)
        const claims = { iss: ISSUER, aud: AUDIENCE, sub: id, client_id: id, iat: at, exp: at + 3600 }
        expect(decodeJwt(token)).toMatchObject({ ...claims, scope: 'read:patients exec:agents' })
      }
    })

    test('a key that nobody issued is answered as documented, by both alike', async () => {
      for (const issuer of [one, two]) {
        const response = await documented(issuer, newKey())
        expect(response.status).toBe(401)
        expect(await response.json()).toEqual({
          error: {
            code: 'UNAUTHORIZED',
            message: 'Invalid or expired API key.',
            requestId: expect.stringMatching(/^req_/),
            docsUrl: expect.stringContaining('/docs/api/authentication'),
          },
        })
      }
    })

    test('both publish one key set, and each takes what the other has minted', async () => {
      const { key } = await insertKey()
      const sets = await Promise.all(
        [one, two].map(async ({ url }) => (await fetch(`${url}/.well-known/jwks.json`)).json()),
      )
      expect(sets[0]).toEqual(sets[1])
      const [first, second] = [await mint(one, key), await mint(two, key)]
      expect([await verify(two, first), await verify(one, second)]).toEqual(['accepted', 'accepted'])
      expect([await isActive(two, first, key), await isActive(one, second, key)]).toEqual([true, true])
    })

    test('a key revoked on one: its tokens are refused on the other within a second, cached or not', async () => {
      const [{ key, id }, other] = [await insertKey(), await insertKey()]
      const [cached, unseen, kept] = [await mint(one, key), await mint(two, key), await mint(one, other.key)]
      for (const each of [cached, kept]) expect(await verify(two, each)).toBe('accepted')
      await one.auth.keys.revoke(id, { by: 'ops', reason: 'leaked' })
      expect(await verify(one, cached)).toBe('jwt_issuing_key')
      await expect.poll(() => verify(two, cached), SOON).toBe('jwt_issuing_key')
      expect(await verify(two, unseen)).toBe('jwt_issuing_key')
      expect(await isActive(two, cached, other.key)).toBe(false)
      expect((await documented(two, key)).status).toBe(401)
      expect(await verify(two, kept)).toBe('accepted')
    })

    test('a token revoked by its jti on one: refused on the other within a second; its key goes on', async () => {
      const { key } = await insertKey()
      const [token, kept] = [await mint(one, key), await mint(one, key)]
      for (const each of [token, kept]) expect(await verify(two, each)).toBe('accepted')
      await one.auth.tokens.revoke({ jti: String(decodeJwt(token).jti), by: 'ops' })
      expect(await verify(one, token)).toBe('jwt_revoked')
      await expect.poll(() => verify(two, token), SOON).toBe('jwt_revoked')
      expect(await isActive(two, token, key)).toBe(false)
      expect(await verify(two, kept)).toBe('accepted')
      expect((await documented(two, key)).status).toBe(200)
    })
  })
}
