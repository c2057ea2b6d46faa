import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { deny, type Denial, type KnownActor, type Reason } from '../decision.ts'
import type { Clock } from '../lib/clock.ts'
import { createIdentity, type Environment, type Identity } from '../principal.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { claimsIssuer, isEarly, isExpired, readClaims, readIdentity, type Claims } from './claims.ts'
import { createCompactParser, MAX_TOKEN_LENGTH, type Compact } from './compact.ts'
import { mediaType, readHeader, type Header } from './header.ts'
import { parseKeySet, verifies, type Keys, type KeySet, type KeySetHealth, type PublicKey } from './key-set.ts'
import { createLocalKeySet } from './local-key-set.ts'
import { createRemoteKeySet } from './remote-key-set.ts'
import type { TokenSettings } from './settings.ts'

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
}

/** A token whose signature and claims were found good. */
interface Verified {
  readonly identity: Identity
  readonly key: PublicKey
  readonly claims: Claims
}

const MAX_LENGTH = 8192
/** A token without `kid` is tried against so many keys. */
const MAX_TRIED = 4

/** Verifies JWTs (RFC 7519, RFC 9068) strictly: text, header, key, signature, claims, issuing key, in this order. */
export function createTokenVerifier(parts: TokenVerifierSettings): TokenVerifier {
  const { settings, clock, issuingKey } = parts
  const keySet = createKeySet(settings, clock)
  const parse = createCompactParser()
  const rules = { algorithms: settings.algorithms, types: new Set(settings.types.map(mediaType)) }
  const cache = new LRUCache<string, Verified>({ max: parts.cacheEntries })

  const verifyNew = (token: string, slot: string): Found | Promise<Found> => {
    const compact = parse(token)
    if (compact === null) return refuse('jwt_malformed')
    const header = readHeader(compact.header, rules)
    if (!header.ok) return refuse(header.reason)
    if (!claimsIssuer(compact.payload, settings.issuer)) return refuse('jwt_issuer')
    return whenKnown(findKey(keySet, header, compact), (found) => {
      if (typeof found === 'string') return refuse(found)
      const verified = accept(parts, compact, found)
      if (isDenial(verified)) return verified
      cache.set(slot, verified)
      return vouched(verified)
    })
  }
  const verifyAgain = (verified: Verified, slot: string, token: string): Found | Promise<Found> => {
    const now = clock.now()
    const { expires, notBefore } = verified.claims
    if (isExpired(expires, settings.clockToleranceSeconds, now)) {
      cache.delete(slot)
      return refuse('jwt_expired', actorOf(verified.claims))
    }
    if (notBefore !== null && isEarly(notBefore, settings.clockToleranceSeconds, now)) return refuse('jwt_not_yet_valid')
    return whenKnown(keySet.current(), (keys) => {
      if (keys === null) return refuse('jwks_unavailable')
      if (keys.includes(verified.key)) return vouched(verified)
      cache.delete(slot)
      return verifyNew(token, slot)
    })
  }
  /** A revoked key takes the tokens with it that were issued to it. */
  const vouched = ({ identity, claims }: Verified): Found | Promise<Found> => {
    if (issuingKey === null) return identity
    if (identity.keyId === null) return issuingKey.mode === 'named' ? identity : refuse('jwt_issuing_key', actorOf(claims))
    return whenKnown(issuingKey.check(identity.keyId), (state) => {
      if (state === 'good') return identity
      return refuse(state === 'bad' ? 'jwt_issuing_key' : 'store_unavailable', actorOf(claims))
    })
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

/** @throws {TypeError} where a local key set holds no usable key. */
function createKeySet({ jwks, algorithms }: TokenSettings, clock: Clock): KeySet {
  if (jwks.kind === 'remote') return createRemoteKeySet(jwks, algorithms, clock)
  const keys = parseKeySet(jwks.keys, algorithms)
  if (keys === null) throw new TypeError('The key set holds no usable key.')
  return createLocalKeySet(keys)
}

type NoKey = Extract<Reason, 'jwt_unknown_key' | 'jwt_algorithm' | 'jwt_signature' | 'jwks_unavailable'>

/** The key that verifies the token. One newer set is looked at where none in force is the one that the token means. */
function findKey(keySet: KeySet, header: Header, compact: Compact): PublicKey | NoKey | Promise<PublicKey | NoKey> {
  return whenKnown(keySet.current(), (keys) => {
    if (keys === null) return 'jwks_unavailable'
    const found = tryKeys(keys, header, compact)
    if (found !== 'jwt_unknown_key') return found
    return whenKnown(keySet.newer(), (newer) => {
      if (newer === 'none') return found
      return newer === null ? 'jwks_unavailable' : tryKeys(newer, header, compact)
    })
  })
}

function tryKeys(keys: NonNullable<Keys>, { kid, algorithm }: Header, { signed, signature }: Compact): PublicKey | NoKey {
  if (kid === null) {
    const fitting = keys.filter((key) => key.algorithm === algorithm).slice(0, MAX_TRIED)
    return fitting.find((key) => verifies(key, signed, signature)) ?? 'jwt_unknown_key'
  }
  const named = keys.filter((key) => key.kid === kid)
  if (named.length === 0) return 'jwt_unknown_key'
  const key = named.find((each) => each.algorithm === algorithm)
  if (key === undefined) return 'jwt_algorithm'
  return verifies(key, signed, signature) ? key : 'jwt_signature'
}

function accept({ settings, environment, catalogue, clock }: TokenVerifierSettings, { payload }: Compact, key: PublicKey): Verified | Denial {
  const claims = readClaims(payload, settings, clock.now())
  if (typeof claims === 'string') return refuse(claims, actorOf(readIdentity(payload, settings)))
  if (claims.environment !== environment) return refuse('environment_mismatch', actorOf(claims))
  const identity = createIdentity({
    kind: 'access-token',
    organizationId: claims.organization,
    subject: claims.subject,
    keyId: keyIdOf(claims),
    tokenId: claims.tokenId,
    environment: claims.environment,
    scopes: catalogue.known(claims.scopes),
    expiresAt: claims.expires * 1000,
    graceEnds: null,
    allowlist: null,
  })
  return { identity, key, claims }
}

function isDenial(verified: Verified | Denial): verified is Denial {
  return Object.hasOwn(verified, 'reason')
}

/** A client that is one of our API keys is called by its id. */
function keyIdOf({ issuedTo }: Claims): string | null {
  return issuedTo?.startsWith('key_') === true ? issuedTo : null
}

function actorOf(claims: Claims | string): KnownActor | null {
  if (typeof claims === 'string') return null
  return { organizationId: claims.organization, keyId: keyIdOf(claims), subject: claims.subject, tokenId: claims.tokenId }
}

function refuse(reason: Reason, actor: KnownActor | null = null): Denial {
  return deny(reason, 'access-token', { actor })
}

function whenKnown<T, R>(value: T | Promise<T>, next: (value: T) => R | Promise<R>): R | Promise<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
