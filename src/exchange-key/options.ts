import { ConfigError, type ConfigErrorCode } from '../errors.ts'
import { isPrivateUrl } from '../lib/bounded-fetch.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import { isScopeToken, type Scope } from '../scopes.ts'

/** At whose endpoint which key is exchanged, and for what. */
export interface ExchangeKeyOptions {
  /** The token endpoint, such as `https://…/v1/auth/token`; https, or http on loopback. */
  readonly url: string | URL
  /**
   * The API key, without `Bearer`; or a function that reads it, called before each exchange, so that a rotated key is taken
   * up without a restart. It has `timeoutMs`, too.
   */
  readonly key: string | (() => string | Promise<string>)
  /** What the token is to be good for: one scope or more, none of them twice. */
  readonly scopes: readonly Scope[]
  /** Default: Node's own. */
  readonly fetch?: typeof fetch | undefined
  /** Deadline of one exchange in milliseconds, at most 30,000. Default 5000. */
  readonly timeoutMs?: number | undefined
  /** Default: the system's. */
  readonly clock?: Clock | undefined
  /** How long before its end a token is replaced, at most 3600; never more than half of its life. Default 60. */
  readonly refreshBeforeSeconds?: number | undefined
}

export interface ExchangeSettings {
  readonly url: URL
  readonly key: string | (() => unknown)
  readonly scopes: readonly string[]
  readonly fetch: typeof fetch
  readonly timeoutMs: number
  readonly clock: Clock
  readonly refreshBeforeMs: number
}

const NAMES: ReadonlySet<string> = new Set([
  'url',
  'key',
  'scopes',
  'fetch',
  'timeoutMs',
  'clock',
  'refreshBeforeSeconds',
])

/** @throws {ConfigError} for the first mistake; it names the option and the remedy, never the value. */
export function readOptions(options: ExchangeKeyOptions): ExchangeSettings {
  if (typeof options !== 'object' || options === null) {
    throw mistake('CONFIG_MISSING', '', ['is missing.', 'Give `{ url, key, scopes }`.'])
  }
  // Own members alone: what every object inherits is no option.
  const own = new Map<string, unknown>(Object.entries(options))
  for (const name of own.keys()) {
    if (!NAMES.has(name)) throw mistake('CONFIG_UNKNOWN_OPTION', shown(name), ['is no option.', 'Check its spelling.'])
  }
  const key = own.get('key')
  return Object.freeze({
    url: readUrl(own.get('url')),
    key: typeof key === 'function' ? (key as () => unknown) : checkedKey(key),
    scopes: readScopes(own.get('scopes')),
    fetch: readFetch(own.get('fetch')),
    timeoutMs: readNumber('timeoutMs', own.get('timeoutMs') ?? 5000, { min: 1, max: 30_000 }),
    clock: readClock(own.get('clock')),
    refreshBeforeMs:
      readNumber('refreshBeforeSeconds', own.get('refreshBeforeSeconds') ?? 60, { min: 0, max: 3600 }) * 1000,
  })
}

/** RFC 6750 section 2.1: anything else could not be sent, and `fetch` would repeat it in its error. */
export function checkedKey(value: unknown): string {
  if (value === undefined || value === null || value === '') {
    const remedy = 'Give the API key, or a function that returns it. Is the environment variable set?'
    throw mistake('CONFIG_MISSING', 'key', ['is missing.', remedy])
  }
  if (isToken68(value)) return value
  const remedy = 'Give the key alone, as text: no `Bearer`, no quotes, spaces or line ends.'
  throw mistake('CONFIG_INVALID', 'key', ['is no API key.', remedy])
}

/** RFC 9110 section 11.2, and no longer than an issuer of ours reads. */
export function isToken68(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 8192 && /^[\w\-.~+/]+=*$/.test(value)
}

/** A key put in the place of a name is not repeated. */
function shown(name: string): string {
  return /^[A-Za-z]{1,40}$/.test(name) ? name : '(a member)'
}

function readUrl(value: unknown): URL {
  const remedy = 'Give the https URL of the token endpoint.'
  if (value === undefined || value === '') throw mistake('CONFIG_MISSING', 'url', ['is missing.', remedy])
  const text = value instanceof URL ? value.href : value
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : null
  if (url === null || !isPrivateUrl(url)) throw mistake('CONFIG_INVALID', 'url', ['is not an https URL.', remedy])
  if (url.username === '' && url.password === '') return url
  throw mistake('CONFIG_INVALID', 'url', ['holds a user name or password.', 'Leave it out; the issuer is given `key`.'])
}

function readScopes(value: unknown): readonly string[] {
  const remedy = "Give a list such as ['read:patients']."
  if (value === undefined) throw mistake('CONFIG_MISSING', 'scopes', ['is missing.', remedy])
  if (!Array.isArray(value) || value.length === 0)
    throw mistake('CONFIG_INVALID', 'scopes', ['names no scope.', remedy])
  const scopes: readonly unknown[] = [...(value as readonly unknown[])]
  const wrong = scopes.findIndex((scope, index) => !isScopeToken(scope) || scopes.indexOf(scope) < index)
  if (wrong === -1) return Object.freeze(scopes.filter(isScopeToken))
  const problem = isScopeToken(scopes[wrong]) ? 'is there twice.' : 'is no scope.'
  throw mistake('CONFIG_INVALID', `scopes[${wrong}]`, [problem, remedy])
}

function readFetch(value: unknown): typeof fetch {
  if (value === undefined) return fetch
  if (typeof value === 'function') return value as typeof fetch
  throw mistake('CONFIG_INVALID', 'fetch', ['is no function.', "Leave it out for Node's own."])
}

function readNumber(name: string, value: unknown, { min, max }: { min: number; max: number }): number {
  if (typeof value === 'number' && value >= min && value <= max) return value
  throw mistake('CONFIG_INVALID', name, ['is out of range.', `Give a number from ${min} to ${max}.`])
}

function readClock(value: unknown): Clock {
  if (value === undefined) return systemClock
  const isClock =
    typeof value === 'object' &&
    value !== null &&
    ['now', 'monotonicMs'].every((name) => typeof Reflect.get(value, name) === 'function')
  if (isClock) return value as Clock
  throw mistake('CONFIG_INVALID', 'clock', ['is no clock.', 'Give an object with `now` and `monotonicMs`.'])
}

function mistake(code: ConfigErrorCode, name: string, [problem, remedy]: readonly [string, string]): ConfigError {
  return new ConfigError(code, name === '' ? 'exchangeKey' : `exchangeKey.${name}`, { problem, remedy })
}
