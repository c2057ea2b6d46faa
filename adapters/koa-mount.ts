import type { IncomingMessage, ServerResponse } from 'node:http'
import { markMount, ownMember, serverOf, type ServerHandler } from '../src/adapter-kit.ts'

/** What `mount` reads of Koa's context; every `ParameterizedContext` of Koa 2 and 3 fits. */
export interface KoaMountContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Koa's own request, on which body parsers leave what they have read. */
  readonly request: object
  respond?: boolean | undefined
}

/** A route's handler for Koa 2 and 3, typed structurally. */
export type KoaMount = (context: KoaMountContext) => Promise<void>

/**
 * A handler of `@healthcloud/auth/server` as the handler of a route: `router.post('/v1/auth/token', mount(handler))`. A
 * body parser may stand before it. @throws {GuardError} for any other function.
 */
export function mount(handler: ServerHandler): KoaMount {
  const serve = serverOf(handler)
  return markMount<KoaMount>(function mounted(context) {
    const { req: request, res: response } = context
    // Written to Node's response, so that nothing that runs after us overwrites it.
    context.respond = false
    const left = (name: string) => ownMember(context.request, name) ?? ownMember(request, name)
    return serve({ request, response, source: request, parsed: { body: left('body'), text: left('rawBody') } })
  })
}
