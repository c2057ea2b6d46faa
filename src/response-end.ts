import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How a response ended. */
export interface ResponseEnd {
  /** `finish` with a live socket: everything was handed to the kernel. */
  readonly full: boolean
  /** `null`: no header was sent. */
  readonly status: number | null
  /** Bytes of the body that were handed to the socket. */
  readonly bytes: number
}

type Listener = () => void

/** One listener a socket, however many pipelined requests it carries. */
const listenersOf = new WeakMap<Socket, Set<Listener>>()

/**
 * Calls `done` once, at the first of `res 'finish'`, `res 'close'` and the socket's `'close'`: the only rule that gives
 * exactly one end in every case, pipelined requests and answers that nobody reads included. Never `req 'close'`, which
 * fires before the answer once the body is read.
 */
export function onResponseEnd(request: IncomingMessage, response: ServerResponse, done: (end: ResponseEnd) => void): void {
  const { socket } = request
  // A queued answer of a pipelined connection has no socket yet; it gets it when its turn comes.
  let written = response.socket === null ? null : socket.bytesWritten
  if (written === null) {
    response.once('socket', () => {
      written = socket.bytesWritten
    })
  }
  let over = false
  const end = (full: boolean) => {
    if (over) return
    over = true
    leaveSocket(socket, close)
    const status = written !== null && response.headersSent ? response.statusCode : null
    done({ full, status, bytes: status === null ? 0 : bodyBytes(request, response, socket.bytesWritten - (written ?? 0)) })
  }
  const close = () => end(false)
  response.once('finish', () => end(socket.destroyed !== true))
  response.once('close', close)
  joinSocket(socket, close)
}

function joinSocket(socket: Socket, listener: Listener): void {
  const known = listenersOf.get(socket)
  if (known !== undefined) {
    known.add(listener)
    return
  }
  const listeners = new Set([listener])
  listenersOf.set(socket, listeners)
  socket.once('close', () => {
    for (const each of listeners) each()
  })
}

function leaveSocket(socket: Socket, listener: Listener): void {
  listenersOf.get(socket)?.delete(listener)
}

/** By the declared length where everything was sent, else by what went over the socket less the header. */
function bodyBytes(request: IncomingMessage, response: ServerResponse, written: number): number {
  if (!hasBody(request, response)) return 0
  const declared = Number(response.getHeader('content-length'))
  if (response.writableFinished && Number.isSafeInteger(declared)) return declared
  return Math.max(0, written - headerBytes(response))
}

/** RFC 9110 sections 6.4.1 and 15.4.5: HEAD, 204 and 304 carry no body. */
export function hasBody(request: IncomingMessage, response: ServerResponse): boolean {
  return request.method !== 'HEAD' && response.statusCode !== 204 && response.statusCode !== 304
}

/** Node keeps the header as it was sent in `_header`; there is no public way to learn its length. */
function headerBytes(response: ServerResponse): number {
  const header: unknown = Reflect.get(response, '_header')
  return typeof header === 'string' ? Buffer.byteLength(header, 'latin1') : 0
}

/** The client has left, or the answer is out: nothing that is done now reaches anybody. */
export function isOver(request: IncomingMessage, response: ServerResponse): boolean {
  return response.writableEnded || response.destroyed || request.socket.destroyed === true
}
