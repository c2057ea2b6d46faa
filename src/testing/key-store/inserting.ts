import assert from 'node:assert/strict'
import {
  assertConflict,
  assertRecord,
  assertRecords,
  countFulfilled,
  digestOf,
  NOW,
  recordOf,
  type StoreCase,
} from './subject.ts'

export const insertCases: readonly StoreCase[] = [
  [
    'inserts neither an id nor a digest twice',
    async ({ store, list }) => {
      await store.insert(recordOf('key_1'))
      await assertConflict(store.insert(recordOf('key_1', { digest: digestOf('other') })))
      await assertConflict(store.insert(recordOf('key_2', { digest: digestOf('key_1') })))
      assertRecords(await list(), [recordOf('key_1')])
    },
  ],
  [
    'inserts one of many that come at the same time with one digest',
    async ({ store, list }) => {
      const digest = digestOf('the one')
      const inserts = Array.from({ length: 10 }, (_, index) => store.insert(recordOf(`key_${index}`, { digest })))
      assert.equal(await countFulfilled(inserts), 1)
      assert.equal((await list()).length, 1)
    },
  ],
  [
    "inserts what later changes of the caller's record do not touch",
    async ({ store, get }) => {
      const scopes = ['read:patients']
      const expiresAt = new Date(NOW)
      const expected = recordOf('key_1', { scopes: ['read:patients'], expiresAt: new Date(NOW) })
      await store.insert(recordOf('key_1', { scopes, expiresAt }))
      scopes.push('admin:org')
      expiresAt.setTime(0)
      const out = await get('key_1')
      assertRecord(out, expected)
      out?.expiresAt?.setTime(0)
      assertRecord(await get('key_1'), expected)
    },
  ],
]
