import { ConfigError } from './errors.ts'
import type { House } from './house.ts'
import { createIssuer, type Issuer } from './issuing/issuer.ts'
import type { RevocationListener } from './keys/revocations.ts'
import type { KeyVerifier } from './keys/verifier.ts'
import { keySetUrl } from './options/parse-options.ts'
import type { ParsedIssuing, ParsedOptions, ParsedTokens } from './options/parsed-options.ts'
import type { ScopeCatalogue } from './scopes.ts'
import { createRevokedTokens, type RevokedTokens } from './tokens/revoked-tokens.ts'
import type { TokenSettings } from './tokens/settings.ts'
import { createTokenVerifier, type TokenVerifier } from './tokens/verifier.ts'

export type TokenParts = Pick<House, 'tokens' | 'issuer' | 'introspected' | 'revokedTokens'>

/** Hears of revocations before there is a list of them: the feed belongs to the keys, which are built first. */
export interface RevocationRelay extends RevocationListener {
  to(list: RevokedTokens): void
}

/** Longest that a verifier of ours may be late. */
const MAX_TOLERANCE_SECONDS = 60
const DEFAULT_MAX_AGE_SECONDS = 600
const DEFAULT_CACHE_ENTRIES = 100_000

export function createRevocationRelay(): RevocationRelay {
  let list: RevokedTokens | null = null
  return Object.freeze({
    revoked: (tokenId: string) => list?.add(tokenId, null),
    resumed: () => list?.resumed(),
    to: (target: RevokedTokens) => {
      list = target
    },
  })
}

/** Whether the store can hold revocations of single tokens. */
export function holdsRevocations({ keys }: ParsedOptions): boolean {
  const store = keys?.store
  return (
    store?.can.revocations === true &&
    typeof store.revokeToken === 'function' &&
    typeof store.revokedTokens === 'function'
  )
}

/** How long a token can be taken for good, from now on; and how long beyond its expiry. */
export function tokenLimits({ tokens, issuing }: ParsedOptions): {
  maxLifetimeSeconds: number
  toleranceSeconds: number
} {
  const longest = Math.max(tokens?.maxLifetimeSeconds ?? 0, issuing?.lifetimeSeconds ?? 0)
  return {
    maxLifetimeSeconds: longest === 0 ? 3600 : longest,
    toleranceSeconds: tokens?.clockToleranceSeconds ?? MAX_TOLERANCE_SECONDS,
  }
}

/** The sides of an `auth` that read tokens and make them. */
export function buildTokens(
  options: ParsedOptions,
  parts: { catalogue: ScopeCatalogue; keys: KeyVerifier | null; relay: RevocationRelay },
): TokenParts {
  const { tokens, issuing, clock } = options
  const jwksMaxAgeSeconds = tokens?.jwksMaxAgeSeconds ?? DEFAULT_MAX_AGE_SECONDS
  const issuer = issuing === undefined ? null : createIssuer(issuing, { clock, jwksMaxAgeSeconds })
  const revokedTokens = buildRevokedTokens(options, parts.keys)
  if (revokedTokens !== null) parts.relay.to(revokedTokens)
  const build = (settings: ParsedTokens) => buildVerifier(options, settings, { ...parts, issuer, revokedTokens })
  const verifier = tokens === undefined ? null : build(tokens)
  const isOwn = issuing === undefined || tokens?.jwks === undefined
  return {
    tokens: verifier,
    issuer,
    revokedTokens,
    introspected: verifier !== null && isOwn ? verifier : issuing === undefined ? null : build(ownTokens(issuing)),
  }
}

function buildRevokedTokens(options: ParsedOptions, keys: KeyVerifier | null): RevokedTokens | null {
  const unread = options.tokens === undefined && options.issuing === undefined
  if (options.keys === undefined || keys === null || unread || !holdsRevocations(options)) return null
  const { maxLifetimeSeconds, toleranceSeconds } = tokenLimits(options)
  const { cacheSeconds, staleIfErrorSeconds } = options.keys
  return createRevokedTokens({
    read: keys.revokedTokens,
    clock: options.clock,
    cacheSeconds,
    staleIfErrorSeconds,
    maxLifetimeSeconds,
    clockToleranceSeconds: toleranceSeconds,
  })
}

/** What this server mints and does not take itself, it can still be asked about. */
function ownTokens({ issuer, audience, lifetimeSeconds }: ParsedIssuing): ParsedTokens {
  return {
    issuer,
    audience,
    jwks: undefined,
    algorithms: ['RS256'],
    types: ['at+jwt'],
    clockToleranceSeconds: 30,
    maxLifetimeSeconds: lifetimeSeconds,
    claims: { organization: 'org', environment: 'env', scope: 'scope', issuingKey: 'client_id' },
    jwksCooldownSeconds: 5,
    jwksMaxAgeSeconds: DEFAULT_MAX_AGE_SECONDS,
    jwksMaxStaleSeconds: 86_400,
    jwksTimeoutMs: 3000,
  }
}

interface VerifierParts {
  readonly catalogue: ScopeCatalogue
  readonly keys: KeyVerifier | null
  readonly issuer: Issuer | null
  readonly revokedTokens: RevokedTokens | null
}

function buildVerifier(
  options: ParsedOptions,
  tokens: ParsedTokens,
  { catalogue, keys, issuer, revokedTokens }: VerifierParts,
): TokenVerifier {
  const canGet = options.keys?.store.can.get === true
  const mode = tokens.issuingKeyCheck ?? (canGet ? 'named' : 'never')
  try {
    return createTokenVerifier({
      settings: tokenSettings(tokens, issuer),
      environment: options.environment,
      catalogue,
      clock: options.clock,
      cacheEntries: options.keys?.cacheEntries ?? DEFAULT_CACHE_ENTRIES,
      issuingKey: mode === 'never' || keys === null ? null : { mode, check: keys.issuingKey },
      revoked: revokedTokens?.check,
    })
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError('CONFIG_INVALID', 'tokens.jwks', {
      problem: 'holds no usable key.',
      remedy: 'Give public keys that fit tokens.algorithms.',
    })
  }
}

function tokenSettings(tokens: ParsedTokens, issuer: Issuer | null): TokenSettings {
  return {
    issuer: tokens.issuer,
    audience: typeof tokens.audience === 'string' ? [tokens.audience] : tokens.audience,
    algorithms: tokens.algorithms,
    types: tokens.types,
    clockToleranceSeconds: tokens.clockToleranceSeconds,
    maxLifetimeSeconds: tokens.maxLifetimeSeconds,
    claims: tokens.claims,
    jwks: keysOf(tokens, issuer),
  }
}

function keysOf(tokens: ParsedTokens, issuer: Issuer | null): TokenSettings['jwks'] {
  const { jwks } = tokens
  if (jwks === undefined) {
    // The options were checked: without keys of others there are own ones.
    if (issuer === null) throw new TypeError('No key set.')
    return { kind: 'issued', schedule: issuer.schedule }
  }
  if (typeof jwks !== 'string' && !(jwks instanceof URL)) return { kind: 'local', keys: jwks.keys }
  return {
    kind: 'remote',
    url: keySetUrl(jwks),
    cooldownSeconds: tokens.jwksCooldownSeconds,
    maxAgeSeconds: tokens.jwksMaxAgeSeconds,
    maxStaleSeconds: tokens.jwksMaxStaleSeconds,
    timeoutMs: tokens.jwksTimeoutMs,
    fetch: tokens.fetch ?? fetch,
  }
}
