import type { ServerResponse } from 'node:http'
import type { Answer } from './decision.ts'
import type { House } from './house.ts'

/** What the framework or other middleware may have said of a body that is not sent now. */
const OF_ANOTHER_BODY = ['content-encoding', 'etag', 'last-modified', 'transfer-encoding'] as const

/** Takes off what middleware has set for another body; all other headers (CORS) stay. */
export function forgetOtherBody(response: ServerResponse): void {
  for (const name of OF_ANOTHER_BODY) response.removeHeader(name)
}

/** The documented body and headers, serialised here so that no schema, spacing or ETag of the host can change them. */
export function sendAnswer(
  response: ServerResponse,
  answer: Answer,
  to: { house: House; requestId: string; head: boolean },
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const { code, message } = answer
  const body = JSON.stringify({ error: { code, message, requestId: to.requestId, docsUrl: to.house.docsUrl } })
  forgetOtherBody(response)
  response.writeHead(answer.status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Request-Id': to.requestId,
    ...(answer.challenge === null ? {} : { 'WWW-Authenticate': answer.challenge }),
    ...(answer.retryAfterSeconds === null ? {} : { 'Retry-After': String(answer.retryAfterSeconds) }),
  })
  response.end(to.head ? undefined : body)
}
