import type { Clock } from '../lib/clock.ts'
import { parseKeySet, type KeySet, type PublicKey } from './key-set.ts'
import type { KeySchedule } from './key-schedule.ts'
import type { Algorithm } from './settings.ts'
import type { SigningKey } from './signing-keys.ts'

/**
 * The keys that this process signs with, as it publishes them: in force by the clock, never newer.
 * @throws {TypeError} where the algorithms allow none of them.
 */
export function createIssuedKeySet(schedule: KeySchedule, algorithms: readonly Algorithm[], clock: Clock): KeySet {
  const all = parseKeySet(
    schedule.keys.map(({ jwk }) => jwk),
    algorithms,
  )
  if (all === null || all.length < schedule.keys.length) throw new TypeError('The key set holds no usable key.')
  let published: readonly SigningKey[] | null = null
  let inForce: readonly PublicKey[] = all
  const current = () => {
    const list = schedule.published(clock.now())
    if (list !== published) {
      published = list
      inForce = Object.freeze(all.filter(({ kid }) => list.some((key) => key.kid === kid)))
    }
    return inForce
  }
  return Object.freeze({
    current,
    newer: () => 'none' as const,
    ready: async () => undefined,
    health: () =>
      Object.freeze({ source: 'local' as const, keys: current().length, ageSeconds: null, degraded: false }),
  })
}
