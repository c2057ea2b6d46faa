import { scopeCatalogue } from '../../src/scopes.ts'
import type { Denial, Reason } from '../../src/decision.ts'
import type { Identity } from '../../src/principal.ts'
import type { Algorithm, TokenSettings } from '../../src/tokens/settings.ts'
import { createTokenVerifier, type TokenVerifier, type TokenVerifierSettings } from '../../src/tokens/verifier.ts'
import type { Jwk } from '../fixtures/issuer-keys.ts'

export const ISSUER = 'https://issuer.example'
export const AUDIENCE = 'https://partner.example'

/** 2026-11-24T10:40:00Z, in epoch seconds. */
export const NOW = 1_795_516_800

export function goodClaims(more: object = {}): Record<string, unknown> {
  return {
    iss: ISSUER,
    aud: AUDIENCE,
    iat: NOW,
    exp: NOW + 3600,
    sub: 'user_1',
    org: 'org_1',
    env: 'live',
    scope: 'read:patients exec:agents',
    ...more,
  }
}

export interface MovedClock {
  now(): number
  monotonicMs(): number
  advance(seconds: number): void
}

/** Starts at `NOW`; the two readings differ, as in life. */
export function movedClock(): MovedClock {
  let ms = 0
  return {
    now: () => NOW * 1000 + ms,
    monotonicMs: () => 5000 + ms,
    advance: (seconds) => {
      ms += seconds * 1000
    },
  }
}

export const ALL_ALGORITHMS: readonly Algorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']

export function tokenSettings(keys: readonly Jwk[], more: Partial<TokenSettings> = {}): TokenSettings {
  return {
    issuer: ISSUER,
    audience: [AUDIENCE],
    algorithms: ['RS256'],
    types: ['at+jwt', 'JWT'],
    clockToleranceSeconds: 30,
    maxLifetimeSeconds: 3600,
    claims: { organization: 'org', environment: 'env', scope: 'scope', issuingKey: 'client_id' },
    jwks: { kind: 'local', keys },
    ...more,
  }
}

export function verifierOf(settings: TokenSettings, more: Partial<TokenVerifierSettings> = {}): TokenVerifier {
  return createTokenVerifier({
    settings,
    environment: 'live',
    catalogue: scopeCatalogue({}),
    clock: movedClock(),
    cacheEntries: 1000,
    issuingKey: null,
    ...more,
  })
}

/** The reason of a denial, or `'accepted'`. */
export function outcome(found: Identity | Denial): Reason | 'accepted' {
  return found.ok ? 'accepted' : found.reason
}

/** What a synchronous answer comes to; an answer that has to be waited for is a failure. */
export function outcomeNow(found: Identity | Denial | Promise<Identity | Denial>): Reason | 'accepted' {
  if (found instanceof Promise) throw new Error('The answer is a promise.')
  return outcome(found)
}
