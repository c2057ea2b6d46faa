import { deny, type Denial } from '../decision.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import type { PlainAnswer } from '../plain-answer.ts'
import type { AskedRequest } from './asked.ts'

/** A Web request, for an endpoint. */
export function askedOf(request: Request): AskedRequest {
  return Object.freeze({
    method: request.method,
    rawHeaders: [...request.headers].flat(),
    body: (maxBytes: number) => bodyOf(request, maxBytes),
  })
}

/** HEAD: the same headers, no body. */
export function webResponse({ status, headers, body }: PlainAnswer, method: string): Response {
  const told = Object.entries(headers).filter(([name]) => name !== 'Content-Length')
  const all = told.map(([name, value]): [string, string] => [name, String(value)])
  const init = inheritingNothing({ status, statusText: '', headers: all })
  return new Response(method === 'HEAD' ? null : body, init)
}

async function bodyOf(request: Request, maxBytes: number): Promise<Buffer | Denial> {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) return deny('request_malformed')
  // Somebody has read it before: a mistake in the host's program.
  if (request.bodyUsed || request.body?.locked === true) return deny('handler_error')
  return request.body === null ? Buffer.alloc(0) : readBytes(request.body, maxBytes)
}

/** Never cancelled: on Node that would close the connection before the answer is sent. */
async function readBytes(body: NonNullable<Request['body']>, maxBytes: number): Promise<Buffer | Denial> {
  const reader = body.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return Buffer.concat(chunks)
      if (!(value instanceof Uint8Array)) return deny('request_malformed')
      size += value.byteLength
      if (size > maxBytes) return deny('request_malformed')
      chunks.push(value)
    }
  } catch {
    return deny('client_aborted')
  } finally {
    reader.releaseLock()
  }
}
