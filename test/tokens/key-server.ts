import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'

export interface KeyPair {
  readonly privateKey: KeyObject
  /** RFC 7517, public members alone. */
  readonly jwk: Record<string, unknown>
}

export function keyPair(kid: string, modulusLength = 2048): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength })
  return { privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'RS256', use: 'sig' } }
}

/** Answers one request for the key set, however badly. */
export type Behaviour = (response: http.ServerResponse) => void

export interface KeyServer {
  readonly url: string
  become(behaviour: Behaviour): void
  /** Requests for the key set so far. */
  fetches(): number
  /** Requests for anything else: where a redirect would lead. */
  strays(): number
  /** Answers that were not taken to their end. */
  cutOff(): number
  close(): Promise<void>
}

const json =
  (body: unknown): Behaviour =>
  (response) => {
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify(body))
  }

export const publishes = (...keys: readonly object[]): Behaviour => json({ keys })

/** What a key set's URL can do instead of answering with a usable set; `good` is the set that it should publish. */
export function outagesOf(good: readonly Record<string, unknown>[]): readonly (readonly [string, Behaviour])[] {
  const set = { keys: good }
  const [first] = good
  const says =
    (text: string): Behaviour =>
    (response) =>
      void response.end(text)
  return [
    ['drops the connection', (response) => void response.socket?.destroy()],
    ['answers 500 with a good set', (response) => void response.writeHead(500).end(JSON.stringify(set))],
    ['answers 404', (response) => void response.writeHead(404).end('{}')],
    ['answers 204', (response) => void response.writeHead(204).end()],
    ['redirects to a good set', (response) => void response.writeHead(302, { Location: elsewhere(set) }).end()],
    ['answers nothing', says('')],
    ['answers null', says('null')],
    [
      'answers with a page',
      (response) => void response.setHeader('Content-Type', 'text/html').end('<html>Sign in</html>'),
    ],
    ['answers with a bare list', json(good)],
    ['answers with no list', json({ keys: first })],
    ['answers with a list by numbers', json({ keys: { 0: first } })],
    ['answers without keys', says('{}')],
    ['publishes an empty set', json({ keys: [] })],
    ['hides the set behind __proto__', says(`{"__proto__":${JSON.stringify(set)}}`)],
    ['publishes symmetric keys alone', publishes({ kty: 'oct', k: 'AA', kid: first?.['kid'] })],
    ['publishes broken keys alone', publishes({ ...first, n: '!' }, { ...first, kty: 'oct', k: 'AAAA' }, {})],
    ['publishes two keys of one kid', publishes(...good, { ...keyPairOfAnother().jwk, kid: first?.['kid'] })],
    ['publishes a key of 1024 bits', publishes({ ...weakKeyPair().jwk, kid: first?.['kid'] })],
    ['answers 10 MiB around a good set', (response) => void Readable.from(tenMebibytesAround(set)).pipe(response)],
    ['never answers', () => undefined],
    ['sends its headers and then nothing', (response) => response.writeHead(200).flushHeaders()],
    ['stops in the middle of the body', (response) => void response.write(JSON.stringify(set).slice(0, 20))],
    ['breaks off in the middle of the body', breakOff(JSON.stringify(set))],
    ['answers one byte at a time', drip(JSON.stringify(set))],
  ]
}

/** A path of the same server that answers with this. */
const elsewhere = (body: unknown): string => `/elsewhere?${encodeURIComponent(JSON.stringify(body))}`

let another: KeyPair | undefined
const keyPairOfAnother = () => (another ??= keyPair('another'))
let weak: KeyPair | undefined
const weakKeyPair = () => (weak ??= keyPair('weak', 1024))

/** Written as it is read, so that it shows whether the reader has stopped. */
function* tenMebibytesAround(set: object): Generator<string> {
  yield '{"padding":"'
  for (let chunk = 0; chunk < 160; chunk += 1) yield 'x'.repeat(65_536)
  yield `",${JSON.stringify(set).slice(1)}`
}

function breakOff(text: string): Behaviour {
  return (response) => {
    response.writeHead(200, { 'Content-Length': text.length }).write(text.slice(0, 20), () => response.destroy())
  }
}

function drip(text: string): Behaviour {
  return (response) => {
    let sent = 0
    const timer = setInterval(() => {
      response.write(text.charAt(sent))
      sent += 1
    }, 20)
    response.once('close', () => clearInterval(timer))
  }
}

/** A key set behind a URL on this machine that can be made to fail in every way. */
export async function startKeyServer(initial: Behaviour): Promise<KeyServer> {
  let behaviour = initial
  let fetches = 0
  let strays = 0
  let cutOff = 0
  const server = http.createServer((request, response) => {
    let finished = false
    response.once('finish', () => (finished = true))
    response.once('close', () => {
      if (!finished) cutOff += 1
    })
    if (request.url === '/jwks') {
      fetches += 1
      behaviour(response)
    } else {
      strays += 1
      response.end(decodeURIComponent(request.url?.split('?')[1] ?? ''))
    }
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return Object.freeze({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`,
    become: (next: Behaviour) => {
      behaviour = next
    },
    fetches: () => fetches,
    strays: () => strays,
    cutOff: () => cutOff,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  })
}
