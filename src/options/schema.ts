import { z } from 'zod'
import { loadCheckpointKey } from '../audit/chain/checkpoint.ts'
import type { AuditSink } from '../audit/sink.ts'
import { DOCS_URL } from '../errors.ts'
import type { KeyStore } from '../keys/store.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import { ownMember } from '../lib/own-member.ts'
import { isScopeToken } from '../scopes.ts'
import { isBadSigningKey, loadSigningKey } from '../tokens/signing-keys.ts'
import type { TelemetryMeter } from '../telemetry.ts'
import type { AuditOptions, FailureLimiter, KeysOptions } from './auth-options.ts'
import type { ParsedOptions } from './parsed-options.ts'

/** A value that has all these functions as own or inherited members: how foreign objects are recognised. */
function withMethods<T>(what: string, methods: readonly string[]): z.ZodType<T> {
  return z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((name) => typeof Reflect.get(value, name) === 'function'),
    { error: `expected ${what} (an object with ${methods.join(', ')}).` },
  )
}

/** Without prototype: zod takes whatever an object inherits for an option. */
const nothing = (): Record<string, never> => Object.create(null) as Record<string, never>

const seconds = (max: number) => z.number().min(0).max(max)
const positive = (max: number) => z.number().positive().max(max)
const count = (max: number) => z.int().min(1).max(max)

/** Base64 that encodes at least 32 bytes; decoded to a Buffer. The value itself never appears in an error. */
const secret = z
  .string()
  .refine((text) => decodedLength(text) >= 32, { error: 'expected base64 of at least 32 bytes.' })
  .transform((text) => Buffer.from(text, 'base64'))

function decodedLength(text: string): number {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return 0
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64').replaceAll('=', '') === text.replaceAll('=', '') ? bytes.length : 0
}

const namedSecret = z.strictObject({
  // `sha256` names a digest without pepper: a secret of that name could not be told from none.
  id: z
    .string()
    .regex(/^(?!sha256$)[A-Za-z0-9]{1,16}$/, { error: 'expected 1 to 16 letters or digits, other than `sha256`.' }),
  secret,
})

const keyStore = withMethods<KeyStore>('a key store', ['find', 'get', 'insert', 'replace', 'update', 'list']).refine(
  (store) => typeof store.name === 'string' && typeof store.can === 'object' && store.can !== null,
  {
    error: 'expected a key store with `name` and `can`.',
  },
)

const MAX_TIMEOUT_MS = 30_000

/** What a look-up may take: most stores stand beside the server; one that does not says so itself. */
const timeoutOf = (store: KeyStore): number => {
  const own = ownMember(store, 'timeoutMs')
  return typeof own === 'number' && own > 0 && own <= MAX_TIMEOUT_MS ? own : 250
}

const callback = <T>() =>
  z.custom<T>((value) => typeof value === 'function', { error: 'expected a function.' }).optional()

const keyOptions = z.strictObject({
  store: keyStore,
  pepper: z
    .union([secret, z.array(z.union([z.literal('sha256'), namedSecret])).min(1)], {
      error: "expected base64 of at least 32 bytes, or a list of `{ id, secret }` that may end with 'sha256'.",
    })
    .optional(),
  cacheSeconds: seconds(3600).default(30),
  missCacheSeconds: seconds(60).default(5),
  staleIfErrorSeconds: seconds(900).default(60),
  cacheEntries: count(10_000_000).default(100_000),
  timeoutMs: positive(MAX_TIMEOUT_MS).optional(),
  onRotationDue: callback<NonNullable<KeysOptions['onRotationDue']>>(),
})

const keys = keyOptions.transform((given) => {
  const timeoutMs = ownMember(given, 'timeoutMs')
  return { ...given, timeoutMs: typeof timeoutMs === 'number' ? timeoutMs : timeoutOf(given.store) }
})

const claimName = z.string().min(1).max(128)

const tokens = z.strictObject({
  issuer: z.string().min(1),
  audience: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  jwks: z
    .union(
      [z.string().min(1), z.instanceof(URL), z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1) })],
      { error: 'expected the URL of a JWK set, or a JWK set with at least one key.' },
    )
    .optional(),
  algorithms: z
    .array(z.enum(['RS256', 'ES256', 'PS256', 'EdDSA']))
    .min(1)
    .default(['RS256']),
  types: z.array(z.string().min(1)).min(1).default(['at+jwt', 'JWT']),
  clockToleranceSeconds: seconds(60).default(30),
  maxLifetimeSeconds: positive(86_400).default(3600),
  issuingKeyCheck: z.enum(['named', 'always', 'never']).optional(),
  claims: z
    .strictObject({
      organization: claimName.default('org'),
      environment: claimName.default('env'),
      scope: claimName.default('scope'),
      issuingKey: claimName.default('client_id'),
    })
    .prefault(nothing),
  jwksCooldownSeconds: positive(300).default(5),
  jwksMaxAgeSeconds: positive(86_400).default(600),
  jwksMaxStaleSeconds: positive(604_800).default(86_400),
  jwksTimeoutMs: positive(60_000).default(3000),
  fetch: callback<typeof fetch>(),
})

const MAX_TOKEN_SECONDS = 3600

/** Read at once: what is kept is a key that can sign, and not its text. */
const signingKey = z.unknown().transform((given, context) => {
  const loaded = loadSigningKey(given)
  if (!isBadSigningKey(loaded)) return loaded
  const path = loaded.member === null ? [] : [loaded.member]
  context.addIssue({ code: 'custom', message: loaded.problem, path })
  return z.NEVER
})

const issuing = z.strictObject({
  issuer: z.string().min(1),
  audience: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  signingKeys: z.array(signingKey).min(1),
  lifetimeSeconds: count(MAX_TOKEN_SECONDS).default(MAX_TOKEN_SECONDS),
})

const scopeInfo = z.strictObject({ description: z.string().min(1), level: z.enum(['Standard', 'Admin', 'Publisher']) })

const transport = z.strictObject({
  https: z.enum(['required', 'off']).default('required'),
  trustedProxies: z
    .union([z.int().min(0).max(16), z.array(z.string()).min(1)], {
      error: 'expected a hop count (0 to 16) or a list of CIDR blocks.',
    })
    .default(0),
})

const failures = z.strictObject({
  max: count(1_000_000).default(100),
  windowSeconds: positive(86_400).default(60),
  limiter: withMethods<FailureLimiter>('a limiter', ['consume']).optional(),
})

const auditSink = withMethods<AuditSink>('an audit sink', ['write']).refine(
  (sink) => typeof sink.name === 'string' && typeof sink.acks === 'boolean',
  { error: 'expected an audit sink with `name` and `acks`.' },
)

/** Ed25519, PEM or JWK; decoded to a KeyObject. The key itself never appears in an error. */
const auditSigningKey = z.unknown().transform((value, context) => {
  const key = loadCheckpointKey(value)
  if (key !== null) return key
  context.addIssue({
    code: 'custom',
    message: 'expected a private key of Ed25519, as PEM or JWK, such as `openssl genpkey -algorithm ed25519` makes.',
  })
  return z.NEVER
})

/** 1 TiB. */
const MAX_RESERVE_BYTES = 1_099_511_627_776

const audit = z.strictObject({
  directory: z.string().min(1).optional(),
  pseudonymKeys: z.array(namedSecret).min(1).optional(),
  signingKey: auditSigningKey.optional(),
  durability: z.enum(['written', 'synced']).default('written'),
  onFailure: z.enum(['deny', 'allow']).default('deny'),
  sinks: z.array(auditSink).default([]),
  retentionDays: count(36_525).default(2192),
  localDays: count(36_525).optional(),
  refusalsPerSecond: count(1_000_000).default(200),
  reserveBytes: z.int().min(0).max(MAX_RESERVE_BYTES).default(67_108_864),
  queryNames: z.array(z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, { error: 'expected a parameter name.' })).default([]),
  onEvent: callback<NonNullable<AuditOptions['onEvent']>>(),
})

const label = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, { error: 'expected 1 to 128 printable characters without spaces.' })

const service = z.strictObject({
  name: label.default('unnamed'),
  version: label.optional(),
  instance: label.optional(),
})

export const optionsSchema: z.ZodType<ParsedOptions> = z.strictObject({
  environment: z.enum(['live', 'test']),
  keys: keys.optional(),
  tokens: tokens.optional(),
  issuing: issuing.optional(),
  scopes: z
    .record(z.string().refine(isScopeToken, { error: 'expected a scope token (RFC 6749 section 3.3).' }), scopeInfo)
    .default(nothing),
  transport: transport.prefault(nothing),
  failures: failures.prefault(nothing),
  audit: audit.prefault(nothing),
  service: service.prefault(nothing),
  telemetry: z
    .strictObject({
      meter: withMethods<TelemetryMeter>('an OpenTelemetry meter', [
        'createObservableCounter',
        'createObservableGauge',
        'addBatchObservableCallback',
        'removeBatchObservableCallback',
      ]).optional(),
    })
    .optional(),
  clock: withMethods<Clock>('a clock', ['now', 'monotonicMs']).default(() => systemClock),
  docsUrl: z.url({ protocol: /^https?$/ }).default(DOCS_URL),
})
