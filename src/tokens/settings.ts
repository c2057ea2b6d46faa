import type { KeySchedule } from './key-schedule.ts'

/** Algorithms (RFC 7518 section 3.1, RFC 8037) that can be allowed. */
export type Algorithm = 'RS256' | 'ES256' | 'PS256' | 'EdDSA'

export interface RemoteSettings {
  readonly kind: 'remote'
  readonly url: URL
  readonly cooldownSeconds: number
  readonly maxAgeSeconds: number
  readonly maxStaleSeconds: number
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

export interface LocalSettings {
  readonly kind: 'local'
  readonly keys: readonly unknown[]
}

/** The keys that this process itself signs with. */
export interface IssuedSettings {
  readonly kind: 'issued'
  readonly schedule: KeySchedule
}

/** What a token must be; checked when the options were parsed. */
export interface TokenSettings {
  readonly issuer: string
  readonly audience: readonly string[]
  readonly algorithms: readonly Algorithm[]
  readonly types: readonly string[]
  readonly clockToleranceSeconds: number
  readonly maxLifetimeSeconds: number
  readonly claims: {
    readonly organization: string
    readonly environment: string
    readonly scope: string
    readonly issuingKey: string
  }
  readonly jwks: RemoteSettings | LocalSettings | IssuedSettings
}
