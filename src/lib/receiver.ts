import type { Transformer } from 'node:stream/web'
import { boundedFetch } from './bounded-fetch.ts'
import { inheritingNothing } from './inheriting-nothing.ts'
import { retryAfterMs } from './retry-after.ts'

/** Somebody who is sent one message after another. */
export interface Receiver {
  /** Who it is, for errors: `The receiver of http`. */
  readonly what: string
  readonly url: URL
  /** May hold a secret. */
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  /** Whether an answer of this media type is read. Of any other the text is empty, however long it is. */
  reads(mediaType: string): boolean
}

export interface Message {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal: AbortSignal
}

/** `taken: false`: the receiver will never take this message, though it may take a part of it. */
export type Reply =
  | { readonly taken: true; readonly mediaType: string; readonly text: string }
  | { readonly taken: false; readonly status: number }

const MAX_BYTES = 262_144

/**
 * Statuses below 500 that tell of the receiver, of who asks or of the moment, and nothing of what was sent: a URL or a
 * credential that is wrong is put right one day, and all that waits is taken then.
 */
const LATER: ReadonlySet<number> = new Set([
  401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 415, 421, 423, 425, 426, 428, 429, 431,
])

/** Not for long, and not to be mended by anybody here. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 423, 425, 429])

/**
 * Posts one message and tells what became of it. Rejects where the same should be sent again: no answer, or one that is
 * neither for it nor against it; with `retryAfterMs` where the receiver has said when. No redirect is followed. Errors are
 * made here and hold neither the URL nor a header, nor what the receiver has written.
 */
export async function post(receiver: Receiver, { headers, body, signal }: Message): Promise<Reply> {
  let head: Head = { status: 0, retryAfter: null }
  const note = (next: Head): void => {
    head = next
  }
  const answer = await boundedFetch({
    ...receiver,
    method: 'POST',
    headers: { ...receiver.headers, ...headers },
    body,
    signal,
    fetch: noting(receiver, note),
    // The receiver knows what it has already, or is told that messages come twice.
    again: true,
    maxBytes: MAX_BYTES,
  })
  const { status } = head
  if (isTaken(status)) return { taken: true, mediaType: answer.mediaType, text: answer.text }
  if (status >= 400 && status < 500 && !LATER.has(status)) return { taken: false, status }
  throw tryLater(receiver.what, head)
}

interface Head {
  readonly status: number
  readonly retryAfter: string | null
}

/** Sees what `boundedFetch` does not hand on, and has it read the answer of any success: it reads a 200 alone. */
function noting({ fetch: send, reads }: Receiver, note: (head: Head) => void): typeof fetch {
  return async (input, init) => {
    const response = await send(input, init)
    note({ status: response.status, retryAfter: response.headers.get('retry-after') })
    if (!isTaken(response.status)) return response
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
    const { headers, body } = response
    const read = reads(type.trim().toLowerCase()) || body === null ? body : body.pipeThrough(draining())
    return new Response(read, inheritingNothing<ResponseInit>({ status: 200, statusText: '', headers }))
  }
}

/** Takes an answer off the connection, so that it can be used again, and throws it away. */
function draining(): TransformStream<Uint8Array, Uint8Array> {
  let left = MAX_BYTES
  return new TransformStream(
    inheritingNothing<Transformer<Uint8Array, Uint8Array>>({
      transform(chunk, controller) {
        left -= chunk.byteLength
        if (left < 0) controller.terminate()
      },
    }),
  )
}

function isTaken(status: number): boolean {
  return status >= 200 && status < 300
}

function tryLater(what: string, { status, retryAfter }: Head): Error {
  const isLasting = status < 500 && !PASSING.has(status)
  const error = new Error(`${what} answered ${status}${isLasting ? ': check its URL and its headers' : ''}.`)
  const ms = retryAfterMs(retryAfter, Date.now())
  return ms === null ? error : Object.assign(error, { retryAfterMs: ms })
}
