import { deny, type Denial } from '../decision.ts'
import type { BodySource, NodeBody } from './node-body.ts'
import { rawValues } from '../request/raw-headers.ts'
import type { AskedRequest } from '../server/asked.ts'

/** What an adapter hands over of one request. */
export interface MountCall extends BodySource {
  /** What a body parser has left, own members alone; `undefined`: nothing. */
  readonly parsed: { readonly body: unknown; readonly text: unknown }
}

/** Node's request, for an endpoint. `onLost` is called where somebody has read the body and left nothing of it. */
export function askedOfNode(call: MountCall, unread: NodeBody, onLost: () => void): AskedRequest {
  const { request, source } = call
  const { method = 'GET', rawHeaders } = request
  const body = async (maxBytes: number): Promise<Buffer | Denial> => {
    // Node tells of a request before it parses the body that has come with it: a moment later it is here.
    await Promise.resolve()
    if (source.readableDidRead) return rebuilt(call, maxBytes, onLost)
    const [length] = rawValues(rawHeaders, 'content-length')
    const declared = length === undefined ? null : Number(length)
    return declared !== null && declared > maxBytes ? deny('request_malformed') : unread.read(maxBytes, declared)
  }
  return { method, rawHeaders, body }
}

/** Of a body that was parsed before. The length that was declared is that of the body as it came, perhaps packed. */
function rebuilt(call: MountCall, maxBytes: number, onLost: () => void): Buffer | Denial {
  const text = textOf(call)
  if (text === null) {
    onLost()
    return deny('handler_error')
  }
  const bytes = Buffer.from(text as string)
  return bytes.length > maxBytes ? deny('request_malformed') : bytes
}

/** As the endpoint would have read it, which asks for the body of the types alone that it takes. */
function textOf({ parsed: { body, text }, request }: MountCall): string | Uint8Array | null {
  if (isRaw(text)) return text
  if (isRaw(body)) return body
  if (body === undefined) return null
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  return type === 'application/x-www-form-urlencoded' ? formText(body) : JSON.stringify(body)
}

function isRaw(body: unknown): body is string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array
}

/** What no flat form can say (`a[b]=c`, as some parsers read it) is a name that no endpoint knows: it is left out. */
function formText(body: unknown): string {
  const form = new URLSearchParams()
  const entries = typeof body === 'object' && body !== null ? Object.entries(body) : []
  for (const [name, value] of entries) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value]
    for (const each of values) if (typeof each === 'string') form.append(name, each)
  }
  return form.toString()
}
