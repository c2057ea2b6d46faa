import type { IncomingMessage } from 'node:http'
import { warnLost } from './audit-handle.ts'
import type { Call, Exchange } from './exchange.ts'
import { draftOf } from './exchange-event.ts'
import { deny, type Denial } from '../decision.ts'
import { nameExposedKey } from '../exposed-key.ts'
import type { House } from '../house.ts'
import { randomHex } from '../lib/ids.ts'
import { createStamp } from '../lib/stamp.ts'
import { readCredential } from '../request/credential.ts'
import { requestIdFrom } from '../request/request-id.ts'
import { allowsPlain, readTransport } from '../request/transport.ts'
import type { Ticket } from '../tracker.ts'
import { onResponseEnd, type ResponseEnd } from './response-end.ts'

/** How long the event of an aborted exchange waits for its handler, and how often it looks. */
const HANDLER_GRACE_MS = 5_000
const HANDLER_POLL_MS = 25
const MAX_POLL_MS = 400

/**
 * Guards of one auth on one request share one exchange: it is kept on the request, out of everybody's sight. One of another
 * auth is chained to it.
 */
const exchanges = createStamp<Exchange>()

/** What this auth has opened on the request so far. */
export function exchangeOf(house: House, request: object): Exchange | null {
  let exchange = exchanges.get(request) ?? null
  while (exchange !== null && exchange.house !== house) exchange = exchange.sibling
  return exchange
}

/** The exchange of this request, opened by its first guard. */
export function enter(house: House, call: Call): Exchange {
  const known = exchangeOf(house, call.request)
  if (known !== null) {
    known.call = call
    return known
  }
  const exchange = openExchange(house, call, exchanges.get(call.request) ?? null)
  exchanges.set(call.request, exchange)
  return exchange
}

/** Its end is watched from here on, before anything is awaited. */
function openExchange(house: House, call: Call, sibling: Exchange | null): Exchange {
  const { request } = call
  const transport = transportOf(house, request)
  const credential = readCredential(request.rawHeaders)
  const early = refuseEarly(house, request, { transport, credential })
  const exchange: Exchange = {
    house,
    call,
    startedAt: house.clock.now(),
    startedMs: house.clock.monotonicMs(),
    // It belongs to the request: every auth on it uses the same.
    requestId: sibling?.requestId ?? requestIdFrom(request.rawHeaders, makeRequestId),
    transport,
    credential,
    early,
    identity: null,
    denial: null,
    required: NOTHING,
    phi: null,
    catchAll: false,
    notes: null,
    handle: null,
    body: null,
    watched: false,
    sibling,
    handlerDone: false,
    intent: null,
    recorded: null,
    naming: early?.reason === 'https_required' ? () => nameExposedKey(house, credential, transport.address) : null,
  }
  if (house.recorder.wanted) recordAtEnd(exchange)
  return exchange
}

const NOTHING: readonly string[] = Object.freeze([])

function makeRequestId(): string {
  return `req_${randomHex(12)}`
}

function refuseEarly(
  house: House,
  { socket }: IncomingMessage,
  { transport, credential }: Pick<Exchange, 'transport' | 'credential'>,
): Denial | null {
  if (house.closing()) return deny('closing')
  if (!transport.secure && !allowsPlain(house, socket.remoteAddress ?? null)) return deny('https_required')
  return credential.ok || credential.reason !== 'credential_duplicate' ? null : credential
}

export function transportOf(house: House, request: IncomingMessage): Exchange['transport'] {
  const { socket } = request
  const transport = readTransport(
    {
      method: request.method ?? '',
      url: request.url ?? '',
      rawHeaders: request.rawHeaders,
      peer: socket.remoteAddress ?? null,
      encrypted: 'encrypted' in socket && socket.encrypted === true,
    },
    house.proxies,
  )
  if (transport.forwardedSeen) house.warnForwarded()
  return transport
}

function recordAtEnd(exchange: Exchange): void {
  const { call, house } = exchange
  const ticket = house.tracker.opened()
  onResponseEnd(call.request, call.response, (end) => {
    const waiting = settled(exchange, end)
    if (waiting === null) {
      finish(exchange, end, ticket)
      return
    }
    ticket.closed()
    void waiting.then(() => finish(exchange, end, ticket))
  })
}

function finish(exchange: Exchange, end: ResponseEnd, ticket: Ticket): void {
  try {
    record(exchange, end)
  } catch (error) {
    warnLost(error)
  }
  ticket.recorded()
}

/** What the event waits for; `null`: nothing, as after nearly every call. Never rejects. */
function settled(exchange: Exchange, end: ResponseEnd): Promise<void> | null {
  if (exchange.naming !== null) return named(exchange, exchange.naming)
  return end.full || exchange.denial !== null ? null : handlerDone(exchange)
}

async function named(exchange: Exchange, naming: () => Promise<Denial>): Promise<void> {
  try {
    exchange.denial = await naming()
  } catch (error) {
    warnLost(error)
  }
}

/** A handler goes on after its client has left; what it still touches belongs into the event. */
async function handlerDone(exchange: Exchange): Promise<void> {
  const { response } = exchange.call
  const deadline = performance.now() + HANDLER_GRACE_MS
  let pauseMs = HANDLER_POLL_MS
  while (!exchange.handlerDone && !response.writableEnded && performance.now() < deadline) {
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs)
    })
    // Most handlers end soon; those that never do must cost little.
    pauseMs = Math.min(pauseMs * 1.5, MAX_POLL_MS)
  }
}

function record(exchange: Exchange, end: ResponseEnd): void {
  const { recorder, environment } = exchange.house
  const draft = draftOf(exchange, end)
  const id = recorder.record(draft)
  if (environment === 'live' && exchange.denial === null && draft.phi?.attribution === 'none') {
    recorder.unattributed(draft.http?.route ?? '*')
  }
  exchange.recorded = { draft, id, parts: 1, late: null }
}
