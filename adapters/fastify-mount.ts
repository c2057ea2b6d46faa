import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { checkMountMethod, markMount, ownMember, serverOf, type Serve, type ServerHandler } from '../src/adapter-kit.ts'
import { takeOver, type FastifyReplyLike } from './fastify-reply.ts'

/** Of `mount` on Fastify. */
export interface FastifyMountOptions {
  /** Default `POST`. A route for GET answers HEAD, too. */
  readonly method?: 'GET' | 'POST' | undefined
}

/** A Fastify instance, whatever its server, type provider and logger. */
export interface FastifyMountInstance {
  readonly removeAllContentTypeParsers: (...args: never[]) => unknown
  readonly addContentTypeParser: (...args: never[]) => unknown
  readonly route: (...args: never[]) => unknown
}

/** For `await app.register(mount(path, handler))`, with or without a prefix. */
export type FastifyMountPlugin = (
  instance: FastifyMountInstance,
  options: object,
  done: (error?: Error) => void,
) => void

interface MountedRequest {
  readonly raw: object
  readonly body: unknown
}

type Handle = (request: MountedRequest, reply: FastifyReplyLike) => void

/** The slice of an instance that the plugin uses. */
interface Instance {
  removeAllContentTypeParsers(): unknown
  addContentTypeParser(
    types: readonly string[],
    parse: (request: object, payload: object, done: (error: null, body: object) => void) => void,
  ): unknown
  route(options: {
    method: string
    url: string
    handler: Handle
    errorHandler: (error: unknown, request: MountedRequest, reply: FastifyReplyLike) => void
  }): unknown
}

/**
 * A handler of `@healthcloud/auth/server` as a plugin with one route: `await app.register(mount('/v1/auth/token', handler))`.
 * It is encapsulated: its body stays unparsed, and the parsers of the instance that it is registered on stay as they are.
 * @throws {GuardError} for any other function, or another method.
 */
export function mount(path: string, handler: ServerHandler, options?: FastifyMountOptions): FastifyMountPlugin {
  const serve = serverOf(handler)
  const method = checkMountMethod(ownMember(options, 'method'))
  const handle = markMount<Handle>(function mounted(request, reply) {
    answer(serve, request, reply)
  })
  return (host, _options, done) => {
    const instance = host as unknown as Instance
    instance.removeAllContentTypeParsers()
    instance.addContentTypeParser(UNPARSED, (_request, payload, parsed) => parsed(null, payload))
    instance.route({ method, url: path, handler: handle, errorHandler: refusedType(serve) })
    done()
  }
}

/** All; those that the endpoints take are named, for Fastify then need not take the type apart at each request. */
const UNPARSED: readonly string[] = ['*', 'application/json', 'application/x-www-form-urlencoded']

function answer(serve: Serve, { raw, body }: MountedRequest, reply: FastifyReplyLike): void {
  const request = raw as IncomingMessage
  void serve({
    request,
    response: takeOver(reply),
    source: body instanceof Readable ? body : request,
    parsed: { body: ownMember(raw, 'body'), text: ownMember(raw, 'rawBody') },
  })
}

/** Fastify refuses a content type that is none before any parser sees it; the handler does so in our envelope, and audits it. */
function refusedType(serve: Serve): (error: unknown, request: MountedRequest, reply: FastifyReplyLike) => void {
  return (error, request, reply) => {
    if (ownMember(error, 'code') !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE') throw error
    answer(serve, request, reply)
  }
}
