import { describe, expect, test } from 'vitest'
import { createLastUsed } from '../../src/keys/last-used.ts'
import { StoreConflict, type KeyRecord, type KeyStore } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { manualClock, never, newKey, NO_FEED, outcome, recordOf, spied, START, verifierOf } from './parts.ts'

/** A store whose updates are noted, and can be answered otherwise. */
function writes(records: readonly KeyRecord[], answer: (id: string) => Promise<unknown> | null = () => null) {
  const memory = memoryKeyStore(records)
  const made: [string, number | undefined][] = []
  const update: KeyStore['update'] = async (id, change) => {
    expect(Object.keys(change)).toEqual(['lastUsedAt'])
    made.push([id, change.lastUsedAt?.getTime()])
    await answer(id)
    return memory.update(id, change)
  }
  return { store: { ...memory, update } satisfies KeyStore, made, memory }
}

const ids = (count: number) => Array.from({ length: count }, (_, index) => `key_${index}`)
const records = (count: number) => ids(count).map((id) => recordOf(newKey(), { id }))
const turn = () =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('when a key was last used', () => {
  test('lets the calls in between, where the store answers without giving way', async () => {
    const clock = manualClock()
    const { store, made } = writes(records(200))
    const lastUsed = createLastUsed({ store, clock, entries: 1000 })
    for (const id of ids(200)) lastUsed.note(id, START)
    clock.advance(10_000)
    const written = lastUsed.check()
    let turns = 0
    while (made.length < 200) {
      await turn()
      turns += 1
    }
    await written
    expect(turns).toBeGreaterThanOrEqual(200 / 4)
  })

  test('is written ten seconds later, the latest instant, once', async () => {
    const clock = manualClock()
    const { store, made, memory } = writes(records(1))
    const lastUsed = createLastUsed({ store, clock, entries: 10 })
    lastUsed.note('key_0', START)
    lastUsed.note('key_0', START + 7)
    clock.advance(9999)
    expect(lastUsed.check()).toBeNull()
    clock.advance(1)
    await lastUsed.check()
    expect(made).toEqual([['key_0', START + 7]])
    expect(await memory.list({})).toMatchObject([{ lastUsedAt: new Date(START + 7) }])
    clock.advance(10_000)
    expect(lastUsed.check()).toBeNull()
  })

  test('is written at most once a minute a key, and nothing of it is lost', async () => {
    const clock = manualClock()
    const { store, made } = writes(records(2))
    const lastUsed = createLastUsed({ store, clock, entries: 10 })
    for (let second = 0; second < 180; second += 1) {
      lastUsed.note('key_0', clock.now())
      if (second === 100) lastUsed.note('key_1', clock.now())
      await lastUsed.check()
      clock.advance(1000)
    }
    expect(made.map(([id, at]) => [id, ((at ?? 0) - START) / 1000])).toEqual([
      ['key_0', 10],
      ['key_0', 70],
      ['key_1', 100],
      ['key_0', 130],
    ])
  })

  test('is kept for so many keys, and no more', async () => {
    const { store, made } = writes(records(5))
    const lastUsed = createLastUsed({ store, clock: manualClock(), entries: 3 })
    for (const id of ids(5)) lastUsed.note(id, START)
    lastUsed.note('key_0', START + 1)
    await lastUsed.flush()
    expect(made.map(([id]) => id).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(['key_0', 'key_1', 'key_2'])
    expect(made).toContainEqual(['key_0', START + 1])
  })

  test('is written four at a time', async () => {
    let open = 0
    let most = 0
    const { store, made } = writes(records(30), async () => {
      open += 1
      most = Math.max(most, open)
      await turn()
      open -= 1
    })
    const lastUsed = createLastUsed({ store, clock: manualClock(), entries: 100 })
    for (const id of ids(30)) lastUsed.note(id, START)
    await lastUsed.flush()
    expect([most, made.length]).toEqual([4, 30])
  })

  test('is lost for a key that the store does not have; the others are written', async () => {
    const { store, made } = writes(records(9), (id) =>
      Number(id.slice(4)) % 2 === 0 ? Promise.reject(new StoreConflict('none')) : null,
    )
    const lastUsed = createLastUsed({ store, clock: manualClock(), entries: 100 })
    for (const id of ids(9)) lastUsed.note(id, START)
    await lastUsed.flush()
    expect(made.length).toBe(9)
  })

  test.each<[string, () => Promise<never>]>([
    ['rejects', () => Promise.reject(new Error('down'))],
    [
      'throws',
      () => {
        throw new Error('down')
      },
    ],
  ])('waits for the next round where the store %s', async (_, fault) => {
    const clock = manualClock()
    let down = true
    const { store, made } = writes(records(30), () => (down ? fault() : null))
    const lastUsed = createLastUsed({ store, clock, entries: 100 })
    for (const id of ids(30)) lastUsed.note(id, START)
    clock.advance(10_000)
    await lastUsed.check()
    const tried = made.length
    expect(tried).toBeLessThanOrEqual(4)
    down = false
    clock.advance(10_000)
    await lastUsed.check()
    expect(made.length).toBe(30)
    expect(new Set(made.map(([id]) => id)).size).toBe(30)
  })

  test('is no burden to a store that hangs: four questions, and no more', async () => {
    const clock = manualClock()
    const { store, made } = writes(records(30), never)
    const lastUsed = createLastUsed({ store, clock, entries: 100 })
    for (const id of ids(30)) lastUsed.note(id, START)
    for (let round = 0; round < 10; round += 1) {
      clock.advance(100_000)
      void lastUsed.check()
      await turn()
    }
    expect(made.length).toBe(4)
  })

  test('does not interest a store that cannot write', async () => {
    const { store, made } = writes(records(1))
    const readOnly = { ...store, can: { ...NO_FEED, write: false } }
    const lastUsed = createLastUsed({ store: readOnly, clock: manualClock(), entries: 100 })
    lastUsed.note('key_0', START)
    await lastUsed.flush()
    expect(made).toEqual([])
  })
})

describe('a verification', () => {
  const used = async (store: KeyStore) => (await store.list({})).map(({ lastUsedAt }) => lastUsedAt?.getTime() ?? null)

  test('that lets a key in is noted, from the store and from the cache; close writes it', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store } = spied([recordOf(key)])
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    clock.advance(5)
    await outcome(verifier, key)
    expect(await used(store)).toEqual([null])
    await verifier.close()
    expect(await used(store)).toEqual([START + 5])
  })

  test.each<[string, Partial<KeyRecord>]>([
    ['revoked', { revokedAt: new Date(START) }],
    ['expired', { expiresAt: new Date(START) }],
    ['rotated out', { validUntil: new Date(START) }],
  ])('of a key that is %s is not', async (_, more) => {
    const key = newKey()
    const { store } = spied([recordOf(key, more)])
    const verifier = verifierOf(store)
    await outcome(verifier, key)
    await outcome(verifier, key)
    await verifier.close()
    expect(await used(store)).toEqual([null])
  })

  test('drops no cached key when it is written, and tells nobody', async () => {
    const key = newKey()
    const { store, asked } = spied([recordOf(key)])
    const told: unknown[] = []
    await store.watch?.((change) => told.push(change))
    const [writer, other] = [verifierOf(store), verifierOf(store)]
    await outcome(writer, key)
    await outcome(other, key)
    await writer.close()
    expect(await used(store)).toEqual([START])
    await outcome(other, key)
    expect([asked(), told]).toEqual([2, []])
  })

  test('is written within a real second of the time, by a clock that is moved', async () => {
    const clock = manualClock()
    const key = newKey()
    const { store } = spied([recordOf(key)])
    const verifier = verifierOf(store, { clock })
    await outcome(verifier, key)
    clock.advance(10_000)
    await expect.poll(() => used(store), { timeout: 5000 }).toEqual([START])
    await verifier.close()
  })

  test('does not hold up close for longer than its deadline where the store hangs', async () => {
    const key = newKey()
    const { store } = spied([recordOf(key)], { update: never })
    const verifier = verifierOf(store)
    await outcome(verifier, key)
    const start = performance.now()
    await verifier.close(50)
    expect(performance.now() - start).toBeGreaterThan(45)
    expect(performance.now() - start).toBeLessThan(1000)
  })
})
