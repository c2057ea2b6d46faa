import { authDraft } from '../auth-event.ts'
import { answerTo, deny, type Denial, type Reason } from '../decision.ts'
import { GuardError } from '../errors.ts'
import type { House } from '../house.ts'
import { identify } from '../identify.ts'
import type { Issuer } from './issuer.ts'
import { normalizeAddress } from '../lib/cidr.ts'
import { discreet, withHidden } from '../lib/discreet.ts'
import { ownMember } from '../lib/own-member.ts'
import type { Identity } from '../principal.ts'
import { credentialOf } from '../request/credential.ts'
import { notHeld, readRequestedScopes, type RequestedScopes } from './requested-scopes.ts'
import { denyAddress } from '../rules.ts'
import type { Scope } from '../scopes.ts'
import type { MintedToken } from '../tokens/mint.ts'

/** An API key to be exchanged in this process, without HTTP. */
export interface ExchangeToken {
  /** The API key. */
  readonly key: string
  /** All of them must be held by the key; one at least. */
  readonly scopes: readonly Scope[]
  /** The client's address, for a key with an allowlist. Left out or `null`: unknown, and such a key then fails. */
  readonly ip?: string | null | undefined
}

/**
 * `console.log`, JSON and spreading show everything of a grant but the token itself. Of a refusal `status` and `code` are as in
 * an HTTP answer; `reason` is for logs, never for the caller; `retryAfterSeconds` comes with 503 and 429.
 */
export type TokenExchange =
  | {
      readonly ok: true
      readonly accessToken: string
      readonly tokenId: string
      readonly expiresInSeconds: number
      readonly scopes: readonly Scope[]
      readonly issuedAt: Date
      readonly expiresAt: Date
    }
  | {
      readonly ok: false
      readonly status: number
      readonly code: string
      readonly reason: Reason
      /** For people: names the scopes of `INVALID_SCOPE`. */
      readonly message: string
      readonly retryAfterSeconds?: number
    }

interface Asked {
  readonly key: string
  readonly address: string | null
  readonly requested: RequestedScopes
}

/** `auth.tokens.exchange`: one `auth` event; a refusal is a value, a mistake in the program rejects with `GuardError`. */
export async function exchangeToken(house: House, issuer: Issuer, request: ExchangeToken): Promise<TokenExchange> {
  const asked = readRequest(house, request)
  const ticket = house.tracker.opened()
  const [time, startedMs] = [house.clock.now(), house.clock.monotonicMs()]
  try {
    const identity = await identityOf(house, asked)
    const outcome = identity.ok ? mint({ house, issuer }, identity, asked) : refused(identity)
    const { requested, address } = asked
    house.recorder.record(
      authDraft(house, {
        name: 'token.exchange',
        time,
        startedMs,
        identity: identity.ok ? identity : null,
        denial: outcome.denial,
        address,
        required: requested.ok ? requested.scopes : requested.known,
        operation: null,
        requestId: null,
        tokenId: outcome.minted?.tokenId ?? null,
      }),
    )
    // Its event may have been the first that could not be written: then what was minted goes to nobody.
    if (outcome.minted === null || ((await house.recorder.durable()) && house.recorder.gate())) return resultOf(outcome)
    return resultOf(refused(deny('audit_unavailable')))
  } finally {
    ticket.recorded()
  }
}

function readRequest({ catalogue }: House, request: unknown): Asked {
  const [key, scopes, ip = null] = ['key', 'scopes', 'ip'].map((name) => ownMember(request, name))
  if (typeof key !== 'string') throw new GuardError('GUARD_OPTION', '`key` of auth.tokens.exchange is an API key.')
  if (!Array.isArray(scopes)) throw new GuardError('GUARD_OPTION', '`scopes` of auth.tokens.exchange is a list.')
  if (ip !== null && typeof ip !== 'string') {
    throw new GuardError('GUARD_OPTION', '`ip` of auth.tokens.exchange is an address, or null for unknown.')
  }
  const address = ip === null ? null : normalizeAddress(ip)
  return { key, address, requested: readRequestedScopes(scopes, catalogue) }
}

async function identityOf(house: House, { key, address }: Asked): Promise<Identity | Denial> {
  if (house.closing()) return deny('closing')
  const credential = credentialOf(key)
  if (!credential.ok) return credential
  if (credential.kind === 'access-token') return deny('credential_not_accepted', 'access-token')
  return identify(house, credential, address)
}

interface Outcome {
  readonly minted: MintedToken | null
  readonly denial: Denial | null
  readonly message: string | null
}

function refused(denial: Denial, message: string | null = null): Outcome {
  return { minted: null, denial, message }
}

function mint(
  { house, issuer }: { house: House; issuer: Issuer },
  key: Identity,
  { address, requested }: Asked,
): Outcome {
  const outside = denyAddress(key, address)
  if (outside !== null) return refused(outside)
  if (!requested.ok) return refused(deny('scope_invalid', 'api-key'), requested.message)
  const missing = notHeld(key, requested.scopes)
  if (missing !== null) return refused(deny('scope_invalid', 'api-key'), missing)
  if (!house.recorder.gate()) return refused(deny('audit_unavailable'))
  const minted = issuer.mint(key, requested.scopes)
  return typeof minted === 'string' ? refused(deny(minted, 'api-key')) : { minted, denial: null, message: null }
}

function resultOf({ minted, denial, message }: Outcome): TokenExchange {
  if (minted === null) {
    const refusal = denial ?? deny('handler_error')
    const { status, code, message: face, retryAfterSeconds } = answerTo(refusal)
    const more = retryAfterSeconds === null ? {} : { retryAfterSeconds }
    return Object.freeze({ ok: false, status, code, reason: refusal.reason, message: message ?? face, ...more })
  }
  return grantOf(minted)
}

function grantOf({ accessToken, tokenId, issuedAt, expiresInSeconds, scopes }: MintedToken): TokenExchange {
  const facts = { ok: true, tokenId, expiresInSeconds, scopes: scopes as readonly Scope[] } as const
  const dates = () => ({
    issuedAt: new Date(issuedAt * 1000),
    expiresAt: new Date((issuedAt + expiresInSeconds) * 1000),
  })
  const members = {
    ...facts,
    // A `Date` cannot be frozen: each reader gets one of his own.
    get issuedAt() {
      return dates().issuedAt
    },
    get expiresAt() {
      return dates().expiresAt
    },
  }
  return discreet(withHidden(members, 'accessToken', accessToken), () => ({ ...facts, ...dates() }))
}
