import type { ServerResponse } from 'node:http'
import type { Answer } from './decision.ts'
import { refusalOf, type PlainAnswer, type Recipient } from './plain-answer.ts'

/** What the framework or other middleware may have said of a body that is not sent now. */
const OF_ANOTHER_BODY = ['content-encoding', 'etag', 'last-modified', 'transfer-encoding'] as const

/** The documented body and headers. */
export function sendAnswer(response: ServerResponse, answer: Answer, to: Recipient & { readonly head: boolean }): void {
  writeAnswer(response, refusalOf(answer, to), to.head)
}

/**
 * Written to Node's response, so that no schema, spacing or ETag of the host can change it. What middleware has set for another
 * body is taken off; all other headers (CORS) stay. `head`: the same headers, no body.
 */
export function writeAnswer(response: ServerResponse, { status, headers, body }: PlainAnswer, head: boolean): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  for (const name of OF_ANOTHER_BODY) response.removeHeader(name)
  response.writeHead(status, headers)
  response.end(head ? undefined : body)
}
