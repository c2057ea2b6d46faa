import type { RecorderHealth } from './audit/recorder/recorder.ts'
import type { House } from './house.ts'
import type { KeysHealth } from './keys/verifier.ts'
import type { KeySetHealth } from './tokens/key-set.ts'

/** A plain object for a readiness probe; holds no secret and nothing of a caller. */
export interface AuthHealth {
  /** Something answers worse than it should: a store out of reach, an old key set, a journal that cannot be written. */
  readonly degraded: boolean
  readonly closing: boolean
  readonly environment: 'live' | 'test'
  readonly keys: KeysHealth | null
  readonly tokens: KeySetHealth | null
  readonly audit: RecorderHealth
}

export function healthOf(house: House): AuthHealth {
  const keys = house.keys?.health() ?? null
  const tokens = house.tokens?.health() ?? null
  const audit = house.recorder.health()
  const degraded =
    house.closing() ||
    keys?.reachable === false ||
    keys?.watching === false ||
    tokens?.degraded === true ||
    audit.journal?.writable === false
  return { degraded, closing: house.closing(), environment: house.environment, keys, tokens, audit }
}
