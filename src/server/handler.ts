import type { Auth } from '../auth.ts'
import type { PlainAnswer } from '../plain-answer.ts'
import type { AskedRequest } from './asked.ts'
import { askedOf, webResponse } from './web.ts'

/** What only the server that took the connection knows; `mount` of an adapter fills it by `transport` of the options. */
export interface ServerCaller {
  /** The client's address; `null`: unknown, which no allowlist holds. */
  readonly ip: string | null
  /** The request came over HTTPS. */
  readonly secure: boolean
}

/** A handler on the issuer's side: Web standard objects in and out. It never rejects; each refusal is a response. */
export type ServerHandler = (request: Request, caller: ServerCaller) => Promise<Response>

/** What an endpoint does. Building Web objects for each call costs as much as a signature, so it is asked without them. */
export type DirectHandler = (request: AskedRequest, caller: ServerCaller) => Promise<PlainAnswer>

interface Made {
  readonly auth: Auth
  readonly direct: DirectHandler
}

/** A handler carries its `auth`, and what it does without Web objects, where nobody can put another one. */
const handlers = new WeakMap<object, Made>()

/** The public handler of an endpoint of `auth`. */
export function handlerOf(auth: Auth, direct: DirectHandler): ServerHandler {
  const handler: ServerHandler = async (request, caller) =>
    webResponse(await direct(askedOf(request), caller), request.method)
  handlers.set(handler, Object.freeze({ auth, direct }))
  return Object.freeze(handler)
}

/** The `auth` of a handler that this copy of the package made; undefined for any other function. */
export function authOfHandler(handler: ServerHandler): Auth | undefined {
  return handlers.get(handler)?.auth
}

/** The same handler without Web objects, for `mount`; undefined for any other function. */
export function directOfHandler(handler: ServerHandler): DirectHandler | undefined {
  return handlers.get(handler)?.direct
}
