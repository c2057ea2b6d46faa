import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FRAMEWORKS, serve, type RunningServer, type SuiteRoute } from './frameworks.ts'
import { ROUTES, ROWS } from './rows.ts'
import { send } from './send.ts'
import { createWorld, type World } from './world.ts'

const ROUTE: SuiteRoute = {
  path: '/v1/patients/:id',
  guards: [(g) => g.requireScope('read:patients')],
  handle: () => ({ body: {} }),
}

const HTTPS_REQUIRED = 'HTTPS is required. A credential sent over plain HTTP must be rotated.'

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('%s', (_name, framework) => {
  describe('over TLS, with HTTPS required', () => {
    let world: World
    let server: RunningServer

    beforeAll(async () => {
      const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 })
      world = await createWorld({ transport: {} })
      server = await serve(framework, [world.auth], { routes: ROUTES }, { key, cert })
    })
    afterAll(async () => {
      await server.close()
      await world.close()
    })

    test.each(ROWS.map((row, index) => [row.name, row, index] as const))('%s', async (_row, row, index) => {
      const authorization = row.authorization?.(world) ?? []
      const answer = await send(server.url, {
        method: row.method ?? 'GET',
        path: row.path ?? '/v1/me',
        headers: [
          ...(typeof authorization === 'string' ? [authorization] : authorization).map(
            (value) => ['Authorization', value] as const,
          ),
          ['X-Request-Id', `tls-${index}`],
          ...(row.headers?.(world) ?? []),
          ...(row.body === undefined ? [] : ([['Content-Type', 'application/json']] as const)),
        ],
        ...(row.body === undefined ? {} : { body: row.body }),
      })
      const events = (await world.flushed()).filter(({ requestId }) => requestId === `tls-${index}`)
      expect({ status: answer.status, reasons: events.map(({ reason }) => reason) }).toEqual({
        status: row.status,
        reasons: row.event === null ? [] : [row.event.reason ?? null],
      })
    })
  })

  describe('over plain HTTP, with HTTPS required', () => {
    let world: World
    let server: RunningServer

    beforeAll(async () => {
      world = await createWorld({ transport: {} })
      server = await serve(framework, [world.auth], { routes: [ROUTE] })
    })
    afterAll(async () => {
      await server.close()
      await world.close()
    })

    test.each([
      ['a good key, which the event names', 'good', 'key_good'],
      ['a revoked key, which the event names', 'revoked', 'key_revoked'],
      ['an unknown key', 'unknown', null],
    ])('refuses %s', async (_what, name, keyId) => {
      const { status, body, headers } = await send(server.url, {
        path: '/v1/patients/1',
        headers: [
          ['Authorization', `Bearer ${world.keys[name]}`],
          ['X-Request-Id', `plain-${name}`],
        ],
      })
      expect(status).toBe(403)
      expect(JSON.parse(body)).toMatchObject({ error: { code: 'HTTPS_REQUIRED', message: HTTPS_REQUIRED } })
      expect(headers).not.toHaveProperty('www-authenticate')
      const event = (await world.flushed()).find(({ requestId }) => requestId === `plain-${name}`)
      expect(event).toMatchObject({ outcome: 'denied', reason: 'https_required', actor: { keyId } })
    })

    test('believes no forwarded header', async () => {
      const { status } = await send(server.url, {
        path: '/v1/patients/1',
        headers: [
          ['Authorization', `Bearer ${world.keys['good']}`],
          ['X-Forwarded-Proto', 'https'],
          ['X-Forwarded-For', '203.0.113.9'],
        ],
      })
      expect(status).toBe(403)
    })
  })

  describe('behind one real proxy', () => {
    let world: World
    let server: RunningServer
    let proxy: { url: string; close(): Promise<void> }

    beforeAll(async () => {
      world = await createWorld({ transport: { trustedProxies: 1 } })
      server = await serve(framework, [world.auth], { routes: [ROUTE] })
      proxy = await startProxy(server.port)
    })
    afterAll(async () => {
      await proxy.close()
      await server.close()
      await world.close()
    })

    const call = (headers: readonly (readonly [string, string])[]) =>
      send(proxy.url, { path: '/v1/patients/1', headers })

    test.each([
      ['https at the proxy', 'good', 'https', '198.51.100.7', 200, null, '198.51.100.7'],
      ['plain HTTP at the proxy', 'good', 'http', '198.51.100.7', 403, 'https_required', '198.51.100.7'],
      ['an address of the allowlist', 'elsewhere', 'https', '203.0.113.9', 200, null, '203.0.113.9'],
      ['an IPv6 address of the allowlist', 'elsewhere', 'https', '2001:DB8::1', 200, null, '2001:db8::1'],
      ['a mapped address of the allowlist', 'elsewhere', 'https', '::ffff:203.0.113.9', 200, null, '203.0.113.9'],
      ['an address that is not on it', 'elsewhere', 'https', '198.51.100.7', 403, 'ip_not_allowed', '198.51.100.7'],
    ])('%s', async (what, key, proto, address, status, reason, ip) => {
      const answer = await call([
        ['Authorization', `Bearer ${world.keys[key]}`],
        ['X-Test-Client', address],
        ['X-Test-Proto', proto],
        ['X-Request-Id', `proxy-${what.replaceAll(' ', '-')}`],
      ])
      const event = (await world.flushed()).find(({ requestId }) => requestId === `proxy-${what.replaceAll(' ', '-')}`)
      expect({ status: answer.status, reason: event?.reason, client: event?.client }).toEqual({
        status,
        reason,
        client: { ip, via: 1 },
      })
    })

    test('a forged left entry does not count', async () => {
      const answer = await call([
        ['Authorization', `Bearer ${world.keys['elsewhere']}`],
        ['X-Forwarded-For', '203.0.113.9'],
        ['X-Test-Client', '198.51.100.7'],
        ['X-Test-Proto', 'https'],
      ])
      expect(answer.status).toBe(403)
    })

    test('a call past the proxy has no known address, and fails an allowlist', async () => {
      const answer = await send(server.url, {
        path: '/v1/patients/1',
        headers: [
          ['Authorization', `Bearer ${world.keys['elsewhere']}`],
          ['X-Forwarded-Proto', 'https'],
          ['X-Request-Id', 'past'],
        ],
      })
      expect(answer.status).toBe(403)
      const event = (await world.flushed()).find(({ requestId }) => requestId === 'past')
      expect(event).toMatchObject({ reason: 'ip_not_allowed', client: { ip: null } })
    })
  })
})

/** Forwards on loopback as proxies do: appends the client to X-Forwarded-For, and sets X-Forwarded-Proto. */
async function startProxy(port: number): Promise<{ url: string; close(): Promise<void> }> {
  const agent = new http.Agent({ keepAlive: true })
  const server = http.createServer((incoming, outgoing) => {
    const { 'x-test-client': client, 'x-test-proto': proto, 'x-forwarded-for': before, ...headers } = incoming.headers
    const forwarded = [before, client ?? '127.0.0.1'].filter((each) => each !== undefined).join(', ')
    const request = http.request(
      {
        port,
        host: '127.0.0.1',
        agent,
        method: incoming.method ?? 'GET',
        path: incoming.url ?? '/',
        headers: { ...headers, 'x-forwarded-for': forwarded, 'x-forwarded-proto': String(proto) },
      },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(outgoing)
      },
    )
    request.on('error', () => outgoing.destroy())
    incoming.pipe(request)
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => void sockets.add(socket))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        agent.destroy()
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
