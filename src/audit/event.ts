import type { Reason } from '../decision.ts'
import type { CredentialKind, Environment } from '../principal.ts'

/**
 * `access`: a guarded call. `auth`: `auth.verify` and the issuer's endpoints. `admin`: a change of keys, or a token revoked.
 * `system`: the recorder itself.
 */
export type AuditKind = 'access' | 'auth' | 'admin' | 'system'

/**
 * `denied`: refused by us. `error`: the handler answered 400 or more, or something of ours was out of reach. `aborted`: the client left.
 * `interrupted`: the process died during the call, and nobody knows what became of it.
 */
export type AuditOutcome = 'success' | 'denied' | 'error' | 'aborted' | 'interrupted'

/** Create, read, update, delete, execute: codes of FHIR R4 `AuditEvent.action`. */
export type AuditAction = 'C' | 'R' | 'U' | 'D' | 'E'

/** What happened: `request` is a call through a guard, `verify` one of `auth.verify`; the others are named after what was done. */
export type AuditName =
  | 'request'
  | 'verify'
  | 'token.exchange'
  | 'token.introspect'
  | 'token.revoke'
  | 'key.create'
  | 'key.import'
  | 'key.rotate'
  | 'key.revoke'
  | 'key.update'
  | SystemName

/** The recorder's own events. */
export type SystemName =
  | 'audit.started'
  | 'audit.stopped'
  | 'audit.gap'
  | 'audit.checkpoint'
  | 'audit.recovered'
  | 'audit.retention'
  | 'clock.jump'

/** Of `audit.checkpoint`: an Ed25519 signature over everything that the writer has written before this line. */
export interface AuditCheckpoint {
  /** `ed25519:` and 16 characters of the public key's SHA-256; see `keyIdOf`. */
  readonly keyId: string
  /** base64url, 64 bytes, over `checkpointText`. */
  readonly signature: string
}

/** Of `audit.retention`: segments of one writer that were deleted because of their age, and how they ended. */
export interface AuditRetention {
  readonly writer: string
  /** Numbers of the first and the last segment that are gone. */
  readonly segments: readonly [first: number, last: number]
  /** `seq` of the last event in them, and the hash of their last line: what the next line's `prev` must be. */
  readonly lastSeq: number
  readonly lastHash: string
  /** `null`: no signing key is set. */
  readonly signed: AuditCheckpoint | null
}

/** Who called; each member is `null` where it is not known or does not apply. */
export interface AuditActor {
  readonly kind: CredentialKind | 'none'
  readonly org: string | null
  readonly keyId: string | null
  readonly sub: string | null
  /** The token that was presented; of `token.exchange` the one that was minted, of `token.revoke` the one that was revoked. */
  readonly jti: string | null
  /** ISO 8601: the rotated key that was used is valid strictly before this. */
  readonly graceEnds: string | null
  /** Who made the change, of `admin` events. */
  readonly by: string | null
}

/** The PHI access pattern: which kinds of resource, whose, how many; never what they hold. */
export interface AuditPhi {
  /** FHIR restful-interaction code. */
  readonly interaction: string | null
  /** FHIR resource types. */
  readonly types: readonly string[]
  /** Keyed pseudonyms. */
  readonly patients: readonly string[]
  /** `null`: not known. */
  readonly patientCount: number | null
  readonly resourceCount: number | null
  readonly bulk: boolean
  readonly attribution: 'scope' | 'route' | 'annotation' | 'handler' | 'body' | 'none'
}

/** The request and its answer; no path, no header, no value of a query, no body. */
export interface AuditHttp {
  readonly method: string
  /** The template, never the concrete path; `*` where it cannot be told. */
  readonly route: string
  /** `null`: no header was sent. */
  readonly status: number | null
  /** Names of query parameters, sorted; `*` for those that are not on the list. */
  readonly query: readonly string[]
  /** Bytes of the response body handed to the socket. */
  readonly bytes: number
}

/** What happened, before the recorder gives it its place in the journal. */
export interface AuditDraft {
  /** Of the intent that was written before; `null`: there is none, and the event gets an id of its own. */
  readonly id: string | null
  readonly kind: AuditKind
  readonly name: AuditName
  /** Epoch milliseconds: when the request was received. */
  readonly time: number
  readonly durationMs: number
  readonly outcome: AuditOutcome
  readonly reason: Reason | null
  readonly action: AuditAction | null
  readonly actor: AuditActor
  readonly target: { readonly keyId: string; readonly org: string; readonly fields: readonly string[] } | null
  readonly scopes: { readonly granted: readonly string[]; readonly required: readonly string[] }
  /** `via`: how many trusted proxies the address was told by. */
  readonly client: { readonly ip: string | null; readonly via: number }
  readonly http: AuditHttp | null
  readonly requestId: string | null
  readonly operation: string | null
  readonly purpose: string | null
  readonly phi: AuditPhi | null
  readonly delivered: 'full' | 'partial' | 'none' | null
  readonly part: { readonly n: number; readonly of_id: string } | null
  /** How many calls this event stands for. */
  readonly count: number
  /** Of `audit.retention` alone. */
  readonly retention?: AuditRetention | undefined
}

/** Version 1 of the event: one JSON object a line, members in this order. */
export interface AuditEvent {
  /** Version of this shape. */
  readonly v: 1
  /** UUIDv7: the key for de-duplication everywhere. */
  readonly id: string
  readonly kind: AuditKind
  readonly name: AuditName
  /** ISO 8601, UTC, milliseconds: when the request was received. */
  readonly time: string
  /** ISO 8601, UTC, milliseconds: when the line was built. */
  readonly recorded: string
  /** Milliseconds to the end of the exchange, by the monotonic clock, to the microsecond. */
  readonly durationMs: number
  readonly outcome: AuditOutcome
  /** Why not `success`: codes of a closed list; `null` where it needs none. */
  readonly reason: Reason | null
  /** `null` where it does not apply, as of `system` events. */
  readonly action: AuditAction | null
  readonly actor: AuditActor
  /** The key that an `admin` event changed, and which fields; `null` for a token. */
  readonly target: AuditDraft['target']
  /** The server's. */
  readonly env: Environment
  /** Those that the caller holds, and those that the guards asked for, in their order. */
  readonly scopes: AuditDraft['scopes']
  /** Address (of folded refusals the network in CIDR notation), and how many trusted proxies told it. */
  readonly client: AuditDraft['client']
  /** `null`: no HTTP request of a guard. */
  readonly http: AuditHttp | null
  /** As in `X-Request-Id`; callers may repeat it. */
  readonly requestId: string | null
  /** As given to `auth.verify`. */
  readonly operation: string | null
  /** Code of HL7 v3 PurposeOfUse, as given to `audit.purpose`. */
  readonly purpose: string | null
  /** `null`: no PHI is concerned. */
  readonly phi: AuditPhi | null
  /** How much of the answer was handed to the kernel. */
  readonly delivered: AuditDraft['delivered']
  /** How many calls it stands for; of `audit.gap`, how many stand in no event. */
  readonly count: number
  /** Continues the event `of_id`; `n` counts from 2. */
  readonly part: AuditDraft['part']
  /** The server that wrote it: `options.service`. */
  readonly service: { readonly name: string; readonly version: string | null; readonly instance: string }
  /** The process that wrote it: 1 to 64 letters and digits, new at each start. */
  readonly writer: string
  /** Contiguous per writer, from 1. */
  readonly seq: number
  /** SHA-256 (hex) of the line before, without its newline; `null` on a writer's first line, and where no journal is kept. */
  readonly prev: string | null
  /** Of `audit.checkpoint` alone. */
  readonly checkpoint?: AuditCheckpoint
  /** Of `audit.retention` alone. */
  readonly retention?: AuditRetention
}
