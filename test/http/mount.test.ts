import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { createGunzip, gzipSync } from 'node:zlib'
import Router from '@koa/router'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { createAuth, memoryKeyStore, type AuthOptions } from '../../src/index.ts'
import { answerTo } from '../../src/decision.ts'
import type { PlainAnswer } from '../../src/plain-answer.ts'
import { rawValues } from '../../src/request/raw-headers.ts'
import { handlerOf, type DirectHandler, type ServerHandler } from '../../src/server/handler.ts'
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
const handler = (direct: DirectHandler, options: Partial<AuthOptions> = {}) => handlerOf(authWith(options), direct)

const plain = (body: string, status = 200, headers: PlainAnswer['headers'] = {}): PlainAnswer => ({
  status,
  headers: { 'Content-Length': Buffer.byteLength(body), ...headers },
  body,
})

const MAX = 16 * 1024

/** Answers what it was given. */
const echo = (options: Partial<AuthOptions> = {}) =>
  handler(async (request, caller) => {
    const { method, rawHeaders } = request
    const body = await request.body(MAX)
    if (!Buffer.isBuffer(body)) return plain(body.reason, answerTo(body).status)
    const [type = null] = rawValues(rawHeaders, 'content-type')
    const [header = null] = rawValues(rawHeaders, 'x-one')
    return plain(JSON.stringify({ method, type, header, body: body.toString('utf8'), caller }))
  }, options)

const unread = handler(async () => plain('refused', 400))

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

    test('the handler gets method, headers and body', async () => {
      const server = await one(echo(), options)
      const body = '{"scope":["read:patients","exec:agents"],"n":1.5,"__proto__":{"a":null}}'
      const answer = await post(server, [JSON_TYPE, ['X-One', 'one']], body)
      expect(answer.status).toBe(200)
      expect(answer.json()).toEqual({
        method: 'POST',
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

    test.each([[['Bearer a', 'Bearer a']], [['Bearer a', 'Basic b']], [['', 'Bearer b']], [['Bearer a, Basic b']]])(
      'the handler sees each Authorization header as it came: %j',
      async (sent) => {
        const seen: (readonly string[])[] = []
        const look = handler(async ({ rawHeaders }) => {
          seen.push(rawValues(rawHeaders, 'authorization'))
          return plain('')
        })
        const server = await one(look, options)
        await post(
          server,
          sent.map((value, index) => [index === 0 ? 'Authorization' : 'authorization', value]),
        )
        expect(seen).toEqual([sent])
      },
    )

    test('a client that leaves in the middle of its body ends nothing but its call', async () => {
      const ended: string[] = []
      const waiting = handler(async (request) => {
        ended.push('began')
        const body = await request.body(MAX)
        ended.push(Buffer.isBuffer(body) ? 'whole' : body.reason)
        return plain('whole')
      })
      const seen = warnings()
      const server = await one(waiting, options)
      const client = await rawClient(server)
      client.socket.write(
        'POST /v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 9\r\n\r\nabc',
      )
      await settled(() => ended.length === 1)
      await client.leave()
      await settled(() => ended.length === 2)
      expect((await post(server, [['Content-Type', 'text/csv']], 'x')).body).toBe('whole')
      expect(ended).toEqual(['began', 'client_aborted', 'began', 'whole'])
      expect(seen).toEqual([])
    })

    test('the parsers of the host stay as they are', async () => {
      const server = await one(echo(), options)
      const answer = await send(server.url, { method: 'POST', path: '/host', headers: [JSON_TYPE], body: '{"a":1}' })
      expect(JSON.parse(answer.body)).toEqual({ a: 1 })
    })
  })

  test.each([
    ['declared', false],
    ['in chunks', true],
  ])('a body of 1 MiB, %s, is refused, and the connection serves the next request', async (_what, chunked) => {
    const server = await one(echo())
    const client = await rawClient(server)
    const body = `${'x'.repeat(1024 * 1024 - 22)} GET / HTTP/1.1\r\n\r\n`
    const size = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`
    const sent = chunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body
    client.socket.write(`POST /v1/auth/token HTTP/1.1\r\nHost: x\r\n${size}\r\n\r\n${sent}`)
    client.send({ method: 'POST', path: '/v1/auth/token', body: 'small' })
    await client.answers(2)
    await client.until((text) => text.includes('"body":"small"'))
    expect(client.received().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200'])
    expect(client.received()).toContain('request_malformed')
    await client.leave()
  })

  test.each([
    [MAX, 200],
    [MAX + 1, 400],
  ])('a body of %d bytes: %d, however it comes', async (length, status) => {
    const server = await one(echo())
    const body = 'x'.repeat(length)
    const head = 'POST /v1/auth/token HTTP/1.1\r\nHost: x\r\n'
    const [first, rest] = [body.slice(0, 9), body.slice(9)]
    const ways = [
      [`${head}Content-Length: ${length}\r\n\r\n${body}`],
      [`${head}Content-Length: ${length}\r\n\r\n${first}`, rest],
      [`${head}Content-Length: ${length}\r\n\r\n`, body],
      [`${head}Transfer-Encoding: chunked\r\n\r\n${length.toString(16)}\r\n${first}`, `${rest}\r\n0\r\n\r\n`],
    ]
    for (const parts of ways) {
      const client = await rawClient(server)
      for (const part of parts) {
        client.socket.write(part)
        await new Promise((resolve) => {
          setTimeout(resolve, 5)
        })
      }
      await client.answers(1)
      expect(client.received()).toContain(`HTTP/1.1 ${status}`)
      await client.leave()
    }
  })

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
    ['read in part', echo()],
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
    ['gives a header that cannot be sent', async () => plain('{}', 200, { 'X-One': 'a\r\nSet-Cookie: b=1' })],
    ['gives a status that there is not', async () => plain('{}', 42)],
  ] as [string, () => unknown][])('a handler that %s: 500 in our envelope', async (_what, handle) => {
    const seen = warnings()
    const server = await one(handler(handle as DirectHandler), {
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
      handler(async () => plain('gesund ✓', 418, { 'Cache-Control': 'no-store', 'X-Request-Id': 'r-2' })),
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
      'set-cookie': ['host=0'],
      'x-request-id': 'r-2',
    })
    for (const name of ['transfer-encoding', 'etag', 'content-encoding']) expect(headers).not.toHaveProperty(name)
  })

  test('GET and HEAD', async () => {
    const keys = handler(async ({ method }) => plain(JSON.stringify({ method })))
    const server = await start([{ method: 'GET', path: '/v1/keys', handler: keys }])
    const asked = (method: string) => send(server.url, { method, path: '/v1/keys' })
    expect(await asked('GET')).toMatchObject({ status: 200, body: '{"method":"GET"}' })
    expect(await asked('HEAD')).toMatchObject({ status: 200, body: '', headers: { 'content-length': '17' } })
    expect((await asked('POST')).status).not.toBe(200)
  })

  test('what a GET carries that nobody reads is thrown away, and the connection goes on', async () => {
    const server = await start([{ method: 'GET', path: '/v1/keys', handler: unread }])
    const client = await rawClient(server)
    client.send({ path: '/v1/keys', body: 'x'.repeat(100_000) }, { path: '/v1/keys' })
    await client.answers(2)
    expect(client.received().match(/HTTP\/1\.1 400/g)).toHaveLength(2)
    await client.leave()
  })

  test('a client that leaves before, or while, it is answered', async () => {
    const states: string[] = []
    let go: () => void = () => undefined
    const slow = handler(async () => {
      await new Promise<void>((resolve) => {
        go = resolve
        states.push('asked')
      })
      states.push('answered')
      return plain('x'.repeat(8 * 1024 * 1024))
    })
    const seen = warnings()
    const server = await one(slow)
    const request = { method: 'POST', path: '/v1/auth/token', body: '{}' }
    const early = await rawClient(server)
    early.send(request)
    await settled(() => states.length === 1)
    await early.leave()
    go()
    await settled(() => states.length === 2)
    const deaf = await rawClient(server, { deaf: true })
    deaf.send(request)
    await settled(() => states.length === 3)
    go()
    await settled(() => deaf.peer.bytesWritten > 0)
    await deaf.leave()
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    expect(states).toEqual(['asked', 'answered', 'asked', 'answered'])
    expect(seen).toEqual([])
  })

  test('a body that was read before, and is nowhere: 500, and the operator is told', async () => {
    const seen = warnings()
    const server = await one(echo(), { parser: 'swallow' })
    expect((await post(server, [JSON_TYPE], '{}')).status).toBe(500)
    await settled(() => seen.length === 1)
    expect(seen[0]).toContain('request.body')
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
    ['read in part', echo()],
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
    ['that nobody reads', unread, 300_000, 400],
    ['that is read', echo(), 9000, 499],
  ] as const)('a body %s and that cannot be unpacked costs its call alone', async (_what, mounted, length, status) => {
    const client = await rawClient(await unpacking(mounted))
    client.socket.write(packed(Buffer.alloc(length, 'x')))
    client.socket.write(packed(Buffer.alloc(length, 'x')))
    await client.answers(2)
    expect(client.received().match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`, `HTTP/1.1 ${status}`])
    await client.leave()
  })
})

describe('behind middleware of Express that has touched the body and read nothing of it', () => {
  const behind = async (touch: (request: IncomingMessage, next: () => void) => void, mounted: ServerHandler) => {
    const app = express()
    app.post(
      '/v1/auth/token',
      (request: IncomingMessage, _response: unknown, next: () => void) => touch(request, next),
      mountExpress(mounted),
    )
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanups.push(
      () =>
        new Promise((resolve) => {
          server.close(resolve)
          server.closeAllConnections()
        }),
    )
    const { port } = server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }

  test.each<[string, (request: IncomingMessage, next: () => void) => void]>([
    ['set the encoding UTF-8', (request, next) => (request.setEncoding('utf8'), next())],
    ['set the encoding base64', (request, next) => (request.setEncoding('base64'), next())],
    ['set the encoding hex', (request, next) => (request.setEncoding('hex'), next())],
    ['paused it', (request, next) => (request.pause(), next())],
    ['paused it for a while', (request, next) => (request.pause(), void setTimeout(next, 20))],
    ['looked whether there is one', (request, next) => void request.once('readable', next)],
  ])('%s', async (_what, touch) => {
    const url = await behind(touch, echo())
    for (const body of ['{"a":"✓"}', `{"a":"${'✓'.repeat(4000)}"}`]) {
      const answered = await send(url, { method: 'POST', path: '/v1/auth/token', headers: [JSON_TYPE], body })
      expect(answered.status).toBe(200)
      expect(JSON.parse(Buffer.from(answered.body).toString('utf8'))).toMatchObject({ body })
    }
  })
})

describe.each([
  ['Fastify', (mounted: ServerHandler) => fastifyOverHttp2(mounted)],
  ['Koa', (mounted: ServerHandler) => koaOverHttp2(mounted)],
] as const)('over HTTP/2, on %s', (_name, listener) => {
  const open = async (mounted: ServerHandler) => {
    const server = http2.createServer(await listener(mounted))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const session = http2.connect(`http://127.0.0.1:${port}`)
    cleanups.push(async () => {
      session.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    const ask = (headers: http2.OutgoingHttpHeaders = {}) =>
      session.request({ ':method': 'POST', ':path': '/v1/auth/token', 'content-type': 'application/json', ...headers })
    return { ask, port }
  }

  test('a body is read and answered, and no pseudo-header is a header', async () => {
    const { ask } = await open(echo())
    const stream = ask({ 'x-one': 'one' }).setEncoding('utf8').end('{"a":1}')
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    const body = JSON.parse((await stream.toArray()).join('')) as unknown
    expect(head[':status']).toBe(200)
    expect(body).toMatchObject({ method: 'POST', type: 'application/json', header: 'one', body: '{"a":1}' })
  })

  test.each([
    ['declared', { 'content-length': String(MAX + 1) }],
    ['not declared', {}],
  ])('a body over the limit, %s, is refused', async (_what, headers) => {
    const { ask } = await open(echo())
    const stream = ask(headers).end('x'.repeat(MAX + 1))
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders]
    expect(head[':status']).toBe(400)
    stream.resume()
  })

  test.each<[string, (socket: Socket) => void]>([
    ['resets its stream', (socket) => socket.write(frame(RST_STREAM, 0, Buffer.from([0, 0, 0, 8])))],
    ['resets it without an error', (socket) => socket.write(frame(RST_STREAM, 0, Buffer.alloc(4)))],
    ['drops its connection', (socket) => socket.destroy()],
  ])('a client that %s in the middle of its body ends its call', async (_what, leave) => {
    const ended: string[] = []
    const waiting = handler(async (request) => {
      ended.push('began')
      const body = await request.body(MAX)
      ended.push(Buffer.isBuffer(body) ? 'whole' : body.reason)
      return plain('')
    })
    const { port } = await open(waiting)
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    cleanups.push(async () => socket.destroy())
    const head = { ':method': 'POST', ':scheme': 'http', ':authority': 'x', ':path': '/v1/auth/token' }
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    socket.write(frame(SETTINGS, 0, Buffer.alloc(0), 0))
    socket.write(frame(HEADERS, END_HEADERS, Buffer.concat(Object.entries(head).map(literal))))
    socket.write(frame(DATA, 0, Buffer.from('{"a":')))
    await settled(() => ended.length === 1)
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
    leave(socket)
    await settled(() => ended.length === 2)
    expect(ended).toEqual(['began', 'client_aborted'])
  })
})

const [DATA, HEADERS, RST_STREAM, SETTINGS] = [0, 1, 3, 4]
const END_HEADERS = 4

/** RFC 9113 section 4.1. Node's client ends a stream before it resets it, which a server cannot tell from a whole body. */
function frame(type: number, flags: number, payload: Buffer, stream = 1): Buffer {
  const header = Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream])
  return Buffer.concat([header, payload])
}

/** RFC 7541 section 6.2.2, with a new name. */
function literal([name, value]: readonly [string, string]): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ])
}

type Http2Listener = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void

async function fastifyOverHttp2(mounted: ServerHandler): Promise<Http2Listener> {
  const app = Fastify({ http2: true })
  await app.register(mountFastify('/v1/auth/token', mounted))
  await app.ready()
  return (request, response) => app.routing(request, response)
}

async function koaOverHttp2(mounted: ServerHandler): Promise<Http2Listener> {
  const router = new Router().post('/v1/auth/token', mountKoa(mounted))
  const callback = new Koa().use(router.routes()).callback()
  return (request, response) => void callback(request, response)
}

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
