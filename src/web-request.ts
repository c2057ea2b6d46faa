import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { bodyStream } from './body-stream.ts'
import { GuardError } from './errors.ts'
import { inheritingNothing } from './lib/inheriting-nothing.ts'
import { rawValues } from './request/raw-headers.ts'

/** What an adapter hands over of one request. */
export interface WebCall {
  readonly request: IncomingMessage
  /** Path and query as received, before any mount or rewrite. */
  readonly url: string
  /** Where the body comes from: the request, or the stream that the framework has put in front of it. */
  readonly source: Readable
  /** What a body parser has left, own members alone; `undefined`: nothing. */
  readonly parsed: { readonly body: unknown; readonly text: unknown }
}

/**
 * The Web request for a handler. Its origin is always `http://localhost`: no `Host` has a say in it. `null`: no Web request
 * can say it (the method `TRACE`).
 * @throws {GuardError} where somebody has read the body and left nothing of it.
 */
export function webRequest(call: WebCall, signal: AbortSignal): Request | null {
  const { request, source } = call
  const { method = 'GET' } = request
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const parsed = hasBody && source.readableDidRead
  const body = parsed ? rebuiltBody(call) : hasBody ? bodyStream(source, signal) : null
  try {
    const headers = headersOf(request.rawHeaders)
    if (parsed) for (const name of OF_THE_WIRE) headers.delete(name)
    const init = { ...DEFAULTS, method, headers, body, signal, duplex: 'half' } as const
    return new Request(urlOf(call.url), inheritingNothing(init))
  } catch {
    return null
  }
}

/**
 * What Node takes where nothing is said. Said all the same: Node copies its options into an object that inherits whatever
 * stands on `Object.prototype`, where one wrong member would make every request fail.
 */
const DEFAULTS = Object.freeze({
  window: null,
  mode: 'cors',
  cache: 'default',
  credentials: 'same-origin',
  redirect: 'follow',
  referrer: 'about:client',
  referrerPolicy: '',
  integrity: '',
  keepalive: false,
} as const)

/** Of a body as it came, not as it is rebuilt. */
const OF_THE_WIRE = ['content-length', 'content-encoding', 'transfer-encoding'] as const

/**
 * `Headers` joins repeated headers to one value, in which two credentials cannot always be told from one that is malformed.
 * The handler is told so in a way that it cannot miss, and is spared both.
 */
const TWO_CREDENTIALS = 'Bearer, Bearer'

function headersOf(rawHeaders: readonly string[]): Headers {
  const headers = new Headers()
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    // HTTP/2 keeps method and path among the headers.
    if (!name.startsWith(':')) headers.append(name, rawHeaders[at + 1] ?? '')
  }
  if (rawValues(rawHeaders, 'authorization').length > 1) headers.set('authorization', TWO_CREDENTIALS)
  return headers
}

/** Of `//evil.example/x` and `http://evil.example/x` only the path counts. */
function urlOf(url: string): string {
  if (url.startsWith('/')) return `http://localhost${url}`
  if (!URL.canParse(url)) return 'http://localhost/'
  const { pathname, search } = new URL(url)
  return `http://localhost${pathname.startsWith('/') ? pathname : '/'}${search}`
}

/** The text of a body that was parsed before, as the handler would have read it. */
function rebuiltBody({ parsed, request }: WebCall): string | Uint8Array | null {
  const { body, text } = parsed
  if (isRaw(text)) return text
  if (isRaw(body)) return body
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (body !== undefined) return type === FORM ? formText(body) : JSON.stringify(body)
  // The handler refuses every other type by its name, before it asks for the body.
  if (type !== FORM && type !== 'application/json') return null
  throw new GuardError(
    'GUARD_OPTION',
    'The body was read before `mount` and nothing of it was left in `request.body`. Mount the handler before what reads it.',
  )
}

const FORM = 'application/x-www-form-urlencoded'

function isRaw(body: unknown): body is string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array
}

/** What no flat form can say (`a[b]=c`, as some parsers read it) is a name that no handler knows: it is left out. */
function formText(body: unknown): string {
  const form = new URLSearchParams()
  const entries = typeof body === 'object' && body !== null ? Object.entries(body) : []
  for (const [name, value] of entries) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value]
    for (const each of values) if (typeof each === 'string') form.append(name, each)
  }
  return form.toString()
}
