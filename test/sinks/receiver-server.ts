import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a receiver does with a request that has arrived whole. */
export type Answering = (response: ServerResponse, asked: Asked) => void

export interface Asked {
  readonly path: string
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Without the last, empty one. */
  readonly lines: readonly string[]
}

export interface ReceiverServer {
  readonly url: string
  /** Every request so far. */
  readonly asked: readonly Asked[]
  connections(): number
  become(answering: Answering): void
  /** No answer from now on, and no connection; `open` undoes it, on the same port. */
  shut(): Promise<void>
  open(): Promise<void>
  close(): Promise<void>
}

/** On loopback; takes everything until it is told otherwise. */
export async function startReceiver(): Promise<ReceiverServer> {
  const asked: Asked[] = []
  let answering: Answering = taking()
  let connections = 0
  let port = 0
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk)
    const { url = '', method = '', headers } = request
    const each = { path: url, method, headers, body, lines: body.split('\n').slice(0, -1) }
    asked.push(each)
    answering(response, each)
  }
  const server = http.createServer((request, response) => {
    listener(request, response).catch(() => response.destroy())
  })
  server.on('connection', () => void (connections += 1))
  const open = () =>
    new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve)
    })
  const shut = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
  await open()
  ;({ port } = server.address() as AddressInfo)
  return {
    url: `http://127.0.0.1:${port}/v1/logs`,
    asked,
    connections: () => connections,
    become: (next) => {
      answering = next
    },
    shut,
    open,
    close: shut,
  }
}

export const taking =
  (status = 200): Answering =>
  (response) =>
    void response.writeHead(status).end()

export const answering =
  (status: number, headers: Readonly<Record<string, string>> = {}, body = ''): Answering =>
  (response) =>
    void response.writeHead(status, headers).end(body)

/** Takes what has none of these marks in it; refuses the whole message with `status` where one has. */
export const refusing =
  (marks: readonly string[], status = 400): Answering =>
  (response, { body }) =>
    void response.writeHead(marks.some((mark) => body.includes(mark)) ? status : 200).end()
