import type { IncomingMessage, ServerResponse } from 'node:http'
import { markMount, ownMember, serverOf, type ServerHandler } from '../src/adapter-kit.ts'

/** A route's handler for Express 4 and 5, typed structurally. */
export type ExpressMount = (request: IncomingMessage, response: ServerResponse) => void

/**
 * A handler of `@healthcloud/auth/server` as the handler of a route: `app.post('/v1/auth/token', mount(handler))`. A body
 * parser may stand before it. @throws {GuardError} for any other function.
 */
export function mount(handler: ServerHandler): ExpressMount {
  const serve = serverOf(handler)
  return markMount<ExpressMount>(function mounted(request, response) {
    void serve({
      request,
      response,
      source: request,
      parsed: { body: ownMember(request, 'body'), text: ownMember(request, 'rawBody') },
    })
  })
}
