import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Jwk } from '../fixtures/issuer-keys.ts'

export type Answer = (response: ServerResponse, request: IncomingMessage) => void

/** An issuer's key set on loopback, which answers as it is told. */
export interface KeySetServer {
  readonly url: URL
  /** Requests so far, to any path. */
  requests(): number
  publish(...keys: Jwk[]): void
  answer(answer: Answer): void
  close(): Promise<void>
}

export async function startKeySetServer(...keys: Jwk[]): Promise<KeySetServer> {
  let answer: Answer = publishing(keys)
  let requests = 0
  const server = http.createServer((request, response) => {
    requests += 1
    answer(response, request)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`),
    requests: () => requests,
    publish: (...fresh) => {
      answer = publishing(fresh)
    },
    answer: (fresh) => {
      answer = fresh
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

export const publishing =
  (keys: readonly Jwk[]): Answer =>
  (response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }))
  }

/** Each way in which a key set can fail to arrive, or be of no use. */
export const FAILURES: readonly (readonly [name: string, answer: Answer])[] = [
  ['the connection reset', (response) => void response.socket?.destroy()],
  ['500', (response) => void response.writeHead(500).end('{"keys":[]}')],
  ['404', (response) => void response.writeHead(404).end()],
  ['204', (response) => void response.writeHead(204).end()],
  ['an empty body', (response) => void response.end()],
  ['an empty set', (response) => void response.end('{"keys":[]}')],
  ['a set without keys', (response) => void response.end('{}')],
  ['keys that are no list', (response) => void response.end('{"keys":{"0":{"kty":"RSA"}}}')],
  ['a set of symmetric keys', (response) => void response.end('{"keys":[{"kty":"oct","k":"AA","kid":"a"}]}')],
  ['a list', (response) => void response.end('[]')],
  ['null', (response) => void response.end('null')],
  ['HTML', (response) => void response.setHeader('content-type', 'text/html').end('<!doctype html><p>Login</p>')],
  [
    'half an answer',
    (response) => void response.writeHead(200, { 'content-length': 100 }).write('{"keys":[', () => response.destroy()),
  ],
  ['10 MiB', (response) => void response.end(`{"keys":[${' '.repeat(10_485_760)}]}`)],
  ['silence', () => undefined],
  ['headers and then silence', (response) => response.writeHead(200).flushHeaders()],
  ['a slow drip', drip],
]

function drip(response: ServerResponse): void {
  response.writeHead(200).write('{"keys":[')
  const timer = setInterval(() => response.write(' '), 20)
  response.on('close', () => clearInterval(timer))
}
