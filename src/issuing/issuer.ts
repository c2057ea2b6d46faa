import { ConfigError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import type { ParsedIssuing } from '../options/parsed-options.ts'
import { comingTooSoon, createKeySchedule, type KeySchedule } from '../tokens/key-schedule.ts'
import { createMinter, type Minter } from '../tokens/mint.ts'
import type { PublicJwk } from '../tokens/signing-keys.ts'

/** The side of an `auth` that makes tokens. */
export interface Issuer {
  readonly mint: Minter
  readonly schedule: KeySchedule
  /** RFC 7517 section 5: what is published now. */
  keySet(): readonly PublicJwk[]
  /** How long a verifier may keep the key set: half the time that a new key is published ahead. */
  readonly keySetMaxAgeSeconds: number
}

export function createIssuer(
  { issuer, audience, signingKeys, lifetimeSeconds }: ParsedIssuing,
  { clock, jwksMaxAgeSeconds }: { clock: Clock; jwksMaxAgeSeconds: number },
): Issuer {
  const schedule = createKeySchedule(signingKeys, lifetimeSeconds)
  warnOfHaste(schedule, jwksMaxAgeSeconds, clock)
  return Object.freeze({
    mint: createMinter({ issuer, audience, schedule, lifetimeSeconds, clock }),
    schedule,
    keySet: () => schedule.published(clock.now()).map(({ jwk }) => jwk),
    keySetMaxAgeSeconds: Math.floor(jwksMaxAgeSeconds / 2),
  })
}

/** A verifier that holds an older key set refuses the first tokens of a key that signs before it was read. */
function warnOfHaste({ keys }: KeySchedule, jwksMaxAgeSeconds: number, clock: Clock): void {
  for (const { kid, from } of comingTooSoon(keys, jwksMaxAgeSeconds, clock.now())) {
    process.emitWarning(
      `The signing key ${kid} signs from ${new Date(from).toISOString()} on, which is less than ${jwksMaxAgeSeconds} seconds ` +
        'ahead. Unless it was published before, verifiers that hold an older key set refuse its first tokens: choose a later `from`.',
      { type: 'HealthCloudAuthWarning', code: 'HC_AUTH_SIGNING_KEY_SOON' },
    )
  }
}

export function noIssuer(): ConfigError {
  return new ConfigError('CONFIG_MISSING', 'issuing', {
    problem: 'is required to mint tokens.',
    remedy: 'Give `issuing: { issuer, audience, signingKeys }` to createAuth.',
  })
}
