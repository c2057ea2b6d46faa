import assert from 'node:assert/strict'
import type { KeyRecord } from '../../keys/store.ts'
import {
  assertConflict,
  assertRecord,
  assertRecords,
  countFulfilled,
  digestOf,
  NOW,
  recordOf,
  rotated,
  type StoreCase,
  type Subject,
} from './subject.ts'

const MEANWHILE: readonly (readonly [string, Partial<KeyRecord>])[] = [
  ['was revoked', { revokedAt: new Date(NOW), revokedReason: 'leaked' }],
  ['was rotated', { rotatedAt: new Date(NOW), validUntil: new Date(NOW), replacedBy: 'key_3' }],
  ['has other scopes', { scopes: ['read:patients'] }],
  ['has other rules', { allowedCidrs: [] }],
  ['has another name', { name: 'Ward 4' }],
]

const replacesNothing = MEANWHILE.map(([title, change]): StoreCase => [
  `replaces nothing where the record ${title} meanwhile`,
  async ({ store, list }) => {
    const old = recordOf('key_1')
    await store.insert(old)
    await store.update('key_1', change)
    await assertConflict(store.replace(rotated(old, 'key_2'), recordOf('key_2')))
    assertRecords(await list(), [{ ...old, ...change }])
  },
])

async function replacesNothingTaken({ store, list }: Subject) {
  const old = recordOf('key_1')
  await store.insert(old)
  await store.insert(recordOf('key_2'))
  await assertConflict(store.replace(rotated(old, 'key_2'), recordOf('key_2', { digest: digestOf('x') })))
  await assertConflict(store.replace(rotated(old, 'key_3'), recordOf('key_3', { digest: digestOf('key_2') })))
  await assertConflict(store.replace(rotated(recordOf('key_7'), 'key_8'), recordOf('key_8')))
  assertRecords(await list(), [old, recordOf('key_2')])
}

export const replaceCases: readonly StoreCase[] = [
  [
    'replaces a record by a fresh one, both at once',
    async ({ store, find, get }) => {
      const old = recordOf('key_1')
      const fresh = recordOf('key_2')
      await store.insert(old)
      await store.replace(rotated(old, 'key_2'), fresh)
      assertRecord(await get('key_1'), rotated(old, 'key_2'))
      assertRecord(await find(fresh.digest), fresh)
      assertRecord(await find(old.digest), rotated(old, 'key_2'))
    },
  ],
  ...replacesNothing,
  [
    'replaces a record that was used meanwhile, and keeps when',
    async ({ store, get }) => {
      const old = recordOf('key_1')
      const lastUsedAt = new Date(NOW + 5)
      await store.insert(old)
      await store.update('key_1', { lastUsedAt })
      await store.replace(rotated(old, 'key_2'), recordOf('key_2'))
      assertRecord(await get('key_1'), { ...rotated(old, 'key_2'), lastUsedAt })
    },
  ],
  ['replaces nothing where the fresh one is taken, or the old one unknown', replacesNothingTaken],
  [
    'replaces once, where several rotations come at the same time',
    async ({ store, list }) => {
      const old = recordOf('key_1')
      await store.insert(old)
      const rotations = Array.from({ length: 5 }, (_, index) =>
        store.replace(rotated(old, `key_2${index}`), recordOf(`key_2${index}`)),
      )
      assert.equal(await countFulfilled(rotations), 1)
      const after = await list()
      assert.equal(after.length, 2)
      assert.equal(after[0]?.replacedBy, after[1]?.id)
    },
  ],
]
