import { hash } from 'node:crypto'
import { deny, type Denial, type KnownActor, type Reason } from '../decision.ts'
import type { Clock } from '../lib/clock.ts'
import { createIdentity, type Environment, type Identity } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { createBoundedCache } from './bounded-cache.ts'
import { claimsIssuer, createClaimsReader, isEarly, isExpired, type Claims, type ClaimsReader } from './claims.ts'
import { createCompactParser, MAX_TOKEN_LENGTH, type Compact } from './compact.ts'
import { findKey, type NoKey } from './find-key.ts'
import { mediaType } from './header.ts'
import { parseKeySet, type KeySet, type KeySetHealth, type PublicKey } from './key-set.ts'
import { createIssuedKeySet } from './issued-key-set.ts'
import { createLocalKeySet } from './local-key-set.ts'
import { createRemoteKeySet } from './remote-key-set.ts'
import type { RevocationState } from './revoked-tokens.ts'
import type { TokenSettings } from './settings.ts'
import { whenKnown } from './when-known.ts'

type Found = Identity | Denial

export interface TokenVerifier {
  /** Synchronous where the key set is at hand; a denial is a value; never rejects. */
  verify(token: string): Found | Promise<Found>
  /** Resolves when a usable key set is loaded; rejects otherwise. */
  ready(signal: AbortSignal): Promise<void>
  health(): KeySetHealth
}

/** Whether the API key that a token was exchanged for may still vouch for it. */
export type IssuingKeyState = 'good' | 'bad' | 'unavailable'

export interface IssuingKeyRule {
  /** `named`: tokens that name a key; `always`: tokens that name none are refused. */
  readonly mode: 'named' | 'always'
  check(keyId: string): IssuingKeyState | Promise<IssuingKeyState>
}

export interface TokenVerifierSettings {
  readonly settings: TokenSettings
  readonly environment: Environment
  readonly catalogue: ScopeCatalogue
  readonly clock: Clock
  readonly cacheEntries: number
  readonly issuingKey: IssuingKeyRule | null
  /** Whether this one token was revoked, by its `jti`. Left out: tokens are not revoked one by one. */
  readonly revoked?: ((tokenId: string) => RevocationState | Promise<RevocationState>) | undefined
}

/** A token whose signature and claims were found good. */
interface Verified {
  readonly identity: Identity
  readonly key: PublicKey
  /** RFC 7519 section 4.1.5, seconds. */
  readonly notBefore: number | null
}

/**
 * Verifies JWTs (RFC 7519, RFC 9068) strictly: text, header, key, signature, claims, revocation, issuing
 * key, in this order.
 *
 * @throws {TypeError} where a local key set holds no usable key.
 */
export function createTokenVerifier(parts: TokenVerifierSettings): TokenVerifier {
  const { settings, clock } = parts
  const keySet = createKeySet(settings, clock)
  const { algorithms, types } = settings
  const vouched = createVouching(parts)
  const parse = createCompactParser({ algorithms, types: new Set(types.map(mediaType)) })
  const claims = createClaimsReader(settings, parts.catalogue)
  const cache = createBoundedCache<Verified>(parts.cacheEntries)

  const verifyNew = (token: string, slot: string): Found | Promise<Found> => {
    const compact = parse(token)
    if (compact === null) return refuse('jwt_malformed')
    const { header } = compact
    if (!header.ok) return refuse(header.reason)
    // Before any key is looked for: a token of another issuer must not cause a fetch.
    if (!claimsIssuer(compact.payload, settings.issuer)) return refuse('jwt_issuer')
    return whenKnown(findKey(keySet, header, compact), (key) => {
      // Only a token without `kid` that no key verifies has cost signature checks and is still of unknown key.
      if (typeof key === 'string') return refuse(key, { cost: costsChecks(key, header.kid) })
      const verified = accept(parts, claims, { compact, key })
      if (isDenial(verified)) return verified
      cache.set(slot, verified)
      return vouched(verified.identity, true)
    })
  }
  const verifyAgain = (verified: Verified, slot: string, token: string): Found | Promise<Found> => {
    const late = checkTimes(verified)
    if (late !== null) return refuse(late, { actor: verified.identity })
    return whenKnown(keySet.current(), (keys) => {
      if (keys === null) return refuse('jwks_unavailable', { actor: verified.identity })
      if (keys.includes(verified.key)) return vouched(verified.identity, false)
      cache.delete(slot)
      return verifyNew(token, slot)
    })
  }
  const checkTimes = ({ identity, notBefore }: Verified): 'jwt_expired' | 'jwt_not_yet_valid' | null => {
    const [now, tolerance] = [clock.now(), settings.clockToleranceSeconds]
    if (isExpired((identity.expiresAt ?? 0) / 1000, tolerance, now)) return 'jwt_expired'
    return notBefore !== null && isEarly(notBefore, tolerance, now) ? 'jwt_not_yet_valid' : null
  }

  return Object.freeze({
    verify: (token: string) => {
      if (token.length > MAX_TOKEN_LENGTH) return refuse('credential_too_long')
      const slot = hash('sha256', token, 'base64url')
      const known = cache.get(slot)
      return known === undefined ? verifyNew(token, slot) : verifyAgain(known, slot, token)
    },
    ready: (signal: AbortSignal) => keySet.ready(signal),
    health: () => keySet.health(),
  })
}

/** What a token that is good by itself still hangs on. `cost`: the signature was checked just now. */
function createVouching(parts: TokenVerifierSettings): (identity: Identity, cost: boolean) => Found | Promise<Found> {
  const { issuingKey } = parts
  const revoked = Object.hasOwn(parts, 'revoked') ? parts.revoked : undefined

  /** A revoked key takes the tokens with it that were issued to it. */
  const byKey = (identity: Identity, cost: boolean): Found | Promise<Found> => {
    if (issuingKey === null) return identity
    if (identity.keyId === null) {
      return issuingKey.mode === 'named' ? identity : refuse('jwt_issuing_key', { actor: identity, cost })
    }
    const state = issuingKey.check(identity.keyId)
    const lookedUp = state instanceof Promise
    return whenKnown(state, (known) => {
      if (known === 'good') return identity
      if (known === 'unavailable') return refuse('store_unavailable', { actor: identity })
      return refuse('jwt_issuing_key', { actor: identity, cost: cost || lookedUp })
    })
  }
  return (identity, cost) => {
    if (revoked === undefined || identity.tokenId === null) return byKey(identity, cost)
    return whenKnown(revoked(identity.tokenId), (state) => {
      if (state === 'good') return byKey(identity, cost)
      return state === 'revoked'
        ? refuse('jwt_revoked', { actor: identity, cost })
        : refuse('store_unavailable', { actor: identity })
    })
  }
}

function createKeySet({ jwks, algorithms }: TokenSettings, clock: Clock): KeySet {
  if (jwks.kind === 'remote') return createRemoteKeySet(jwks, algorithms, clock)
  if (jwks.kind === 'issued') return createIssuedKeySet(jwks.schedule, algorithms, clock)
  const keys = parseKeySet(jwks.keys, algorithms)
  if (keys === null) throw new TypeError('The key set holds no usable key.')
  return createLocalKeySet(keys)
}

function accept(
  { environment, clock }: TokenVerifierSettings,
  reader: ClaimsReader,
  { compact, key }: { compact: Compact; key: PublicKey },
): Verified | Denial {
  const claims = reader.read(compact.payload, clock.now())
  if (typeof claims === 'string') {
    return refuse(claims, { actor: actorOf(reader.identity(compact.payload)), cost: true })
  }
  if (claims.environment !== environment) return refuse('environment_mismatch', { actor: actorOf(claims), cost: true })
  const identity = createIdentity({
    kind: 'access-token',
    organizationId: claims.organization,
    subject: claims.subject,
    keyId: keyIdOf(claims),
    tokenId: claims.tokenId,
    environment: claims.environment,
    scopes: claims.scopes,
    expiresAt: claims.expires * 1000,
    graceEnds: null,
    allowlist: null,
  })
  return { identity, key, notBefore: claims.notBefore }
}

function isDenial(verified: Verified | Denial): verified is Denial {
  return Object.hasOwn(verified, 'reason')
}

/** A client that is one of our API keys is called by its id. */
function keyIdOf({ issuedTo }: Claims): string | null {
  return issuedTo?.startsWith('key_') === true ? issuedTo : null
}

/** A token that verifies names somebody, even where its claims are not good enough; `null` where it does not. */
function actorOf(claims: Claims | string): KnownActor | null {
  if (typeof claims === 'string') return null
  const { organization, subject, tokenId } = claims
  return { organizationId: organization, keyId: keyIdOf(claims), subject, tokenId }
}

/** A token without `kid` is of unknown key once the keys that it might mean have been tried. */
function costsChecks(why: NoKey, kid: string | null): boolean {
  return why === 'jwt_signature' || (why === 'jwt_unknown_key' && kid === null)
}

function refuse(
  reason: Reason,
  { actor = null, cost = false }: { actor?: KnownActor | null; cost?: boolean } = {},
): Denial {
  if (actor === null) return deny(reason, 'access-token', { cost })
  const { organizationId, keyId, subject, tokenId } = actor
  return deny(reason, 'access-token', { actor: Object.freeze({ organizationId, keyId, subject, tokenId }), cost })
}
