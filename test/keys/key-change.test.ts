import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { KeyError, KeyStateError, StoreCapabilityError, StoreConflict } from '../../src/errors.ts'
import { createDigester } from '../../src/keys/digest.ts'
import type { KeyAdmin } from '../../src/keys/lifecycle.ts'
import type { KeyRecord, KeyStore } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import {
  administered,
  DAY,
  manualClock,
  newKey,
  NO_FEED,
  outcome,
  polluted,
  recordOf,
  spied,
  START,
  verifierOf,
} from './parts.ts'

const ID = 'key_1'

/** One key that the store holds, and everything around it. */
function world(more: Partial<KeyRecord> = {}, methods: Partial<KeyStore> = {}, clock = manualClock()) {
  const key = newKey()
  const record = recordOf(key, { id: ID, ...more })
  const { store } = spied([record], methods)
  return { key, record, ...administered({ store, clock }) }
}

const stored = (store: KeyStore, id = ID) => store.get(id, { signal: AbortSignal.timeout(1000) })
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: unknown) => error,
  )
const codeOf = async (work: Promise<unknown>): Promise<unknown> => {
  const error = await failure(work)
  return error instanceof KeyStateError ? error.code : error
}
const turn = () =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('rotate', () => {
  test('gives a fresh key with everything that the old one had, and marks the old one', async () => {
    const expiresAt = new Date(START + 100 * DAY)
    const { key, record, keys, store, changes, verifier } = world({
      scopes: ['read:labs', 'read:patients', 'no:longer'],
      allowedCidrs: ['10.0.0.0/8'],
      lastUsedAt: new Date(START - 1),
      expiresAt,
    })
    const fresh = await keys.rotate(ID, { by: 'ops@example.org' })
    expect(fresh.key).toMatch(/^hc_live_sk_[0-9A-Za-z]{36}$/)
    expect(fresh.key).not.toBe(key)
    expect(fresh.record).toEqual({
      ...record,
      id: expect.stringMatching(/^key_[0-9A-Za-z]{20}$/) as string,
      hint: `hc_live_sk_…${fresh.key.slice(-4)}`,
      digest: createDigester([]).first(fresh.key),
      createdAt: new Date(START),
      createdBy: 'ops@example.org',
      lastUsedAt: null,
    })
    const old = {
      ...record,
      rotatedAt: new Date(START),
      validUntil: new Date(START + 86_400_000),
      replacedBy: fresh.record.id,
    }
    expect(await stored(store)).toEqual(old)
    expect(await stored(store, fresh.record.id)).toEqual(fresh.record)
    expect(changes).toEqual([
      {
        name: 'key.rotate',
        by: 'ops@example.org',
        record: old,
        fields: ['rotatedAt', 'validUntil', 'replacedBy'],
        outcome: 'success',
      },
    ])
    expect(await verifier.verify(fresh.key, null)).toMatchObject({
      ok: true,
      keyId: fresh.record.id,
      graceEnds: null,
    })
    expect(await verifier.verify(key, null)).toMatchObject({ ok: true, keyId: ID, graceEnds: START + DAY })
  })

  test('makes a test key of a test key, under the first pepper', async () => {
    const key = newKey('test')
    const peppers = [
      { id: 'p2', secret: Buffer.alloc(32, 2) },
      { id: 'p1', secret: Buffer.alloc(32, 1) },
    ]
    const digest = createDigester(peppers.slice(1)).first(key)
    const { keys, verifier } = administered({
      store: memoryKeyStore([recordOf(key, { id: ID, digest })]),
      environment: 'test',
      peppers,
    })
    expect(await outcome(verifier, key)).toBe('ok')
    const fresh = await keys.rotate(ID, { by: 'ops' })
    expect(fresh.key).toMatch(/^hc_test_sk_/)
    expect(fresh.record).toMatchObject({ environment: 'test', digest: createDigester(peppers).first(fresh.key) })
    expect(await outcome(verifier, fresh.key)).toBe('ok')
  })

  test.each([
    ['24 hours, if nothing is said', undefined, DAY],
    ['a second', 1, 1000],
    ['31 days', 2_678_400, 31 * DAY],
  ])('leaves the old key %s, to the millisecond, from the cache and from the store', async (_, graceSeconds, ms) => {
    const clock = manualClock()
    const { key, keys, verifier, store } = world({}, {}, clock)
    const uncached = verifierOf(store, { clock, cacheSeconds: 0 })
    expect(await outcome(verifier, key)).toBe('ok')
    await keys.rotate(ID, { by: 'ops', graceSeconds })
    clock.advance(ms - 1)
    expect([await outcome(verifier, key), await outcome(uncached, key)]).toEqual(['ok', 'ok'])
    clock.advance(1)
    expect([await outcome(verifier, key), await outcome(uncached, key)]).toEqual(['key_rotated_out', 'key_rotated_out'])
    expect(await verifier.issuingKey(ID)).toBe('bad')
  })

  test('without grace ends the old key at once', async () => {
    const { key, keys, verifier } = world()
    expect(await outcome(verifier, key)).toBe('ok')
    const fresh = await keys.rotate(ID, { by: 'ops', graceSeconds: 0 })
    expect([await outcome(verifier, key), await outcome(verifier, fresh.key)]).toEqual(['key_rotated_out', 'ok'])
  })

  test('never extends an expiry', async () => {
    const clock = manualClock()
    const { key, keys, verifier } = world({ expiresAt: new Date(START + 1000) }, {}, clock)
    const fresh = await keys.rotate(ID, { by: 'ops' })
    expect(fresh.record.expiresAt).toEqual(new Date(START + 1000))
    clock.advance(999)
    expect([await outcome(verifier, key), await outcome(verifier, fresh.key)]).toEqual(['ok', 'ok'])
    clock.advance(1)
    expect([await outcome(verifier, key), await outcome(verifier, fresh.key)]).toEqual(['key_expired', 'key_expired'])
  })

  test('goes on from the fresh key, and leaves the grace of the first as it was', async () => {
    const clock = manualClock()
    const { key, keys, verifier } = world({}, {}, clock)
    const second = await keys.rotate(ID, { by: 'ops' })
    clock.advance(DAY - 1)
    const third = await keys.rotate(second.record.id, { by: 'ops' })
    expect(await codeOf(keys.rotate(ID, { by: 'ops' }))).toBe('KEY_REPLACED')
    expect(await outcome(verifier, key)).toBe('ok')
    clock.advance(1)
    const now = () => Promise.all([key, second.key, third.key].map((each) => outcome(verifier, each)))
    expect(await now()).toEqual(['key_rotated_out', 'ok', 'ok'])
    clock.advance(DAY)
    expect(await now()).toEqual(['key_rotated_out', 'key_rotated_out', 'ok'])
  })

  test.each<[string, Partial<KeyRecord>, string]>([
    ['revoked', { revokedAt: new Date(START), revokedReason: 'leaked' }, 'KEY_REVOKED'],
    ['revoked before it was replaced', { revokedAt: new Date(START), replacedBy: 'key_2' }, 'KEY_REVOKED'],
    ['expired', { expiresAt: new Date(START) }, 'KEY_EXPIRED'],
    [
      'replaced and still in grace',
      { rotatedAt: new Date(START), validUntil: new Date(START + DAY), replacedBy: 'key_2' },
      'KEY_REPLACED',
    ],
    ['rotated out', { rotatedAt: new Date(0), validUntil: new Date(1), replacedBy: 'key_2' }, 'KEY_REPLACED'],
    ['given a deadline by hand', { validUntil: new Date(START + DAY) }, 'KEY_REPLACED'],
  ])('refuses a key that is %s', async (_, more, code) => {
    const { keys, record, store, changes } = world(more)
    const error = await failure(keys.rotate(ID, { by: 'ops' }))
    expect(error).toBeInstanceOf(KeyStateError)
    expect(error).toMatchObject({ name: 'KeyStateError', code, keyId: ID })
    expect([await store.list({}), changes]).toEqual([[record], []])
  })

  test('of one key twice at the same time makes one fresh key', async () => {
    const { keys, store, changes } = world()
    const codes = await Promise.all([1, 2, 3].map(() => codeOf(keys.rotate(ID, { by: 'ops' }))))
    expect(codes.map(String).toSorted()).toEqual(['KEY_REPLACED', 'KEY_REPLACED', 'no error'])
    expect([(await store.list({})).length, changes.length]).toEqual([2, 1])
  })

  test('that loses against a revocation says so', async () => {
    const { keys, store } = world()
    const slower = administered({
      store: {
        ...store,
        replace: async (old, fresh) => {
          await keys.revoke(ID, { by: 'ops', reason: 'leaked' })
          await store.replace(old, fresh)
        },
      },
    })
    expect(await codeOf(slower.keys.rotate(ID, { by: 'ops' }))).toBe('KEY_REVOKED')
    expect(await store.list({})).toMatchObject([{ id: ID, revokedReason: 'leaked', replacedBy: null }])
  })

  test('that meets another change is made from what the key is then, once', async () => {
    const memory = memoryKeyStore([recordOf(newKey(), { id: ID })])
    let left = 1
    const store: KeyStore = {
      ...memory,
      replace: async (old, fresh) => {
        left -= 1
        if (left >= 0) await memory.update(ID, { scopes: [['read:labs', 'admin:org'][left] ?? ''] })
        await memory.replace(old, fresh)
      },
    }
    const { keys, changes } = administered({ store })
    const { record } = await keys.rotate(ID, { by: 'ops' })
    expect([record.scopes, changes.length, (await memory.list({})).length]).toEqual([['read:labs'], 1, 2])
    left = 5
    await expect(keys.rotate(record.id, { by: 'ops' })).resolves.toBeDefined()
  })

  test('that meets a change each time gives up with the conflict', async () => {
    const memory = memoryKeyStore([recordOf(newKey(), { id: ID })])
    let tries = 0
    const replace: KeyStore['replace'] = () => {
      tries += 1
      return Promise.reject(new StoreConflict('always'))
    }
    const { keys, changes } = administered({ store: { ...memory, replace } })
    expect(await failure(keys.rotate(ID, { by: 'ops' }))).toBeInstanceOf(StoreConflict)
    expect([tries, changes]).toEqual([2, []])
  })

  test('leaves a use that is written meanwhile in place', async () => {
    const { keys, store } = world()
    await Promise.all([keys.rotate(ID, { by: 'ops' }), store.update(ID, { lastUsedAt: new Date(START) })])
    expect(await stored(store)).toMatchObject({ lastUsedAt: new Date(START), rotatedAt: new Date(START) })
  })
})

describe('revoke', () => {
  test('ends a key at once, says why in the record, and is told', async () => {
    const { key, keys, store, changes, verifier, record } = world()
    expect(await outcome(verifier, key)).toBe('ok')
    const revoked = await keys.revoke(ID, { by: 'ops', reason: 'Found in a log: ticket #7' })
    const expected = { ...record, revokedAt: new Date(START), revokedReason: 'Found in a log: ticket #7' }
    expect(revoked).toEqual({ record: expected })
    expect(Object.isFrozen(revoked.record)).toBe(true)
    expect(await stored(store)).toEqual(expected)
    expect(changes).toEqual([
      { name: 'key.revoke', by: 'ops', record: expected, fields: ['revokedAt', 'revokedReason'], outcome: 'success' },
    ])
    expect([await outcome(verifier, key), await verifier.issuingKey(ID)]).toEqual(['key_revoked', 'bad'])
  })

  test('again changes nothing: the first reason and instant stay, and nothing is told', async () => {
    const clock = manualClock()
    const { keys, store, changes } = world({}, {}, clock)
    const first = await keys.revoke(ID, { by: 'ops', reason: 'leaked' })
    clock.advance(1000)
    expect(await keys.revoke(ID, { by: 'other', reason: 'tidying up' })).toEqual(first)
    expect([await stored(store), changes.length]).toEqual([first.record, 1])
  })

  test.each<[string, Partial<KeyRecord>]>([
    ['expired', { expiresAt: new Date(START) }],
    ['in grace', { rotatedAt: new Date(START), validUntil: new Date(START + DAY), replacedBy: 'key_2' }],
  ])('takes a key that is %s', async (_, more) => {
    const { key, keys, verifier } = world(more)
    await keys.revoke(ID, { by: 'ops', reason: 'leaked' })
    expect(await outcome(verifier, key)).toBe('key_revoked')
  })

  test('of a rotated key leaves its successor alone, and the other way round', async () => {
    const { key, keys, verifier } = world()
    const fresh = await keys.rotate(ID, { by: 'ops' })
    await keys.revoke(ID, { by: 'ops', reason: 'leaked' })
    expect([await outcome(verifier, key), await outcome(verifier, fresh.key)]).toEqual(['key_revoked', 'ok'])
    const next = await keys.rotate(fresh.record.id, { by: 'ops' })
    await keys.revoke(next.record.id, { by: 'ops', reason: 'leaked' })
    expect([await outcome(verifier, fresh.key), await outcome(verifier, next.key)]).toEqual(['ok', 'key_revoked'])
  })
})

describe('update', () => {
  const rows: [string, object, Partial<KeyRecord>, string[]][] = [
    ['the name', { name: 'Ward 4' }, { name: 'Ward 4' }, ['name']],
    ['the scopes', { scopes: ['read:labs', 'read:labs'] }, { scopes: ['read:labs'] }, ['scopes']],
    ['the scopes, to none', { scopes: [] }, { scopes: [] }, ['scopes']],
    ['the allowlist', { allowedCidrs: ['10.0.0.0/8'] }, { allowedCidrs: ['10.0.0.0/8'] }, ['allowedCidrs']],
    ['the allowlist, to anywhere', { allowedCidrs: [] }, { allowedCidrs: [] }, ['allowedCidrs']],
    [
      'all of it',
      { allowedCidrs: [], scopes: ['admin:org'], name: 'x' },
      { name: 'x', scopes: ['admin:org'], allowedCidrs: [] },
      ['name', 'scopes', 'allowedCidrs'],
    ],
    ['what is given, and undefined is not', { name: 'x', scopes: undefined }, { name: 'x' }, ['name']],
  ]
  test.each(rows)('sets %s, and nothing else', async (_, request, expected, fields) => {
    const { keys, store, record, changes } = world({ allowedCidrs: ['192.0.2.0/24'] })
    const after = { ...record, ...expected }
    expect(await keys.update(ID, { by: 'ops', ...request })).toEqual({ record: after })
    expect(await stored(store)).toEqual(after)
    expect(changes).toEqual([{ name: 'key.update', by: 'ops', record: after, fields, outcome: 'success' }])
  })

  test('counts at the next call', async () => {
    const { key, keys, verifier } = world()
    const now = async () => {
      const found = await verifier.verify(key, null)
      return found.ok && found.kind === 'api-key' ? [[...found.scopes], found.allowlist === null] : found
    }
    expect(await now()).toEqual([['read:patients'], true])
    await keys.update(ID, { by: 'ops', scopes: ['read:labs' as 'read:patients'], allowedCidrs: ['10.0.0.0/8'] })
    expect(await now()).toEqual([['read:labs'], false])
  })

  test('of a revoked key is refused', async () => {
    const { keys, store, record, changes } = world({ revokedAt: new Date(START), revokedReason: 'leaked' })
    expect(await codeOf(keys.update(ID, { by: 'ops', name: 'x' }))).toBe('KEY_REVOKED')
    expect([await stored(store), changes]).toEqual([record, []])
  })

  test('revives nothing that is revoked at the same moment', async () => {
    const { key, keys, verifier } = world()
    await Promise.all([
      keys.update(ID, { by: 'ops', name: 'x' }),
      keys.revoke(ID, { by: 'ops', reason: 'leaked' }),
      keys.update(ID, { by: 'ops', name: 'y' }),
    ])
    expect(await outcome(verifier, key)).toBe('key_revoked')
  })

  test.each<[string, Partial<KeyRecord>]>([
    ['expired', { expiresAt: new Date(START) }],
    ['in grace', { rotatedAt: new Date(START), validUntil: new Date(START + DAY), replacedBy: 'key_2' }],
  ])('takes a key that is %s', async (_, more) => {
    const { keys } = world(more)
    expect((await keys.update(ID, { by: 'ops', name: 'x' })).record.name).toBe('x')
  })
})

const CHANGES: readonly [string, (keys: KeyAdmin, id?: string) => Promise<unknown>, string][] = [
  ['rotate', (keys, id = ID) => keys.rotate(id, { by: 'ops', graceSeconds: 0 }), 'key_rotated_out'],
  ['revoke', (keys, id = ID) => keys.revoke(id, { by: 'ops', reason: 'leaked' }), 'key_revoked'],
  ['update', (keys, id = ID) => keys.update(id, { by: 'ops', scopes: [] }), 'ok without scopes'],
]

describe.each(CHANGES)('%s', (_, change, after) => {
  const scoped = async (verifier: ReturnType<typeof world>['verifier'], key: string) => {
    const found = await verifier.verify(key, null)
    return found.ok ? `ok ${found.scopes.size === 0 ? 'without' : 'with'} scopes` : found.reason
  }

  test('is in force here when it resolves, also where the store has no feed', async () => {
    const { key, keys, verifier, store } = world({}, { can: NO_FEED })
    const elsewhere = verifierOf(store)
    expect([await scoped(verifier, key), await scoped(elsewhere, key)]).toEqual(['ok with scopes', 'ok with scopes'])
    expect(await verifier.issuingKey(ID)).toBe('good')
    await change(keys)
    expect([await scoped(verifier, key), await scoped(elsewhere, key)]).toEqual([after, 'ok with scopes'])
    expect(await verifier.issuingKey(ID)).toBe(after.startsWith('ok') ? 'good' : 'bad')
  })

  test('overtakes a look-up under way, also where the store has no feed', async () => {
    const waiting: (() => void)[] = []
    const key = newKey()
    const memory = memoryKeyStore([recordOf(key, { id: ID })])
    const find: KeyStore['find'] = async (lookup, context) => {
      const record = await memory.find(lookup, context)
      await new Promise<void>((resolve) => waiting.push(resolve))
      return record
    }
    const { keys, verifier } = administered({ store: { ...memory, can: NO_FEED, find } })
    const asking = scoped(verifier, key)
    await turn()
    await change(keys)
    waiting.shift()?.()
    await turn()
    waiting.shift()?.()
    expect(await asking).toBe(after)
    expect([waiting.length, await scoped(verifier, key)]).toEqual([0, after])
  })

  test('at any tick of a look-up cannot be undone by it', async () => {
    for (let ticks = 0; ticks < 40; ticks += 1) {
      const { key, keys, verifier } = world({}, { can: NO_FEED })
      const asking = scoped(verifier, key)
      for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve()
      await change(keys)
      expect([ticks, await scoped(verifier, key)]).toEqual([ticks, after])
      await asking
      expect([ticks, await scoped(verifier, key)]).toEqual([ticks, after])
    }
  })

  test('ends stale service here: what it was is not served while the store is down', async () => {
    let down = false
    const key = newKey()
    const memory = memoryKeyStore([recordOf(key, { id: ID })])
    const find: KeyStore['find'] = (lookup, context) =>
      down ? Promise.reject(new Error('down')) : memory.find(lookup, context)
    const { keys, verifier } = administered({ store: { ...memory, can: NO_FEED, find } })
    expect(await outcome(verifier, key)).toBe('ok')
    down = true
    await change(keys)
    expect(await outcome(verifier, key)).toBe('store_unavailable')
  })

  test('whose answer is lost may have been made all the same: it is told, and the store is asked again', async () => {
    const key = newKey()
    const memory = memoryKeyStore([recordOf(key, { id: ID })])
    const lost = new Error('connection reset')
    const { keys, verifier, changes } = administered({
      store: {
        ...memory,
        can: NO_FEED,
        update: async (...request) => {
          await memory.update(...request)
          throw lost
        },
        replace: async (...request) => {
          await memory.replace(...request)
          throw lost
        },
      },
    })
    expect(await outcome(verifier, key)).toBe('ok')
    expect(await failure(change(keys))).toBe(lost)
    expect(changes).toMatchObject([{ record: { id: ID }, outcome: 'error' }])
    expect(await scoped(verifier, key)).toBe(after)
  })

  test('is not made where it cannot be audited', async () => {
    const error = new Error('no journal')
    const record = recordOf(newKey(), { id: ID })
    const store = memoryKeyStore([record])
    const { keys, changes } = administered({
      store,
      beforeChange: () => {
        throw error
      },
    })
    expect(await failure(change(keys))).toBe(error)
    expect([await store.list({}), changes]).toEqual([[record], []])
  })

  test('of a key that the store does not have is KEY_UNKNOWN', async () => {
    const { keys, changes } = world()
    expect(await codeOf(change(keys, 'key_2'))).toBe('KEY_UNKNOWN')
    expect(changes).toEqual([])
  })

  test.each<unknown>([newKey(), '', 'key_', 'key_1 ', 'KEY_1', 7, null, ['key_1']])(
    'of %j, which is no id, does not ask the store',
    async (id) => {
      const { store, asked } = spied()
      const { keys } = administered({ store })
      const error = await failure(change(keys, id as string))
      expect(error).toBeInstanceOf(KeyError)
      expect(error).toMatchObject({ code: 'KEY_INVALID', member: 'id' })
      if (typeof id === 'string' && id.length > 20) expect(inspect(error, { depth: 9 })).not.toContain(id.slice(11))
      expect(asked()).toBe(0)
    },
  )

  test.each(['write', 'get'] as const)('is said to be impossible where the store cannot %s', async (what) => {
    const { keys } = world({}, { name: 'mute', can: { ...NO_FEED, [what]: false } })
    const error = await failure(change(keys))
    expect(error).toBeInstanceOf(StoreCapabilityError)
    expect(error).toMatchObject({ message: `The key store 'mute' cannot ${what}.` })
  })

  test('of a record that is broken in the store, or another one, is not made', async () => {
    for (const lie of [{ organizationId: '' }, { id: 'key_2' }]) {
      const { keys, store, changes, record } = world(
        {},
        { get: async () => ({ ...recordOf(newKey(), { id: ID }), ...lie }) },
      )
      expect(await failure(change(keys))).toMatchObject({ code: 'KEY_INVALID', member: 'record' })
      expect([await store.list({}), changes]).toEqual([[record], []])
    }
  })
})

test('a store that answers a revocation with a record that is not revoked does not pass for one that did', async () => {
  const { keys, record, changes } = world({}, { update: async () => record })
  expect(await failure(keys.revoke(ID, { by: 'ops', reason: 'leaked' }))).toMatchObject({ member: 'record' })
  expect(changes.length).toBe(1)
})

describe('a bad member is named, and nothing is written', () => {
  const secret = newKey()
  type Method = 'rotate' | 'revoke' | 'update'
  const GOOD = {
    rotate: { by: 'ops' },
    revoke: { by: 'ops', reason: 'leaked' },
    update: { by: 'ops', name: 'Ward 4' },
  } as const
  const each = (bad: object, member: string): [Method, object, string][] =>
    (['rotate', 'revoke', 'update'] as const).map((method) => [method, bad, member])
  const rows: [Method, unknown, string, string?][] = [
    ...each({ by: undefined }, 'by'),
    ...each({ by: 'ops team' }, 'by'),
    ...each({ by: secret }, 'by'),
    ...each({ by: 'a'.repeat(129) }, 'by'),
    ...each({ expiresAt: new Date(START + DAY) }, 'expiresAt'),
    ...each({ [secret]: 1 }, 'request'),
    ['rotate', { graceSeconds: -1 }, 'graceSeconds'],
    ['rotate', { graceSeconds: 1.5 }, 'graceSeconds'],
    ['rotate', { graceSeconds: Number.NaN }, 'graceSeconds'],
    ['rotate', { graceSeconds: Number.POSITIVE_INFINITY }, 'graceSeconds'],
    ['rotate', { graceSeconds: 2_678_401 }, 'graceSeconds'],
    ['rotate', { graceSeconds: '0' }, 'graceSeconds'],
    ['rotate', { reason: 'x' }, 'reason'],
    ['revoke', { reason: undefined }, 'reason'],
    ['revoke', { reason: '' }, 'reason'],
    ['revoke', { reason: 'a'.repeat(257) }, 'reason'],
    ['revoke', { reason: 'two\nlines' }, 'reason'],
    ['revoke', { reason: `the key ${secret} leaked` }, 'reason'],
    ['revoke', { reason: 7 }, 'reason'],
    ['update', { name: undefined }, 'request'],
    ['update', { name: '' }, 'name'],
    ['update', { name: null }, 'name'],
    ['update', { name: secret }, 'name'],
    ['update', { scopes: null }, 'scopes'],
    ['update', { scopes: 'read:patients' }, 'scopes'],
    ['update', { scopes: ['read:patients', 'read:patient'] }, 'scopes[1]', 'KEY_SCOPE_UNKNOWN'],
    ['update', { allowedCidrs: ['10.0.0.0/33'] }, 'allowedCidrs[0]'],
    ['update', { allowedCidrs: null }, 'allowedCidrs'],
  ]
  test.each(rows)('%s with %o', async (method, bad, member, code = 'KEY_INVALID') => {
    const { keys, store, changes, record } = world()
    const error = await failure(keys[method](ID, { ...GOOD[method], ...(bad as object) } as never))
    expect(error).toBeInstanceOf(KeyError)
    expect(error).toMatchObject({ member, code })
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(secret.slice(11))
    expect([await store.list({}), changes]).toEqual([[record], []])
  })

  test.each(['rotate', 'revoke', 'update'] as const)('%s takes an object of its own members alone', async (method) => {
    const { keys, store, record } = world()
    for (const request of [undefined, null, 'ops', Object.create(GOOD[method]) as object]) {
      expect(await failure(keys[method](ID, request as never))).toBeInstanceOf(KeyError)
    }
    expect(await store.list({})).toEqual([record])
  })

  test('and nothing inherited changes anything', async () => {
    const { keys, store } = world()
    const results = await polluted(
      { graceSeconds: 0, name: 'planted', scopes: ['admin:org'], allowedCidrs: [], reason: 'planted' },
      async () => [
        (await keys.update(ID, { by: 'ops', allowedCidrs: ['10.0.0.0/8'] })).record.name,
        await failure(keys.revoke(ID, { by: 'ops' } as never)),
        await failure(keys.update(ID, { by: 'ops' })),
        (await keys.rotate(ID, { by: 'ops' })).record.scopes,
      ],
    )
    expect(results).toEqual([
      'a key',
      expect.objectContaining({ member: 'reason' }),
      expect.objectContaining({ member: 'request' }),
      ['read:patients'],
    ])
    expect(await stored(store)).toMatchObject({ validUntil: new Date(START + DAY), scopes: ['read:patients'] })
  })
})
