import { ConfigError, readStoreOptions } from '../../keys/store.ts'
import { isPrivateUrl } from '../../lib/bounded-fetch.ts'

/** Where and as whom keys are asked about. */
export interface IntrospectionOptions {
  /** RFC 7662 section 2: the introspection endpoint; https, or http on loopback. */
  readonly url: string | URL
  /** What the endpoint takes as `Authorization: Bearer …`: an API key of yours. Kept out of every error. */
  readonly clientCredential: string
  /** Default: Node's own. */
  readonly fetch?: typeof fetch | undefined
  /**
   * Deadline of one request in milliseconds, at most 30,000; `keys.timeoutMs` may end a look-up earlier. Left out, a look-up
   * has `keys.timeoutMs`, and 2000 where that is left out as well.
   */
  readonly timeoutMs?: number | undefined
}

export interface IntrospectionSettings {
  readonly url: URL
  readonly clientCredential: string
  readonly fetch: typeof fetch
  readonly timeoutMs: number | null
}

const NAMES = ['url', 'clientCredential', 'fetch', 'timeoutMs']

/** @throws {ConfigError} for the first mistake; it names the option and the remedy, never the value. */
export function readOptions(options: IntrospectionOptions): IntrospectionSettings {
  const own = readStoreOptions('introspectionKeyStore', options, NAMES)
  return Object.freeze({
    url: readUrl(own.get('url')),
    clientCredential: readCredential(own.get('clientCredential')),
    fetch: readFetch(own.get('fetch')),
    timeoutMs: readTimeout(own.get('timeoutMs')),
  })
}

function readUrl(value: unknown): URL {
  const remedy = 'Give the https URL of the introspection endpoint.'
  if (value === undefined || value === '') throw mistake('CONFIG_MISSING', 'url', ['is missing.', remedy])
  const text = value instanceof URL ? value.href : value
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : null
  if (url === null || !isPrivateUrl(url)) throw mistake('CONFIG_INVALID', 'url', ['is not an https URL.', remedy])
  if (url.username !== '' || url.password !== '') {
    const problem = 'holds a user name or password.'
    throw mistake('CONFIG_INVALID', 'url', [problem, 'Leave it out; the endpoint is given `clientCredential`.'])
  }
  return url
}

/** RFC 6750 section 2.1: anything else could not be sent, and `fetch` would repeat it in its error. */
function readCredential(value: unknown): string {
  if (value === undefined || value === '') {
    const remedy = 'Give the API key that the introspection endpoint takes.'
    throw mistake('CONFIG_MISSING', 'clientCredential', ['is missing.', remedy])
  }
  if (typeof value === 'string' && value.length <= 8192 && /^[A-Za-z0-9._~+/-]+=*$/.test(value)) return value
  const remedy = 'Give the credential alone: no `Bearer`, no quotes, spaces or line ends.'
  throw mistake('CONFIG_INVALID', 'clientCredential', ['is no bearer credential.', remedy])
}

function readFetch(value: unknown): typeof fetch {
  if (value === undefined) return fetch
  if (typeof value === 'function') return value as typeof fetch
  throw mistake('CONFIG_INVALID', 'fetch', ['is no function.', "Leave it out for Node's own."])
}

function readTimeout(value: unknown): number | null {
  if (value === undefined) return null
  if (typeof value === 'number' && value > 0 && value <= 30_000) return value
  throw mistake('CONFIG_INVALID', 'timeoutMs', ['is out of range.', 'Give milliseconds, at most 30,000.'])
}

function mistake(
  code: ConstructorParameters<typeof ConfigError>[0],
  name: string,
  [problem, remedy]: readonly [string, string],
): ConfigError {
  return new ConfigError(code, `introspectionKeyStore.${name}`, { problem, remedy })
}
