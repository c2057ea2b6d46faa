import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { ReadableStream, type ReadableStreamDefaultController } from 'node:stream/web'
import { inheritingNothing } from './lib/inheriting-nothing.ts'

/**
 * The body as a Web stream that reads only what is asked for. Not `Readable.toWeb`: that one destroys the connection when
 * its reader stops early, and with it the answer that says why.
 */
export function bodyStream(source: Readable, signal: AbortSignal): ReadableStream<Uint8Array> {
  let stop: () => void = () => undefined
  return new ReadableStream<Uint8Array>(
    inheritingNothing({
      pull: (controller: ReadableStreamDefaultController<Uint8Array>) =>
        new Promise<void>((resolve, reject) => {
          const release = listen(source, signal, () => {
            const turn = nextTurn(source, signal, controller)
            if (turn === 'wait') return
            release()
            if (turn === 'done') resolve()
            else reject(leftError())
          })
          stop = () => {
            release()
            resolve()
          }
        }),
      cancel: () => stop(),
    }),
    inheritingNothing({ highWaterMark: 0 }),
  )
}

const EVENTS = ['readable', 'end', 'error', 'close'] as const

/** Calls `look` now and whenever something may have changed, until it is released. */
function listen(source: Readable, signal: AbortSignal, look: () => void): () => void {
  let over = false
  const looking = () => {
    if (!over) look()
  }
  for (const event of EVENTS) source.on(event, looking)
  signal.addEventListener('abort', looking)
  queueMicrotask(looking)
  return () => {
    over = true
    for (const event of EVENTS) source.off(event, looking)
    signal.removeEventListener('abort', looking)
  }
}

function nextTurn(
  source: Readable,
  signal: AbortSignal,
  controller: ReadableStreamDefaultController<Uint8Array>,
): 'wait' | 'done' | 'left' {
  if (signal.aborted) return 'left'
  const chunk: unknown = source.read()
  if (chunk !== null) {
    controller.enqueue(bytesOf(chunk))
    return 'done'
  }
  if (source.readableEnded) {
    controller.close()
    return 'done'
  }
  return source.destroyed ? 'left' : 'wait'
}

/** Text where somebody has set an encoding on the stream. */
function bytesOf(chunk: unknown): Uint8Array {
  const bytes =
    typeof chunk === 'string' || chunk instanceof Uint8Array ? Buffer.from(chunk as string) : Buffer.alloc(0)
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function leftError(): Error {
  return new DOMException('The client left before its body was complete.', 'AbortError')
}

/** How much of a body that nobody wants is read, and for how long, before the connection is closed. */
const MAX_DRAIN_BYTES = 4 * 1024 * 1024
const MAX_DRAIN_MS = 5_000

/**
 * After the answer: what is left of the body is read and thrown away, so that the client gets to read its answer and the
 * connection serves its next request. Node does so by itself only where nobody has begun to read, and without an end.
 */
export function drain(request: IncomingMessage): void {
  if (request.readableEnded || request.destroyed) return
  const { socket } = request
  let left = MAX_DRAIN_BYTES
  const timer = setTimeout(() => socket.destroy(), MAX_DRAIN_MS).unref()
  const ended = () => clearTimeout(timer)
  request.on('error', () => undefined)
  request.once('end', ended).once('close', ended)
  request.on('data', (chunk: Buffer | string) => {
    left -= chunk.length
    if (left < 0) socket.destroy()
  })
  request.resume()
}
