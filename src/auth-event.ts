import { bareDraft } from './audit/chain/bare-draft.ts'
import type { AuditDraft } from './audit/event.ts'
import type { Denial } from './decision.ts'
import { actorOf, deniedOutcome } from './exchange/exchange-event.ts'
import type { House } from './house.ts'
import type { Identity } from './principal.ts'

/** What is known of a call outside a guarded route when its event is built. */
export interface AuthFacts {
  readonly name: 'verify' | 'token.exchange' | 'token.introspect'
  /** Epoch milliseconds. */
  readonly time: number
  /** Of the monotonic clock. */
  readonly startedMs: number
  readonly identity: Identity | null
  readonly denial: Denial | null
  /** The client's; `null`: unknown. */
  readonly address: string | null
  /** Known scopes that were asked for; never a caller's own words. */
  readonly required: readonly string[]
  readonly operation: string | null
  readonly requestId: string | null
  /** Of a token that was minted. */
  readonly tokenId: string | null
}

/** The one `auth` event of a credential that was verified, exchanged or asked about; built by allow-list. */
export function authDraft(house: House, facts: AuthFacts): AuditDraft {
  const { identity, denial, tokenId } = facts
  const actor = actorOf(identity, denial)
  return {
    ...bareDraft({ kind: 'auth', name: facts.name, time: facts.time }),
    durationMs: house.clock.monotonicMs() - facts.startedMs,
    outcome: outcomeOf(denial),
    reason: denial?.reason ?? null,
    actor: tokenId === null ? actor : { ...actor, jti: tokenId },
    scopes: { granted: identity === null ? [] : [...identity.scopes], required: facts.required },
    client: { ip: facts.address, via: 0 },
    requestId: facts.requestId,
    operation: facts.operation,
  }
}

function outcomeOf(denial: Denial | null): AuditDraft['outcome'] {
  if (denial === null) return 'success'
  return denial.reason === 'client_aborted' ? 'aborted' : deniedOutcome(denial)
}
