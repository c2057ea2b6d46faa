import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IntentDraft } from '../audit/intent.ts'
import type { AuditDraft } from '../audit/event.ts'
import type { AuditHandle, AuditNotes, Touch } from './audit-notes.ts'
import type { BodyPhi } from '../audit/phi/body.ts'
import type { Denial } from '../decision.ts'
import type { House } from '../house.ts'
import type { Identity } from '../principal.ts'
import type { Credential } from '../request/credential.ts'
import type { Transport } from '../request/transport.ts'
import type { PhiOption } from '../requirement.ts'

/** Where a request is in the host's routes. */
export interface Place {
  /** The full template; `*` where it cannot be told. Never a concrete path. */
  readonly template: string
  /** Of every mount on the way, decoded. */
  readonly params: Readonly<Record<string, string>>
}

/** What an adapter hands over for one guard on one request. Adapters translate; they decide nothing. */
export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Path and query as received, before any mount or rewrite. */
  readonly url: string
  /** Where the request is in the host's routes, as far as it is known by now. */
  place(): Place
  /** Adds a header to the answer of a call that passes. */
  setHeader(name: string, value: string): void
}

/** The last intent of a call that is in the journal. */
export interface WrittenIntent {
  readonly id: string
  readonly draft: IntentDraft
}

/** The event of an exchange, once it is recorded. */
export interface RecordedEvent {
  readonly draft: AuditDraft
  /** `null`: it is not in the journal yet. */
  readonly id: string | null
  /** The event itself, and those that continue it. */
  parts: number
  /** Touched since, in this turn of the event loop; `null`: nothing. */
  late: Touch[] | null
}

/**
 * One request as one `auth` sees it: opened by its first guard, shared by the later ones, ended with the response. It is
 * never handed out; what a handler may read of it are the principal and the audit handle.
 */
export interface Exchange {
  readonly house: House
  /** Of the guard that ran last: its route and parameters are the most complete. */
  call: Call
  /** Epoch milliseconds. */
  readonly startedAt: number
  /** Of the monotonic clock. */
  readonly startedMs: number
  readonly requestId: string
  readonly transport: Transport
  readonly credential: Credential | Denial
  /** Settled when the exchange is opened: closing, plain HTTP, two credentials. */
  readonly early: Denial | null
  /** `null` before authentication and on an anonymous pass. */
  identity: Identity | null
  /** The refusal that was answered. */
  denial: Denial | null
  /** Of all guards, in their order, without repeats. */
  required: readonly string[]
  phi: PhiOption | false | null
  catchAll: boolean
  /** `null` as long as nobody has asked for the audit handle. */
  notes: AuditNotes | null
  /** Made when it is first asked for. */
  handle: AuditHandle | null
  /** What the answer shows; `null` as long as none was handed over that shows anything. */
  body: BodyPhi | null
  /** A guard hands over the answer already: a second one must not look at it again. */
  watched: boolean
  /** Of another auth on the same request. */
  readonly sibling: Exchange | null
  /** The handler is done, where the framework can tell. */
  handlerDone: boolean
  /** What the journal knows of the call before its handler runs; `null`: nothing. */
  intent: WrittenIntent | null
  /** `null`: the event is still to come. It must not lead back to the exchange (docs/decisions/0005). */
  recorded: RecordedEvent | null
  /** Work for the event alone, after the answer: whose key came over plain HTTP. */
  readonly naming: (() => Promise<Denial>) | null
}
