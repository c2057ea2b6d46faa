import { isUtf8 } from 'node:buffer'
import { deny, type Denial } from '../decision.ts'

const MAX_BYTES = 16_384

/**
 * The body of a request as strict UTF-8, at most 16 KiB; nothing beyond that is read. A body that was broken off ends as
 * `client_aborted`. It is never cancelled: on Node that would close the connection before the answer is sent.
 */
export async function readBody(request: Request, mediaType: string): Promise<string | Denial> {
  if (mediaTypeOf(request) !== mediaType) return deny('request_malformed')
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BYTES) return deny('request_malformed')
  // Somebody has read it before: a mistake in the host's program.
  if (request.bodyUsed || request.body?.locked === true) return deny('handler_error')
  const bytes = request.body === null ? Buffer.alloc(0) : await readBytes(request.body)
  if (!Buffer.isBuffer(bytes)) return bytes
  return isUtf8(bytes) ? bytes.toString('utf8') : deny('request_malformed')
}

function mediaTypeOf({ headers }: Request): string {
  const [type = ''] = (headers.get('content-type') ?? '').split(';')
  return type.trim().toLowerCase()
}

async function readBytes(body: NonNullable<Request['body']>): Promise<Buffer | Denial> {
  const reader = body.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return Buffer.concat(chunks)
      if (!(value instanceof Uint8Array)) return deny('request_malformed')
      size += value.byteLength
      if (size > MAX_BYTES) return deny('request_malformed')
      chunks.push(value)
    }
  } catch {
    return deny('client_aborted')
  } finally {
    reader.releaseLock()
  }
}
