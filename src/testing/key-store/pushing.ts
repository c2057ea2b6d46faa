import assert from 'node:assert/strict'
import type { KeyChange, KeyStore } from '../../keys/store.ts'
import { assertConflict, DAY, NOW, recordOf, rotated, type StoreCase, type Subject } from './subject.ts'

async function watched(store: KeyStore) {
  const changes: KeyChange[] = []
  const leave = await store.watch?.((change) => changes.push(change))
  assert.ok(leave, 'a store that can watch has a method watch')
  return { changes, leave }
}

/** By any spelling of a change that says the same. */
function assertHeard(changes: readonly KeyChange[], expected: KeyChange) {
  const texts = changes.map((change) => JSON.stringify(change))
  assert.ok(texts.includes(JSON.stringify(expected)), `${JSON.stringify(expected)} is not in [${texts.join()}]`)
}

async function pushesToEveryWatcher({ store, settled }: Subject) {
  if (!store.can.watch) return
  const [first, second] = [await watched(store), await watched(store)]
  const old = recordOf('key_1')
  await store.insert(old)
  await store.update('key_1', { name: 'new' })
  await store.replace(rotated({ ...old, name: 'new' }, 'key_2'), recordOf('key_2'))
  if (store.can.revocations) await store.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(Date.now() + DAY) })
  await settled()
  for (const { changes, leave } of [first, second]) {
    assertHeard(changes, { keyId: 'key_1' })
    assertHeard(changes, { keyId: 'key_2' })
    if (store.can.revocations) assertHeard(changes, { tokenId: 'tok_1' })
    await leave()
  }
}

async function pushesNoUse({ store, settled }: Subject) {
  if (!store.can.watch) return
  await store.insert(recordOf('key_1'))
  await settled()
  const [stays, leaves] = [await watched(store), await watched(store)]
  await leaves.leave()
  await store.update('key_1', { lastUsedAt: new Date(NOW) })
  await settled()
  assert.deepEqual(stays.changes, [])
  await store.update('key_1', { revokedAt: new Date(NOW) })
  await settled()
  assertHeard(stays.changes, { keyId: 'key_1' })
  assert.deepEqual(leaves.changes, [])
  await stays.leave()
}

async function pushesNoRefusal({ store, settled }: Subject) {
  if (!store.can.watch) return
  await store.insert(recordOf('key_1'))
  await settled()
  const { changes, leave } = await watched(store)
  await assertConflict(store.insert(recordOf('key_1')), /exists/)
  await assertConflict(store.replace(rotated(recordOf('key_3'), 'key_4'), recordOf('key_4')), /changed/)
  await settled()
  assert.deepEqual(changes, [])
  await leave()
}

async function survivesAWatcher({ store, get, settled }: Subject) {
  if (!store.can.watch) return
  const leaveFaulty = await store.watch?.(() => {
    throw new Error('a watcher of no use')
  })
  const { changes, leave } = await watched(store)
  await store.insert(recordOf('key_1'))
  await store.update('key_1', { name: 'new' })
  if (store.can.revocations) await store.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(Date.now() + DAY) })
  await settled()
  assert.equal((await get('key_1'))?.name, 'new')
  assertHeard(changes, { keyId: 'key_1' })
  if (store.can.revocations) assertHeard(changes, { tokenId: 'tok_1' })
  await leave()
  await leaveFaulty?.()
}

export const pushCases: readonly StoreCase[] = [
  ['pushes every change to every watcher', pushesToEveryWatcher],
  ['pushes nothing where a key was only used, and nothing to a watcher who has left', pushesNoUse],
  ['pushes nothing where a change was refused', pushesNoRefusal],
  ['neither refuses a change nor misses a watcher because of one that throws', survivesAWatcher],
]
