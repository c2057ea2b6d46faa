import { authDraft } from '../auth-event.ts'
import { answerTo, deny, type Answer, type Denial } from '../decision.ts'
import { nameExposedKey } from '../exposed-key.ts'
import type { House } from '../house.ts'
import { identify } from '../identify.ts'
import { jsonOf, refusalOf, type HeaderList, type PlainAnswer } from '../plain-answer.ts'
import type { Identity } from '../principal.ts'
import type { Credential } from '../request/credential.ts'
import { allowsPlain } from '../request/transport.ts'
import { denyAddress } from '../rules.ts'
import type { AskedRequest } from './asked.ts'
import type { ServerCaller } from './handler.ts'
import { readBody } from './read-body.ts'
import { openCall, type ServerCall } from './server-call.ts'
import { wrongMethod } from './wrong-method.ts'

/** An endpoint behind an API key. `B`: what its body comes to. */
export interface Endpoint<B> {
  readonly name: 'token.exchange' | 'token.introspect'
  /** Of its body. */
  readonly mediaType: string
  /** A denial where the body is malformed. */
  read(body: string): B | Denial
  /** Known scopes that are asked for, for the event. */
  required(body: B): readonly string[]
  /** Whether this key may have what is asked for. */
  check(key: Identity, body: B): Refusal | null
  /** Done only where it can be audited. */
  answer(key: Identity, body: B): Done | Denial | Promise<Done | Denial>
}

/** `message` says more than the reason alone could; `null`: what `answerTo` says. */
export interface Refusal {
  readonly denial: Denial
  readonly message: string | null
}

export interface Done {
  readonly ok: true
  /** JSON. */
  readonly body: string
  /** Of a token that was minted. */
  readonly tokenId: string | null
}

interface Result {
  readonly identity: Identity | null
  readonly required: readonly string[]
  /** In place of `done`. */
  readonly refusal: Refusal | null
  readonly answer: Answer | null
  readonly done: Done | null
}

/**
 * The path of a guard for an endpoint: closing → HTTPS → malformed → identity → address → scopes → audit. One
 * `auth` event, whatever comes of it; never rejects.
 */
export async function serve<B>(
  house: House,
  endpoint: Endpoint<B>,
  { request, caller }: { request: AskedRequest; caller: ServerCaller },
): Promise<PlainAnswer> {
  const ticket = house.tracker.opened()
  const call = openCall(house, request, caller)
  let result: Result
  try {
    result = refuseEarly(call) ?? (await resultOf(call, endpoint, await readBody(request, endpoint.mediaType)))
  } catch {
    result = refused(deny('handler_error'))
  }
  if (result.refusal?.denial.reason === 'https_required') {
    // Looked up after the answer, so that whoever waits for it cannot tell whether there was anything to look up.
    ticket.closed()
    void nameExposedKey(house, call.credential, call.address)
      .then((denial) => record(call, endpoint.name, { ...result, refusal: { denial, message: null } }))
      .finally(() => ticket.recorded())
    return answerFor(call, result)
  }
  record(call, endpoint.name, result)
  const kept = result.done === null || isKept(house)
  const audited = kept instanceof Promise ? await kept : kept
  ticket.recorded()
  return answerFor(call, audited ? result : refused(deny('audit_unavailable')))
}

/** The event may have been the first that could not be written: then what was minted goes to nobody. */
function isKept({ recorder }: House): boolean | Promise<boolean> {
  const durable = recorder.durable()
  return durable instanceof Promise ? durable.then((good) => good && recorder.gate()) : durable && recorder.gate()
}

/** What is refused before anything of the body is read. */
function refuseEarly({ house, request, credential, address, secure }: ServerCall): Result | null {
  if (house.closing()) return refused(deny('closing'))
  if (!secure && !allowsPlain(house, address)) return refused(deny('https_required'))
  if (request.method !== 'POST') return { ...refused(deny('request_malformed')), answer: wrongMethod('POST') }
  return credential.ok || credential.reason !== 'credential_duplicate' ? null : refused(credential)
}

/** Synchronous where the key is cached and the endpoint has nothing to wait for. */
function resultOf<B>(call: ServerCall, endpoint: Endpoint<B>, text: string | Denial): Result | Promise<Result> {
  const body = typeof text === 'string' ? endpoint.read(text) : text
  if (isDenial(body)) return refused(body)
  const required = endpoint.required(body)
  const key = authenticate(call.house, call.credential, call.address)
  return key instanceof Promise
    ? key.then((each) => decide(call, endpoint, { key: each, body, required }))
    : decide(call, endpoint, { key, body, required })
}

/** Both endpoints are for API keys: what was minted cannot make more of itself. */
function authenticate(
  house: House,
  credential: Credential | Denial,
  address: string | null,
): Identity | Denial | Promise<Identity | Denial> {
  if (!credential.ok) return credential
  if (credential.kind === 'access-token') return deny('credential_not_accepted', 'access-token')
  return identify(house, credential, address)
}

function decide<B>(
  { house, address }: ServerCall,
  endpoint: Endpoint<B>,
  { key, body, required }: { key: Identity | Denial; body: B; required: readonly string[] },
): Result | Promise<Result> {
  if (!key.ok) return refused(key, null, { identity: null, required })
  const known = { identity: key, required }
  const outside = denyAddress(key, address)
  if (outside !== null) return refused(outside, null, known)
  const refusal = endpoint.check(key, body)
  if (refusal !== null) return refused(refusal.denial, refusal.message, known)
  if (!house.recorder.gate()) return refused(deny('audit_unavailable', 'api-key'), null, known)
  const answer = endpoint.answer(key, body)
  return answer instanceof Promise ? answer.then((each) => ended(each, known)) : ended(answer, known)
}

function ended(done: Done | Denial, known: Known): Result {
  const { identity, required } = known
  return done.ok ? { identity, required, refusal: null, answer: null, done } : refused(done, null, known)
}

type Known = Pick<Result, 'identity' | 'required'>

const NOBODY: Known = Object.freeze({ identity: null, required: Object.freeze([]) })

function refused(denial: Denial, message: string | null = null, { identity, required }: Known = NOBODY): Result {
  return { identity, required, refusal: { denial, message }, answer: null, done: null }
}

function record(call: ServerCall, name: Endpoint<unknown>['name'], result: Result): void {
  const { house, time, startedMs, address, requestId } = call
  if (!house.recorder.wanted) return
  const { identity, required, refusal, done } = result
  const denial = refusal?.denial ?? null
  const tokenId = done?.tokenId ?? null
  house.recorder.record(
    authDraft(house, {
      name,
      time,
      startedMs,
      identity,
      denial,
      address,
      required,
      requestId,
      operation: null,
      tokenId,
    }),
  )
}

function answerFor(call: ServerCall, { identity, refusal, answer, done }: Result): PlainAnswer {
  const to = { house: call.house, requestId: call.requestId }
  if (done !== null) return jsonOf(done.body, to, graceHeaders(identity))
  if (answer !== null) return refusalOf(answer, to, { Allow: 'POST' })
  const denial = refusal?.denial ?? deny('handler_error')
  const face = answerTo(denial)
  return refusalOf({ ...face, message: refusal?.message ?? face.message }, to)
}

/** A call with a rotated key works, and says until when. */
function graceHeaders(identity: Identity | null): HeaderList | undefined {
  const ends = identity?.graceEnds ?? null
  return ends === null ? undefined : { 'HealthCloud-Key-Expires': new Date(ends).toUTCString() }
}

function isDenial(value: unknown): value is Denial {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'reason')
}
