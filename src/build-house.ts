import { randomBytes } from 'node:crypto'
import { bareDraft } from './audit/chain/bare-draft.ts'
import type { AuditDraft } from './audit/event.ts'
import { createPseudonyms } from './audit/phi/pseudonym.ts'
import { FHIR_PARAMETERS } from './audit/phi/query-names.ts'
import type { Recorder } from './audit/recorder/recorder.ts'
import { buildRecorder } from './build-audit.ts'
import {
  buildTokens,
  createRevocationRelay,
  holdsRevocations,
  tokenLimits,
  type RevocationRelay,
} from './build-tokens.ts'
import { ConfigError, KeyError, NotReadyError } from './errors.ts'
import type { House } from './house.ts'
import { asked } from './keys/admin-parts.ts'
import { createDigester, type Digester, type Pepper } from './keys/digest.ts'
import { createKeyAdmin, type KeyAdmin, type KeyAdminChange } from './keys/lifecycle.ts'
import { createKeyVerifier, type KeyVerifier } from './keys/verifier.ts'
import { compileCidrs } from './lib/cidr.ts'
import { checkUnique } from './options/config-errors.ts'
import type { ParsedOptions } from './options/parsed-options.ts'
import { createFailureBudget, type FailureBudget } from './request/failures.ts'
import type { TrustedProxies } from './request/transport.ts'
import { scopeCatalogue, type ScopeCatalogue } from './scopes.ts'
import type { TokenRevocation } from './issuing/token-admin.ts'
import { createTracker } from './tracker.ts'

/** What `createAuth` keeps to itself beside the house. */
export interface Building {
  readonly house: House
  /** `null`: no key store is configured. */
  readonly keyAdmin: KeyAdmin | null
  /** `null`: no store is configured that can hold revocations of single tokens. */
  readonly revokeToken: ((revocation: TokenRevocation) => Promise<void>) | null
  /** From now on every guard answers 503. */
  shut(): void
}

/** The only place that knows every room. Opens nothing. */
export function buildHouse(options: ParsedOptions): Building {
  const catalogue = scopeCatalogue(options.scopes)
  const recorder = buildRecorder(options)
  const failures = createFailureBudget({ ...options.failures, clock: options.clock })
  const relay = createRevocationRelay()
  const keys = buildKeys(options, { catalogue, recorder, failures, relay })
  let closing = false
  const pseudonyms = createPseudonyms(options.audit.pseudonymKeys ?? [{ id: 'test', secret: randomBytes(32) }])
  const house: House = Object.freeze({
    environment: options.environment,
    catalogue,
    clock: options.clock,
    https: options.transport.https,
    proxies: trustedProxies(options),
    keys: keys?.verifier ?? null,
    ...buildTokens(options, { catalogue, keys: keys?.verifier ?? null, relay }),
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
    revokeToken: buildRevoke(options, house),
    shut: () => {
      closing = true
    },
  })
}

function buildKeys(
  options: ParsedOptions,
  {
    catalogue,
    recorder,
    failures,
    relay,
  }: { catalogue: ScopeCatalogue; recorder: Recorder; failures: FailureBudget; relay: RevocationRelay },
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
    revocations: relay,
  })
  const admin = createKeyAdmin({
    store: keys.store,
    digester,
    catalogue,
    clock,
    beforeChange: (changed) => {
      refuseUnaudited(recorder)
      if (changed === 'live' && environment === 'test') throw liveKey()
    },
    onChange: (change) => recordChange(recorder, options, change),
    forgetMisses: verifier.forgetMisses,
    forget: verifier.forget,
    random: randomBytes,
  })
  return { verifier, admin }
}

/** A test server keeps no journal: nobody could prove what became of a live key. */
function liveKey(): KeyError {
  return new KeyError('KEY_ENVIRONMENT', 'environment', 'is live, and changes of live keys are made on a live server.')
}

/** A change that could not be audited is not made. */
function refuseUnaudited(recorder: Recorder): void {
  if (recorder.gate()) return
  throw new NotReadyError('JOURNAL_NOT_WRITABLE', {
    problem: 'A change cannot be audited now.',
    remedy: 'See auth.health().audit.',
  })
}

function buildRevoke(options: ParsedOptions, { recorder, revokedTokens }: House): Building['revokeToken'] {
  const store = options.keys?.store
  if (store === undefined || !holdsRevocations(options)) return null
  const { maxLifetimeSeconds, toleranceSeconds } = tokenLimits(options)
  return async ({ jti, expiresAt, by }) => {
    refuseUnaudited(recorder)
    // No token lives longer than this, nor is any taken for longer than the tolerance beyond its expiry.
    const longest = options.clock.now() + (maxLifetimeSeconds + toleranceSeconds) * 1000
    const until = Math.min(expiresAt ?? longest, longest) + toleranceSeconds * 1000
    const draft = adminDraft(options, { name: 'token.revoke', by, jti, action: 'U', target: null, granted: [] })
    try {
      await asked(async () => store.revokeToken?.({ tokenId: jti, expiresAt: new Date(until) }))
    } catch (error) {
      // Nobody knows whether it was made: it does not go without its event.
      recorder.record({ ...draft, outcome: 'error', reason: 'store_unavailable' })
      throw error
    }
    revokedTokens?.add(jti, until)
    recorder.record(draft)
  }
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

function recordChange(recorder: Recorder, options: ParsedOptions, change: KeyAdminChange): void {
  const { name, record, by, fields, outcome } = change
  const action = name === 'key.create' || name === 'key.import' ? 'C' : 'U'
  const target = { keyId: record.id, org: record.organizationId, fields }
  const draft = adminDraft(options, { name, by, jti: null, action, target, granted: record.scopes })
  recorder.record(outcome === 'success' ? draft : { ...draft, outcome, reason: 'store_unavailable' })
}

interface AdminFacts extends Pick<AuditDraft, 'name' | 'action' | 'target'> {
  readonly by: string
  readonly jti: string | null
  readonly granted: readonly string[]
}

function adminDraft({ clock }: ParsedOptions, { name, by, jti, action, target, granted }: AdminFacts): AuditDraft {
  const bare = bareDraft({ kind: 'admin', name, time: clock.now() })
  return { ...bare, action, actor: { ...bare.actor, jti, by }, target, scopes: { granted, required: [] } }
}
