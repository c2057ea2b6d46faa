import type { Answer } from './decision.ts'
import type { House } from './house.ts'
import { inheritingNothing } from './lib/inheriting-nothing.ts'

/** An answer before it is of Node or of the Web. */
export interface PlainAnswer {
  readonly status: number
  readonly headers: HeaderList
  /** Whole, for HEAD too. */
  readonly body: string
}

export type HeaderList = Readonly<Record<string, string | number>>

const NO_MORE: HeaderList = Object.freeze({})

/** To whom an answer goes. */
export interface Recipient {
  readonly house: House
  readonly requestId: string
}

/** The documented envelope, with the headers of every other answer of ours. */
export function refusalOf(answer: Answer, to: Recipient, more: HeaderList = NO_MORE): PlainAnswer {
  const { status, code, message, challenge, retryAfterSeconds } = answer
  const error = inheritingNothing({ code, message, requestId: to.requestId, docsUrl: to.house.docsUrl })
  const all = {
    ...more,
    ...(challenge === null ? {} : { 'WWW-Authenticate': challenge }),
    ...(retryAfterSeconds === null ? {} : { 'Retry-After': String(retryAfterSeconds) }),
  }
  return plain(status, JSON.stringify(inheritingNothing({ error })), { to, more: all })
}

/** 200 with JSON; never stored, unless the headers say otherwise. */
export function jsonOf(json: string, to: Recipient, more: HeaderList = NO_MORE): PlainAnswer {
  return plain(200, json, { to, more })
}

function plain(status: number, body: string, { to, more }: { to: Recipient; more: HeaderList }): PlainAnswer {
  // One literal, added to only where there is more: engines copy with spreads many times slower.
  const headers: Record<string, string | number> = {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Request-Id': to.requestId,
  }
  return { status, headers: more === NO_MORE ? headers : Object.assign(headers, more), body }
}
