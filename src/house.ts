import type { Recorder } from './audit/recorder/recorder.ts'
import type { KeyVerifier } from './keys/verifier.ts'
import type { Issuer } from './issuing/issuer.ts'
import type { Clock } from './lib/clock.ts'
import type { Environment } from './principal.ts'
import type { FailureBudget } from './request/failures.ts'
import type { TrustedProxies } from './request/transport.ts'
import type { ScopeCatalogue } from './scopes.ts'
import type { RevokedTokens } from './tokens/revoked-tokens.ts'
import type { TokenVerifier } from './tokens/verifier.ts'
import type { Tracker } from './tracker.ts'

/** Every part that a request meets on its way, put together by `createAuth` and read by the guard. */
export interface House {
  readonly environment: Environment
  readonly catalogue: ScopeCatalogue
  readonly clock: Clock
  readonly https: 'required' | 'off'
  readonly proxies: TrustedProxies
  /** `null`: this kind of credential is not configured. */
  readonly keys: KeyVerifier | null
  readonly tokens: TokenVerifier | null
  /** `null`: this `auth` mints no tokens. */
  readonly issuer: Issuer | null
  /** What tokens are introspected with: `tokens`, or else the issuer's own. */
  readonly introspected: TokenVerifier | null
  /** `null`: the store holds no revocations of single tokens, or nothing here asks for them. */
  readonly revokedTokens: RevokedTokens | null
  readonly failures: FailureBudget
  readonly recorder: Recorder
  readonly pseudonym: (organizationId: string, patientId: string) => string
  readonly queryNames: ReadonlySet<string>
  readonly docsUrl: string
  readonly tracker: Tracker
  /** `auth.close()` was called. */
  closing(): boolean
  /** Says once that a forwarded header arrived although no proxy is trusted. */
  warnForwarded(): void
}
