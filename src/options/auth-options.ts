import type { TelemetryMeter } from '../telemetry.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { AuditSink } from '../audit/sink.ts'
import type { KeyRecord, KeyStore } from '../keys/store.ts'
import type { Clock } from '../lib/clock.ts'
import type { Environment } from '../principal.ts'
import type { PartnerScopes } from '../scopes.ts'

/** Algorithms (RFC 7518 section 3.1) that can be allowed. RS256 is the default and the cheapest to verify. */
export type Algorithm = 'RS256' | 'ES256' | 'PS256' | 'EdDSA'

/** A secret with a name, so that it can be rotated: the name is written beside what the secret made. */
export interface NamedSecret {
  /** `[A-Za-z0-9]{1,16}` */
  readonly id: string
  /** Base64 of at least 32 random bytes. */
  readonly secret: string
}

/** API keys: where they live, and how long what is known of one holds. */
export interface KeysOptions {
  /** `memoryKeyStore()`, or any `KeyStore`. Closed by `auth.close()`. */
  readonly store: KeyStore
  /**
   * Base64 of at least 32 bytes, or a list for rotation: all are looked up, the first is used for new keys. Without a
   * pepper digests are plain SHA-256; with one, unpeppered digests count only if the list ends with `'sha256'`.
   */
  readonly pepper?: string | readonly (NamedSecret | 'sha256')[] | undefined
  /** How long a verified key is trusted without asking the store. Default 30, at most 3600. */
  readonly cacheSeconds?: number | undefined
  /** How long an unknown key stays unknown. Default 5, at most 60. */
  readonly missCacheSeconds?: number | undefined
  /** How long beyond its cache time a key goes on working while the store is down. Default 60, at most 900. */
  readonly staleIfErrorSeconds?: number | undefined
  /** Keys (and misses) that are cached at most. Default 100,000, at most 10,000,000; about 620 bytes an entry. */
  readonly cacheEntries?: number | undefined
  /** Deadline of one look-up, in milliseconds, at most 30,000. Default 250; 2000 for a store that is named `introspection`. */
  readonly timeoutMs?: number | undefined
  /**
   * Once a day, where the store can list and there are any: the keys that are active, not rotated and older than 90 days.
   * What it throws goes no further.
   */
  readonly onRotationDue?: ((records: readonly KeyRecord[]) => void) | undefined
}

/** Access tokens (JWTs): whose, for whom, and which keys verify them. */
export interface TokensOptions {
  /** RFC 7519 section 4.1.1 `iss`, compared exactly. */
  readonly issuer: string
  /** RFC 7519 section 4.1.3 `aud`: a token must name one of these. */
  readonly audience: string | readonly string[]
  /**
   * RFC 7517 section 5: the URL of a JWK set (https, loopback excepted), or the set itself. May be left out where `issuing`
   * is set: then its own keys verify.
   */
  readonly jwks?: string | URL | { readonly keys: readonly JsonWebKeyLike[] } | undefined
  /** Default `['RS256']`. */
  readonly algorithms?: readonly Algorithm[] | undefined
  /** RFC 9068 section 2.1 `typ`, case-insensitive, `application/` optional. Default `['at+jwt', 'JWT']`. */
  readonly types?: readonly string[] | undefined
  /** Default 30, at most 60. */
  readonly clockToleranceSeconds?: number | undefined
  /** Longest accepted `exp - iat`. Default 3600, at most 86,400. */
  readonly maxLifetimeSeconds?: number | undefined
  /**
   * Whether the API key that a token was exchanged for is looked up: `named` where the token names one (the default where
   * `keys` is set and its store can get by id), `always` refuses tokens that name none, `never`.
   */
  readonly issuingKeyCheck?: 'named' | 'always' | 'never' | undefined
  /** Names of the claims that carry our meanings. Default `{ organization: 'org', environment: 'env', scope: 'scope', issuingKey: 'client_id' }`. */
  readonly claims?:
    | {
        readonly organization?: string | undefined
        readonly environment?: string | undefined
        readonly scope?: string | undefined
        readonly issuingKey?: string | undefined
      }
    | undefined
  /** Longest time that a bogus `kid` can delay a real new key. Default 5, at most 300. */
  readonly jwksCooldownSeconds?: number | undefined
  /** Age at which the key set is fetched anew before use (in the background at half of it). Default 600, at most 86,400. */
  readonly jwksMaxAgeSeconds?: number | undefined
  /** How long the last good key set serves while the URL is out of reach. Default 86,400, at most 604,800. */
  readonly jwksMaxStaleSeconds?: number | undefined
  /** Deadline of one fetch of the key set, body included. Default 3000, at most 60,000. */
  readonly jwksTimeoutMs?: number | undefined
  /** Fetches the key set, for example through a proxy. Default: the global one at the time of `createAuth`. */
  readonly fetch?: typeof fetch | undefined
}

/** RFC 7517 section 4, the members that are read. */
export interface JsonWebKeyLike {
  readonly kty?: string | undefined
  readonly [member: string]: unknown
}

/** A private RSA key (2048 bits or more, exponent 65537): PEM (PKCS#8 or PKCS#1, unencrypted), JWK, or the JSON text of a JWK. */
export type PrivateSigningKey = string | JsonWebKeyLike

/**
 * A key that signs from the beginning (at most one), or from an instant on. The one with the latest `from` that has come
 * signs; later ones are published ahead, earlier ones until the last token that they signed is over.
 */
export type SigningKey = PrivateSigningKey | { readonly key: PrivateSigningKey; readonly from: Date }

/** A server that mints tokens; it needs `keys`, since tokens are exchanged for API keys. */
export interface IssuingOptions {
  /** RFC 7519 section 4.1.1 `iss` of minted tokens. */
  readonly issuer: string
  /** RFC 7519 section 4.1.3 `aud` of minted tokens. */
  readonly audience: string | readonly string[]
  /**
   * One at least. `kid` is the JWK's own, else its thumbprint (RFC 7638). To rotate, add `{ key, from }` to every instance,
   * with a `from` that is at least `tokens.jwksMaxAgeSeconds` of your verifiers ahead (default 600).
   */
  readonly signingKeys: readonly SigningKey[]
  /** Of a minted token, whole seconds. Default and at most 3600; a key that ends sooner gets shorter ones. */
  readonly lifetimeSeconds?: number | undefined
}

/** What stands between the caller and this server. */
export interface TransportOptions {
  /** Default `required`; a test server lets a loopback peer through all the same. */
  readonly https?: 'required' | 'off' | undefined
  /**
   * Proxies in front of this server: how many, 0 to 16 (only where the port is reachable from the proxy alone), or their
   * CIDR blocks. Default 0: no forwarded header is believed.
   */
  readonly trustedProxies?: number | readonly string[] | undefined
}

/** Structural limiter (rate-limiter-flexible fits): a rejection that is no `Error` means over the budget. */
export interface FailureLimiter {
  /** One failed attempt of `key`, a client address (IPv6: its /64). */
  consume(key: string): Promise<unknown>
}

/** The budget of failed attempts. Above it a key that is not cached is answered 429 without a look-up. */
export interface FailuresOptions {
  /** Failed attempts per client address and window. Default 100, at most 1,000,000. */
  readonly max?: number | undefined
  /** Default 60, at most 86,400. */
  readonly windowSeconds?: number | undefined
  /** Counts for several processes together. Where it is down the process's own counter decides. */
  readonly limiter?: FailureLimiter | undefined
}

/** Where audit events go, and what happens where they cannot. */
export interface AuditOptions {
  /** Where the journal is written. Required on a live server; a local, persistent volume. */
  readonly directory?: string | undefined
  /** Secrets of the patient pseudonyms: the first writes. Required on a live server. */
  readonly pseudonymKeys?: readonly NamedSecret[] | undefined
  /** Private key of Ed25519, PEM or JWK: signs checkpoints of the journal. Keep it out of the journal's directory. */
  readonly signingKey?: string | JsonWebKeyLike | undefined
  /**
   * When the record of a call counts: `written` (default), in the kernel before the handler runs, so that a killed process
   * loses no call; `synced`, on the disk before the handler runs, so that a power cut loses none either.
   */
  readonly durability?: 'written' | 'synced' | undefined
  /** What happens to a live call that cannot be audited: refused with 503 (`deny`, default), or served and counted (`allow`). */
  readonly onFailure?: 'deny' | 'allow' | undefined
  /** Where events go beside the journal. Those that acknowledge tail the journal; on a test server they get nothing. */
  readonly sinks?: readonly AuditSink[] | undefined
  /** For how long events must exist somewhere. Default, and least on a live server, 2192: six years. */
  readonly retentionDays?: number | undefined
  /** For how long they stay on this disk. Default `retentionDays`; fewer only with a `required` sink that `retains` them. */
  readonly localDays?: number | undefined
  /** Refusals that are written one by one in a second; further ones of callers without identity are folded. Default 200. */
  readonly refusalsPerSecond?: number | undefined
  /** Below so many free bytes refusals are only counted, so that they cannot fill the disk. Default 67,108,864 (64 MiB). */
  readonly reserveBytes?: number | undefined
  /** Names of query parameters that may stand in events, beside FHIR's parameters for all resources: `[A-Za-z0-9_.-]{1,64}`. */
  readonly queryNames?: readonly string[] | undefined
  /** Runs once the line is in the journal. What it throws is counted and goes no further. */
  readonly onEvent?: ((event: AuditEvent) => void) | undefined
}

/** How this server is named in each event. Each is 1 to 128 printable ASCII characters without spaces. */
export interface ServiceOptions {
  /** Default `unnamed`. */
  readonly name?: string | undefined
  /** Default: `null` in the event. */
  readonly version?: string | undefined
  /** Default: host name and process id. */
  readonly instance?: string | undefined
}

/** Objects of the OpenTelemetry API (1.x), handed in: nothing of it is imported. */
export interface TelemetryOptions {
  /** Gets every figure of the audit as observable instruments, named as in `health().audit.metrics`. */
  readonly meter?: TelemetryMeter | undefined
}

/** The options of `createAuth`. Values in the docs are defaults; an unknown or misspelt option is refused. */
export interface AuthOptions {
  /** The only environment whose credentials this server takes. */
  readonly environment: Environment
  readonly keys?: KeysOptions | undefined
  readonly tokens?: TokensOptions | undefined
  readonly issuing?: IssuingOptions | undefined
  /** A partner's own scopes, beside the nine; see `ScopeRegistry`. */
  readonly scopes?: PartnerScopes | undefined
  readonly transport?: TransportOptions | undefined
  readonly failures?: FailuresOptions | undefined
  readonly audit?: AuditOptions | undefined
  readonly service?: ServiceOptions | undefined
  readonly telemetry?: TelemetryOptions | undefined
  /** Instants and durations, for tests. Deadlines of I/O are real timers all the same. */
  readonly clock?: Clock | undefined
  /** `docsUrl` in every answer: an http or https URL. Default: the documented page. */
  readonly docsUrl?: string | undefined
}
