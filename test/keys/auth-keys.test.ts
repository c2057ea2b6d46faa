import { describe, expect, test } from 'vitest'
import { createAuth, memoryKeyStore, StoreCapabilityError, type AuditEvent, type KeyStore } from '../../src/index.ts'
import { DAY, manualClock, newKey, recordOf, START } from './parts.ts'

const CONTEXT = { ip: null, secure: null, operation: 'test' } as const

function open(store: KeyStore = memoryKeyStore(), onRotationDue?: (records: readonly { id: string }[]) => void) {
  const events: AuditEvent[] = []
  const clock = manualClock()
  const auth = createAuth({
    environment: 'test',
    keys: { store, onRotationDue },
    clock,
    audit: { onEvent: (event) => events.push(event) },
  })
  const admin = async () => {
    await auth.audit.flush()
    return events.filter(({ kind }) => kind === 'admin')
  }
  return { auth, admin, clock, store }
}

describe('auth.keys', () => {
  test('writes one admin event for each change, with who asked for it as actor', async () => {
    const { auth, admin } = open()
    const made = await auth.keys.create({
      organizationId: 'org_1',
      environment: 'test',
      name: 'CI',
      scopes: ['read:patients'],
      by: 'ops',
    })
    const { id } = made.record
    await auth.keys.update(id, { by: 'ops-2', scopes: ['exec:agents'], allowedCidrs: [] })
    const fresh = await auth.keys.rotate(id, { by: 'ops-3' })
    await auth.keys.revoke(id, { by: 'ops-4', reason: 'a reason for people' })
    await auth.keys.revoke(id, { by: 'ops-5', reason: 'again' })
    await auth.keys.rotate(id, { by: 'ops-6' }).catch(() => undefined)
    await auth.keys.update(id, { by: 'ops-7', name: 'x' }).catch(() => undefined)
    await auth.keys.rotationDue()
    const events = await admin()
    expect(
      events.map(({ name, action, actor, target, scopes }) => [name, action, actor.by, target, scopes.granted]),
    ).toEqual([
      ['key.create', 'C', 'ops', { keyId: id, org: 'org_1', fields: ['name', 'scopes'] }, ['read:patients']],
      ['key.update', 'U', 'ops-2', { keyId: id, org: 'org_1', fields: ['scopes', 'allowedCidrs'] }, ['exec:agents']],
      [
        'key.rotate',
        'U',
        'ops-3',
        { keyId: id, org: 'org_1', fields: ['rotatedAt', 'validUntil', 'replacedBy'] },
        ['exec:agents'],
      ],
      [
        'key.revoke',
        'U',
        'ops-4',
        { keyId: id, org: 'org_1', fields: ['revokedAt', 'revokedReason'] },
        ['exec:agents'],
      ],
    ])
    const text = JSON.stringify(events)
    for (const secret of [made.key, fresh.key, 'a reason for people']) expect(text).not.toContain(secret)
    await auth.close()
  })

  test('changes what auth.verify says, at once', async () => {
    const key = newKey('test')
    const { auth } = open(memoryKeyStore([recordOf(key, { id: 'key_1' })]))
    expect(await auth.verify(key, CONTEXT)).toMatchObject({ ok: true })
    const fresh = await auth.keys.rotate('key_1', { by: 'ops' })
    expect(await auth.verify(key, CONTEXT)).toMatchObject({
      ok: true,
      principal: { rotation: { validUntil: new Date(START + DAY) } },
    })
    await auth.keys.revoke('key_1', { by: 'ops', reason: 'leaked' })
    expect(await auth.verify(key, CONTEXT)).toMatchObject({ ok: false, status: 401, reason: 'key_revoked' })
    expect(await auth.verify(fresh.key, CONTEXT)).toMatchObject({ ok: true, principal: { rotation: null } })
    await auth.close()
  })

  test('tells of keys that are due for rotation, and health counts them', async () => {
    const told: string[][] = []
    const record = recordOf(newKey('test'), { id: 'key_1', createdAt: new Date(START - 91 * DAY) })
    const { auth } = open(memoryKeyStore([record]), (records) => told.push(records.map(({ id }) => id)))
    expect(auth.health().keys?.rotationDue).toBeNull()
    await auth.ready()
    expect([told, auth.health().keys?.rotationDue, auth.health().degraded]).toEqual([[['key_1']], 1, false])
    await auth.close()
  })

  test('has the last use in the store after close', async () => {
    const key = newKey('test')
    const { auth, store, clock } = open(memoryKeyStore([recordOf(key, { id: 'key_1' })]))
    await auth.verify(key, CONTEXT)
    clock.advance(5)
    await auth.verify(key, CONTEXT)
    await auth.close()
    expect(await store.list({})).toMatchObject([{ lastUsedAt: new Date(START + 5) }])
  })

  test('refuses everything where there is no key store', async () => {
    const auth = createAuth({
      environment: 'test',
      tokens: { issuer: 'https://issuer.example', audience: 'api', jwks: 'https://issuer.example/jwks' },
    })
    for (const work of [
      auth.keys.rotate('key_1', { by: 'ops' }),
      auth.keys.revoke('key_1', { by: 'ops', reason: 'x' }),
      auth.keys.update('key_1', { by: 'ops', name: 'x' }),
      auth.keys.rotationDue(),
    ]) {
      await expect(work).rejects.toThrow(StoreCapabilityError)
    }
    await auth.close()
  })
})

describe('a change', () => {
  test('of a live key is not made on a test server, which keeps no journal', async () => {
    const key = newKey()
    const { auth, admin, store } = open(memoryKeyStore([recordOf(key, { id: 'key_live' })]))
    const live = { name: 'KeyError', code: 'KEY_ENVIRONMENT' }
    const request = { organizationId: 'org_1', name: 'x', scopes: [], by: 'ops' } as const
    await expect(auth.keys.create({ ...request, environment: 'live' })).rejects.toMatchObject(live)
    await expect(auth.keys.import({ ...request, key: newKey() })).rejects.toMatchObject(live)
    await expect(auth.keys.rotate('key_live', { by: 'ops' })).rejects.toMatchObject(live)
    await expect(auth.keys.revoke('key_live', { by: 'ops', reason: 'x' })).rejects.toMatchObject(live)
    await expect(auth.keys.update('key_live', { by: 'ops', name: 'y' })).rejects.toMatchObject(live)
    expect(await admin()).toEqual([])
    expect(await store.list({})).toMatchObject([{ id: 'key_live', revokedAt: null, replacedBy: null, name: 'a key' }])
  })

  test('that the store may have made before it failed is an event with outcome error', async () => {
    const memory = memoryKeyStore([recordOf(newKey('test'), { id: 'key_1' })])
    const { auth, admin } = open({
      ...memory,
      update: async (...change) => {
        await memory.update(...change)
        throw new Error('connection lost')
      },
    })
    await expect(auth.keys.revoke('key_1', { by: 'ops', reason: 'leaked' })).rejects.toThrow('connection lost')
    expect(await auth.keys.revoke('key_1', { by: 'ops', reason: 'again' })).toMatchObject({
      record: { revokedReason: 'leaked' },
    })
    expect(await admin()).toMatchObject([
      { name: 'key.revoke', outcome: 'error', reason: 'store_unavailable', target: { keyId: 'key_1' } },
    ])
  })
})
