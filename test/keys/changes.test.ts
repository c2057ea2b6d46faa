import { describe, expect, test } from 'vitest'
import type { KeyChange, KeyRecord, KeyStore } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { manualClock, never, newKey, outcome, recordOf, spied, START, verifierOf } from './parts.ts'

const REVOKED = { revokedAt: new Date(START), revokedReason: 'leaked' }

/** A store whose answers are given by hand. */
function byHand(records: readonly KeyRecord[], more: Partial<KeyStore> = {}) {
  const waiting: (() => void)[] = []
  const memory = memoryKeyStore(records)
  const spy = spied(records, {
    ...memory,
    ready: async () => undefined,
    find: async (lookup, context) => {
      const record = await memory.find(lookup, context)
      await new Promise<void>((resolve) => waiting.push(resolve))
      return record
    },
    ...more,
  })
  return {
    ...spy,
    answer: async () => {
      waiting.shift()?.()
      await turn()
    },
  }
}

const turn = () =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('a pushed change', () => {
  test('drops the key that it names, and no other', async () => {
    const [changed, other] = [newKey(), newKey()] as const
    const { store, push, asked } = spied([recordOf(changed, { id: 'key_1' }), recordOf(other, { id: 'key_2' })])
    const verifier = verifierOf(store)
    await outcome(verifier, changed)
    await outcome(verifier, other)
    push({ keyId: 'key_1' })
    await outcome(verifier, other)
    expect(asked()).toBe(2)
    await outcome(verifier, changed)
    expect(asked()).toBe(3)
  })

  test('ends stale service too', async () => {
    const key = newKey()
    let down = false
    const memory = memoryKeyStore([recordOf(key, { id: 'key_1' })])
    const { store, push } = spied([], {
      ...memory,
      find: (lookup, context) => (down ? Promise.reject(new Error('down')) : memory.find(lookup, context)),
    })
    const verifier = verifierOf(store)
    expect(await outcome(verifier, key)).toBe('ok')
    down = true
    push({ keyId: 'key_1' })
    expect(await outcome(verifier, key)).toBe('store_unavailable')
  })

  test.each<[string, (store: KeyStore) => Promise<unknown>, string]>([
    ['revoked', (store) => store.update('key_1', REVOKED), 'key_revoked'],
    ['expired', (store) => store.update('key_1', { expiresAt: new Date(START) }), 'key_expired'],
    ['rotated without grace', (store) => store.update('key_1', { validUntil: new Date(START) }), 'key_rotated_out'],
  ])('of a key that is %s counts at once', async (_, change, reason) => {
    const key = newKey()
    const { store } = spied([recordOf(key, { id: 'key_1' })])
    const verifier = verifierOf(store)
    expect(await outcome(verifier, key)).toBe('ok')
    await change(store)
    expect(await outcome(verifier, key)).toBe(reason)
  })

  test('makes a new key usable at once after a miss', async () => {
    const key = newKey()
    const { store } = spied()
    const verifier = verifierOf(store)
    expect(await outcome(verifier, key)).toBe('key_unknown')
    await store.insert(recordOf(key))
    expect(await outcome(verifier, key)).toBe('ok')
  })

  test('of a known key leaves the misses alone', async () => {
    const [known, missed] = [newKey(), newKey()] as const
    const { store, push, asked } = spied([recordOf(known, { id: 'key_1' })])
    const verifier = verifierOf(store)
    await outcome(verifier, known)
    await outcome(verifier, missed)
    push({ keyId: 'key_1' })
    await outcome(verifier, missed)
    expect(asked()).toBe(2)
  })

  test('reaches every key that a confused store gives the id of', async () => {
    const keys = [newKey(), newKey()] as const
    const { store, push, asked } = spied(
      keys.map((key) => recordOf(key)),
      {
        find: async ({ reveal }) => recordOf(reveal(), { id: 'key_1' }),
      },
    )
    const verifier = verifierOf(store)
    for (const key of keys) await outcome(verifier, key)
    push({ keyId: 'key_1' })
    for (const key of keys) await outcome(verifier, key)
    expect(asked()).toBe(4)
  })

  test('that is nonsense is nothing', async () => {
    const key = newKey()
    const { store, push, asked } = spied([recordOf(key, { id: 'key_1' })])
    const verifier = verifierOf(store)
    await outcome(verifier, key)
    for (const junk of [
      undefined,
      null,
      7,
      'found',
      {},
      { keyId: 7 },
      { tokenId: 't' },
      Object.create({ keyId: 'key_1' }),
    ]) {
      push(junk as KeyChange)
    }
    expect(await outcome(verifier, key)).toBe('ok')
    expect(asked()).toBe(1)
  })
})

describe('a change that happens during a look-up', () => {
  test('of the same key: the old answer is neither used nor cached', async () => {
    const key = newKey()
    const { store, asked, answer } = byHand([recordOf(key, { id: 'key_1' })])
    const verifier = verifierOf(store)
    await verifier.ready(AbortSignal.timeout(1000))
    const before = asked()
    const asking = outcome(verifier, key)
    await turn()
    await store.update('key_1', REVOKED)
    await answer()
    await answer()
    expect(await asking).toBe('key_revoked')
    expect(asked() - before).toBe(2)
    expect(await outcome(verifier, key)).toBe('key_revoked')
  })

  test('of another key: the answer counts', async () => {
    const key = newKey()
    const { store, asked, push, answer } = byHand([recordOf(key, { id: 'key_1' })])
    const verifier = verifierOf(store)
    await verifier.ready(AbortSignal.timeout(1000))
    const asking = outcome(verifier, key)
    await turn()
    push({ keyId: 'key_2' })
    await answer()
    expect(await asking).toBe('ok')
    expect(asked()).toBe(1)
  })

  test('of any key, where nothing was found: it is asked again', async () => {
    const key = newKey()
    const { store, answer } = byHand([])
    const verifier = verifierOf(store)
    await verifier.ready(AbortSignal.timeout(1000))
    const asking = outcome(verifier, key)
    await turn()
    await store.insert(recordOf(key))
    await answer()
    await answer()
    expect(await asking).toBe('ok')
  })

  test.each(['lost', 'resumed'] as const)('of the feed, which is %s: it is asked again', async (change) => {
    const key = newKey()
    const { store, asked, push, answer } = byHand([recordOf(key)])
    const verifier = verifierOf(store)
    await verifier.ready(AbortSignal.timeout(1000))
    const asking = outcome(verifier, key)
    await turn()
    push(change)
    await answer()
    await answer()
    expect(await asking).toBe('ok')
    expect(asked()).toBe(2)
  })

  test('again and again: after six questions it is 503', async () => {
    const key = newKey()
    const { store, asked, push, answer } = byHand([recordOf(key, { id: 'key_1' })])
    const verifier = verifierOf(store)
    await verifier.ready(AbortSignal.timeout(1000))
    const asking = outcome(verifier, key)
    for (let round = 0; round < 8; round += 1) {
      await turn()
      push({ keyId: 'key_1' })
      await answer()
    }
    expect(await asking).toBe('store_unavailable')
    expect(asked()).toBe(6)
    expect(verifier.health().cachedKeys).toBe(0)
  })
})

describe('the feed', () => {
  test('while it is lost, leaves cached keys their cache time', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store, asked, push } = spied([recordOf(key)])
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    push('lost')
    expect(verifier.health().watching).toBe(false)
    clock.advance(29_999)
    await outcome(verifier, key)
    expect(asked()).toBe(1)
    clock.advance(1)
    await outcome(verifier, key)
    expect(asked()).toBe(2)
  })

  test('when it is back, trusts nothing that was cached before, keys and misses', async () => {
    const [key, missed] = [newKey(), newKey()] as const
    const { store, asked, push } = spied([recordOf(key, { id: 'key_1' })])
    const verifier = verifierOf(store)
    await outcome(verifier, key)
    await outcome(verifier, missed)
    await verifier.issuingKey('key_1')
    push('lost')
    push('resumed')
    expect(verifier.health().watching).toBe(true)
    await outcome(verifier, key)
    await outcome(verifier, missed)
    await verifier.issuingKey('key_1')
    expect(asked()).toBe(6)
    await outcome(verifier, key)
    expect(asked()).toBe(6)
  })

  test('when it is back and the store is not, lets a cached key work', async () => {
    const key = newKey()
    let down = false
    const memory = memoryKeyStore([recordOf(key)])
    const { store, push } = spied([], {
      ...memory,
      find: (lookup, context) => (down ? Promise.reject(new Error('down')) : memory.find(lookup, context)),
    })
    const verifier = verifierOf(store)
    await outcome(verifier, key)
    down = true
    push('resumed')
    expect(await outcome(verifier, key)).toBe('ok')
  })

  test('is subscribed to once, however many look-ups and calls of ready there are', async () => {
    const { store, watchers } = spied()
    const verifier = verifierOf(store)
    await Promise.all([
      outcome(verifier, newKey()),
      outcome(verifier, newKey()),
      verifier.ready(AbortSignal.timeout(1000)),
    ])
    await outcome(verifier, newKey())
    expect(watchers()).toBe(1)
  })

  test('that cannot be had is asked for again once a second, when a key is looked up', async () => {
    const clock = manualClock()
    let tries = 0
    const store: KeyStore = {
      ...memoryKeyStore(),
      watch: () => {
        tries += 1
        return tries < 3 ? Promise.reject(new Error('no feed')) : Promise.resolve(async () => undefined)
      },
    }
    const verifier = verifierOf(store, { clock })
    const lookUp = () => outcome(verifier, newKey())
    await Promise.all([lookUp(), lookUp()])
    clock.advance(999)
    await lookUp()
    expect([tries, verifier.health().watching]).toEqual([1, false])
    clock.advance(1)
    await lookUp()
    expect([tries, verifier.health().watching]).toEqual([2, false])
    clock.advance(1000)
    await lookUp()
    await lookUp()
    expect([tries, verifier.health().watching]).toEqual([3, true])
  })

  test('that comes up late trusts nothing from before: a change could have been missed', async () => {
    const key = newKey()
    let up = () => undefined as void
    const { store, asked } = spied([recordOf(key)], {
      watch: () =>
        new Promise((resolve) => {
          up = () => resolve(async () => undefined)
        }),
    })
    const verifier = verifierOf(store)
    expect(await outcome(verifier, key)).toBe('ok')
    expect(await outcome(verifier, key)).toBe('ok')
    expect(asked()).toBe(1)
    up()
    await turn()
    expect(verifier.health().watching).toBe(true)
    expect(await outcome(verifier, key)).toBe('ok')
    expect(asked()).toBe(2)
  })

  test('that comes up during a look-up that finds nothing: it is asked again', async () => {
    const key = newKey()
    let up = () => undefined as void
    const { store, asked, answer } = byHand([], {
      watch: () =>
        new Promise((resolve) => {
          up = () => resolve(async () => undefined)
        }),
    })
    const verifier = verifierOf(store)
    const asking = outcome(verifier, key)
    await turn()
    await turn()
    await store.insert(recordOf(key))
    up()
    await turn()
    await answer()
    await answer()
    expect(await asking).toBe('ok')
    expect(asked()).toBe(2)
  })

  test.each<[string, KeyStore['watch']]>([
    ['hangs', never],
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['gives nothing back', (async () => undefined) as unknown as KeyStore['watch']],
  ])('that %s holds up neither look-ups nor close', async (_, watch) => {
    const key = newKey()
    const verifier = verifierOf(spied([recordOf(key)], watch === undefined ? {} : { watch }).store)
    const start = performance.now()
    expect(await outcome(verifier, key)).toBe('ok')
    await verifier.close()
    expect(performance.now() - start).toBeLessThan(200)
  })

  test('is left when close comes before it was up', async () => {
    let up = () => undefined as void
    let left = 0
    const { store } = spied([], {
      watch: () =>
        new Promise((resolve) => {
          up = () => resolve(async () => void (left += 1))
        }),
    })
    const verifier = verifierOf(store)
    void outcome(verifier, newKey())
    await verifier.close()
    up()
    await turn()
    expect(left).toBe(1)
    expect(verifier.health().watching).toBe(false)
  })

  test('that cannot be left does not make close fail', async () => {
    const { store } = spied([], { watch: async () => () => Promise.reject(new Error('gone')) })
    const verifier = verifierOf(store)
    await verifier.ready(AbortSignal.timeout(1000))
    await expect(verifier.close()).resolves.toBeUndefined()
  })
})
