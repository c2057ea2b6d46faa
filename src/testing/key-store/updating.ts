import assert from 'node:assert/strict'
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
  ['remembers revoked tokens until they expire', remembersRevokedTokens],
]
