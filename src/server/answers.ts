import type { Answer } from '../decision.ts'
import type { House } from '../house.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'

/** To whom an answer goes. */
export interface Recipient {
  readonly house: House
  readonly requestId: string
  /** HEAD: the same headers, no body. */
  readonly head: boolean
}

type HeaderList = Readonly<Record<string, string>>

/** The documented envelope, with the headers of every other answer of ours. */
export function refusalResponse(answer: Answer, to: Recipient, more: HeaderList = {}): Response {
  const { code, message, challenge, retryAfterSeconds } = answer
  const error = { code, message, requestId: to.requestId, docsUrl: to.house.docsUrl }
  const headers = {
    ...more,
    ...(challenge === null ? {} : { 'WWW-Authenticate': challenge }),
    ...(retryAfterSeconds === null ? {} : { 'Retry-After': String(retryAfterSeconds) }),
  }
  return responseOf(JSON.stringify(inheritingNothing({ error })), to, { status: answer.status, headers })
}

/** 200 with JSON; never stored, unless the headers say otherwise. */
export function jsonResponse(json: string, to: Recipient, headers: HeaderList = {}): Response {
  return responseOf(json, to, { status: 200, headers })
}

function responseOf(
  body: string,
  to: Recipient,
  { status, headers: more }: { readonly status: number; readonly headers: HeaderList },
): Response {
  const headers = inheritingNothing({
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Request-Id': to.requestId,
    ...more,
  })
  return new Response(to.head ? null : body, inheritingNothing({ status, statusText: '', headers }))
}

/** RFC 9110 section 15.5.6. */
export function wrongMethod(allow: string): Answer {
  return {
    status: 405,
    code: 'METHOD_NOT_ALLOWED',
    message: `This endpoint takes ${allow.replace(', ', ' and ')}.`,
    challenge: null,
    retryAfterSeconds: null,
  }
}
