import { isPrivateUrl } from './bounded-fetch.ts'
import { inheritingNothing } from './inheriting-nothing.ts'
import { isPlainObject, type OwnOptions } from './own-options.ts'

/** Members that every factory of something that posts to a receiver has. */
export const RECEIVER_OPTIONS: readonly string[] = [
  'url',
  'headers',
  'name',
  'required',
  'retains',
  'timeoutMs',
  'fetch',
]

/** Where to post, as whom and for how long, and under which name that is known. */
export interface ReceiverSettings {
  readonly name: string
  readonly required: boolean
  readonly retains: boolean
  readonly url: URL
  /** May hold a secret. */
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

const DEFAULT_TIMEOUT_MS = 10_000
const MAX_TIMEOUT_MS = 60_000

/** @throws {OptionError} for the first mistake; it names the option and the remedy, never the value. */
export function readReceiver(own: OwnOptions, name: string): ReceiverSettings {
  return Object.freeze({
    name: readName(own, name),
    required: readFlag(own, 'required'),
    retains: readFlag(own, 'retains'),
    url: readUrl(own),
    headers: readHeaders(own),
    timeoutMs: readTimeout(own),
    fetch: readFetch(own),
  })
}

function readName(own: OwnOptions, fallback: string): string {
  const value = own.get('name') ?? fallback
  if (typeof value === 'string' && /^[a-z0-9-]{1,64}$/.test(value)) return value
  throw own.mistake('name', 'cannot be the name of a file.', 'Give 1 to 64 of a-z, 0-9 and `-`.')
}

function readFlag(own: OwnOptions, name: string): boolean {
  const value = own.get(name) ?? false
  if (typeof value === 'boolean') return value
  throw own.mistake(name, 'is neither true nor false.', 'Give `true`, or leave it out.')
}

/** `fetch` would repeat what is wrong with a URL in its error, password and all. */
function readUrl(own: OwnOptions): URL {
  const remedy = 'Give the https URL of the receiver; http is taken on loopback alone.'
  const value = own.get('url')
  if (value === undefined) throw own.mistake('url', 'is missing.', remedy)
  const text = value instanceof URL ? value.href : value
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : null
  if (url === null || !isPrivateUrl(url)) throw own.mistake('url', 'is not an https URL.', remedy)
  if (url.username === '' && url.password === '') return url
  throw own.mistake('url', 'holds a user name or password.', 'Give them in `headers`, as `authorization`.')
}

/** RFC 9110 section 5.6.2. */
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/
/** Printable ASCII: what is beyond, no two programs read alike. */
const FIELD_VALUE = /^[\x21-\x7e](?:[\x20-\x7e\t]{0,16382}[\x21-\x7e])?$/
/** Of the message that is made here, or of its connection. */
const OURS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'idempotency-key',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

function readHeaders(own: OwnOptions): Readonly<Record<string, string>> {
  const value = own.get('headers') ?? {}
  const remedy = 'Give an object of header names and texts, such as { authorization: `Bearer ${token}` }.'
  if (!isPlainObject(value)) throw own.mistake('headers', 'is no plain object.', remedy)
  const headers = new Map<string, string>()
  for (const [name, text] of Object.entries(value)) {
    const field = name.toLowerCase()
    if (!FIELD_NAME.test(name)) throw own.mistake('headers', 'has a name that cannot be sent.', remedy)
    if (OURS.has(field)) throw own.mistake('headers', `has ${field}, which is set here.`, 'Leave it out.')
    if (headers.has(field)) throw own.mistake('headers', 'has a name twice.', 'Names differ in more than capitals.')
    if (typeof text !== 'string' || !FIELD_VALUE.test(text)) {
      throw own.mistake('headers', 'has a value that cannot be sent.', 'Give printable ASCII, without a line end.')
    }
    headers.set(field, text)
  }
  return Object.freeze(inheritingNothing(Object.fromEntries(headers)))
}

function readTimeout(own: OwnOptions): number {
  const value = own.get('timeoutMs') ?? DEFAULT_TIMEOUT_MS
  if (typeof value === 'number' && value > 0 && value <= MAX_TIMEOUT_MS) return value
  throw own.mistake('timeoutMs', 'is out of range.', 'Give milliseconds, at most 60,000.')
}

function readFetch(own: OwnOptions): typeof fetch {
  const value = own.get('fetch') ?? fetch
  if (typeof value === 'function') return value as typeof fetch
  throw own.mistake('fetch', 'is no function.', "Leave it out for Node's own.")
}
