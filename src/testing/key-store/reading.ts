import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { KeyRecord } from '../../keys/store.ts'
import { assertRecord, digestOf, NOW, recordOf, type StoreCase, type Subject } from './subject.ts'

const RECORDS: readonly (readonly [string, Partial<KeyRecord>])[] = [
  ['as it was inserted', {}],
  ['with no scopes and no rules', { scopes: [], allowedCidrs: [] }],
  ['with nothing but nulls', { expiresAt: null }],
  [
    'of a key that has been through everything',
    {
      environment: 'test',
      rotatedAt: new Date(NOW + 1),
      validUntil: new Date(NOW + 2),
      replacedBy: 'key_2',
      revokedAt: new Date(NOW + 3),
      revokedReason: "Robert'); DROP TABLE keys;--",
      lastUsedAt: new Date(NOW + 4),
    },
  ],
]

const findsARecord = RECORDS.map(([title, more]): StoreCase => [
  `finds a record ${title}, by digest and by id`,
  async ({ store, find, get }) => {
    const record = recordOf('key_1', more)
    await store.insert(record)
    await store.insert(recordOf('key_9'))
    assertRecord(await find(record.digest), record)
    assertRecord(await get('key_1'), record)
  },
])

async function findsOnlyTheWhole({ store, find, get }: Subject) {
  await store.insert(recordOf('key_Ab'))
  const digest = digestOf('key_Ab')
  const otherDigests = [
    digest.slice(0, -1),
    `${digest}A`,
    digest.toLowerCase(),
    digest.replace('sha256', 'default'),
    '%',
  ]
  for (const other of otherDigests) assert.equal(await find(other), null, other)
  for (const other of ['key_ab', 'key_A', 'key_Abc', 'key_%', '__proto__', "' OR ''='"]) {
    assert.equal(await get(other), null, other)
  }
}

async function listsByCodeUnit({ store, list }: Subject) {
  const all = ['key_1', 'key_10', 'key_2', 'key_A', 'key_B', 'key_a', 'key_b']
  const ids = async (query: Parameters<Subject['list']>[0]) => (await list(query)).map(({ id }) => id)
  for (const id of ['key_b', 'key_2', 'key_A', 'key_10', 'key_a', 'key_1', 'key_B']) await store.insert(recordOf(id))
  assert.deepEqual(await ids({}), all)
  assert.deepEqual(await ids({ limit: 3 }), all.slice(0, 3))
  assert.deepEqual(await ids({ after: 'key_2', limit: 3 }), all.slice(3, 6))
  assert.deepEqual(await ids({ after: 'key_3' }), all.slice(3))
  assert.deepEqual(await ids({ after: 'key_b' }), [])
}

export const readCases: readonly StoreCase[] = [
  [
    'has a name and says what it can',
    async ({ store }) => {
      assert.match(store.name, /^[a-z]+$/)
      for (const can of ['write', 'watch', 'list', 'get', 'revocations'] as const) {
        assert.equal(typeof store.can[can], 'boolean', can)
      }
    },
  ],
  [
    'finds nothing in an empty store',
    async ({ find, get }) => {
      assert.deepEqual([await find(digestOf('key_1')), await find(), await get('key_1')], [null, null, null])
    },
  ],
  ...findsARecord,
  [
    'finds a record by any of several digests',
    async ({ store, find }) => {
      await store.insert(recordOf('key_1'))
      assert.equal((await find(digestOf('nobody'), digestOf('key_1')))?.id, 'key_1')
      assert.equal((await find(digestOf('key_1'), digestOf('nobody')))?.id, 'key_1')
      assert.equal(await find(digestOf('nobody'), digestOf('nobody either')), null)
    },
  ],
  ['finds only the whole digest and the whole id, letter by letter', findsOnlyTheWhole],
  ['lists in order of id, by code unit, page by page', listsByCodeUnit],
  [
    'lists what belongs to one organization',
    async ({ store, list }) => {
      await store.insert(recordOf('key_1'))
      await store.insert(recordOf('key_2', { organizationId: 'org_2' }))
      await store.insert(recordOf('key_3', { organizationId: 'ORG_1' }))
      assert.deepEqual(
        (await list({ organizationId: 'org_1' })).map(({ id }) => id),
        ['key_1'],
      )
      assert.deepEqual(await list({ organizationId: 'org_3' }), [])
    },
  ],
  [
    'holds a thousand keys and finds each',
    async ({ store, find }) => {
      const ids = Array.from({ length: 1000 }, () => `key_${randomBytes(10).toString('hex')}`)
      for (const id of ids) await store.insert(recordOf(id))
      for (const id of ids) assert.equal((await find(digestOf(id)))?.id, id)
    },
  ],
]
