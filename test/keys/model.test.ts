import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { statusAt } from '../../src/keys/record.ts'
import type { KeyRecord, KeyStore } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { mutationModel } from './mutation-model.ts'
import { DAY, manualClock, newKey, NO_FEED, outcome, recordOf, spied, verifierOf } from './parts.ts'

const KEYS = Array.from({ length: 4 }, () => newKey())

type Step =
  | { readonly do: 'insert' | 'revoke' | 'verify' | 'concurrent'; readonly at: number }
  | { readonly do: 'rotate' | 'expire'; readonly at: number; readonly inMs: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'resumed' | 'down' | 'up' }

const at = fc.nat({ max: KEYS.length - 1 })
const ms = fc.constantFrom(0, 1, 999, 4999, 5000, 29_999, 30_000, 60_000, DAY - 1, DAY)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('insert', 'revoke', 'verify', 'verify', 'concurrent'), at }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('rotate', 'expire'), at, inMs: ms }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance'), ms }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('resumed', 'down', 'up') }) },
)

/** What the documents promise of one key, from its record alone. */
function promised(record: KeyRecord | undefined, now: number): string {
  if (record === undefined) return 'key_unknown'
  const status = statusAt(record, now)
  return status === 'active' || status === 'grace' ? 'ok' : `key_${status}`
}

/** Runs the steps against a verifier with a feed, and against the model; gives what differs. */
async function run(steps: readonly Step[]): Promise<string[]> {
  const clock = manualClock()
  const model = new Map<number, KeyRecord>()
  let down = false
  const base = spied()
  const { store, push } = spied([], {
    ...base.store,
    find: (lookup, context) => (down ? Promise.reject(new Error('down')) : base.store.find(lookup, context)),
  })
  const verifier = verifierOf(store, { clock })
  await verifier.ready(AbortSignal.timeout(1000))
  const change = async (index: number, members: Partial<KeyRecord>) => {
    const record = model.get(index)
    if (record !== undefined) model.set(index, await store.update(record.id, members))
  }
  const found: string[] = []
  const check = (index: number, actual: string) => {
    const expected = promised(model.get(index), clock.now())
    if (actual !== expected && !(down && actual === 'store_unavailable'))
      found.push(`key ${index}: ${actual}, not ${expected}`)
  }

  const verify = (index: number) => outcome(verifier, KEYS[index] ?? '')
  const take = async (each: Step): Promise<void> => {
    switch (each.do) {
      case 'insert': {
        if (model.has(each.at)) return
        const record = recordOf(KEYS[each.at] ?? '')
        await store.insert(record)
        model.set(each.at, record)
        return
      }
      case 'revoke':
        return change(each.at, { revokedAt: new Date(clock.now()) })
      case 'expire':
        return change(each.at, { expiresAt: new Date(clock.now() + each.inMs) })
      case 'rotate':
        return change(each.at, { rotatedAt: new Date(clock.now()), validUntil: new Date(clock.now() + each.inMs) })
      case 'verify':
        return check(each.at, await verify(each.at))
      case 'concurrent': {
        const before = verify(each.at)
        await change(each.at, { revokedAt: new Date(clock.now()) })
        check(each.at, await verify(each.at))
        await before
        return check(each.at, await verify(each.at))
      }
      case 'advance':
        return clock.advance(each.ms)
      case 'resumed':
        return push('resumed')
      case 'down':
      case 'up':
        down = each.do === 'down'
    }
  }
  for (const each of steps) await take(each)
  await verifier.close()
  return found
}

describe('whatever happens to keys between their verifications', () => {
  test('with a feed, every answer is what the record says at that moment', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        expect(await run(steps)).toEqual([])
      }),
      { numRuns: 400 },
    )
  })

  test('by auth.keys, the instance that changes them answers by it at once, with a feed and without', async () => {
    await expect(mutationModel(() => memoryKeyStore(), { numRuns: 150 })).resolves.toBeUndefined()
  })

  test('the model of auth.keys finds a store that loses a revocation when a use is written', async () => {
    const memory = memoryKeyStore()
    const update: KeyStore['update'] = async (id, change) => {
      const record = await memory.get(id, { signal: AbortSignal.timeout(1000) })
      await Promise.resolve()
      return memory.update(id, { ...record, ...change })
    }
    await expect(mutationModel(() => ({ ...memory, update }), { numRuns: 1000 })).rejects.toThrow('Property failed')
  })

  test('the model finds a verifier that has no feed', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store } = spied([recordOf(key, { id: 'key_1' })], { can: NO_FEED })
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    const record = await store.update('key_1', { revokedAt: new Date(clock.now()) })
    expect(await outcome(verifier, key)).not.toBe(promised(record, clock.now()))
    clock.advance(30_000)
    expect(await outcome(verifier, key)).toBe(promised(record, clock.now()))
  })

  test('a key revoked at any tick of a look-up never works again', async () => {
    for (let ticks = 0; ticks < 40; ticks += 1) {
      const key = newKey()
      const { store } = spied([recordOf(key, { id: 'key_1' })])
      const verifier = verifierOf(store)
      await verifier.ready(AbortSignal.timeout(1000))
      const asking = outcome(verifier, key)
      for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve()
      const revoking = store.update('key_1', { revokedAt: new Date(0) })
      const joined = outcome(verifier, key)
      await revoking
      expect([ticks, await joined]).toEqual([ticks, 'key_revoked'])
      expect(await outcome(verifier, key)).toBe('key_revoked')
      await asking
    }
  })
})
