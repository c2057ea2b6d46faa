import type { Clock } from '../lib/clock.ts'
import { randomHex } from '../lib/ids.ts'
import { quote } from '../lib/json-text.ts'
import type { Identity } from '../principal.ts'
import type { KeySchedule } from './key-schedule.ts'
import { signedBy } from './signing-keys.ts'

/** A token that was made for a key; whoever holds the text is the caller. */
export interface MintedToken {
  readonly accessToken: string
  /** RFC 7519 section 4.1.7 `jti`. */
  readonly tokenId: string
  /** Epoch seconds, whole. */
  readonly issuedAt: number
  readonly expiresInSeconds: number
  readonly scopes: readonly string[]
}

export interface MinterSettings {
  readonly issuer: string
  readonly audience: string | readonly string[]
  readonly schedule: KeySchedule
  readonly lifetimeSeconds: number
  readonly clock: Clock
}

/** Which of its ends leaves a key less than a second. */
export type EndedKey = 'key_expired' | 'key_rotated_out'

/** Makes a token (RFC 9068 section 2) with these scopes for an API key; whether it holds them was decided before. */
export type Minter = (key: Identity, scopes: readonly string[]) => MintedToken | EndedKey

export function createMinter({ issuer, audience, schedule, lifetimeSeconds, clock }: MinterSettings): Minter {
  // Written out here, and member by member below, so that no `toJSON` on a prototype has a say in a claim.
  const aud = typeof audience === 'string' ? quote(audience) : `[${audience.map(quote).join(',')}]`
  const start = `{"iss":${quote(issuer)},"aud":${aud}`
  return (key, scopes) => {
    const now = clock.now()
    const seconds = Math.min(lifetimeSeconds, secondsUntil(key.expiresAt, now), secondsUntil(key.graceEnds, now))
    if (seconds < 1) return secondsUntil(key.expiresAt, now) < 1 ? 'key_expired' : 'key_rotated_out'
    const issuedAt = Math.floor(now / 1000)
    const tokenId = `tok_${randomHex(16)}`
    const id = quote(key.subject)
    const payload =
      `${start},"iat":${issuedAt},"exp":${issuedAt + seconds},"sub":${id},"client_id":${id}` +
      `,"org":${quote(key.organizationId)},"env":${quote(key.environment)},"scope":${quote(scopes.join(' '))}` +
      `,"jti":${quote(tokenId)}}`
    const accessToken = signedBy(schedule.signing(now), payload)
    return Object.freeze({
      accessToken,
      tokenId,
      issuedAt,
      expiresInSeconds: seconds,
      scopes: Object.freeze([...scopes]),
    })
  }
}

/** Whole seconds that are left, rounded down: a token never outlives its key. `null`: no end. */
function secondsUntil(end: number | null, now: number): number {
  return end === null ? Number.POSITIVE_INFINITY : Math.floor((end - now) / 1000)
}
