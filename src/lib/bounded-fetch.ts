import { inheritingNothing } from './inheriting-nothing.ts'

/** A request whose answer is small text from one place that was named in advance. */
export interface BoundedRequest {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly fetch: typeof fetch
  /** For the whole, body and all. */
  readonly timeoutMs: number
  /** Ends it earlier. */
  readonly signal: AbortSignal | null
  /**
   * Send once more where the connection is reset before an answer: one that was kept may have been closed by the other side
   * meanwhile, which is no outage. Only for what may be asked twice.
   */
  readonly again: boolean
  /** Of the body as it is read, so after any decompression. */
  readonly maxBytes: number
  /** Who is asked, for errors: `The key set`. */
  readonly what: string
}

export interface BoundedAnswer {
  readonly status: number
  /** Media type in lower case, without parameters; empty where none was sent. */
  readonly mediaType: string
  readonly text: string
}

/**
 * One answer, read to its end as strict UTF-8; only a 200 has a `text`, the body of any other is left unread. A redirect is
 * an answer like any other and is not followed: a credential goes where it was told to go, and nowhere else. Rejects when
 * the connection fails, when the body is too large or no UTF-8, and as soon as time is up or the signal aborted, also where
 * the `fetch` that was handed in does not listen. Errors are made here: what `fetch` throws may repeat a header.
 */
export async function boundedFetch(request: BoundedRequest): Promise<BoundedAnswer> {
  const { timeoutMs, signal, what } = request
  const late = () => new Error(`${what} did not answer in time.`)
  if (signal?.aborted === true) throw late()
  const controller = new AbortController()
  let stop = () => {}
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => {
      controller.abort()
      reject(late())
    }
  })
  const timer = setTimeout(stop, timeoutMs).unref()
  signal?.addEventListener('abort', stop, inheritingNothing({ once: true }))
  try {
    return await Promise.race([answerTo(request, controller.signal), stopped])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
    // An answer that is not wanted to its end would keep its connection.
    controller.abort()
  }
}

/** Whether what is sent there stays between the two: https, or plain http within this machine. */
export function isPrivateUrl({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

async function answerTo(request: BoundedRequest, signal: AbortSignal): Promise<BoundedAnswer> {
  const response = await sent(request, signal)
  const { status } = response
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
  return { status, mediaType: type.trim().toLowerCase(), text: status === 200 ? await readText(response, request) : '' }
}

/** Said although they are the defaults, the first excepted: `fetch` looks for what is left out in `Object.prototype`. */
const DEFAULTS: object = {
  redirect: 'manual',
  mode: 'cors',
  credentials: 'same-origin',
  cache: 'default',
  integrity: '',
  keepalive: false,
  referrer: 'about:client',
  referrerPolicy: '',
  duplex: 'half',
  window: null,
}

async function sent(request: BoundedRequest, signal: AbortSignal): Promise<Response> {
  const { url, fetch, what, method, body, again } = request
  const send = () => {
    const headers = inheritingNothing({ ...request.headers })
    return fetch(url, inheritingNothing<RequestInit>({ ...DEFAULTS, method, headers, body, signal }))
  }
  try {
    return await send().catch((error: unknown) => {
      if (!again || signal.aborted || !RESET.has(codeOf(error) ?? '')) throw error
      return send()
    })
  } catch (error) {
    throw failure(what, 'could not be reached', error)
  }
}

async function readText(response: Response, { maxBytes, what }: BoundedRequest): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength
      if (size > maxBytes) break
      chunks.push(chunk)
    }
  } catch (error) {
    throw failure(what, 'broke off', error)
  }
  if (size > maxBytes) throw new Error(`${what} sent more than ${maxBytes} bytes.`)
  try {
    return new TextDecoder('utf-8', inheritingNothing({ fatal: true })).decode(Buffer.concat(chunks))
  } catch {
    throw new Error(`${what} sent something that is no UTF-8.`)
  }
}

const RESET: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

/** Says no more than the code of the system's error, such as `ECONNREFUSED`. */
function failure(what: string, problem: string, error: unknown): Error {
  const code = codeOf(error)
  return new Error(`${what} ${problem}${code === null ? '' : ` (${code})`}.`)
}

/** `fetch` hides the error of the connection behind one of its own. */
function codeOf(error: unknown): string | null {
  return ownCode(error) ?? ownCode(error instanceof Error ? error.cause : null)
}

function ownCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !Object.hasOwn(error, 'code')) return null
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' && /^[A-Z][A-Z_]{1,39}$/.test(code) ? code : null
}
