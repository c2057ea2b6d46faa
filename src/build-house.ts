import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createJournalWriter } from './audit/journal/writer.ts'
import { createPseudonyms } from './audit/pseudonym.ts'
import { FHIR_PARAMETERS } from './audit/query-names.ts'
import { createRecorder, type Recorder } from './audit/recorder.ts'
import { ConfigError, NotReadyError } from './errors.ts'
import type { House } from './house.ts'
import { createDigester, type Digester, type Pepper } from './keys/digest.ts'
import { createKeyAdmin, type KeyAdmin, type KeyAdminChange } from './keys/lifecycle.ts'
import { createKeyVerifier, type KeyVerifier } from './keys/verifier.ts'
import { compileCidrs } from './lib/cidr.ts'
import { randomHex } from './lib/ids.ts'
import { checkUnique, keySetUrl } from './options/parse-options.ts'
import type { ParsedOptions, ParsedTokens } from './options/parsed-options.ts'
import { createFailureBudget, type FailureBudget } from './request/failures.ts'
import type { TrustedProxies } from './request/transport.ts'
import { scopeCatalogue, type ScopeCatalogue } from './scopes.ts'
import { createTokenVerifier } from './tokens/verifier.ts'
import type { TokenSettings } from './tokens/settings.ts'
import { createTracker } from './tracker.ts'

/** What `createAuth` keeps to itself beside the house. */
export interface Building {
  readonly house: House
  /** `null`: no key store is configured. */
  readonly keyAdmin: KeyAdmin | null
  /** From now on every guard answers 503. */
  shut(): void
}

/** The only place that knows every room. Opens nothing. */
export function buildHouse(options: ParsedOptions): Building {
  const catalogue = scopeCatalogue(options.scopes)
  const recorder = buildRecorder(options)
  const failures = createFailureBudget({ ...options.failures, clock: options.clock })
  const keys = buildKeys(options, { catalogue, recorder, failures })
  let closing = false
  const pseudonyms = createPseudonyms(options.audit.pseudonymKeys ?? [{ id: 'test', secret: randomBytes(32) }])
  const house: House = Object.freeze({
    environment: options.environment,
    catalogue,
    clock: options.clock,
    https: options.transport.https,
    proxies: trustedProxies(options),
    keys: keys?.verifier ?? null,
    tokens:
      options.tokens === undefined
        ? null
        : buildTokens(options, options.tokens, { catalogue, keys: keys?.verifier ?? null }),
    failures,
    recorder,
    pseudonym: pseudonyms.of,
    queryNames: new Set([...FHIR_PARAMETERS, ...options.audit.queryNames]),
    docsUrl: options.docsUrl,
    tracker: createTracker(),
    closing: () => closing,
    warnForwarded: forwardedWarning(options),
  })
  return Object.freeze({
    house,
    keyAdmin: keys?.admin ?? null,
    shut: () => {
      closing = true
    },
  })
}

function buildRecorder({ environment, audit, clock, service }: ParsedOptions): Recorder {
  const writer = randomHex(5)
  return createRecorder({
    environment,
    writer,
    service: {
      name: service.name,
      version: service.version ?? null,
      instance: service.instance ?? `${hostname()}:${process.pid}`,
    },
    clock,
    journal:
      environment === 'test' || audit.directory === undefined
        ? null
        : createJournalWriter({ directory: audit.directory, writer, clock }),
    onFailure: audit.onFailure,
    onEvent: audit.onEvent ?? null,
    sinks: audit.sinks,
  })
}

function buildKeys(
  options: ParsedOptions,
  { catalogue, recorder, failures }: { catalogue: ScopeCatalogue; recorder: Recorder; failures: FailureBudget },
): { verifier: KeyVerifier; admin: KeyAdmin } | null {
  const { keys, environment, clock } = options
  if (keys === undefined) return null
  const digester = buildDigester(keys.pepper)
  const verifier = createKeyVerifier({
    ...keys,
    digester,
    environment,
    catalogue,
    clock,
    budget: failures,
    onRotationDue: keys.onRotationDue ?? null,
  })
  const admin = createKeyAdmin({
    store: keys.store,
    digester,
    catalogue,
    clock,
    beforeChange: () => {
      if (recorder.gate()) return
      throw new NotReadyError('JOURNAL_NOT_WRITABLE', {
        problem: 'A change of keys cannot be audited now.',
        remedy: 'See auth.health().audit.',
      })
    },
    onChange: (change) => recordChange(recorder, options, change),
    forgetMisses: verifier.forgetMisses,
    forget: verifier.forget,
    random: randomBytes,
  })
  return { verifier, admin }
}

function buildDigester(pepper: NonNullable<ParsedOptions['keys']>['pepper']): Digester {
  const list: readonly Pepper[] =
    pepper === undefined ? [] : Buffer.isBuffer(pepper) ? [{ id: 'default', secret: pepper }] : pepper
  checkUnique(
    'keys.pepper',
    list.filter((each) => each !== 'sha256'),
  )
  if (list.slice(0, -1).includes('sha256')) {
    throw new ConfigError('CONFIG_INVALID', 'keys.pepper', {
      problem: "has 'sha256' before its end.",
      remedy: "Put 'sha256' last, or leave it out.",
    })
  }
  return createDigester(list)
}

function buildTokens(
  options: ParsedOptions,
  tokens: ParsedTokens,
  { catalogue, keys }: { catalogue: ScopeCatalogue; keys: KeyVerifier | null },
): NonNullable<House['tokens']> {
  const canGet = options.keys?.store.can.get === true
  const mode = tokens.issuingKeyCheck ?? (canGet ? 'named' : 'never')
  try {
    return createTokenVerifier({
      settings: tokenSettings(tokens),
      environment: options.environment,
      catalogue,
      clock: options.clock,
      cacheEntries: options.keys?.cacheEntries ?? 100_000,
      issuingKey: mode === 'never' || keys === null ? null : { mode, check: keys.issuingKey },
    })
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError('CONFIG_INVALID', 'tokens.jwks', {
      problem: 'holds no usable key.',
      remedy: 'Give public keys that fit tokens.algorithms.',
    })
  }
}

function tokenSettings(tokens: ParsedTokens): TokenSettings {
  const { jwks } = tokens
  return {
    issuer: tokens.issuer,
    audience: typeof tokens.audience === 'string' ? [tokens.audience] : tokens.audience,
    algorithms: tokens.algorithms,
    types: tokens.types,
    clockToleranceSeconds: tokens.clockToleranceSeconds,
    maxLifetimeSeconds: tokens.maxLifetimeSeconds,
    claims: tokens.claims,
    jwks:
      typeof jwks === 'string' || jwks instanceof URL
        ? {
            kind: 'remote',
            url: keySetUrl(jwks),
            cooldownSeconds: tokens.jwksCooldownSeconds,
            maxAgeSeconds: tokens.jwksMaxAgeSeconds,
            maxStaleSeconds: tokens.jwksMaxStaleSeconds,
            timeoutMs: tokens.jwksTimeoutMs,
            fetch: tokens.fetch ?? fetch,
          }
        : { kind: 'local', keys: jwks.keys },
  }
}

function trustedProxies({ transport }: ParsedOptions): TrustedProxies {
  const { trustedProxies: proxies } = transport
  if (typeof proxies === 'number') return { hops: proxies }
  try {
    return compileCidrs(proxies)
  } catch (error) {
    const problem = error instanceof Error ? error.message : 'is no list of CIDR blocks.'
    throw new ConfigError('CONFIG_INVALID', 'transport.trustedProxies', {
      problem: problem,
      remedy: 'Give CIDR blocks such as 10.0.0.0/8.',
    })
  }
}

/** Behind an unannounced proxy all callers share its address: budgets and allowlists then judge the proxy. */
function forwardedWarning({ transport }: ParsedOptions): () => void {
  let warned = transport.trustedProxies !== 0
  return () => {
    if (warned) return
    warned = true
    process.emitWarning(
      'A request came with X-Forwarded-For, but transport.trustedProxies is 0: every caller behind the proxy counts as the ' +
        "proxy's address. Set trustedProxies to the number of proxies, or to their CIDR blocks.",
      { type: 'HealthCloudAuthWarning', code: 'HC_AUTH_TRUSTED_PROXIES' },
    )
  }
}

function recordChange(recorder: Recorder, options: ParsedOptions, { name, record, by, fields }: KeyAdminChange): void {
  recorder.record({
    kind: 'admin',
    name,
    time: options.clock.now(),
    durationMs: 0,
    outcome: 'success',
    reason: null,
    action: name === 'key.create' || name === 'key.import' ? 'C' : 'U',
    actor: { kind: 'none', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by },
    target: { keyId: record.id, org: record.organizationId, fields },
    scopes: { granted: record.scopes, required: [] },
    client: { ip: null, via: 0 },
    http: null,
    requestId: null,
    operation: null,
    purpose: null,
    phi: null,
    delivered: null,
    part: null,
    count: 1,
  })
}
