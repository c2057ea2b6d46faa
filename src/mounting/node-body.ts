import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { deny, type Denial } from '../decision.ts'
import { isOver, onResponseEnd } from '../exchange/response-end.ts'

/** Where a body comes from. */
export interface BodySource {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The request, or the stream that the framework has put in front of it. */
  readonly source: Readable
}

/** The body of one request. */
export interface NodeBody {
  /**
   * Nothing beyond so many bytes is read. The stream is never destroyed: that would end the connection, and with it the answer
   * that says why. A client that leaves ends the waiting, whatever the stream does. `declared`: what the client says of its length.
   */
  read(maxBytes: number, declared: number | null): Buffer | Denial | Promise<Buffer | Denial>
  /**
   * After the answer: what is left is read and thrown away, so that the client gets to read its answer and the connection
   * serves its next request. Node does so by itself only where nobody has begun to read, and without an end.
   */
  drain(): void
}

export function nodeBody(from: BodySource): NodeBody {
  const { request, source } = from
  let whole = false
  return {
    read: (maxBytes, declared) => {
      const kept: Kept = { chunks: [], room: maxBytes }
      whole = isHere(from, declared)
      return whole ? (take(source, kept) ?? Buffer.concat(kept.chunks)) : readToEnd(from, kept)
    },
    drain: () => {
      if (source !== request) request.unpipe()
      if (whole) request.resume()
      else drain(request)
    },
  }
}

/** As many bytes wait as were declared: a small body has come with its headers, and there is nothing to listen for. */
function isHere({ request, source }: BodySource, declared: number | null): boolean {
  if (source !== request || request.destroyed || request.readableEncoding !== null) return false
  return request.readableLength === declared
}

interface Kept {
  readonly chunks: Buffer[]
  /** Bytes. */
  room: number
}

const EVENTS = ['readable', 'end', 'error', 'close'] as const

function readToEnd({ request, response, source }: BodySource, kept: Kept): Promise<Buffer | Denial> {
  return new Promise((resolve) => {
    let over = false
    const look = () => {
      if (over) return
      const read = take(source, kept) ?? endOf(source, kept, request) ?? (isOver(request, response) ? LEFT : null)
      if (read === null) return
      over = true
      for (const event of EVENTS) source.off(event, look)
      resolve(read)
    }
    for (const event of EVENTS) source.on(event, look)
    onResponseEnd(request, response, look)
    look()
  })
}

const LEFT = deny('client_aborted')

/** Over HTTP/2 what was broken off ends like what is whole. */
function endOf(source: Readable, { chunks }: Kept, { aborted }: IncomingMessage): Buffer | Denial | null {
  if (source.readableEnded && !aborted) return Buffer.concat(chunks)
  return source.readableEnded || source.destroyed ? LEFT : null
}

/** Takes what is there by now; a denial where it is more than there is room for. */
function take(source: Readable, kept: Kept): Denial | null {
  for (let chunk: unknown = source.read(); chunk !== null; chunk = source.read()) {
    const bytes = bytesOf(chunk, source.readableEncoding)
    kept.room -= bytes?.length ?? Number.POSITIVE_INFINITY
    if (bytes === null || kept.room < 0) return deny('request_malformed')
    kept.chunks.push(bytes)
  }
  return null
}

/** Text where somebody has set an encoding on the stream. */
function bytesOf(chunk: unknown, encoding: BufferEncoding | null): Buffer | null {
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding ?? 'utf8')
  return Buffer.isBuffer(chunk) ? chunk : null
}

/** How much of a body that nobody wants is read, and for how long, before the connection is closed. */
const MAX_DRAIN_BYTES = 4 * 1024 * 1024
const MAX_DRAIN_MS = 5_000

function drain(request: IncomingMessage): void {
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
