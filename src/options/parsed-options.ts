import type { KeyObject } from 'node:crypto'
import type { AuditSink } from '../audit/sink.ts'
import type { KeyStore } from '../keys/store.ts'
import type { TelemetryMeter } from '../telemetry.ts'
import type { Clock } from '../lib/clock.ts'
import type { Environment } from '../principal.ts'
import type { ScopeInfo } from '../scopes.ts'
import type { SigningKey } from '../tokens/signing-keys.ts'
import type { Algorithm, AuditOptions, FailureLimiter, JsonWebKeyLike, KeysOptions } from './auth-options.ts'

/** A named secret, decoded. */
export interface DecodedSecret {
  readonly id: string
  readonly secret: Buffer
}

export interface ParsedKeys {
  readonly store: KeyStore
  readonly pepper?: Buffer | readonly (DecodedSecret | 'sha256')[] | undefined
  readonly cacheSeconds: number
  readonly missCacheSeconds: number
  readonly staleIfErrorSeconds: number
  readonly cacheEntries: number
  readonly timeoutMs: number
  readonly onRotationDue?: KeysOptions['onRotationDue']
}

export interface ParsedTokens {
  readonly issuer: string
  readonly audience: string | readonly string[]
  /** Left out: the keys of `issuing`. */
  readonly jwks?: string | URL | { readonly keys: readonly JsonWebKeyLike[] } | undefined
  readonly algorithms: readonly Algorithm[]
  readonly types: readonly string[]
  readonly clockToleranceSeconds: number
  readonly maxLifetimeSeconds: number
  readonly issuingKeyCheck?: 'named' | 'always' | 'never' | undefined
  readonly claims: {
    readonly organization: string
    readonly environment: string
    readonly scope: string
    readonly issuingKey: string
  }
  readonly jwksCooldownSeconds: number
  readonly jwksMaxAgeSeconds: number
  readonly jwksMaxStaleSeconds: number
  readonly jwksTimeoutMs: number
  readonly fetch?: typeof fetch | undefined
}

export interface ParsedIssuing {
  readonly issuer: string
  readonly audience: string | readonly string[]
  readonly signingKeys: readonly SigningKey[]
  readonly lifetimeSeconds: number
}

export interface ParsedAudit {
  readonly directory?: string | undefined
  readonly pseudonymKeys?: readonly DecodedSecret[] | undefined
  readonly signingKey?: KeyObject | undefined
  readonly durability: 'written' | 'synced'
  readonly onFailure: 'deny' | 'allow'
  readonly sinks: readonly AuditSink[]
  readonly retentionDays: number
  readonly localDays?: number | undefined
  readonly refusalsPerSecond: number
  readonly reserveBytes: number
  readonly queryNames: readonly string[]
  readonly onEvent?: AuditOptions['onEvent']
}

/** `AuthOptions` with every default filled in and every secret decoded. */
export interface ParsedOptions {
  readonly environment: Environment
  readonly keys?: ParsedKeys | undefined
  readonly tokens?: ParsedTokens | undefined
  readonly issuing?: ParsedIssuing | undefined
  readonly scopes: Readonly<Record<string, ScopeInfo>>
  readonly transport: { readonly https: 'required' | 'off'; readonly trustedProxies: number | readonly string[] }
  readonly failures: {
    readonly max: number
    readonly windowSeconds: number
    readonly limiter?: FailureLimiter | undefined
  }
  readonly audit: ParsedAudit
  readonly service: {
    readonly name: string
    readonly version?: string | undefined
    readonly instance?: string | undefined
  }
  readonly telemetry?: { readonly meter?: TelemetryMeter | undefined } | undefined
  readonly clock: Clock
  readonly docsUrl: string
}
