import type { IncomingMessage, ServerResponse } from 'node:http'
import { houseOf } from './auth.ts'
import { drain } from './body-stream.ts'
import { answerTo, deny, type Reason } from './decision.ts'
import { GuardError } from './errors.ts'
import type { House } from './house.ts'
import { randomHex } from './lib/ids.ts'
import { transportOf } from './open-exchange.ts'
import { requestIdFrom } from './request/request-id.ts'
import { isOver, onResponseEnd } from './response-end.ts'
import { forgetOtherBody, sendAnswer } from './send-answer.ts'
import { authOfHandler, type ServerCaller, type ServerHandler } from './server/handler.ts'
import { webRequest, type WebCall } from './web-request.ts'

/** One request for a mounted handler, as its adapter sees it. */
export interface MountCall extends WebCall {
  readonly response: ServerResponse
}

/** Serves one request; never rejects. */
export type Serve = (call: MountCall) => Promise<void>

/** @throws {GuardError} for anything but a handler that this copy of the package made. */
export function serverOf(handler: ServerHandler): Serve {
  const auth = typeof handler === 'function' ? authOfHandler(handler) : undefined
  const house = auth === undefined ? undefined : houseOf(auth)
  if (house === undefined) {
    throw new GuardError(
      'GUARD_OPTION',
      'mount takes a handler of @healthcloud/auth/server, such as tokenEndpoint(auth).',
    )
  }
  return (call) => serve(house, handler, call)
}

/** @throws {GuardError} for a method that no handler answers. */
export function checkMountMethod(method: unknown): 'GET' | 'POST' {
  if (method === undefined) return 'POST'
  if (method === 'GET' || method === 'POST') return method
  throw new GuardError('GUARD_OPTION', "`method` of mount is 'POST' (the default) or 'GET'.")
}

async function serve(house: House, handler: ServerHandler, call: MountCall): Promise<void> {
  const { request, response, source } = call
  const leaving = new AbortController()
  onResponseEnd(request, response, ({ full }) => {
    if (!full) leaving.abort()
  })
  // A stream that fails without a listener would end the process.
  source.on('error', () => undefined)
  try {
    const asked = webRequest(call, leaving.signal)
    if (asked === null) refuse(house, call, 'request_malformed')
    else await writeResponse(call, await handler(asked, callerOf(house, request)))
  } catch (error) {
    fail(house, call, error)
  }
  if (source !== request) request.unpipe()
  drain(request)
}

/** By the transport rules of the handler's `auth`. */
function callerOf(house: House, request: IncomingMessage): ServerCaller {
  const { address, secure } = transportOf(house, request)
  return Object.freeze({ ip: address, secure })
}

/** Set by Node for the body that is sent. */
const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'transfer-encoding',
])

/** The whole body is there before anything is sent: one that breaks off becomes a clean 500. */
async function writeResponse({ request, response }: MountCall, answer: Response): Promise<void> {
  if (!(answer instanceof Response)) throw new TypeError('no response')
  const body = Buffer.from(await answer.arrayBuffer())
  if (isOver(request, response)) return
  if (response.headersSent) {
    response.destroy()
    return
  }
  forgetOtherBody(response)
  response.statusCode = answer.status
  for (const [name, value] of answer.headers) {
    if (name === 'set-cookie') response.appendHeader(name, value)
    else if (!OF_THE_CONNECTION.has(name)) response.setHeader(name, value)
  }
  const head = request.method === 'HEAD'
  const length = head && body.length === 0 ? answer.headers.get('content-length') : String(body.length)
  const bodiless = answer.status === 204 || answer.status === 304
  if (bodiless || length === null) response.removeHeader('content-length')
  else response.setHeader('content-length', length)
  response.end(head || bodiless ? undefined : body)
}

function refuse(house: House, { request, response }: MountCall, reason: Reason): void {
  const requestId = requestIdFrom(request.rawHeaders, () => `req_${randomHex(12)}`)
  sendAnswer(response, answerTo(deny(reason)), { house, requestId, head: request.method === 'HEAD' })
}

/** What was thrown stays here: its text may hold what the caller sent. */
function fail(house: House, call: MountCall, error: unknown): void {
  if (isOver(call.request, call.response)) return
  const what = error instanceof GuardError ? error.message : `A mounted handler failed (${nameOf(error)}).`
  process.emitWarning(what, { type: 'HealthCloudAuthWarning', code: 'HC_AUTH_MOUNT_FAILED' })
  try {
    refuse(house, call, 'handler_error')
  } catch {
    call.response.destroy()
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error && /^\w{1,64}$/.test(error.name) ? error.name : 'unknown'
}
