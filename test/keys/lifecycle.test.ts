import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { KeyError, StoreCapabilityError } from '../../src/errors.ts'
import { createDigester, type Pepper } from '../../src/keys/digest.ts'
import { environmentOf } from '../../src/keys/format.ts'
import type { CreateKey, ImportKey } from '../../src/keys/lifecycle.ts'
import type { KeyRecord } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { administered as admin, DAY, newKey, outcome, polluted, recordOf, spied, START } from './parts.ts'

const PEPPER: Pepper = { id: 'p1', secret: Buffer.alloc(32, 9) }

const REQUEST: CreateKey = {
  organizationId: 'org_1',
  environment: 'live',
  name: 'Ward 3',
  scopes: ['read:patients'],
  by: 'ops@example.org',
}
const IMPORT: ImportKey = {
  key: 'hc_live_sk_AbC12xYz9kLmNpQr',
  organizationId: 'org_1',
  name: 'Ward 3',
  scopes: ['read:patients'],
  by: 'ops',
}

describe('create', () => {
  test('makes a key that works at once, and its record', async () => {
    const { keys, verifier, changes } = admin({ peppers: [PEPPER] })
    const { key, record } = await keys.create({
      ...REQUEST,
      allowedCidrs: ['10.0.0.0/8'],
      expiresAt: new Date(START + DAY),
    })
    expect(environmentOf(key)).toBe('live')
    expect(key).toHaveLength(47)
    expect(record).toEqual({
      id: expect.stringMatching(/^key_[0-9A-Za-z]{20}$/) as string,
      organizationId: 'org_1',
      environment: 'live',
      name: 'Ward 3',
      scopes: ['read:patients'],
      hint: `hc_live_sk_…${key.slice(-4)}`,
      digest: createDigester([PEPPER]).first(key),
      allowedCidrs: ['10.0.0.0/8'],
      createdAt: new Date(START),
      createdBy: 'ops@example.org',
      expiresAt: new Date(START + DAY),
      rotatedAt: null,
      validUntil: null,
      replacedBy: null,
      revokedAt: null,
      revokedReason: null,
      lastUsedAt: null,
    })
    expect(await outcome(verifier, key)).toBe('ok')
    expect(changes).toEqual([
      {
        name: 'key.create',
        record,
        by: 'ops@example.org',
        fields: ['name', 'scopes', 'allowedCidrs', 'expiresAt'],
        outcome: 'success',
      },
    ])
    expect(await keys.get(record.id)).toEqual(record)
  })

  test('names the members that were set, and takes undefined for those that were not', async () => {
    const { keys, changes } = admin()
    await keys.create({ ...REQUEST, scopes: [], allowedCidrs: undefined, expiresAt: undefined })
    await keys.create({ ...REQUEST, allowedCidrs: [], expiresAt: null })
    expect(changes.map(({ fields }) => fields)).toEqual([['name'], ['name', 'scopes']])
  })

  test("takes a partner's own scope, and each scope once", async () => {
    const { record } = await admin().keys.create({
      ...REQUEST,
      scopes: ['read:labs', 'read:patients', 'read:labs'] as never,
    })
    expect(record.scopes).toEqual(['read:labs', 'read:patients'])
  })

  test('gives a record that nobody can change, and that changes nothing', async () => {
    const { keys } = admin()
    const expiresAt = new Date(START + DAY)
    const scopes: CreateKey['scopes'][number][] = ['read:patients']
    const { record } = await keys.create({ ...REQUEST, scopes, expiresAt })
    expect(Object.isFrozen(record) && Object.isFrozen(record.scopes) && Object.isFrozen(record.allowedCidrs)).toBe(true)
    expiresAt.setTime(0)
    scopes.push('admin:org')
    record.expiresAt?.setTime(0)
    record.createdAt.setTime(0)
    expect(await keys.get(record.id)).toMatchObject({
      scopes: ['read:patients'],
      createdAt: new Date(START),
      expiresAt: new Date(START + DAY),
    })
  })

  test('inherits nothing', async () => {
    const { keys } = admin()
    const record = await polluted(
      { allowedCidrs: ['10.0.0.0/8'], expiresAt: new Date(START + DAY) },
      async () => (await keys.create(REQUEST)).record,
    )
    expect(record).toMatchObject({ allowedCidrs: [], expiresAt: null })
    await expect(keys.create(Object.create(REQUEST) as CreateKey)).rejects.toThrow(KeyError)
  })
})

describe('import', () => {
  test.each([
    ['the documented form', 'hc_live_sk_AbC12xYz9kLmNpQr', 'live', 'hc_live_sk_…NpQr'],
    ['the issued form', `hc_test_sk_${'0'.repeat(30)}1IFYkw`, 'test', 'hc_test_sk_…FYkw'],
  ])('takes a key of %s and its environment from its prefix', async (_, key, environment, hint) => {
    const { keys, changes } = admin()
    const result = await keys.import({ ...IMPORT, key })
    expect(Object.keys(result)).toEqual(['record'])
    expect(result.record).toMatchObject({ environment, hint, createdBy: 'ops' })
    expect(result.record.digest).toBe(`sha256:${createHash('sha256').update(key).digest('base64url')}`)
    expect(changes.map(({ name }) => name)).toEqual(['key.import'])
  })

  test('makes a key usable at once that was just unknown, also without a feed', async () => {
    const { store } = spied([], { can: { write: true, watch: false, list: true, get: true, revocations: true } })
    const { keys, verifier } = admin({ store })
    expect(await outcome(verifier, IMPORT.key)).toBe('key_unknown')
    await keys.import(IMPORT)
    expect(await outcome(verifier, IMPORT.key)).toBe('ok')
  })

  test('refuses a key that the store has, under whatever pepper', async () => {
    const store = memoryKeyStore()
    await admin({ store, peppers: [PEPPER] }).keys.import(IMPORT)
    const later = admin({ store, peppers: [{ id: 'p2', secret: Buffer.alloc(32, 3) }, PEPPER] })
    await expect(later.keys.import(IMPORT)).rejects.toMatchObject({ code: 'KEY_EXISTS', member: 'key' })
    expect(later.changes).toEqual([])
    expect(await store.list({})).toHaveLength(1)
  })

  test('of one key twice at the same time makes one record', async () => {
    const { keys, store } = admin()
    const results = await Promise.allSettled([keys.import(IMPORT), keys.import(IMPORT)])
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(results.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'KEY_EXISTS' } })
    expect(await store.list({})).toHaveLength(1)
  })
})

describe('a bad member is named, and nothing is written', () => {
  const secret = newKey()
  const rows: [string, object, string, string][] = [
    ['no organization', { organizationId: undefined }, 'organizationId', 'KEY_INVALID'],
    ['an empty organization', { organizationId: '' }, 'organizationId', 'KEY_INVALID'],
    ['an organization with a space', { organizationId: 'org 1' }, 'organizationId', 'KEY_INVALID'],
    ['an organization as a list', { organizationId: ['org_1'] }, 'organizationId', 'KEY_INVALID'],
    ['no name', { name: undefined }, 'name', 'KEY_INVALID'],
    ['a name with a line feed', { name: 'a\nb' }, 'name', 'KEY_INVALID'],
    ['a name of 129 characters', { name: 'a'.repeat(129) }, 'name', 'KEY_INVALID'],
    ['a key as name', { name: secret }, 'name', 'KEY_INVALID'],
    ['a key as author', { by: secret }, 'by', 'KEY_INVALID'],
    ['no author', { by: undefined }, 'by', 'KEY_INVALID'],
    ['an author with a space', { by: 'ops team' }, 'by', 'KEY_INVALID'],
    ['an author of 129 characters', { by: 'a'.repeat(129) }, 'by', 'KEY_INVALID'],
    ['an author with a line feed', { by: 'ops\n' }, 'by', 'KEY_INVALID'],
    ['no scopes', { scopes: undefined }, 'scopes', 'KEY_INVALID'],
    ['scopes as text', { scopes: 'read:patients' }, 'scopes', 'KEY_INVALID'],
    ['a scope that is no text', { scopes: ['read:patients', 7] }, 'scopes[1]', 'KEY_INVALID'],
    [
      'a hole in the scopes',
      { scopes: Array.from({ length: 1 }).concat(['read:patients']) },
      'scopes[0]',
      'KEY_INVALID',
    ],
    ['a mistyped scope', { scopes: ['read:patients', 'read:patient'] }, 'scopes[1]', 'KEY_SCOPE_UNKNOWN'],
    ['a scope of every object', { scopes: ['constructor'] }, 'scopes[0]', 'KEY_SCOPE_UNKNOWN'],
    ['rules as text', { allowedCidrs: '10.0.0.0/8' }, 'allowedCidrs', 'KEY_INVALID'],
    ['rules as null', { allowedCidrs: null }, 'allowedCidrs', 'KEY_INVALID'],
    ['a bad rule', { allowedCidrs: ['10.0.0.0/8', '10.0.0.0/33'] }, 'allowedCidrs[1]', 'KEY_INVALID'],
    ['a key as rule', { allowedCidrs: [secret] }, 'allowedCidrs[0]', 'KEY_INVALID'],
    ['an expiry as text', { expiresAt: '2030-01-01' }, 'expiresAt', 'KEY_INVALID'],
    ['an expiry that is now', { expiresAt: new Date(START) }, 'expiresAt', 'KEY_INVALID'],
    ['an expiry that is no date', { expiresAt: new Date(Number.NaN) }, 'expiresAt', 'KEY_INVALID'],
    ['another environment', { environment: 'production' }, 'environment', 'KEY_ENVIRONMENT'],
    ['no environment', { environment: undefined }, 'environment', 'KEY_ENVIRONMENT'],
  ]
  test.each(rows)('%s', async (_, bad, member, code) => {
    const { keys, changes, store } = admin()
    const error: unknown = await keys.create({ ...REQUEST, ...bad }).catch((each: unknown) => each)
    expect(error).toBeInstanceOf(KeyError)
    expect(error).toMatchObject({ member, code })
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(secret.slice(11))
    expect([changes, await store.list({})]).toEqual([[], []])
  })

  test.each([['junk'], [`${IMPORT.key}x`], [''], [undefined], [7], [`hc_live_sk_${'0'.repeat(30)}41YlZW`]])(
    'a key %s cannot be imported',
    async (key) => {
      const { keys, store } = admin()
      const error: unknown = await keys.import({ ...IMPORT, key } as ImportKey).catch((each: unknown) => each)
      expect(error).toMatchObject({ code: 'KEY_INVALID', member: 'key' })
      if (typeof key === 'string' && key.length > 20)
        expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(key.slice(11))
      expect(await store.list({})).toEqual([])
    },
  )

  test('the message names the rule as it was written, and the scopes there are', async () => {
    const { keys } = admin()
    await expect(keys.create({ ...REQUEST, allowedCidrs: ['10.0.0.0/8', '10.0.0.1/8'] })).rejects.toThrow(
      'rule 1 ("10.0.0.1/8")',
    )
    await expect(keys.create({ ...REQUEST, scopes: ['read:lab' as 'read:patients'] })).rejects.toThrow('read:labs')
  })
})

describe('a change that cannot be made', () => {
  test('is not made where it cannot be audited', async () => {
    const error = new Error('no journal')
    const { keys, store, changes } = admin({
      beforeChange: () => {
        throw error
      },
    })
    await expect(keys.create(REQUEST)).rejects.toBe(error)
    expect([changes, await store.list({})]).toEqual([[], []])
  })

  test("is the store's own error, and told as a change that may have been made", async () => {
    const error = new Error('disk full')
    const { keys, changes } = admin({ store: spied([], { insert: () => Promise.reject(error) }).store })
    await expect(keys.create(REQUEST)).rejects.toBe(error)
    expect(changes).toMatchObject([{ name: 'key.create', by: REQUEST.by, outcome: 'error' }])
  })

  test.each([
    ['a misspelt allowlist', { allowedCIDRs: ['10.0.0.0/8'] }, 'allowedCIDRs'],
    ['a misspelt expiry', { expires: new Date(START + DAY) }, 'expires'],
    ['the key of an import', { key: newKey() }, 'key'],
  ])('create refuses %s: the key would be wider than meant', async (_what, more, member) => {
    const { keys, changes } = admin()
    await expect(keys.create({ ...REQUEST, ...more })).rejects.toMatchObject({ name: 'KeyError', member })
    expect(changes).toEqual([])
  })

  test('import refuses a member that it does not take', async () => {
    const { environment: _, ...facts } = REQUEST
    const request = { ...facts, key: newKey(), allowedCIDRs: ['10.0.0.0/8'] }
    await expect(admin().keys.import(request)).rejects.toMatchObject({ name: 'KeyError', member: 'allowedCIDRs' })
  })

  test.each(['write', 'get', 'list'] as const)('is said to be one where the store cannot %s', async (what) => {
    const memory = memoryKeyStore()
    const { keys } = admin({ store: { ...memory, name: 'mute', can: { ...memory.can, [what]: false } } })
    const call = {
      write: () => keys.create(REQUEST),
      get: () => keys.get('key_1'),
      list: () => keys.list({ organizationId: 'org_1' }),
    }[what]
    await expect(call()).rejects.toThrow(StoreCapabilityError)
    await expect(call()).rejects.toThrow(`'mute' cannot ${what}`)
    if (what === 'write') await expect(keys.import(IMPORT)).rejects.toThrow(StoreCapabilityError)
  })
})

describe('get and list', () => {
  const records = Array.from({ length: 5 }, (_, index) =>
    recordOf(newKey(), { id: `key_${index}`, organizationId: index === 3 ? 'org_2' : 'org_1' }),
  )
  const ids = (list: readonly KeyRecord[]) => list.map(({ id }) => id)

  test('give frozen copies, in order of id, page by page', async () => {
    const { keys } = admin({ store: memoryKeyStore(records.toReversed()) })
    const first = await keys.list({ organizationId: 'org_1', limit: 2 })
    expect(ids(first)).toEqual(['key_0', 'key_1'])
    expect(Object.isFrozen(first) && first.every((record) => Object.isFrozen(record))).toBe(true)
    expect(ids(await keys.list({ organizationId: 'org_1', after: 'key_1', limit: undefined }))).toEqual([
      'key_2',
      'key_4',
    ])
    expect(await keys.list({ organizationId: 'org_3' })).toEqual([])
    expect(await keys.get('key_9')).toBeNull()
  })

  test.each([
    [{ organizationId: '' }, 'organizationId'],
    [{}, 'organizationId'],
    [{ organizationId: 'org_1', limit: 0 }, 'limit'],
    [{ organizationId: 'org_1', limit: 1001 }, 'limit'],
    [{ organizationId: 'org_1', limit: '10' }, 'limit'],
    [{ organizationId: 'org_1', after: 7 }, 'after'],
  ])('refuse %j', async (query, member) => {
    await expect(admin().keys.list(query as never)).rejects.toMatchObject({ code: 'KEY_INVALID', member })
  })

  test('read nothing that is inherited', async () => {
    const { keys } = admin({ store: memoryKeyStore(records) })
    const list = await polluted({ after: 'key_2', limit: 1 }, () => keys.list({ organizationId: 'org_1' }))
    expect(ids(list)).toEqual(['key_0', 'key_1', 'key_2', 'key_4'])
  })

  test('show nothing of a record that is broken, or not what was asked for', async () => {
    const lie = { ...records[0], organizationId: 'org_9' } as KeyRecord
    const { store } = spied([], { get: async () => lie, list: async () => [lie] })
    const { keys } = admin({ store })
    await expect(keys.get('key_5')).rejects.toMatchObject({ member: 'record' })
    await expect(keys.list({ organizationId: 'org_1' })).rejects.toMatchObject({ member: 'record' })
    const broken = admin({ store: spied([], { get: async () => ({ ...lie, scopes: null }) as never }).store })
    await expect(broken.keys.get('key_0')).rejects.toMatchObject({ member: 'record' })
  })
})
