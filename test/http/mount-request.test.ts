import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { webRequest, type WebCall } from '../../src/web-request.ts'

const { signal } = new AbortController()

function incoming(method: string, rawHeaders: readonly string[] = []): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  Object.assign(request, { method, rawHeaders: [...rawHeaders] })
  for (let at = 0; at < rawHeaders.length; at += 2) {
    request.headers[(rawHeaders[at] ?? '').toLowerCase()] = rawHeaders[at + 1]
  }
  return request
}

const NOTHING_LEFT = { body: undefined, text: undefined }

const callOf = (request: IncomingMessage, more: Partial<WebCall> = {}): WebCall => ({
  request,
  url: '/x',
  source: request,
  parsed: NOTHING_LEFT,
  ...more,
})

/** A body that somebody has read to its end. */
async function spent(): Promise<Readable> {
  const source = Readable.from([Buffer.from('{}')])
  await source.toArray()
  return source
}

test.each([
  ['/v1/auth/token?a=1', 'http://localhost/v1/auth/token?a=1'],
  ['//evil.example/x', 'http://localhost//evil.example/x'],
  ['http://evil.example/x?y', 'http://localhost/x?y'],
  ['http://user:password@evil.example:1/', 'http://localhost/'],
  ['mailto:evil@evil.example', 'http://localhost/'],
  ['@evil.example/x', 'http://localhost/'],
  [':80/x', 'http://localhost/'],
  ['*', 'http://localhost/'],
  ['', 'http://localhost/'],
])('the target %j is asked for as %s', (url, expected) => {
  const made = webRequest(callOf(incoming('GET', ['Host', 'evil.example']), { url }), signal)
  expect(made?.url).toBe(expected)
  expect(new URL(made?.url ?? '').host).toBe('localhost')
})

test.each(['TRACE', 'CONNECT', 'NO METHOD'])('%s is no Web request', (method) => {
  expect(webRequest(callOf(incoming(method)), signal)).toBeNull()
})

test('the pseudo-headers of HTTP/2 are none', () => {
  const made = webRequest(callOf(incoming('GET', [':path', '/x', ':authority', 'evil.example', 'x-one', '1'])), signal)
  expect([...(made?.headers ?? [])]).toEqual([['x-one', '1']])
})

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json; charset=utf-8'

test.each<[string, string, unknown, string]>([
  ['JSON', JSON_TYPE, { scope: ['a'], n: null }, '{"scope":["a"],"n":null}'],
  ['JSON: a list', JSON_TYPE, ['a'], '["a"]'],
  ['JSON: null', JSON_TYPE, null, 'null'],
  ['text', 'text/plain', '{"a":1}', '{"a":1}'],
  ['bytes', JSON_TYPE, Buffer.from('{"a": 1}'), '{"a": 1}'],
  ['a form', FORM, { token: 'a b&c', hint: '' }, 'token=a+b%26c&hint='],
  ['a form with a repeated name', FORM, { token: ['a', 'b'] }, 'token=a&token=b'],
  ['a form with what is not flat', `${FORM}; charset=utf-8`, { token: { a: 'b' }, x: [['y'], 'z'] }, 'x=z'],
  ['a form that is no object', FORM, null, ''],
  ['a multipart form', 'multipart/form-data; boundary=x', { a: '1' }, '{"a":"1"}'],
  ['nothing, of a type that no handler takes', 'multipart/form-data', undefined, ''],
])('a parsed body is rebuilt: %s', async (_what, type, body, expected) => {
  const sent = [
    'Content-Type',
    type,
    'Content-Length',
    '999',
    'Content-Encoding',
    'gzip',
    'Transfer-Encoding',
    'chunked',
  ]
  const call = callOf(incoming('POST', sent), { source: await spent(), parsed: { body, text: undefined } })
  const made = webRequest(call, signal)
  expect(await made?.text()).toBe(expected)
  expect([...(made?.headers ?? [])]).toEqual([['content-type', type]])
})

test('the text that a parser has kept wins over what it has made of it', async () => {
  const parsed = { body: { a: 2 }, text: '{"a":1,"a":2}' }
  const made = webRequest(callOf(incoming('POST'), { source: await spent(), parsed }), signal)
  expect(await made?.text()).toBe('{"a":1,"a":2}')
})

test('what a parser says of a body that it has not read counts for nothing', async () => {
  const source = Readable.from([Buffer.from('token='), Buffer.from('x')])
  const parsed = { body: {}, text: 'evil' }
  const made = webRequest(callOf(incoming('POST', ['Content-Type', FORM]), { source, parsed }), signal)
  expect(await made?.text()).toBe('token=x')
})

test.each([JSON_TYPE, FORM])('read by somebody, and left nowhere: a mistake of the program (%s)', async (type) => {
  const call = callOf(incoming('POST', ['Content-Type', type]), { source: await spent() })
  expect(() => webRequest(call, signal)).toThrow(expect.objectContaining({ name: 'GuardError', code: 'GUARD_OPTION' }))
})

describe('the body as a stream', () => {
  const streamed = (source: Readable, abort = new AbortController()) => {
    const made = webRequest(callOf(incoming('POST'), { source }), abort.signal)
    if (made === null || made.body === null) throw new Error('no body')
    return { made, reader: made.body.getReader() }
  }

  test('nothing is read before it is asked for', async () => {
    let asked = 0
    const source = new Readable({
      highWaterMark: 1,
      read() {
        asked += 1
        this.push(Buffer.alloc(1024))
      },
    })
    const { reader } = streamed(source)
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    expect(asked).toBe(0)
    await reader.read()
    expect(asked).toBeLessThan(4)
  })

  test('text of a stream with an encoding is bytes again', async () => {
    const source = Readable.from([Buffer.from('✓')], { objectMode: false }).setEncoding('utf8')
    const { reader } = streamed(source)
    expect(Buffer.from((await reader.read()).value ?? []).toString('utf8')).toBe('✓')
  })

  test('a reader that waits hears that the client has left, whatever its stream does', async () => {
    const abort = new AbortController()
    const source = new Readable({ read: () => undefined })
    const reading = streamed(source, abort).reader.read()
    setImmediate(() => abort.abort())
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
    expect(['readable', 'end', 'close', 'error'].map((event) => source.listenerCount(event))).toEqual([0, 0, 0, 0])
  })

  test('a reader that gives up while it waits is let go, and the stream lives on', async () => {
    const source = new Readable({ read: () => undefined })
    const { reader } = streamed(source)
    const reading = reader.read()
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    await reader.cancel()
    expect(await reading).toEqual({ done: true, value: undefined })
    expect(source.destroyed).toBe(false)
    expect(source.listenerCount('readable')).toBe(0)
  })

  test('a stream that fails fails its reader', async () => {
    const source = new Readable({ read: () => undefined })
    source.on('error', () => undefined)
    const { reader } = streamed(source)
    const reading = reader.read()
    source.destroy(new Error('hc_live_sk_secret'))
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
    await expect(streamed(source).reader.read()).rejects.toMatchObject({ name: 'AbortError' })
  })
})

/** Planted while one call runs, without anything awaited meanwhile: other tests share this process. */
function polluted<T>(members: Readonly<Record<string, unknown>>, run: () => T): T {
  const prototype: object = Object.getPrototypeOf({})
  try {
    for (const [name, value] of Object.entries(members)) {
      Reflect.defineProperty(prototype, name, { value, configurable: true, writable: true })
    }
    return run()
  } finally {
    for (const name of Object.keys(members)) Reflect.deleteProperty(prototype, name)
  }
}

test.each([
  [
    {
      method: 'DELETE',
      credentials: 'include',
      mode: 'cors',
      cache: 'only-if-cached',
      referrer: 'http://evil.example',
    },
  ],
  [{ redirect: 'evil', integrity: 'evil', window: 'evil', keepalive: true }],
  [
    {
      type: 'bytes',
      autoAllocateChunkSize: 1,
      start: () => {
        throw new Error('planted')
      },
    },
  ],
  [{ size: () => 1e9, highWaterMark: 1e9 }],
])('members planted on Object.prototype change nothing: %j', async (members) => {
  const source = Readable.from([Buffer.from('body')])
  const call = callOf(incoming('POST', ['X-One', '1']), { source })
  const made = polluted(members, () => webRequest(call, signal))
  expect(made).toMatchObject({ method: 'POST', url: 'http://localhost/x', redirect: 'follow', integrity: '' })
  expect(source.readableDidRead).toBe(false)
  expect(await made?.text()).toBe('body')
})
