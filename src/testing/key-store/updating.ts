import assert from 'node:assert/strict'
import type { KeyRecord } from '../../keys/store.ts'
import {
  assertConflict,
  assertRecord,
  assertRecords,
  DAY,
  digestOf,
  NOW,
  recordOf,
  type StoreCase,
  type Subject,
} from './subject.ts'

async function keepsTheFirstRevocation({ store, get }: Subject) {
  await store.insert(recordOf('key_1'))
  const revocations = Array.from({ length: 5 }, (_, index) => ({
    revokedAt: new Date(NOW + index),
    revokedReason: `reason ${index}`,
  }))
  const updated = await Promise.all(revocations.map((change) => store.update('key_1', change)))
  const stored = await get('key_1')
  assert.ok(revocations.some(({ revokedReason }) => revokedReason === stored?.revokedReason))
  for (const record of updated) assertRecord(record, { ...recordOf('key_1'), ...evidenceOf(stored) })
  await store.update('key_1', { revokedAt: new Date(NOW + DAY), revokedReason: 'later' })
  await store.update('key_1', { revokedAt: null, revokedReason: null, name: 'new' })
  assertRecord(await get('key_1'), { ...recordOf('key_1'), ...evidenceOf(stored), name: 'new' })
}

function evidenceOf(record: KeyRecord | null): Pick<KeyRecord, 'revokedAt' | 'revokedReason'> {
  return { revokedAt: record?.revokedAt ?? null, revokedReason: record?.revokedReason ?? null }
}

async function neverSetsUseBack({ store, get }: Subject) {
  const lastUsedAt = new Date(NOW + 60_000)
  const used = recordOf('key_1', { lastUsedAt })
  await store.insert(recordOf('key_1'))
  assertRecord(await store.update('key_1', { lastUsedAt }), used)
  for (const earlier of [new Date(NOW), new Date(NOW + 59_999), null]) {
    assertRecord(await store.update('key_1', { lastUsedAt: earlier }), used)
  }
  assertRecord(await store.update('key_1', { name: 'new', lastUsedAt: new Date(NOW) }), { ...used, name: 'new' })
  const uses = [5, 9, 1, 7].map((seconds) => new Date(NOW + 60_000 + seconds * 1000))
  await Promise.all(uses.map((each) => store.update('key_1', { lastUsedAt: each })))
  assertRecord(await get('key_1'), { ...used, name: 'new', lastUsedAt: new Date(NOW + 69_000) })
}

async function neverShortens({ store }: Subject) {
  if (!store.can.revocations) return
  const expiresAt = new Date(Date.now() + 2 * DAY)
  for (const each of [expiresAt, new Date(Date.now() + DAY)]) {
    await store.revokeToken?.({ tokenId: 'tok_1', expiresAt: each })
  }
  assert.deepEqual(await store.revokedTokens?.(), [{ tokenId: 'tok_1', expiresAt }])
}

async function remembersRevokedTokens({ store }: Subject) {
  if (!store.can.revocations) return
  const expiresAt = new Date(Date.now() + DAY)
  await store.revokeToken?.({ tokenId: 'tok_1', expiresAt })
  await store.revokeToken?.({ tokenId: 'tok_2', expiresAt })
  await store.revokeToken?.({ tokenId: 'tok_1', expiresAt })
  const revoked = (await store.revokedTokens?.()) ?? []
  assert.deepEqual(
    new Map(revoked.map((each) => [each.tokenId, each.expiresAt])),
    new Map([
      ['tok_1', expiresAt],
      ['tok_2', expiresAt],
    ]),
  )
  assert.equal(revoked.length, 2)
}

export const updateCases: readonly StoreCase[] = [
  [
    'updates the given members and nothing else',
    async ({ store, get }) => {
      await store.insert(recordOf('key_1'))
      await store.insert(recordOf('key_2'))
      const change = {
        name: 'new',
        scopes: ['admin:org'],
        allowedCidrs: [],
        revokedAt: new Date(NOW + 7),
        revokedReason: 'leaked',
      }
      const expected = { ...recordOf('key_1'), ...change }
      assertRecord(await store.update('key_1', change), expected)
      assertRecord(await get('key_1'), expected)
      assertRecord(await get('key_2'), recordOf('key_2'))
    },
  ],
  [
    'updates neither id nor digest',
    async ({ store, find, list }) => {
      await store.insert(recordOf('key_1'))
      await store.update('key_1', { id: 'key_2', digest: digestOf('x'), name: 'new' })
      assertRecords(await list(), [recordOf('key_1', { name: 'new' })])
      assert.equal(await find(digestOf('x')), null)
    },
  ],
  [
    'updates nothing of a record that there is not',
    async ({ store, list }) => {
      await assertConflict(store.update('key_1', { name: 'new' }))
      assert.deepEqual(await list(), [])
    },
  ],
  ['keeps when and why a key was revoked first, of several at the same time too', keepsTheFirstRevocation],
  ['never sets back when a key was last used', neverSetsUseBack],
  ['remembers revoked tokens until they expire', remembersRevokedTokens],
  ['never shortens the revocation of a token', neverShortens],
]
