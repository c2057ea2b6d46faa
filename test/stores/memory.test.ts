import { describe, expect, test } from 'vitest'
import { createAuth } from '../../src/index.ts'
import type { KeyChange } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { keyStoreSuite } from '../../src/testing/index.ts'
import { newKey, recordOf, START } from '../keys/parts.ts'

const CASES = keyStoreSuite({ name: 'memory', open: () => memoryKeyStore(), pushedWithinMs: 0 })

test.each(CASES.map(({ name, run }) => [name, run] as const))('%s', (_, run) => expect(run()).resolves.toBeUndefined())

describe('a memory store', () => {
  test('starts with the records it is given, and refuses two of one id', async () => {
    const records = [recordOf(newKey(), { id: 'key_1' }), recordOf(newKey(), { id: 'key_2' })]
    expect(await memoryKeyStore(records).list({})).toEqual(records)
    expect(() => memoryKeyStore([...records, recordOf(newKey(), { id: 'key_1' })])).toThrow('exists')
  })

  test('pushes a change before the call that made it resolves', async () => {
    const store = memoryKeyStore([recordOf(newKey(), { id: 'key_1' })])
    const changes: KeyChange[] = []
    await store.watch?.((change) => changes.push(change))
    void store.update('key_1', { revokedAt: new Date(START) })
    expect(changes).toEqual([{ keyId: 'key_1' }])
  })

  test('forgets a revoked token an hour after its expiry, once another is revoked', async () => {
    const store = memoryKeyStore()
    const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000)
    await store.revokeToken?.({ tokenId: 'tok_old', expiresAt: inHours(-1.1) })
    await store.revokeToken?.({ tokenId: 'tok_just', expiresAt: inHours(-0.9) })
    await store.revokeToken?.({ tokenId: 'tok_new', expiresAt: inHours(1) })
    expect((await store.revokedTokens?.())?.map(({ tokenId }) => tokenId)).toEqual(['tok_just', 'tok_new'])
  })

  test('goes on for whoever else uses it when one closes', async () => {
    const key = newKey('test')
    const store = memoryKeyStore([recordOf(key, { id: 'key_1' })])
    const [first, second] = [
      createAuth({ environment: 'test', keys: { store } }),
      createAuth({ environment: 'test', keys: { store } }),
    ]
    const verify = () => second.verify(key, { ip: null, secure: null, operation: 'test' })
    expect(await verify()).toMatchObject({ ok: true })
    await first.close()
    await store.update('key_1', { revokedAt: new Date(START) })
    expect(await verify()).toMatchObject({ ok: false, reason: 'key_revoked' })
    await second.close()
  })
})
