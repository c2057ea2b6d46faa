import type { Denial } from '../decision.ts'
import type { Identity } from '../principal.ts'

export interface TokenVerifier {
  /** Synchronous where the key set is at hand; a denial is a value; never rejects. */
  verify(token: string): Identity | Denial | Promise<Identity | Denial>
  /** Resolves when a usable key set is loaded; rejects otherwise. */
  ready(signal: AbortSignal): Promise<void>
  health(): KeySetHealth
  close(): void
}

export interface KeySetHealth {
  readonly source: 'local' | 'remote'
  readonly keys: number
  /** Seconds since the last successful fetch; `null`: none yet, or a local set. */
  readonly ageSeconds: number | null
  /** The last fetch failed. */
  readonly degraded: boolean
}
