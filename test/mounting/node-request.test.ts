import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { nodeBody } from '../../src/mounting/node-body.ts'
import { askedOfNode, type MountCall } from '../../src/mounting/node-request.ts'

const MAX = 1024

function incoming(rawHeaders: readonly string[] = [], method = 'POST'): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  Object.assign(request, { method, rawHeaders: [...rawHeaders] })
  for (let at = 0; at < rawHeaders.length; at += 2) {
    request.headers[(rawHeaders[at] ?? '').toLowerCase()] = rawHeaders[at + 1]
  }
  return request
}

interface World {
  readonly call: MountCall
  readonly lost: () => number
  /** The body as text, or why there is none. */
  read(maxBytes?: number): Promise<string>
}

function worldOf(given: Partial<MountCall> & { rawHeaders?: readonly string[] } = {}): World {
  const { rawHeaders, request = incoming(rawHeaders), source = request, ...more } = given
  const response = new ServerResponse(request)
  const call: MountCall = { request, response, source, parsed: { body: undefined, text: undefined }, ...more }
  let lost = 0
  const asked = askedOfNode(call, nodeBody(call), () => {
    lost += 1
  })
  const read = async (maxBytes = MAX) => {
    const body = await asked.body(maxBytes)
    return Buffer.isBuffer(body) ? body.toString('utf8') : body.reason
  }
  return { call, read, lost: () => lost }
}

/** A body that somebody has read to its end. */
async function spent(text = '{}'): Promise<Readable> {
  const source = Readable.from([Buffer.from(text)])
  await source.toArray()
  return source
}

const tick = () =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json; charset=utf-8'

test('method and headers are those of the request, as they came', () => {
  const rawHeaders = ['Authorization', 'Bearer a', 'authorization', 'Bearer b']
  const request = incoming(rawHeaders, 'TRACE')
  const asked = askedOfNode(worldOf({ request }).call, nodeBody(worldOf({ request }).call), () => undefined)
  expect(asked).toMatchObject({ method: 'TRACE', rawHeaders })
})

describe('a body that was parsed before is rebuilt', () => {
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
  ])('%s', async (_what, type, body, expected) => {
    // The declared length is that of the body as it came.
    const rawHeaders = ['Content-Type', type, 'Content-Length', '9999', 'Content-Encoding', 'gzip']
    const { read, lost } = worldOf({ rawHeaders, source: await spent(), parsed: { body, text: undefined } })
    expect([await read(), lost()]).toEqual([expected, 0])
  })

  test('from the text that a parser has kept rather than from what it has made of it', async () => {
    const parsed = { body: { a: 2 }, text: '{"a":1,"a":2}' }
    expect(await worldOf({ source: await spent(), parsed }).read()).toBe('{"a":1,"a":2}')
  })

  test.each([
    ['text', '✓'.repeat(4)],
    ['bytes', Buffer.from('✓'.repeat(4))],
  ])('up to the limit, in bytes: %s', async (_what, text) => {
    const parsed = { body: undefined, text }
    const source = await spent()
    expect(await worldOf({ source, parsed }).read(12)).toBe('✓✓✓✓')
    expect(await worldOf({ source, parsed }).read(11)).toBe('request_malformed')
  })

  test.each([JSON_TYPE, FORM])('read by somebody, and left nowhere: a mistake of the program (%s)', async (type) => {
    const { read, lost } = worldOf({ rawHeaders: ['Content-Type', type], source: await spent() })
    expect([await read(), lost()]).toEqual(['handler_error', 1])
  })

  test('what a parser says of a body that it has not read counts for nothing', async () => {
    const source = Readable.from([Buffer.from('token='), Buffer.from('x')])
    expect(await worldOf({ source, parsed: { body: {}, text: 'evil' } }).read()).toBe('token=x')
  })
})

describe('a body that nobody has read', () => {
  const declaring = (length: number | string) => ['Content-Length', String(length)]

  /** With its headers, as Node delivers a small one. */
  const arrived = (text: string, length: number | string = Buffer.byteLength(text)) => {
    const request = incoming(declaring(length))
    request.push(Buffer.from(text))
    return request
  }
  const listeners = (source: Readable) =>
    ['readable', 'end', 'close', 'error', 'data'].map((event) => source.listenerCount(event))

  test('that is here already is taken without a listener', async () => {
    const request = arrived('{"a":1}')
    const before = listeners(request)
    const reading = worldOf({ request }).read()
    await Promise.resolve()
    expect(listeners(request)).toEqual(before)
    expect(await reading).toBe('{"a":1}')
  })

  test.each([
    ['less than was declared', '{"a"', ':1}'],
    ['nothing yet', '', '{"a":1}'],
  ])('of which is here %s is waited for', async (_what, first, rest) => {
    const request = incoming(declaring(7))
    if (first !== '') request.push(Buffer.from(first))
    const reading = worldOf({ request }).read()
    await tick()
    request.push(Buffer.from(rest))
    request.push(null)
    expect(await reading).toBe('{"a":1}')
    expect(listeners(request)).toEqual([0, 0, 0, 0, 0])
  })

  test('that is longer than it may be by its declaration is not touched', async () => {
    const request = arrived('x', MAX + 1)
    expect(await worldOf({ request }).read()).toBe('request_malformed')
    expect([request.readableDidRead, request.readableLength]).toEqual([false, 1])
  })

  test.each([
    [MAX, 'x'.repeat(MAX)],
    [MAX + 1, 'request_malformed'],
  ])('and is not declared may have %d bytes of 1024: %j', async (length, expected) => {
    const source = Readable.from([Buffer.alloc(1, 'x'), Buffer.alloc(length - 1, 'x')])
    expect(await worldOf({ source }).read()).toBe(expected)
  })

  test('is not read before it is asked for, nor far beyond the limit', async () => {
    let made = 0
    const source = new Readable({
      highWaterMark: 1,
      read() {
        made += 1
        this.push(Buffer.alloc(MAX))
      },
    })
    const { read } = worldOf({ source })
    await tick()
    expect(made).toBe(0)
    expect(await read()).toBe('request_malformed')
    expect(made).toBeLessThan(5)
    expect([source.destroyed, ...listeners(source)]).toEqual([false, 0, 0, 0, 0, 0])
  })

  test.each(['utf8', 'latin1', 'base64', 'hex'] as const)('is bytes again of the encoding %s', async (name) => {
    const source = Readable.from([Buffer.from('{"a":"é✓"}')], { objectMode: false }).setEncoding(name)
    expect(await worldOf({ source }).read()).toBe('{"a":"é✓"}')
    const request = arrived('{"a":1}').setEncoding(name)
    const reading = worldOf({ request }).read()
    request.push(null)
    expect(await reading).toBe('{"a":1}')
  })

  test('is none of objects', async () => {
    expect(await worldOf({ source: Readable.from([{ length: 1 }]) }).read()).toBe('request_malformed')
  })

  test('ends with the client, whatever its stream does', async () => {
    const source = new Readable({ read: () => undefined })
    const { read, call } = worldOf({ source })
    const reading = read()
    setImmediate(() => call.request.socket.destroy())
    expect(await reading).toBe('client_aborted')
    expect([source.destroyed, ...listeners(source)]).toEqual([false, 0, 0, 0, 0, 0])
  })

  test('that fails was broken off, before it is read and while it is read', async () => {
    const source = new Readable({ read: () => undefined })
    source.on('error', () => undefined)
    const reading = worldOf({ source }).read()
    setImmediate(() => source.destroy(new Error('hc_live_sk_secret')))
    expect(await reading).toBe('client_aborted')
    expect(await worldOf({ source }).read()).toBe('client_aborted')
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
  [{ method: 'DELETE', body: 'evil', text: 'evil', stream: { closed: true }, aborted: true }],
  [{ encoding: 'hex' }],
])('members planted on Object.prototype change nothing: %j', async (members) => {
  const { call, read } = worldOf({ source: Readable.from([Buffer.from('body')]) })
  const asked = polluted(members, () => askedOfNode(call, nodeBody(call), () => undefined))
  expect([asked.method, await read()]).toEqual(['POST', 'body'])
})
