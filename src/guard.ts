import { admit } from './admit.ts'
import type { Answer, Denial } from './decision.ts'
import { answerTo, deny } from './decision.ts'
import type { Call, Exchange } from './exchange/exchange.ts'
import { guardRequest } from './guard-request.ts'
import type { House } from './house.ts'
import { identify } from './identify.ts'
import { enter } from './exchange/open-exchange.ts'
import type { Identity } from './principal.ts'
import type { Requirement } from './requirement.ts'
import { isOver } from './exchange/response-end.ts'
import { denyAddress, denyScopes } from './rules.ts'

/** What an adapter does next: run the handler, send the answer, or nothing because the client has left. */
export type Verdict =
  | { readonly kind: 'pass'; readonly exchange: Exchange }
  | { readonly kind: 'refuse'; readonly exchange: Exchange; readonly answer: Answer }
  | { readonly kind: 'gone' }

type Found = Identity | Denial | 'anonymous'

/**
 * The one path of a request: transport → credential → identity → address → organization → scopes → audit. A refusal
 * leaves it early, as a value. Synchronous where the identity is cached.
 */
export function guard(house: House, call: Call, requirement: Requirement): Verdict | Promise<Verdict> {
  const exchange = enter(house, call)
  note(exchange, requirement)
  if (exchange.early !== null) return refuse(exchange, exchange.early)
  const found = authenticate(exchange, requirement)
  return found instanceof Promise
    ? underWay(house, found).then((each) => decide(exchange, requirement, each))
    : decide(exchange, requirement, found)
}

/** `close` waits for whoever is being looked up. */
function underWay<T>({ tracker }: House, work: Promise<T>): Promise<T> {
  const ticket = tracker.opened()
  return work.finally(() => ticket.recorded())
}

function decide(exchange: Exchange, requirement: Requirement, found: Found): Verdict | Promise<Verdict> {
  if (isOver(exchange.call.request, exchange.call.response)) return leave(exchange, found)
  if (found === 'anonymous') return pass(exchange)
  if (!found.ok) return refuse(exchange, found)
  exchange.identity = found
  const { scopes, kind } = requirement
  const refusal =
    denyAddress(found, exchange.transport.address) ??
    denyOrganization(exchange, requirement, found) ??
    denyScopes(found, { scopes, any: kind === 'any-scope', required: exchange.required })
  return refusal === null ? pass(exchange) : refuse(exchange, refusal)
}

const GONE: Verdict = Object.freeze({ kind: 'gone' })

/** Nobody waits for an answer, and no handler will end the response: no event has to wait for one. */
function leave(exchange: Exchange, found: Found): Verdict {
  if (found !== 'anonymous' && found.ok) exchange.identity = found
  exchange.call.response.end()
  return GONE
}

/** What this guard asks for stands in the event, whether it passes or not. */
function note(exchange: Exchange, { scopes, phi, kind }: Requirement): void {
  const more = exchange.required.length === 0 ? scopes : scopes.filter((scope) => !exchange.required.includes(scope))
  if (more.length > 0) exchange.required = exchange.required.length === 0 ? more : [...exchange.required, ...more]
  if (phi !== null) exchange.phi = phi
  if (kind === 'catch-all') exchange.catchAll = true
}

function authenticate(exchange: Exchange, requirement: Requirement): Found | Promise<Found> {
  const { house, credential, identity, transport } = exchange
  if (identity !== null) return identity
  if (!credential.ok) return credential
  if (credential.kind === 'none' && requirement.optional) return 'anonymous'
  return identify(house, credential, transport.address)
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

function pass(exchange: Exchange): Verdict | Promise<Verdict> {
  const { house, call, catchAll } = exchange
  if (catchAll) return refuse(exchange, house.recorder.gate() ? deny('not_found') : deny('audit_unavailable'))
  const admitted = admit(exchange)
  if (!(admitted instanceof Promise)) return enterHandler(exchange, admitted)
  return underWay(house, admitted).then((each) =>
    isOver(call.request, call.response)
      ? leave(exchange, exchange.identity ?? 'anonymous')
      : enterHandler(exchange, each),
  )
}

function enterHandler(exchange: Exchange, admitted: boolean): Verdict {
  if (!admitted) return refuse(exchange, deny('audit_unavailable'))
  for (const [name, value] of passHeaders(exchange)) exchange.call.setHeader(name, value)
  return { kind: 'pass', exchange }
}

/** What the answer to a call that passes carries, whoever gives it. */
export function passHeaders({ identity, requestId }: Exchange): readonly (readonly [name: string, value: string])[] {
  const id = ['X-Request-Id', requestId] as const
  if (identity === null || identity.graceEnds === null) return [id]
  return [id, ['HealthCloud-Key-Expires', new Date(identity.graceEnds).toUTCString()]]
}

function refuse(exchange: Exchange, denial: Denial): Verdict {
  exchange.denial = denial
  return { kind: 'refuse', exchange, answer: answerTo(denial) }
}
