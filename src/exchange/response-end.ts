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

/** One listener a socket, however many pipelined requests it carries. Lists, for V8 makes the table of a `Set` anew whenever its only member leaves. */
const listenersOf = new WeakMap<Socket, Listener[]>()

/**
 * Calls `done` once, at the first of `res 'finish'`, `res 'close'` and the socket's `'close'`: the only rule that gives
 * exactly one end in every case, pipelined requests and answers that nobody reads included. Never `req 'close'`, which
 * fires before the answer once the body is read. Where all of them have fired already, at once.
 */
export function onResponseEnd(
  request: IncomingMessage,
  response: ServerResponse,
  done: (end: ResponseEnd) => void,
): void {
  const { socket } = request
  // A queued answer of a pipelined connection has no socket yet, and gets it when its turn comes; a closed one has none left.
  const queued = response.socket === null && !response.closed
  const begun = response.headersSent && !queued
  let start = queued ? null : socket.bytesWritten
  if (start === null) {
    response.once('socket', () => {
      start = socket.bytesWritten
    })
  }
  let over = false
  const end = (full: boolean) => {
    if (over) return
    over = true
    leaveSocket(socket, close)
    const sent = start === null ? 0 : socket.bytesWritten - start
    // `headersSent` says that a header was made: one that never came to the socket was not sent.
    const status = response.headersSent && (begun || sent !== 0) ? response.statusCode : null
    done({ full, status, bytes: status === null ? 0 : bodyBytes(request, response, { full, sent }) })
  }
  const close = () => end(false)
  const finish = () => end(socket.destroyed !== true)
  // Ahead of Node's own listener, which gives the socket to the next answer: its bytes are not ours.
  response.prependOnceListener('finish', finish)
  response.once('close', close)
  joinSocket(socket, close)
  if (response.closed || socket.closed) queueMicrotask(response.writableFinished ? finish : close)
}

function joinSocket(socket: Socket, listener: Listener): void {
  const known = listenersOf.get(socket)
  if (known !== undefined) {
    known.push(listener)
    return
  }
  const listeners = [listener]
  listenersOf.set(socket, listeners)
  socket.once('close', () => {
    for (const each of listeners.slice()) each()
  })
}

function leaveSocket(socket: Socket, listener: Listener): void {
  const listeners = listenersOf.get(socket) ?? []
  const at = listeners.indexOf(listener)
  if (at !== -1) listeners.splice(at, 1)
}

/** By the declared length where everything was sent, else by what went over the socket less the header. */
function bodyBytes(
  request: IncomingMessage,
  response: ServerResponse,
  { full, sent }: { full: boolean; sent: number },
): number {
  if (!hasBody(request, response)) return 0
  const declared = Number(response.getHeader('content-length'))
  if (full && Number.isSafeInteger(declared)) return declared
  const body = sent - headerBytes(response)
  // Not a number where a request was injected, past any socket.
  return body > 0 ? body : 0
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
