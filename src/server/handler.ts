import type { Auth } from '../auth.ts'

/** What only the server that took the connection knows; `mount` of an adapter fills it by `transport` of the options. */
export interface ServerCaller {
  /** The client's address; `null`: unknown, which no allowlist holds. */
  readonly ip: string | null
  /** The request came over HTTPS. */
  readonly secure: boolean
}

/** A handler on the issuer's side: Web standard objects in and out. It never rejects; each refusal is a response. */
export type ServerHandler = (request: Request, caller: ServerCaller) => Promise<Response>

/** A handler carries its `auth`, where nobody can put another one. */
const auths = new WeakMap<object, Auth>()

/** Marks a handler as one of `auth`. */
export function handlerOf(auth: Auth, handler: ServerHandler): ServerHandler {
  auths.set(handler, auth)
  return Object.freeze(handler)
}

/** The `auth` of a handler that this copy of the package made; undefined for any other function. */
export function authOfHandler(handler: ServerHandler): Auth | undefined {
  return auths.get(handler)
}
