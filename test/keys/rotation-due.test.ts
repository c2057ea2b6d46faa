import { describe, expect, test } from 'vitest'
import { StoreCapabilityError } from '../../src/errors.ts'
import type { KeyRecord, KeyStore } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import {
  administered,
  DAY,
  manualClock,
  never,
  newKey,
  NO_FEED,
  polluted,
  recordOf,
  spied,
  START,
  verifierOf,
} from './parts.ts'

const created = (id: string, ageMs: number, more: Partial<KeyRecord> = {}) =>
  recordOf(newKey(), { id, createdAt: new Date(START - ageMs), ...more })

const idsOf = (records: readonly KeyRecord[]) => records.map(({ id }) => id)

describe('rotationDue', () => {
  const records = [
    created('key_a', 90 * DAY + 1),
    created('key_b', 90 * DAY),
    created('key_c', 400 * DAY, { organizationId: 'org_2' }),
    created('key_d', 400 * DAY, { revokedAt: new Date(START) }),
    created('key_e', 400 * DAY, { expiresAt: new Date(START) }),
    created('key_f', 400 * DAY, { rotatedAt: new Date(0), validUntil: new Date(START + DAY), replacedBy: 'key_b' }),
    created('key_g', 400 * DAY, { rotatedAt: new Date(0), validUntil: new Date(0), replacedBy: 'key_b' }),
    created('key_h', 400 * DAY, { expiresAt: new Date(START + 1), environment: 'test' }),
    created('key_i', 1),
  ]
  const { keys } = administered({ store: memoryKeyStore(records) })

  test.each<[string, Parameters<typeof keys.rotationDue>[0], string[]]>([
    ['nothing: active, older than 90 days and not rotated, of everybody', undefined, ['key_a', 'key_c', 'key_h']],
    ['nothing in it', {}, ['key_a', 'key_c', 'key_h']],
    ['undefined members', { afterDays: undefined, organizationId: undefined }, ['key_a', 'key_c', 'key_h']],
    ['an organization', { organizationId: 'org_2' }, ['key_c']],
    ['another number of days', { afterDays: 89.5 }, ['key_a', 'key_b', 'key_c', 'key_h']],
    ['no days', { afterDays: 0 }, ['key_a', 'key_b', 'key_c', 'key_h', 'key_i']],
    ['both', { afterDays: 400, organizationId: 'org_2' }, []],
  ])('given %s', async (_, query, expected) => {
    const due = await keys.rotationDue(query)
    expect(idsOf(due)).toEqual(expected)
    expect(Object.isFrozen(due) && due.every((each) => Object.isFrozen(each))).toBe(true)
  })

  test.each<[unknown, string]>([
    [{ afterDays: -1 }, 'afterDays'],
    [{ afterDays: '90' }, 'afterDays'],
    [{ afterDays: Number.NaN }, 'afterDays'],
    [{ afterDays: 3651 }, 'afterDays'],
    [{ organizationId: '' }, 'organizationId'],
    [{ organizationId: null }, 'organizationId'],
    [{ days: 30 }, 'days'],
    [null, 'request'],
    [30, 'request'],
  ])('refuses %j', async (query, member) => {
    await expect(keys.rotationDue(query as never)).rejects.toMatchObject({ code: 'KEY_INVALID', member })
  })

  test('reads page after page, of whatever size', async () => {
    const memory = memoryKeyStore(Array.from({ length: 25 }, (_, index) => created(`key_${index}`, 91 * DAY)))
    const queries: object[] = []
    const store: KeyStore = {
      ...memory,
      list: async (query) => {
        queries.push({ ...query })
        return memory.list({ ...query, limit: 10 })
      },
    }
    expect(await administered({ store }).keys.rotationDue()).toHaveLength(25)
    expect(queries).toEqual([
      { limit: 1000 },
      { limit: 1000, after: 'key_17' },
      { limit: 1000, after: 'key_4' },
      { limit: 1000, after: 'key_9' },
    ])
  })

  test('inherits nothing', async () => {
    const due = await polluted({ afterDays: 0, organizationId: 'org_2', after: 'key_h' }, () => keys.rotationDue())
    expect(idsOf(due)).toEqual(['key_a', 'key_c', 'key_h'])
  })

  test('ends where a store gives the same page again and again', async () => {
    const store: KeyStore = { ...memoryKeyStore(), list: async () => records.slice(0, 1) }
    await expect(administered({ store }).keys.rotationDue()).rejects.toMatchObject({ member: 'record' })
  })

  test('shows nothing of a store that gives a broken record, or one of another organization', async () => {
    const store: KeyStore = { ...memoryKeyStore(), list: async () => records.slice(0, 1) }
    await expect(administered({ store }).keys.rotationDue({ organizationId: 'org_7' })).rejects.toMatchObject({
      member: 'record',
    })
  })

  test('is said to be impossible where the store cannot list', async () => {
    const store: KeyStore = { ...memoryKeyStore(), can: { ...NO_FEED, list: false } }
    await expect(administered({ store }).keys.rotationDue()).rejects.toThrow(StoreCapabilityError)
  })
})

describe('the reminder', () => {
  /** An instance whose clock is moved, and what it was told. */
  function reminded(records: readonly KeyRecord[], more: Partial<KeyStore> = {}) {
    const clock = manualClock()
    const told: string[][] = []
    const lists: number[] = []
    const memory = memoryKeyStore(records)
    const list: KeyStore['list'] = (query) => {
      if (query.after === undefined) lists.push(clock.now() - START)
      return (more.list ?? memory.list)(query)
    }
    const verifier = verifierOf({ ...memory, ...more, list }, { clock, onRotationDue: (due) => told.push(idsOf(due)) })
    return { clock, told, lists, verifier, memory, ready: () => verifier.ready(AbortSignal.timeout(5000)) }
  }
  const due = () => [created('key_a', 91 * DAY), created('key_b', 89 * DAY), created('key_c', 91 * DAY)]

  test('tells at ready, all at once, and health says how many', async () => {
    const { told, verifier, ready } = reminded(due())
    expect(verifier.health().rotationDue).toBeNull()
    await ready()
    expect([told, verifier.health().rotationDue]).toEqual([[['key_a', 'key_c']], 2])
    await ready()
    expect(told.length).toBe(1)
    await verifier.close()
  })

  test('says nothing where nothing is due', async () => {
    const { told, verifier, ready } = reminded([created('key_a', DAY)])
    await ready()
    expect([told, verifier.health().rotationDue]).toEqual([[], 0])
    await verifier.close()
  })

  test('comes again after 24 hours of the clock, within a real second, and not before', async () => {
    const { clock, told, lists, verifier, memory, ready } = reminded(due())
    await ready()
    await memory.update('key_a', { revokedAt: new Date(START) })
    clock.advance(DAY - 1)
    await new Promise((resolve) => {
      setTimeout(resolve, 1300)
    })
    expect(lists).toEqual([0])
    clock.advance(DAY + 1)
    await expect.poll(() => lists.length, { timeout: 5000 }).toBe(2)
    await expect
      .poll(() => told, { timeout: 5000 })
      .toEqual([
        ['key_a', 'key_c'],
        ['key_b', 'key_c'],
      ])
    expect(verifier.health().rotationDue).toBe(2)
    await verifier.close()
  })

  test('comes without ready, too, once a key was used', async () => {
    const key = newKey()
    const { told, verifier } = reminded([recordOf(key, { id: 'key_a', createdAt: new Date(START - 91 * DAY) })])
    expect(await verifier.verify(key, null)).toMatchObject({ ok: true })
    await expect.poll(() => told, { timeout: 5000 }).toEqual([['key_a']])
    await verifier.close()
  })

  test.each<[string, Partial<KeyStore>]>([
    ['fails', { list: () => Promise.reject(new Error('down')) }],
    [
      'throws',
      {
        list: () => {
          throw new Error('down')
        },
      },
    ],
    ['gives nonsense', { list: async () => [{ id: 7 }] as never }],
    ['gives no list', { list: async () => null as never }],
    ['cannot list', { can: { ...NO_FEED, list: false } }],
  ])('is silent where the store %s, and ready resolves', async (_, more) => {
    const { told, verifier, ready } = reminded(due(), more)
    await expect(ready()).resolves.toBeUndefined()
    expect([told, verifier.health().rotationDue]).toEqual([[], null])
    await verifier.close()
  })

  test('asks a store that failed again after a minute', async () => {
    let down = true
    const memory = memoryKeyStore(due())
    const { clock, told, verifier, ready } = reminded([], {
      list: (query) => (down ? Promise.reject(new Error('down')) : memory.list(query)),
    })
    await ready()
    down = false
    clock.advance(60_000)
    await expect.poll(() => told, { timeout: 5000 }).toEqual([['key_a', 'key_c']])
    await verifier.close()
  })

  test('holds up ready for a second at most where the store hangs, and is asked once', async () => {
    const { clock, lists, verifier, ready } = reminded([], { list: never })
    const start = performance.now()
    await ready()
    expect(performance.now() - start).toBeLessThan(2500)
    clock.advance(5 * DAY)
    await ready()
    expect(lists.length).toBe(1)
    await verifier.close()
  })

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('mine')
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine'))],
    ['hangs', never],
  ])('survives a listener that %s', async (_, listener) => {
    const { store } = spied(due())
    const verifier = verifierOf(store, { onRotationDue: listener })
    await verifier.ready(AbortSignal.timeout(5000))
    expect(verifier.health().rotationDue).toBe(2)
    await verifier.close()
  })

  test('leaves no timer behind after close', async () => {
    const { clock, lists, verifier, ready } = reminded(due())
    await ready()
    await verifier.close()
    clock.advance(2 * DAY)
    await verifier.verify(newKey(), null)
    await new Promise((resolve) => {
      setTimeout(resolve, 1300)
    })
    expect(lists).toEqual([0])
  })
})
