import type { ExchangeErrorCode } from '../errors.ts'
import { readGrant, readRefusal, type Grant, type Refusal } from './answer.ts'
import type { ExchangeSettings } from './options.ts'
import { boundedFetch } from '../lib/bounded-fetch.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'

/** Why there is no token: words for `ExchangeError`. */
export interface ExchangeFailure extends Refusal {
  readonly code: ExchangeErrorCode
  readonly problem: string
  readonly remedy: string
  readonly issuerStatus: number | null
  /** As the issuer asked; `null`: it did not. */
  readonly retryAfterSeconds: number | null
}

const MAX_BYTES = 65_536

/** More would be a mistake, and the client useless until the process is restarted. */
const MAX_RETRY_AFTER_SECONDS = 3600

/** What is known of an answer before it is whole, and stays known where its body breaks off. */
interface Head {
  status: number | null
  retryAfter: string | null
  mediaType: string
  bytes: number
  ended: boolean
}

/** The documented request, sent once, and what came of it. Never rejects. */
export async function requestToken(settings: ExchangeSettings, key: string): Promise<Grant | ExchangeFailure> {
  const head: Head = { status: null, retryAfter: null, mediaType: '', bytes: 0, ended: false }
  const what = `The token endpoint at ${settings.url.host}`
  try {
    const { mediaType, text } = await boundedFetch({
      url: settings.url,
      method: 'POST',
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
      },
      // Scopes hold neither quotes nor backslashes; `JSON.stringify` would ask a polluted `toJSON`.
      body: `{"scope":[${settings.scopes.map((scope) => `"${scope}"`).join(',')}]}`,
      fetch: watching(settings.fetch, head),
      timeoutMs: settings.timeoutMs,
      signal: null,
      again: true,
      maxBytes: MAX_BYTES,
      what,
    })
    if (head.status !== 200) return refusalOf({ ...head, what, now: settings.clock.now() }, readRefusal(text, key))
    if (mediaType !== 'application/json') return invalid(what, 'answered with something else than application/json')
    const grant = readGrant(text, settings.scopes)
    return typeof grant === 'string' ? invalid(what, `answered with ${grant}`) : grant
  } catch (error) {
    if (head.status !== null && head.status !== 200)
      return refusalOf({ ...head, what, now: settings.clock.now() }, NOTHING_SAID)
    const isWhole = head.ended || head.bytes > MAX_BYTES
    if (isWhole) return invalid(what, 'answered with what is too large or no UTF-8')
    return unavailable(error instanceof Error ? error.message : `${what} could not be reached.`, head.status)
  }
}

export function isFailure(result: Grant | ExchangeFailure): result is ExchangeFailure {
  return Object.hasOwn(result, 'problem')
}

/** `problem`: a sentence. */
export function unavailable(problem: string, issuerStatus: number | null = null): ExchangeFailure {
  const remedy = 'Nothing was decided; ask again later.'
  return { ...NOTHING_SAID, code: 'EXCHANGE_UNAVAILABLE', problem, remedy, issuerStatus, retryAfterSeconds: null }
}

const NOTHING_SAID: Refusal = Object.freeze({ issuerCode: null, requestId: null })

/**
 * `boundedFetch` reads the body of a 200 alone and returns no headers, while a refusal says why in its body and an outage
 * when it ends in a header: to it every answer is a 200, and what it really was is noted.
 */
function watching(send: typeof fetch, head: Head): typeof fetch {
  return async (input, init) => {
    const response = await send(input, init)
    const { status, headers, body } = response
    head.status = status
    head.retryAfter = headers.get('retry-after')
    const wanted = status === 200 || status >= 400 ? body : null
    if (wanted === null) head.ended = true
    const watched = wanted === null ? null : ReadableStream.from(counted(wanted, head))
    return new Response(watched, inheritingNothing({ status: 200, statusText: '', headers }))
  }
}

async function* counted(body: AsyncIterable<Uint8Array>, head: Head): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    head.bytes += chunk.byteLength
    yield chunk
  }
  head.ended = true
}

interface Answered {
  readonly what: string
  readonly status: number | null
  readonly retryAfter: string | null
  readonly now: number
}

function refusalOf({ what, status, retryAfter, now }: Answered, said: Refusal): ExchangeFailure {
  const issuerStatus = status ?? 0
  const words = [issuerStatus, said.issuerCode, said.requestId === null ? null : `request ${said.requestId}`]
  const answer = words.filter((word) => word !== null).join(', ')
  const common = { ...said, issuerStatus, retryAfterSeconds: null }
  if (isBusy(issuerStatus)) {
    const remedy = 'Nothing was decided; ask again later.'
    const retryAfterSeconds = secondsOf(retryAfter, now)
    const problem = `${what} cannot answer now (${answer}).`
    return { ...common, code: 'EXCHANGE_UNAVAILABLE', problem, remedy, retryAfterSeconds }
  }
  if (issuerStatus < 400) return invalid(what, `answered ${answer}`, issuerStatus)
  return {
    ...common,
    code: 'EXCHANGE_REFUSED',
    problem: `${what} refused (${answer}).`,
    remedy: remedyFor(issuerStatus),
  }
}

/** Says nothing about the key: 408, 425 and 429 are for another time (RFC 9110 section 15.5.9, RFC 8470, RFC 6585). */
function isBusy(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429
}

function remedyFor(status: number): string {
  if (status === 401)
    return 'Check `key`: that it is the current one, of this environment, neither expired nor revoked.'
  if (status === 403)
    return 'Check that the key holds all of `scopes`, and that its allowlist has the address of this server.'
  return status === 400
    ? 'Check `scopes`: that the issuer knows them all, and that the key holds them.'
    : 'Check `url`.'
}

function invalid(what: string, problem: string, issuerStatus = 200): ExchangeFailure {
  const isRedirect = issuerStatus >= 300 && issuerStatus < 400
  const remedy = isRedirect
    ? 'Redirects are not followed: give as `url` the URL that it leads to.'
    : 'Check that `url` is that of the token endpoint.'
  const common = { ...NOTHING_SAID, issuerStatus, retryAfterSeconds: null }
  return { ...common, code: 'EXCHANGE_INVALID', problem: `${what} ${problem}.`, remedy }
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function secondsOf(retryAfter: string | null, now: number): number | null {
  const text = retryAfter?.trim() ?? ''
  const date = text.endsWith(' GMT') ? Date.parse(text) : Number.NaN
  const seconds = /^\d{1,15}$/.test(text) ? Number(text) : Math.ceil((date - now) / 1000)
  return Number.isNaN(seconds) ? null : Math.min(Math.max(seconds, 0), MAX_RETRY_AFTER_SECONDS)
}
