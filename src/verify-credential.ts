import { authDraft } from './auth-event.ts'
import { answerTo, deny, type Denial, type Reason } from './decision.ts'
import { GuardError } from './errors.ts'
import { nameExposedKey } from './exposed-key.ts'
import type { House } from './house.ts'
import { identify } from './identify.ts'
import { normalizeAddress } from './lib/cidr.ts'
import type { Identity, Principal } from './principal.ts'
import { credentialOf } from './request/credential.ts'
import { allowsPlain } from './request/transport.ts'
import { denyAddress, denyScopes } from './rules.ts'
import type { Scope } from './scopes.ts'

/** What a caller without HTTP (a WebSocket, a queue) knows of the call. Nothing is optional by omission: unknown is `null`. */
export interface VerifyContext {
  /** The client's address; `null`: unknown, and a key with an allowlist then fails. */
  readonly ip: string | null
  /** Whether the credential came encrypted; `null` skips the HTTPS rule. */
  readonly secure: boolean | null
  /** All of them are required. */
  readonly scopes?: readonly Scope[] | undefined
  /** What is being done, for the audit event: `[a-z0-9._-]{1,64}`. */
  readonly operation: string
}

/** `status` and `code` as in an HTTP answer; `reason` is for logs, never for the caller; `retryAfterSeconds` with 503 and 429. */
export type CredentialVerdict =
  | { readonly ok: true; readonly principal: Principal }
  | {
      readonly ok: false
      readonly status: number
      readonly code: string
      readonly reason: Reason
      readonly retryAfterSeconds?: number
    }

/** Verifies a credential outside HTTP and writes one `auth` event before it resolves. Never rejects for a bad credential. */
export async function verifyCredential(
  house: House,
  credential: string,
  context: VerifyContext,
): Promise<CredentialVerdict> {
  const checked = checkContext(house, context)
  const ticket = house.tracker.opened()
  return verified(house, credential, checked).finally(() => ticket.recorded())
}

async function verified(house: House, credential: string, checked: CheckedContext): Promise<CredentialVerdict> {
  const [time, startedMs] = [house.clock.now(), house.clock.monotonicMs()]
  const found = await examine(house, credential, checked)
  const identity = found.ok ? found : null
  const denial = found.ok ? (decide(found, checked) ?? denyUnaudited(house)) : found
  const { address, scopes: required, operation } = checked
  const facts = { time, startedMs, identity, denial, address, required, operation }
  house.recorder.record(authDraft(house, { name: 'verify', ...facts, requestId: null, tokenId: null }))
  // Its event may have been the first that could not be written.
  const kept = (await house.recorder.durable()) ? denyUnaudited(house) : deny('audit_unavailable')
  const answered = denial ?? kept
  return identity !== null && answered === null
    ? Object.freeze({ ok: true, principal: identity.principal })
    : refusal(answered ?? deny('audit_unavailable'))
}

function denyUnaudited({ recorder }: House): Denial | null {
  return recorder.gate() ? null : deny('audit_unavailable')
}

interface CheckedContext {
  readonly address: string | null
  readonly secure: boolean | null
  readonly scopes: readonly string[]
  readonly operation: string
}

function checkContext(house: House, context: VerifyContext): CheckedContext {
  // Own members only: an inherited `secure: null` must not skip the HTTPS rule.
  const { ip, secure, operation, scopes = [] }: VerifyContext = Object.assign(Object.create(null), context)
  if (ip !== null && typeof ip !== 'string')
    throw new GuardError('GUARD_OPTION', '`ip` of auth.verify is an address, or null for unknown.')
  if (secure !== null && typeof secure !== 'boolean') {
    throw new GuardError('GUARD_OPTION', '`secure` of auth.verify is a boolean, or null to skip the HTTPS rule.')
  }
  if (typeof operation !== 'string' || !/^[a-z0-9._-]{1,64}$/.test(operation)) {
    throw new GuardError('GUARD_OPTION', '`operation` of auth.verify matches [a-z0-9._-]{1,64}.')
  }
  if (!Array.isArray(scopes)) throw new GuardError('GUARD_OPTION', '`scopes` of auth.verify is a list of scopes.')
  const required: readonly Scope[] = Array.from(scopes)
  for (const scope of required) {
    if (!house.catalogue.has(scope))
      throw new GuardError('SCOPE_UNKNOWN', `Unknown scope ${JSON.stringify(scope)} in auth.verify.`)
  }
  return { address: ip === null ? null : normalizeAddress(ip), secure, scopes: required, operation }
}

async function examine(house: House, text: string, { secure, address }: CheckedContext): Promise<Identity | Denial> {
  if (house.closing()) return deny('closing')
  const credential = credentialOf(text)
  if (secure === false && !allowsPlain(house, address)) return nameExposedKey(house, credential, address)
  return credential.ok ? identify(house, credential, address) : credential
}

function decide(identity: Identity, { address, scopes }: CheckedContext): Denial | null {
  return denyAddress(identity, address) ?? denyScopes(identity, { scopes, any: false, required: scopes })
}

function refusal(denial: Denial): CredentialVerdict {
  const { status, code, retryAfterSeconds } = answerTo(denial)
  return Object.freeze({
    ok: false,
    status,
    code,
    reason: denial.reason,
    ...(retryAfterSeconds === null ? {} : { retryAfterSeconds }),
  })
}
