import type { Clock } from '../lib/clock.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { fetchKeySet } from './fetch-key-set.ts'
import { parseKeySet, type Keys, type KeySet, type PublicKey } from './key-set.ts'
import type { Algorithm, RemoteSettings } from './settings.ts'

/**
 * A key set behind a URL that survives the URL. What was fetched last and was usable stays in force until something
 * usable replaces it, or until it is too old; every attempt, failed ones too, starts a cooldown; one fetch at a time.
 */
export function createRemoteKeySet(settings: RemoteSettings, algorithms: readonly Algorithm[], clock: Clock): KeySet {
  const [cooldownMs, maxStaleMs] = [settings.cooldownSeconds * 1000, settings.maxStaleSeconds * 1000]
  const maxAgeMs = Math.min(settings.maxAgeSeconds * 1000, maxStaleMs)
  let keys: readonly PublicKey[] = []
  /** When the fetch that gave `keys` was sent off: they are as old as that. */
  let fetchedAt: number | null = null
  let failedAt: number | null = null
  let flight: Promise<boolean> | null = null

  const since = (instant: number | null) => (instant === null ? Infinity : clock.monotonicMs() - instant)
  const inForce = (): Keys => (since(fetchedAt) < maxStaleMs ? keys : null)
  /** Nothing is under way, and nothing may be: an attempt failed just now. */
  const isCoolingDown = () => flight === null && since(failedAt) < cooldownMs

  const fetchNow = async (): Promise<boolean> => {
    const startedAt = clock.monotonicMs()
    try {
      const fresh = parseKeySet(await fetchKeySet(settings), algorithms)
      if (fresh === null) throw new Error('The key set holds no usable key.')
      keys = Object.freeze(fresh.map((key) => keys.find((old) => isSame(old, key)) ?? key))
      fetchedAt = startedAt
      failedAt = null
      return true
    } catch {
      failedAt = clock.monotonicMs()
      return false
    }
  }
  /** Whether the fetch that is under way, or a new one, succeeds. */
  const refresh = (): Promise<boolean> => {
    flight ??= fetchNow().finally(() => {
      flight = null
    })
    return flight
  }
  const current = (): Keys | Promise<Keys> => {
    const age = since(fetchedAt)
    if (age >= maxAgeMs) return isCoolingDown() ? inForce() : refresh().then(inForce)
    if (age >= maxAgeMs / 2 && !isCoolingDown()) void refresh()
    return keys
  }

  return Object.freeze({
    current,
    newer: () => {
      if (since(fetchedAt) < cooldownMs) return 'none' as const
      return isCoolingDown() ? null : refresh().then((fetched) => (fetched ? keys : null))
    },
    ready: async (signal: AbortSignal) => {
      if ((await unlessAborted(current(), signal, 'No key set was fetched in time.')) === null)
        throw new Error('No usable key set could be fetched.')
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
