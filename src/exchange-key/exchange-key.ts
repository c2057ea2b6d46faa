import { ExchangeError } from '../errors.ts'
import { checkedKey, readOptions, type ExchangeKeyOptions, type ExchangeSettings } from './options.ts'
import { isFailure, requestToken, unavailable, type ExchangeFailure } from './request.ts'
import type { Grant } from './answer.ts'
import { discreet, withHidden } from '../lib/discreet.ts'

export type { ExchangeKeyOptions } from './options.ts'

/** A short-lived token. `console.log`, JSON and spreading show everything but the token itself. */
export interface ShortLivedToken {
  /** Without `Bearer`. */
  readonly accessToken: string
  /** Counted from the request on by this machine's clock. */
  readonly expiresAt: Date
  /** What it is good for: what was asked for, or less. */
  readonly scopes: readonly string[]
}

/** The client of one key at one issuer. Shows neither key nor token. */
export interface KeyExchange {
  /**
   * A token that has not expired: the one that is held, or a new one. Rejects with an `ExchangeError` where there is none, and
   * with a `ConfigError` where the function given as `key` returns no key.
   */
  token(): Promise<ShortLivedToken>
  /** The same as a header, to be spread into those of a request. */
  authorization(): Promise<{ readonly authorization: string }>
  /**
   * To be called when the token was refused (401): the next call gets a new one. Given the access token or the `authorization`
   * that was refused, only that one is forgotten, so that a thousand calls refused at once cost one exchange.
   */
  forget(refused?: string): void
}

/** From one failure to the next request, where the issuer names no other time. */
const PAUSE_MS = 1000

/**
 * Exchanges an API key for short-lived tokens at HealthCloud's token endpoint, or at any that answers alike. Opens nothing
 * before the first call. A token is held until it expires and replaced in the background shortly before, when it is used; an
 * outage meanwhile goes unnoticed. One exchange at a time, whoever waits for it, and at most one a second after a failure.
 * @throws {ConfigError} for an option that is missing, misspelt or wrong.
 */
export function exchangeKey(options: ExchangeKeyOptions): KeyExchange {
  const settings = readOptions(options)
  const { clock } = settings
  const next = createAsker(settings)
  let held: Held | null = null
  let flight: Promise<Held> | null = null

  const inForce = () => (held !== null && clock.monotonicMs() < held.endsAt ? held : null)
  const renew = (): Promise<Held> => {
    flight ??= next
      .ask()
      .then((fresh) => (held = fresh))
      .finally(() => {
        flight = null
      })
    return flight
  }
  const current = async (): Promise<Held> => {
    const good = inForce()
    if (good === null) return renew()
    // What became of it shows when the token is needed: until then the one that is held is as good.
    if (clock.monotonicMs() >= good.renewAt && !next.isPausing()) void renew().catch(() => undefined)
    return good
  }
  return discreet<KeyExchange>(
    {
      token: async () => (await current()).token,
      authorization: async () => headerOf((await current()).token.accessToken),
      forget: (refused) => {
        if (held !== null && isThat(held.token.accessToken, refused)) held = null
      },
    },
    () => ({ issuer: settings.url.host, scopes: settings.scopes, expiresAt: inForce()?.token.expiresAt ?? null }),
  )
}

interface Held {
  readonly token: ShortLivedToken
  /** On the monotonic clock, in milliseconds. */
  readonly renewAt: number
  readonly endsAt: number
}

interface Failed {
  readonly failure: ExchangeFailure
  /** On the monotonic clock, in milliseconds. */
  readonly until: number
  /** The key that was refused; `null`: no key would have done. */
  readonly key: string | null
}

/** Asks the issuer, unless it asked for time or refused this very key just now. */
function createAsker(settings: ExchangeSettings) {
  const { clock } = settings
  let failed: Failed | null = null

  const pausing = () => (failed !== null && clock.monotonicMs() < failed.until ? failed : null)
  const fail = (failure: ExchangeFailure, key: string | null): ExchangeError => {
    const pauseMs = Math.max(PAUSE_MS, (failure.retryAfterSeconds ?? 0) * 1000)
    failed = { failure, key, until: clock.monotonicMs() + pauseMs }
    return errorOf(failed, clock.monotonicMs())
  }
  const ask = async (): Promise<Held> => {
    const before = pausing()
    if (before !== null && before.key === null) throw errorOf(before, clock.monotonicMs())
    const key = await readKey(settings)
    if (key === null) throw fail(unavailable('The function given as `key` failed or took too long.'), null)
    // The function may give another by now.
    if (before !== null && before.key === key) throw errorOf(before, clock.monotonicMs())
    const start = { instant: clock.now(), monotonicMs: clock.monotonicMs() }
    const result = await requestToken(settings, key)
    if (isFailure(result)) throw fail(result, result.code === 'EXCHANGE_REFUSED' ? key : null)
    failed = null
    return heldFrom(result, start, settings)
  }
  return Object.freeze({ ask, isPausing: () => pausing() !== null })
}

function errorOf({ failure, until }: Failed, now: number): ExchangeError {
  const isTemporary = failure.code === 'EXCHANGE_UNAVAILABLE'
  const left = Math.max(1, Math.ceil((until - now) / 1000))
  return new ExchangeError(failure.code, { ...failure, retryAfterSeconds: isTemporary ? left : null })
}

/**
 * Its life counts from before the request: the issuer's began later. One that is shorter than twice the time before its end
 * is replaced in the middle, or each use would ask for another.
 */
function heldFrom(
  { accessToken, lifeSeconds, scopes }: Grant,
  start: { readonly instant: number; readonly monotonicMs: number },
  { refreshBeforeMs }: ExchangeSettings,
): Held {
  const lifeMs = lifeSeconds * 1000
  const expiresAt = start.instant + lifeMs
  const members = {
    // A `Date` cannot be frozen: each reader gets one of his own.
    get expiresAt() {
      return new Date(expiresAt)
    },
    scopes,
  }
  const face = () => ({ expiresAt: new Date(expiresAt), scopes })
  return Object.freeze({
    token: discreet(withHidden(members, 'accessToken', accessToken), face),
    renewAt: start.monotonicMs + Math.max(lifeMs - refreshBeforeMs, lifeMs / 2),
    endsAt: start.monotonicMs + lifeMs,
  })
}

function headerOf(accessToken: string): { readonly authorization: string } {
  return discreet({ authorization: `Bearer ${accessToken}` }, () => ({ authorization: 'Bearer (hidden)' }))
}

function isThat(accessToken: string, refused: unknown): boolean {
  return typeof refused !== 'string' || refused === accessToken || refused === `Bearer ${accessToken}`
}

/** `null` where the function rejects, throws or takes too long: what it throws may repeat the key, and is not passed on. */
async function readKey({ key, timeoutMs }: ExchangeSettings): Promise<string | null> {
  if (typeof key === 'string') return key
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, null).unref()
  })
  const read = async () => ({ value: await key() })
  const found = await Promise.race([read().catch(() => null), late])
  clearTimeout(timer)
  return found === null ? null : checkedKey(found.value)
}
