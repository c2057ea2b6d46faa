import type { Answer, Denial } from './decision.ts'
import { answerTo, deny } from './decision.ts'
import type { Call, Exchange } from './exchange.ts'
import { guardRequest } from './guard-request.ts'
import type { House } from './house.ts'
import { identify } from './identify.ts'
import type { Stamp } from './lib/stamp.ts'
import { openExchange } from './open-exchange.ts'
import type { Identity } from './principal.ts'
import { allowsPlain } from './request/transport.ts'
import type { Requirement } from './requirement.ts'
import { isOver } from './response-end.ts'

/** What an adapter does next: run the handler, send the answer, or nothing because the client has left. */
export type Verdict =
  | { readonly kind: 'pass'; readonly exchange: Exchange }
  | { readonly kind: 'refuse'; readonly exchange: Exchange; readonly answer: Answer }
  | { readonly kind: 'gone' }

/** Guards of one auth on one request share one exchange: it is kept on the request, out of everybody's sight. */
export type Exchanges = Stamp<Exchange>

type Found = Identity | Denial | 'anonymous'

/**
 * The one path of a request: transport → credential → identity → address → organization → scopes → audit. A refusal
 * leaves it early, as a value. Synchronous where the identity is cached.
 */
export function guard(
  house: House,
  exchanges: Exchanges,
  { call, requirement }: { call: Call; requirement: Requirement },
): Verdict | Promise<Verdict> {
  const exchange = enter(house, exchanges, call)
  expect(exchange, requirement)
  const refusal = refuseEarly(exchange)
  if (refusal !== null) return refuse(exchange, refusal)
  const found = authenticate(exchange, requirement)
  return found instanceof Promise
    ? found.then((each) => decide(exchange, requirement, each))
    : decide(exchange, requirement, found)
}

function decide(exchange: Exchange, requirement: Requirement, found: Found): Verdict {
  if (isOver(exchange.call.request, exchange.call.response)) return leave(exchange, found)
  if (found === 'anonymous') return pass(exchange)
  if (!found.ok) return refuse(exchange, found)
  exchange.identity = found
  const refusal =
    denyAddress(exchange, found) ??
    denyOrganization(exchange, requirement, found) ??
    denyScopes(exchange, requirement, found)
  return refusal === null ? pass(exchange) : refuse(exchange, refusal)
}

const GONE: Verdict = Object.freeze({ kind: 'gone' })

/** Nobody waits for an answer, and no handler will end the response: no event has to wait for one. */
function leave(exchange: Exchange, found: Found): Verdict {
  if (found !== 'anonymous' && found.ok) exchange.identity = found
  exchange.call.response.end()
  return GONE
}

function enter(house: House, exchanges: Exchanges, call: Call): Exchange {
  const known = exchanges.get(call.request)
  if (known !== undefined) {
    known.call = call
    return known
  }
  const exchange = openExchange(house, call)
  exchanges.set(call.request, exchange)
  return exchange
}

/** What this guard asks for stands in the event, whether it passes or not. */
function expect(exchange: Exchange, { scopes, phi, kind }: Requirement): void {
  for (const scope of scopes) if (!exchange.required.includes(scope)) exchange.required.push(scope)
  if (phi !== null) exchange.phi = phi
  if (kind === 'catch-all') exchange.catchAll = true
}

function refuseEarly(exchange: Exchange): Denial | null {
  const { house, transport, credential } = exchange
  if (house.closing()) return deny('closing')
  if (!transport.secure && !allowsPlain(house, exchange.call.request.socket.remoteAddress ?? null)) {
    nameExposedKey(exchange)
    return deny('https_required')
  }
  return credential.ok || credential.reason !== 'credential_duplicate' ? null : credential
}

function authenticate(exchange: Exchange, requirement: Requirement): Found | Promise<Found> {
  const { house, credential, identity, transport } = exchange
  if (identity !== null) return identity
  if (!credential.ok) return credential
  if (credential.kind === 'none' && requirement.optional) return 'anonymous'
  return identify(house, credential, transport.address)
}

function denyAddress({ transport }: Exchange, { allowlist, kind }: Identity): Denial | null {
  if (allowlist === null) return null
  return transport.address !== null && allowlist.holds(transport.address) ? null : deny('ip_not_allowed', kind)
}

function denyOrganization(exchange: Exchange, { organization }: Requirement, identity: Identity): Denial | null {
  if (organization === null) return null
  return namedOrganization(exchange, organization) === identity.organizationId
    ? null
    : deny('organization_mismatch', identity.kind)
}

/** A function that throws or gives no string names no organization, and so none that could match. */
function namedOrganization({ call }: Exchange, organization: NonNullable<Requirement['organization']>): unknown {
  try {
    return organization(guardRequest(call))
  } catch {
    return null
  }
}

function denyScopes(exchange: Exchange, { kind, scopes }: Requirement, identity: Identity): Denial | null {
  if (scopes.length === 0) return null
  const missing = scopes.filter((scope) => !identity.scopes.has(scope))
  if (missing.length === 0 || (kind === 'any-scope' && missing.length < scopes.length)) return null
  return deny('scope_missing', identity.kind, { scopes: { missing, required: [...exchange.required] } })
}

/** The last door: a live call that leaves no record does not run. This is where its intent will be written. */
function pass(exchange: Exchange): Verdict {
  if (!exchange.house.recorder.gate()) return refuse(exchange, deny('audit_unavailable'))
  if (exchange.catchAll) return refuse(exchange, deny('not_found'))
  const { call, identity, requestId } = exchange
  call.setHeader('X-Request-Id', requestId)
  if (identity !== null && identity.graceEnds !== null) {
    call.setHeader('HealthCloud-Key-Expires', new Date(identity.graceEnds).toUTCString())
  }
  return { kind: 'pass', exchange }
}

function refuse(exchange: Exchange, denial: Denial): Verdict {
  exchange.denial = denial
  return { kind: 'refuse', exchange, answer: answerTo(denial) }
}

/** A key that came over plain HTTP is looked up for the event alone, so that the operator knows which key to rotate. */
function nameExposedKey(exchange: Exchange): void {
  const { house, credential, transport } = exchange
  if (!credential.ok || credential.kind !== 'api-key' || house.keys === null || !house.recorder.wanted) return
  exchange.naming = Promise.resolve(identify(house, credential, transport.address)).then((found) => {
    const actor = found.ok
      ? { organizationId: found.organizationId, keyId: found.keyId, subject: found.subject, tokenId: null }
      : found.actor
    exchange.denial = deny('https_required', 'api-key', { actor })
  })
}
