import http from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import https from 'node:https'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import tls from 'node:tls'
import Fastify from 'fastify'
import { generate } from 'selfsigned'
import { afterEach, describe, expect, test } from 'vitest'
import { hasBody, isOver, onResponseEnd, type ResponseEnd } from '../../src/exchange/response-end.ts'
import { settled } from '../http/raw-client.ts'

const opened: (() => void)[] = []
afterEach(() => {
  for (const close of opened.splice(0)) close()
})

interface Wire {
  /** Sends bytes on the one connection of this test. */
  send(...requests: readonly string[]): void
  received(): string
  leave(): void
}

/** A server with this listener, and a connection to it. */
async function connected(listener: RequestListener, secure?: { key: string; cert: string }): Promise<Wire> {
  const server = secure === undefined ? http.createServer(listener) : https.createServer(secure, listener)
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const to = { port, host: '127.0.0.1' }
  const socket: Socket = secure === undefined ? net.connect(to) : tls.connect({ ...to, rejectUnauthorized: false })
  opened.push(() => {
    socket.destroy()
    server.close()
  })
  let text = ''
  socket.on('error', () => undefined).on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  return {
    send: (...requests) =>
      void socket.write(requests.map((each) => `${each} HTTP/1.1\r\nHost: suite.example\r\n\r\n`).join('')),
    received: () => text,
    leave: () => void socket.destroy(),
  }
}

/** Looks again and again, and a little longer: what comes once too often is then seen. */
async function ends(list: readonly ResponseEnd[], count: number): Promise<readonly ResponseEnd[]> {
  const started = performance.now()
  while (list.length < count && performance.now() - started < 5000) await pause(5)
  await pause(20)
  return list
}

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))

/** Watches every response of a server, then lets it be answered. */
function watching(answer: (response: ServerResponse, request: IncomingMessage) => void): {
  list: ResponseEnd[]
  listener: RequestListener
} {
  const list: ResponseEnd[] = []
  return {
    list,
    listener: (request, response) => {
      onResponseEnd(request, response, (end) => list.push(end))
      answer(response, request)
    },
  }
}

type Answer = (response: ServerResponse) => void

const CHUNKS: Answer = (response) => {
  response.write('hello')
  response.end('world')
}

describe('an answer that went out', () => {
  test.each<[string, string, number, number, Answer]>([
    ['with a declared length', 'GET', 200, 5, (response) => response.setHeader('Content-Length', 5).end('hello')],
    [
      'whose length was declared with the status',
      'GET',
      201,
      5,
      (response) => response.writeHead(201, { 'Content-Length': '5' }).end('hello'),
    ],
    ['whose length Node works out', 'GET', 200, 5, (response) => response.end('hello')],
    ['of more bytes than characters', 'GET', 200, 6, (response) => response.end('hellö')],
    // 5 CRLF hello CRLF 5 CRLF world CRLF 0 CRLF CRLF
    ['in chunks, their frame included', 'GET', 200, 25, CHUNKS],
    ['without a body', 'GET', 200, 0, (response) => response.end()],
    ['to HEAD, whatever its length says', 'HEAD', 200, 0, (response) => response.setHeader('Content-Length', 5).end()],
    ['of status 204', 'GET', 204, 0, (response) => response.writeHead(204).end()],
    [
      'of status 304, whatever its length says',
      'GET',
      304,
      0,
      (response) => response.writeHead(304, { 'Content-Length': '5' }).end(),
    ],
    [
      'with letters in its header that take two bytes in UTF-8',
      'GET',
      200,
      25,
      (response) => CHUNKS(response.setHeader('X-Name', 'M\u00fcller')),
    ],
  ])('%s', async (_what, method, status, bytes, answer) => {
    const { list, listener } = watching(answer)
    const wire = await connected(listener)
    wire.send(`${method} /`)
    await ends(list, 1)
    wire.leave()
    expect(await ends(list, 1)).toEqual([{ full: true, status, bytes }])
  })

  test('on a connection that carried others before', async () => {
    const { list, listener } = watching(CHUNKS)
    const wire = await connected(listener)
    for (let count = 1; count <= 3; count += 1) {
      wire.send('GET /')
      await ends(list, count)
    }
    expect(list).toEqual(Array.from({ length: 3 }, () => ({ full: true, status: 200, bytes: 25 })))
  })

  test('while the next ones wait behind it: their bytes are not its own', async () => {
    const responses: ServerResponse[] = []
    const { list, listener } = watching((response) => void responses.push(response))
    const wire = await connected(listener)
    wire.send('GET /1', 'GET /2', 'GET /3')
    await settled(() => responses.length === 3)
    for (const [index, response] of [...responses.entries()].toReversed()) {
      response.write('x'.repeat(9 - index))
      response.end()
    }
    // 1 CRLF, the chunk, CRLF, 0 CRLF CRLF
    expect(await ends(list, 3)).toEqual(
      [9, 8, 7].map((length) => ({ full: true, status: 200, bytes: 3 + length + 2 + 5 })),
    )
  })

  test('over TLS', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048 })
    const { list, listener } = watching(CHUNKS)
    const wire = await connected(listener, { key, cert })
    wire.send('GET /')
    await ends(list, 1)
    wire.send('GET /')
    expect(await ends(list, 2)).toEqual([
      { full: true, status: 200, bytes: 25 },
      { full: true, status: 200, bytes: 25 },
    ])
  })
})

describe('an answer that did not go out', () => {
  const NOTHING = { full: false, status: null, bytes: 0 }

  /** The client leaves once the handler has done what it does. */
  const left = async (answer: Answer): Promise<readonly ResponseEnd[]> => {
    let reached = false
    const { list, listener } = watching((response) => {
      answer(response)
      reached = true
    })
    const wire = await connected(listener)
    wire.send('GET /')
    await settled(() => reached)
    await pause(20)
    wire.leave()
    return ends(list, 1)
  }

  test('nothing was done', async () => {
    expect(await left(() => undefined)).toEqual([NOTHING])
  })

  test('a status was set, but no header was sent', async () => {
    expect(await left((response) => void response.writeHead(404, { 'X-Made': 'not sent' }))).toEqual([NOTHING])
  })

  test('the header was sent, but nothing of the body', async () => {
    expect(await left((response) => response.writeHead(202).flushHeaders())).toEqual([
      { full: false, status: 202, bytes: 0 },
    ])
  })

  test('half of the body was sent', async () => {
    const half = await left((response) => void response.writeHead(200, { 'Content-Length': '10' }).write('hello'))
    expect(half).toEqual([{ full: false, status: 200, bytes: 5 }])
  })

  test('the server itself gives it up', async () => {
    const { list, listener } = watching((response) => void response.destroy())
    const wire = await connected(listener)
    wire.send('GET /')
    expect(await ends(list, 1)).toEqual([NOTHING])
  })

  test('it was queued behind one that never came', async () => {
    const { list, listener } = watching((response, { url }) => {
      if (url === '/2') response.end('hello')
    })
    let both = 0
    const wire = await connected((request, response) => {
      both += 1
      listener(request, response)
    })
    wire.send('GET /1', 'GET /2')
    await settled(() => both === 2)
    wire.leave()
    expect(await ends(list, 2)).toEqual([NOTHING, NOTHING])
  })
})

describe('watching begins late', () => {
  /** Watches a response at a moment of the test's choosing; gives what had been told by the end of that turn, too. */
  const late = async (answer: Answer, moment: (wire: Wire, pair: Pair) => Promise<void>) => {
    const pairs: Pair[] = []
    const wire = await connected((request, response) => {
      pairs.push({ request, response })
      answer(response)
    })
    wire.send('GET /')
    await settled(() => pairs.length === 1)
    const [pair] = pairs
    if (pair === undefined) throw new Error('no request')
    await moment(wire, pair)
    const list: ResponseEnd[] = []
    onResponseEnd(pair.request, pair.response, (end) => list.push(end))
    const atOnce = list.length
    return { atOnce, list: [...(await ends(list, 1))] }
  }
  interface Pair {
    readonly request: IncomingMessage
    readonly response: ServerResponse
  }
  const closed = async (_wire: Wire, { response }: Pair) => {
    await settled(() => response.closed)
  }

  test('the client has left: told once, and not before the caller is ready', async () => {
    const { atOnce, list } = await late(
      () => undefined,
      async (wire, pair) => {
        wire.leave()
        await closed(wire, pair)
      },
    )
    expect(atOnce).toBe(0)
    expect(list).toEqual([{ full: false, status: null, bytes: 0 }])
  })

  test('the answer is out already', async () => {
    const { list } = await late((response) => response.writeHead(201, { 'Content-Length': '5' }).end('hello'), closed)
    expect(list).toEqual([{ full: true, status: 201, bytes: expect.any(Number) }])
  })

  test('the client of a queued answer has left', async () => {
    const pairs: Pair[] = []
    const wire = await connected((request, response) => void pairs.push({ request, response }))
    wire.send('GET /1', 'GET /2')
    await settled(() => pairs.length === 2)
    wire.leave()
    const [, second] = pairs
    if (second === undefined) throw new Error('no second request')
    await settled(() => second.request.socket.closed)
    second.response.end('hello')
    const list: ResponseEnd[] = []
    onResponseEnd(second.request, second.response, (end) => list.push(end))
    expect(await ends(list, 1)).toEqual([{ full: false, status: null, bytes: 0 }])
  })
})

// Fastify's `inject` has no socket that counts or closes, and its responses finish twice.
describe('an injected request', () => {
  const injected = async (answer: Answer, options: { signal?: AbortSignal } = {}) => {
    const app = Fastify()
    const list: ResponseEnd[] = []
    app.get('/', (request, reply) => {
      onResponseEnd(request.raw, reply.raw, (end) => list.push(end))
      reply.hijack()
      answer(reply.raw)
    })
    await app.inject({ path: '/', ...options }).catch(() => undefined)
    return ends(list, 1)
  }

  test('is answered', async () => {
    const list = await injected((response) => response.setHeader('Content-Length', 5).end('hello'))
    expect(list).toEqual([{ full: true, status: 200, bytes: 5 }])
  })

  test('is answered in chunks: how many bytes is not known', async () => {
    expect(await injected(CHUNKS)).toEqual([{ full: true, status: 200, bytes: 0 }])
  })

  test('is given up', async () => {
    const controller = new AbortController()
    const list = await injected(() => void setTimeout(() => controller.abort(), 20), { signal: controller.signal })
    expect(list).toEqual([{ full: false, status: null, bytes: 0 }])
  })
})

test('a connection gets one listener, however many requests it carries', async () => {
  const { list, listener } = watching(() => undefined)
  const counts: number[] = []
  const wire = await connected((request, response) => {
    listener(request, response)
    counts.push(request.socket.listenerCount('close'))
  })
  wire.send(...Array.from({ length: 30 }, (_none, index) => `GET /${index}`))
  await settled(() => counts.length === 30)
  expect(new Set(counts).size).toBe(1)
  wire.leave()
  expect(await ends(list, 30)).toHaveLength(30)
})

describe('isOver', () => {
  const states: [string, boolean, (response: ServerResponse) => void][] = [
    ['nothing has happened', false, () => undefined],
    ['the header is out', false, (response) => response.flushHeaders()],
    ['the answer is given', true, (response) => response.end()],
    ['the response is given up', true, (response) => response.destroy()],
    ['the connection is gone', true, (response) => response.socket?.destroy()],
  ]
  test.each(states)('%s: %s', async (_what, over, act) => {
    const seen = await new Promise<boolean>((resolve) => {
      const listener: RequestListener = (request, response) => {
        act(response)
        resolve(isOver(request, response))
      }
      void connected(listener).then((wire) => wire.send('GET /'))
    })
    expect(seen).toBe(over)
  })

  test('the connection is gone from under a queued answer', async () => {
    const pairs: [IncomingMessage, ServerResponse][] = []
    const wire = await connected((request, response) => void pairs.push([request, response]))
    wire.send('GET /1', 'GET /2')
    await settled(() => pairs.length === 2)
    const [, second] = pairs
    if (second === undefined) throw new Error('no second request')
    expect(isOver(...second)).toBe(false)
    wire.leave()
    await settled(() => second[0].socket.destroyed)
    expect(second[1].destroyed).toBe(false)
    expect(isOver(...second)).toBe(true)
  })
})

test.each([
  ['GET', 200, true],
  ['GET', 404, true],
  ['POST', 201, true],
  ['HEAD', 200, false],
  ['GET', 204, false],
  ['DELETE', 204, false],
  ['GET', 304, false],
])('%s with %i has a body: %s', (method, status, body) => {
  const request = new http.IncomingMessage(new net.Socket())
  request.method = method
  const response = new http.ServerResponse(request)
  response.statusCode = status
  expect(hasBody(request, response)).toBe(body)
})
