import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createGunzip, gzipSync } from 'node:zlib'
import Fastify from 'fastify'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { createAuth, memoryKeyStore, type AuthOptions } from '../../src/index.ts'
import { handlerOf, type ServerHandler } from '../../src/server/handler.ts'
import { mount as mountExpress } from '../../adapters/express.ts'
import { mount as mountFastify } from '../../adapters/fastify.ts'
import { mount as mountKoa } from '../../adapters/koa.ts'
import type { RunningServer } from './frameworks.ts'
import { MOUNT_HOSTS, type Mounted, type MountOptions } from './mount-hosts.ts'
import { rawClient, settled } from './raw-client.ts'
import { send } from './send.ts'

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const each of cleanups.splice(0).toReversed()) await each()
})

const authWith = (options: Partial<AuthOptions> = {}) =>
  createAuth({ environment: 'test', keys: { store: memoryKeyStore(), cacheEntries: 1000 }, ...options })
const handler = (handle: ServerHandler, options: Partial<AuthOptions> = {}) => handlerOf(authWith(options), handle)

/** Answers what it was given. */
const echo = (options: Partial<AuthOptions> = {}) =>
  handler(async (request, caller) => {
    const { method, url, headers } = request
    const body = await request.text()
    return Response.json({ method, url, type: headers.get('content-type'), header: headers.get('x-one'), body, caller })
  }, options)

const MAX = 16 * 1024

/** Reads no more than it must, as the handlers of this package do. */
const limited = (leave: 'cancels' | 'stops') =>
  handler(async (request) => {
    let size = 0
    const reader = (request.body ?? new ReadableStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      size += value.byteLength
      if (size <= MAX) continue
      if (leave === 'cancels') await reader.cancel()
      return new Response(`too large after ${size > MAX + 256 * 1024 ? 'very ' : ''}much`, { status: 400 })
    }
    return new Response(String(size))
  })

const unread = handler(async () => new Response('refused', { status: 400 }))

const JSON_TYPE: [string, string] = ['Content-Type', 'application/json']
const FORM_TYPE: [string, string] = ['Content-Type', 'application/x-www-form-urlencoded']

/** The warnings of this process with our code, until the test is over. */
function warnings(): string[] {
  const seen: string[] = []
  const listen = (warning: Error & { code?: string }) => {
    if (warning.code === 'HC_AUTH_MOUNT_FAILED') seen.push(warning.message)
  }
  process.on('warning', listen)
  onTestFinished(() => void process.off('warning', listen))
  return seen
}

describe.each(MOUNT_HOSTS.map((host) => [host.name, host] as const))('on %s', (_name, host) => {
  const start = async (mounts: readonly Mounted[], options: MountOptions = {}): Promise<RunningServer> => {
    const server = await host.serve(mounts, options)
    cleanups.push(() => server.close())
    return server
  }
  const one = (mounted: ServerHandler, options?: MountOptions) =>
    start([{ path: '/v1/auth/token', handler: mounted }], options)
  const post = async ({ url }: RunningServer, headers: readonly [string, string][], body?: string) => {
    const answer = await send(url, {
      method: 'POST',
      path: '/v1/auth/token?a=1&b=%20',
      headers,
      ...(body === undefined ? {} : { body }),
    })
    return { ...answer, json: (): unknown => JSON.parse(answer.body) }
  }

  describe.each([['no parser'], ['parser']] as const)('with %s before it', (before) => {
    const options: MountOptions = { parser: before === 'parser' ? 'parser' : undefined }

    test('the handler gets method, path, headers and body, and no Host', async () => {
      const server = await one(echo(), options)
      const body = '{"scope":["read:patients","exec:agents"],"n":1.5,"__proto__":{"a":null}}'
      const answer = await post(server, [JSON_TYPE, ['X-One', 'one'], ['X-Forwarded-Host', 'evil.example']], body)
      expect(answer.status).toBe(200)
      expect(answer.json()).toEqual({
        method: 'POST',
        url: 'http://localhost/v1/auth/token?a=1&b=%20',
        type: 'application/json',
        header: 'one',
        body,
        caller: { ip: '127.0.0.1', secure: false },
      })
    })

    test.each([
      ['a form', [FORM_TYPE], 'token=a%20b&token_type_hint=x', 'token=a+b&token_type_hint=x'],
      ['no body', [], undefined, ''],
      ['an empty body of JSON', [JSON_TYPE, ['Content-Length', '0']], undefined, ''],
      ['a body of another type', [['Content-Type', 'text/csv']], 'a,b', 'a,b'],
      ['a body without a type', [], 'whatever', 'whatever'],
      ['a content type that is none', [['Content-Type', 'none']], '{}', '{}'],
    ] as const)('%s arrives', async (_what, headers, body, expected) => {
      const server = await one(echo(), options)
      const answer = await post(
        server,
        [...headers].map(([key, value]) => [key, value]),
        body,
      )
      const { body: text } = answer.json() as { body: string }
      // A parser says `{}` where there was nothing.
      const arrived = before === 'parser' && text === '{}' && expected === '' ? '' : text
      expect([answer.status, arrived.replaceAll('%20', '+')]).toEqual([200, expected])
    })

    test('a body in chunks arrives, and the connection goes on', async () => {
      const server = await one(echo(), options)
      const client = await rawClient(server)
      const head = 'POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
      client.socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n`)
      await new Promise((resolve) => {
        setTimeout(resolve, 20)
      })
      client.socket.write('2\r\n1}\r\n0\r\n\r\n')
      await client.answers(1)
      expect(client.received()).toContain(String.raw`"body":"{\"a\":1}"`)
      client.send({
        method: 'POST',
        path: '/v1/auth/token',
        headers: { 'Content-Type': 'application/json' },
        body: '{}',
      })
      await client.answers(2)
      expect(client.received()).toContain('"body":"{}"')
      await client.leave()
    })

    test.each([
      [['Bearer a', 'Bearer a'], 'Bearer, Bearer'],
      [['Bearer a', 'Basic b'], 'Bearer, Bearer'],
      [['', 'Bearer b'], 'Bearer, Bearer'],
      [['Bearer a, Basic b'], 'Bearer a, Basic b'],
    ] as const)('the handler sees that there are two Authorization headers: %j', async (sent, expected) => {
      const seen: (string | null)[] = []
      const look = handler(async (request) => {
        seen.push(request.headers.get('authorization'))
        return new Response(null, { status: 204 })
      })
      const server = await one(look, options)
      await post(
        server,
        sent.map((value, index) => [index === 0 ? 'Authorization' : 'authorization', value]),
      )
      expect(seen).toEqual([expected])
    })

    test('a client that leaves in the middle of its body ends nothing but its call', async () => {
      const ended: unknown[] = []
      const waiting = handler(async (request) => {
        try {
          ended.push('began')
          await request.text()
        } catch (error) {
          ended.push(error instanceof Error ? error.name : error, request.signal.aborted)
          throw error
        }
        return new Response('whole')
      })
      const seen = warnings()
      const server = await one(waiting, options)
      const client = await rawClient(server)
      client.socket.write(
        'POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 9\r\n\r\nabc',
      )
      await settled(() => ended.length === 1)
      await client.leave()
      await settled(() => ended.length === 3)
      expect(ended).toEqual(['began', 'AbortError', true])
      expect((await post(server, [['Content-Type', 'text/csv']], 'x')).body).toBe('whole')
      expect(seen).toEqual([])
    })

    test('the parsers of the host stay as they are', async () => {
      const server = await one(echo(), options)
      const answer = await send(server.url, { method: 'POST', path: '/host', headers: [JSON_TYPE], body: '{"a":1}' })
      expect(JSON.parse(answer.body)).toEqual({ a: 1 })
    })
  })

  test.each(['cancels', 'stops'] as const)(
    'a body of 1 MiB: a handler that %s after 16 KiB is heard, and the connection serves the next request',
    async (leave) => {
      const server = await one(limited(leave))
      const client = await rawClient(server)
      const large = {
        method: 'POST',
        path: '/v1/auth/token',
        body: `${'x'.repeat(1024 * 1024 - 22)} GET / HTTP/1.1\r\n\r\n`,
      }
      client.send(large, { ...large, body: 'small' })
      await client.answers(2)
      await client.until((text) => text.endsWith('5'))
      const statuses = client.received().match(/HTTP\/1\.1 \d+/g)
      expect(statuses).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200'])
      expect(client.received()).toContain('too large after much')
      await client.leave()
    },
  )

  test('a body that nobody reads is no request', async () => {
    const server = await one(unread)
    const client = await rawClient(server)
    const smuggled = 'POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'
    client.send({ method: 'POST', path: '/v1/auth/token', body: smuggled.repeat(2000) })
    client.send({ method: 'POST', path: '/v1/auth/token', body: 'x' })
    await client.answers(2)
    await new Promise((resolve) => {
      setTimeout(resolve, 50)
    })
    expect(client.received().match(/HTTP\/1\.1 400/g)).toHaveLength(2)
    await client.leave()
  })

  test.each([
    ['read in part', limited('stops')],
    ['not read', unread],
  ] as const)('a body without end, %s: the answer goes out, then the connection ends', async (_what, mounted) => {
    const server = await one(mounted)
    const client = await rawClient(server)
    client.socket.write('POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    let sent = 0
    const more = () => {
      while (!client.socket.destroyed && sent < 1024 && client.socket.write(chunk)) sent += 1
    }
    client.socket.on('drain', more)
    more()
    await client.peerClosed
    expect(client.received()).toMatch(/^HTTP\/1\.1 400/)
    expect(sent).toBeLessThan(1024)
  })

  test('Expect: 100-continue', async () => {
    const server = await one(echo())
    const client = await rawClient(server)
    client.socket.write('POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
    await client.until((text) => text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'))
    client.socket.write('ok')
    await client.answers(2)
    expect(client.received()).toMatch(/HTTP\/1\.1 200[\s\S]*"body":"ok"/)
    await client.leave()
  })

  test.each([
    ['no proxy is trusted', 0, { ip: '127.0.0.1', secure: false }],
    ['one proxy is trusted', 1, { ip: '203.0.113.7', secure: true }],
    ['two are, and one has spoken', 2, { ip: null, secure: true }],
  ] as const)('behind a proxy: %s', async (_what, trustedProxies, caller) => {
    const server = await one(echo({ transport: { trustedProxies } }))
    const answer = await post(
      server,
      [
        ['X-Forwarded-For', '203.0.113.7'],
        ['X-Forwarded-Proto', 'https'],
      ],
      '{}',
    )
    expect(answer.json()).toMatchObject({ caller })
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('hc_live_sk_secret')
      },
    ],
    ['rejects', () => Promise.reject(new RangeError('hc_live_sk_secret'))],
    ['rejects with nothing', () => Promise.reject(undefined)],
    ['gives nothing', async () => undefined],
    [
      'gives an object that looks like an answer',
      async () => ({ status: 200, headers: [], arrayBuffer: async () => new ArrayBuffer(1) }),
    ],
    ['gives a failed response', async () => Response.error()],
    [
      'gives a response that was read',
      async () => {
        const spent = new Response('x')
        await spent.text()
        return spent
      },
    ],
    [
      'gives a body that breaks off',
      async () =>
        new Response(
          new ReadableStream({
            start: (c) => c.enqueue(new Uint8Array(9)),
            pull: () => Promise.reject(new Error('hc_live_sk_secret')),
          }),
        ),
    ],
  ] as [string, () => unknown][])('a handler that %s: 500 in our envelope', async (_what, handle) => {
    const seen = warnings()
    const server = await one(handler(handle as ServerHandler), {
      headers: { 'Access-Control-Allow-Origin': '*', ETag: '"x"' },
    })
    const answer = await post(server, [['X-Request-Id', 'r-1'], JSON_TYPE], '{}')
    expect(answer.status).toBe(500)
    expect(answer.headers).toMatchObject({
      'x-request-id': 'r-1',
      'cache-control': 'no-store',
      'access-control-allow-origin': '*',
    })
    expect(answer.headers).not.toHaveProperty('etag')
    expect(answer.json()).toEqual({
      error: {
        code: 'INTERNAL_ERROR',
        message: 'Internal error.',
        requestId: 'r-1',
        docsUrl: 'https://healthcloud.ai/docs/api/authentication',
      },
    })
    await settled(() => seen.length === 1)
    expect(seen.join()).not.toContain('hc_live')
  })

  test('status, headers and body of the answer; headers of the host before it stay', async () => {
    const server = await one(
      handler(async () => {
        const headers = new Headers({
          'Cache-Control': 'no-store',
          'X-Request-Id': 'r-2',
          Connection: 'upgrade',
          'Transfer-Encoding': 'chunked',
        })
        headers.append('Set-Cookie', 'a=1')
        headers.append('Set-Cookie', 'b=2')
        return new Response('gesund ✓', { status: 418, headers })
      }),
      {
        headers: {
          'Access-Control-Allow-Origin': 'https://app.example',
          'Set-Cookie': 'host=0',
          ETag: '"host"',
          'Content-Encoding': 'br',
          'Cache-Control': 'public',
        },
      },
    )
    const { status, headers, body } = await post(server, [])
    expect({ status, body: Buffer.from(body).toString('utf8') }).toEqual({ status: 418, body: 'gesund ✓' })
    expect(headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'cache-control': 'no-store',
      'content-length': '10',
      'set-cookie': ['host=0', 'a=1', 'b=2'],
      'x-request-id': 'r-2',
    })
    for (const name of ['transfer-encoding', 'etag', 'content-encoding']) expect(headers).not.toHaveProperty(name)
    expect(headers.connection).not.toBe('upgrade')
  })

  test('GET, HEAD and 204', async () => {
    const keys = handler(async ({ method }) => Response.json({ method }))
    const none = handler(async () => new Response(null, { status: 204 }))
    const bodiless = (headers: Record<string, string> = {}) => handler(async () => new Response(null, { headers }))
    const server = await start([
      { method: 'GET', path: '/v1/keys', handler: keys },
      { path: '/v1/none', handler: none },
      { method: 'GET', path: '/v1/told', handler: bodiless({ 'Content-Length': '99' }) },
      { method: 'GET', path: '/v1/untold', handler: bodiless() },
    ])
    const asked = (method: string, path: string) => send(server.url, { method, path })
    expect(await asked('GET', '/v1/keys')).toMatchObject({ status: 200, body: '{"method":"GET"}' })
    const head = await asked('HEAD', '/v1/keys')
    expect(head).toMatchObject({ status: 200, body: '', headers: { 'content-length': '17' } })
    expect(await asked('HEAD', '/v1/told')).toMatchObject({ status: 200, headers: { 'content-length': '99' } })
    const untold = await asked('HEAD', '/v1/untold')
    expect([untold.status, untold.headers]).toEqual([200, expect.not.objectContaining({ 'content-length': '0' })])
    const empty = await asked('POST', '/v1/none')
    expect(empty).toMatchObject({ status: 204, body: '' })
    expect(empty.headers).not.toHaveProperty('content-length')
    expect((await asked('POST', '/v1/keys')).status).not.toBe(200)
  })

  test('a GET with a body has none, and the connection goes on', async () => {
    const server = await start([{ method: 'GET', path: '/v1/keys', handler: echo() }])
    const client = await rawClient(server)
    client.send({ path: '/v1/keys', body: 'x'.repeat(100_000) }, { path: '/v1/keys' })
    await client.answers(2)
    expect(client.received().match(/"body":""/g)).toHaveLength(2)
    await client.leave()
  })

  test('a client that leaves before, or while, it is answered', async () => {
    const states: string[] = []
    let answer: () => void = () => undefined
    const slow = handler(async ({ signal }) => {
      await new Promise<void>((resolve) => {
        answer = resolve
        states.push('asked')
      })
      states.push(signal.aborted ? 'left' : 'there')
      return new Response(new Uint8Array(8 * 1024 * 1024))
    })
    const seen = warnings()
    const server = await one(slow)
    const request = { method: 'POST', path: '/v1/auth/token', body: '{}' }
    const early = await rawClient(server)
    early.send(request)
    await settled(() => states.length === 1)
    await early.leave()
    answer()
    await settled(() => states.length === 2)
    const deaf = await rawClient(server, { deaf: true })
    deaf.send(request)
    await settled(() => states.length === 3)
    answer()
    await settled(() => deaf.peer.bytesWritten > 0)
    await deaf.leave()
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    expect(states).toEqual(['asked', 'left', 'asked', 'there'])
    expect(seen).toEqual([])
  })

  test('a body that was read before, and is nowhere: 500, and the operator is told', async () => {
    const seen = warnings()
    const server = await one(echo(), { parser: 'swallow' })
    expect((await post(server, [JSON_TYPE], '{}')).status).toBe(500)
    await settled(() => seen.length === 1)
    expect(seen[0]).toContain('request.body')
    // Of a type that no handler takes: its refusal is the handler's.
    expect((await post(server, [['Content-Type', 'multipart/form-data; boundary=x']], '--x--')).json()).toMatchObject({
      body: '',
    })
  })
})

describe('behind a hook of Fastify that unpacks bodies', () => {
  const unpacking = async (mounted: ServerHandler) => {
    const app = Fastify()
    app.addHook('preParsing', async (_request, _reply, payload) => payload.pipe(createGunzip()))
    await app.register(mountFastify('/v1/auth/token', mounted))
    await app.listen({ host: '127.0.0.1', port: 0 })
    cleanups.push(() => app.close())
    const { port } = app.server.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}`, port, server: app.server, close: async () => undefined }
  }
  const packed = (bytes: Buffer) =>
    Buffer.concat([
      Buffer.from(`POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`),
      bytes,
    ])

  test('the handler reads what the hook gives', async () => {
    const client = await rawClient(await unpacking(echo()))
    client.socket.write(packed(gzipSync('unpacked')))
    await client.answers(1)
    expect(client.received()).toContain('"body":"unpacked"')
    await client.leave()
  })

  test.each([
    ['not read', unread],
    ['read in part', limited('stops')],
  ] as const)('a body that is %s does not hold up the connection', async (_what, mounted) => {
    const client = await rawClient(await unpacking(mounted))
    const large = packed(gzipSync(randomBytes(1024 * 1024)))
    client.socket.write(large)
    client.socket.write(large)
    await client.answers(2)
    expect(client.received().match(/HTTP\/1\.1 400/g)).toHaveLength(2)
    await client.leave()
  })

  test.each([
    ['that nobody reads', unread, 400],
    ['that is read', echo(), 500],
  ] as const)('a body %s and that cannot be unpacked costs its call alone', async (_what, mounted, status) => {
    const client = await rawClient(await unpacking(mounted))
    client.socket.write(packed(Buffer.alloc(300_000, 'x')))
    client.socket.write(packed(Buffer.alloc(300_000, 'x')))
    await client.answers(2)
    expect(client.received().match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`, `HTTP/1.1 ${status}`])
    await client.leave()
  })
})

test.each([
  ['a function', async () => new Response()],
  ['nothing', undefined],
  ['an auth', authWith()],
])('mount takes handlers of this package: not %s', (_what, other) => {
  for (const each of [mountExpress, mountKoa, mountFastify.bind(null, '/x')]) {
    expect(() => each(other as never)).toThrow(expect.objectContaining({ name: 'GuardError', code: 'GUARD_OPTION' }))
  }
})

test.each([['PUT'], ['get'], [['POST']], [null]])('mount of Fastify takes POST and GET: not %j', (method) => {
  expect(() => mountFastify('/x', unread, { method: method as never })).toThrow(/`method` of mount/)
})
