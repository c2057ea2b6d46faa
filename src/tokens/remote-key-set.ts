import type { Clock } from '../lib/clock.ts'
import { fetchKeySet } from './fetch-key-set.ts'
import { parseKeySet, type Keys, type KeySet, type PublicKey } from './key-set.ts'
import type { Algorithm, RemoteSettings } from './settings.ts'

/**
 * A key set behind a URL that survives the URL. What was fetched last and was usable stays in force until something
 * usable replaces it, or until it is too old; every attempt, failed ones too, starts a cooldown; one fetch at a time.
 */
export function createRemoteKeySet(settings: RemoteSettings, algorithms: readonly Algorithm[], clock: Clock): KeySet {
  const [cooldownMs, maxAgeMs] = [settings.cooldownSeconds * 1000, settings.maxAgeSeconds * 1000]
  const maxStaleMs = settings.maxStaleSeconds * 1000
  let keys: readonly PublicKey[] = []
  let fetchedAt: number | null = null
  let failedAt: number | null = null
  let flight: Promise<boolean> | null = null

  const since = (instant: number | null) => (instant === null ? Number.POSITIVE_INFINITY : clock.monotonicMs() - instant)
  const inForce = (): Keys => (since(fetchedAt) < maxStaleMs ? keys : null)
  const coolingDown = () => since(failedAt) < cooldownMs

  const fetchNow = async (): Promise<boolean> => {
    try {
      const fresh = parseKeySet(await fetchKeySet(settings), algorithms)
      if (fresh === null) throw new Error('The key set holds no usable key.')
      keys = fresh.map((key) => keys.find((old) => isSame(old, key)) ?? key)
      fetchedAt = clock.monotonicMs()
      failedAt = null
      return true
    } catch {
      failedAt = clock.monotonicMs()
      return false
    }
  }
  /** Whether a fetch succeeded: one that is under way, or a new one where none failed just now. */
  const refresh = (): Promise<boolean> => {
    if (flight === null && coolingDown()) return Promise.resolve(false)
    flight ??= fetchNow().finally(() => {
      flight = null
    })
    return flight
  }

  return Object.freeze({
    current: () => {
      const age = since(fetchedAt)
      if (age < maxAgeMs) {
        if (age >= maxAgeMs / 2) void refresh()
        return keys
      }
      return flight === null && coolingDown() ? inForce() : refresh().then(inForce)
    },
    newer: () => {
      if (since(fetchedAt) < cooldownMs) return 'none' as const
      if (flight === null && coolingDown()) return null
      return refresh().then((fetched) => (fetched ? keys : null))
    },
    ready: async () => {
      if (!(await refresh()) && inForce() === null) throw new Error('No usable key set could be fetched.')
    },
    health: () =>
      Object.freeze({
        source: 'remote' as const,
        keys: inForce()?.length ?? 0,
        ageSeconds: fetchedAt === null ? null : Math.round(since(fetchedAt) / 1000),
        degraded: failedAt !== null,
      }),
  })
}

/** A key that is published again stays the same object, and what was verified by it stays verified. */
function isSame(old: PublicKey, fresh: PublicKey): boolean {
  return old.kid === fresh.kid && old.algorithm === fresh.algorithm && old.key.equals(fresh.key)
}
