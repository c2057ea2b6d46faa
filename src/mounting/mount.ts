import type { IncomingMessage } from 'node:http'
import { houseOf } from '../auth.ts'
import { answerTo, deny } from '../decision.ts'
import { GuardError } from '../errors.ts'
import type { House } from '../house.ts'
import { randomHex } from '../lib/ids.ts'
import { nodeBody } from './node-body.ts'
import { askedOfNode, type MountCall } from './node-request.ts'
import { transportOf } from '../exchange/open-exchange.ts'
import { requestIdFrom } from '../request/request-id.ts'
import { isOver } from '../exchange/response-end.ts'
import { sendAnswer, writeAnswer } from '../send-answer.ts'
import {
  authOfHandler,
  directOfHandler,
  type DirectHandler,
  type ServerCaller,
  type ServerHandler,
} from '../server/handler.ts'

/** Serves one request; never rejects. */
export type Serve = (call: MountCall) => Promise<void>

/** @throws {GuardError} for anything but a handler that this copy of the package made. */
export function serverOf(handler: ServerHandler): Serve {
  const known = typeof handler === 'function'
  const auth = known ? authOfHandler(handler) : undefined
  const house = auth === undefined ? undefined : houseOf(auth)
  const direct = known ? directOfHandler(handler) : undefined
  if (house === undefined || direct === undefined) {
    throw new GuardError(
      'GUARD_OPTION',
      'mount takes a handler of @healthcloud/auth/server, such as tokenEndpoint(auth).',
    )
  }
  return (call) => serve(house, direct, call)
}

/** @throws {GuardError} for a method that no handler answers. */
export function checkMountMethod(method: unknown): 'GET' | 'POST' {
  if (method === undefined) return 'POST'
  if (method === 'GET' || method === 'POST') return method
  throw new GuardError('GUARD_OPTION', "`method` of mount is 'POST' (the default) or 'GET'.")
}

async function serve(house: House, direct: DirectHandler, call: MountCall): Promise<void> {
  const { request, response, source } = call
  const body = nodeBody(call)
  // A stream that fails without a listener would end the process; that of a request does not.
  if (source !== request) source.on('error', ignore)
  try {
    const answer = await direct(askedOfNode(call, body, warnOfLostBody), callerOf(house, request))
    if (!isOver(request, response)) writeAnswer(response, answer, request.method === 'HEAD')
  } catch (error) {
    fail(house, call, error)
  }
  body.drain()
}

function ignore(): void {}

/** By the transport rules of the handler's `auth`. */
function callerOf(house: House, request: IncomingMessage): ServerCaller {
  const { address, secure } = transportOf(house, request)
  return Object.freeze({ ip: address, secure })
}

/** What was thrown stays here: its text may hold what the caller sent. */
function fail(house: House, { request, response }: MountCall, error: unknown): void {
  if (isOver(request, response)) return
  warn(`A mounted handler failed (${nameOf(error)}).`)
  const requestId = requestIdFrom(request.rawHeaders, () => `req_${randomHex(12)}`)
  try {
    sendAnswer(response, answerTo(deny('handler_error')), { house, requestId, head: request.method === 'HEAD' })
  } catch {
    response.destroy()
  }
}

function warnOfLostBody(): void {
  warn(
    'The body was read before `mount` and nothing of it was left in `request.body`. Mount the handler before what reads it.',
  )
}

function warn(what: string): void {
  process.emitWarning(what, { type: 'HealthCloudAuthWarning', code: 'HC_AUTH_MOUNT_FAILED' })
}

function nameOf(error: unknown): string {
  return error instanceof Error && /^\w{1,64}$/.test(error.name) ? error.name : 'unknown'
}
