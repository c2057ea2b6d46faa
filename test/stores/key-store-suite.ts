import { createHash, randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { KeyChange, KeyRecord, KeyStore } from '../../src/keys/store.ts'

export interface KeyStoreSuite {
  readonly name: string
  /** An empty store. */
  readonly open: () => Promise<KeyStore>
  /** How long a change may take until it is pushed. */
  readonly pushedWithinMs: number
}

const DAY = 86_400_000
const NOW = Date.UTC(2026, 2, 18, 12, 0, 0, 123)
const signal = AbortSignal.timeout(600_000)

function recordOf(id: string, more: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id,
    organizationId: 'org_1',
    environment: 'live',
    name: 'Ward 3 – Müller "Ä" \\ \u{1F3E5}',
    scopes: ['read:patients', 'exec:agents'],
    hint: 'hc_live_sk_…NpQr',
    digest: digestOf(id),
    allowedCidrs: ['10.0.0.0/8', '2001:db8::/32'],
    createdAt: new Date(NOW),
    createdBy: 'ops@example.org',
    expiresAt: new Date(NOW + 365 * DAY),
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
    ...more,
  }
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('base64url')}`
}

/** `old` with a rotation in it, as `replace` wants it. */
function rotated(old: KeyRecord, replacedBy: string): KeyRecord {
  return { ...old, rotatedAt: new Date(NOW), validUntil: new Date(NOW + DAY), replacedBy }
}

const notFound = { reveal: () => '' }

/** What every key store does, whatever it stands on. Runs what the store says that it can. */
export function keyStoreSuite({ name, open, pushedWithinMs }: KeyStoreSuite): void {
  describe(`the key store ${name}`, () => {
    let store: KeyStore
    beforeEach(async () => {
      store = await open()
    })
    afterEach(() => store.close?.())
    const find = (...digests: string[]) => store.find({ ...notFound, digests }, { signal })
    const get = (id: string) => store.get(id, { signal })

    test('has a name and says what it can', () => {
      expect(store.name).toMatch(/^[a-z]+$/)
      expect(Object.values(store.can).every((can) => typeof can === 'boolean')).toBe(true)
    })

    describe('finds', () => {
      test('nothing in an empty store', async () => {
        expect([await find(digestOf('key_1')), await find(), await get('key_1')]).toEqual([null, null, null])
      })

      test.each<[string, Partial<KeyRecord>]>([
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
      ])('a record %s, by digest and by id', async (_, more) => {
        const record = recordOf('key_1', more)
        await store.insert(record)
        await store.insert(recordOf('key_9'))
        expect(await find(record.digest)).toEqual(record)
        expect(await get('key_1')).toEqual(record)
      })

      test('a record by any of several digests', async () => {
        await store.insert(recordOf('key_1'))
        expect(await find(digestOf('nobody'), digestOf('key_1'))).toMatchObject({ id: 'key_1' })
        expect(await find(digestOf('key_1'), digestOf('nobody'))).toMatchObject({ id: 'key_1' })
        expect(await find(digestOf('nobody'), digestOf('nobody either'))).toBeNull()
      })

      test('only the whole digest and the whole id, letter by letter', async () => {
        await store.insert(recordOf('key_Ab'))
        const digest = digestOf('key_Ab')
        for (const other of [
          digest.slice(0, -1),
          `${digest}A`,
          digest.toLowerCase(),
          digest.replace('sha256', 'default'),
          '%',
        ]) {
          expect(await find(other)).toBeNull()
        }
        for (const other of ['key_ab', 'key_A', 'key_Abc', 'key_%', '__proto__', "' OR ''='"])
          expect(await get(other)).toBeNull()
      })
    })

    describe('inserts', () => {
      test('neither an id nor a digest twice', async () => {
        await store.insert(recordOf('key_1'))
        const conflict = { name: 'StoreConflict', code: 'STORE_CONFLICT' }
        await expect(store.insert(recordOf('key_1', { digest: digestOf('other') }))).rejects.toMatchObject(conflict)
        await expect(store.insert(recordOf('key_2', { digest: digestOf('key_1') }))).rejects.toMatchObject(conflict)
        expect(await store.list({})).toEqual([recordOf('key_1')])
      })

      test('one of many that come at the same time with one digest', async () => {
        const digest = digestOf('the one')
        const inserts = Array.from({ length: 10 }, (_, index) => store.insert(recordOf(`key_${index}`, { digest })))
        const results = await Promise.allSettled(inserts)
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        expect(await store.list({})).toHaveLength(1)
      })

      test("what later changes of the caller's record do not touch", async () => {
        const scopes = ['read:patients']
        const expiresAt = new Date(NOW)
        await store.insert(recordOf('key_1', { scopes, expiresAt }))
        scopes.push('admin:org')
        expiresAt.setTime(0)
        const out = await get('key_1')
        expect(out).toMatchObject({ scopes: ['read:patients'], expiresAt: new Date(NOW) })
        out?.expiresAt?.setTime(0)
        expect(await get('key_1')).toMatchObject({ expiresAt: new Date(NOW) })
      })
    })

    describe('replaces', () => {
      test('a record by a fresh one, both at once', async () => {
        const old = recordOf('key_1')
        const fresh = recordOf('key_2')
        await store.insert(old)
        await store.replace(rotated(old, 'key_2'), fresh)
        expect(await get('key_1')).toEqual(rotated(old, 'key_2'))
        expect(await find(fresh.digest)).toEqual(fresh)
        expect(await find(old.digest)).toMatchObject({ id: 'key_1' })
      })

      test.each<[string, Partial<KeyRecord>]>([
        ['was revoked', { revokedAt: new Date(NOW), revokedReason: 'leaked' }],
        ['was rotated', { rotatedAt: new Date(NOW), validUntil: new Date(NOW), replacedBy: 'key_3' }],
        ['has other scopes', { scopes: ['read:patients'] }],
        ['has other rules', { allowedCidrs: [] }],
        ['has another name', { name: 'Ward 4' }],
      ])('nothing where the record %s meanwhile', async (_, change) => {
        const old = recordOf('key_1')
        await store.insert(old)
        await store.update('key_1', change)
        const before = await store.list({})
        await expect(store.replace(rotated(old, 'key_2'), recordOf('key_2'))).rejects.toMatchObject({
          code: 'STORE_CONFLICT',
        })
        expect(await store.list({})).toEqual(before)
      })

      test('a record that was used meanwhile, and keeps when', async () => {
        const old = recordOf('key_1')
        await store.insert(old)
        await store.update('key_1', { lastUsedAt: new Date(NOW + 5) })
        await store.replace(rotated(old, 'key_2'), recordOf('key_2'))
        expect(await get('key_1')).toMatchObject({ replacedBy: 'key_2', lastUsedAt: new Date(NOW + 5) })
      })

      test('nothing where the fresh one is taken, or the old one unknown', async () => {
        const old = recordOf('key_1')
        await store.insert(old)
        await store.insert(recordOf('key_2'))
        const conflict = { code: 'STORE_CONFLICT' }
        await expect(
          store.replace(rotated(old, 'key_2'), recordOf('key_2', { digest: digestOf('x') })),
        ).rejects.toMatchObject(conflict)
        await expect(
          store.replace(rotated(old, 'key_3'), recordOf('key_3', { digest: digestOf('key_2') })),
        ).rejects.toMatchObject(conflict)
        await expect(store.replace(rotated(recordOf('key_7'), 'key_8'), recordOf('key_8'))).rejects.toMatchObject(
          conflict,
        )
        expect(await store.list({})).toEqual([old, recordOf('key_2')])
      })

      test('once, where two rotations come at the same time', async () => {
        const old = recordOf('key_1')
        await store.insert(old)
        const rotations = Array.from({ length: 5 }, (_, index) =>
          store.replace(rotated(old, `key_2${index}`), recordOf(`key_2${index}`)),
        )
        const results = await Promise.allSettled(rotations)
        expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        const after = await store.list({})
        expect(after).toHaveLength(2)
        expect(after[0]?.replacedBy).toBe(after[1]?.id)
      })
    })

    describe('updates', () => {
      test('the given members and nothing else', async () => {
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
        expect(await store.update('key_1', change)).toEqual(expected)
        expect(await get('key_1')).toEqual(expected)
        expect(await get('key_2')).toEqual(recordOf('key_2'))
      })

      test('neither id nor digest', async () => {
        await store.insert(recordOf('key_1'))
        await store.update('key_1', { id: 'key_2', digest: digestOf('x'), name: 'new' })
        expect(await store.list({})).toEqual([recordOf('key_1', { name: 'new' })])
        expect(await find(digestOf('x'))).toBeNull()
      })

      test('nothing of a record that there is not', async () => {
        await expect(store.update('key_1', { name: 'new' })).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
        expect(await store.list({})).toEqual([])
      })
    })

    describe('lists', () => {
      const ids = async (query: Parameters<KeyStore['list']>[0]) => (await store.list(query)).map(({ id }) => id)
      const all = ['key_1', 'key_10', 'key_2', 'key_A', 'key_B', 'key_a', 'key_b']

      test('in order of id, by code unit, page by page', async () => {
        for (const id of ['key_b', 'key_2', 'key_A', 'key_10', 'key_a', 'key_1', 'key_B'])
          await store.insert(recordOf(id))
        expect(await ids({})).toEqual(all)
        expect(await ids({ limit: 3 })).toEqual(all.slice(0, 3))
        expect(await ids({ after: 'key_2', limit: 3 })).toEqual(all.slice(3, 6))
        expect(await ids({ after: 'key_3' })).toEqual(all.slice(3))
        expect(await ids({ after: 'key_b' })).toEqual([])
      })

      test('what belongs to one organization', async () => {
        await store.insert(recordOf('key_1'))
        await store.insert(recordOf('key_2', { organizationId: 'org_2' }))
        await store.insert(recordOf('key_3', { organizationId: 'ORG_1' }))
        expect(await ids({ organizationId: 'org_1' })).toEqual(['key_1'])
        expect(await ids({ organizationId: 'org_3' })).toEqual([])
      })
    })

    describe('remembers revoked tokens', () => {
      test('until they expire', async () => {
        if (!store.can.revocations) return
        const expiresAt = new Date(Date.now() + DAY)
        await store.revokeToken?.({ tokenId: 'tok_1', expiresAt })
        await store.revokeToken?.({ tokenId: 'tok_2', expiresAt })
        await store.revokeToken?.({ tokenId: 'tok_1', expiresAt })
        const revoked = await store.revokedTokens?.()
        expect(revoked?.toSorted((a, b) => (a.tokenId < b.tokenId ? -1 : 1))).toEqual([
          { tokenId: 'tok_1', expiresAt },
          { tokenId: 'tok_2', expiresAt },
        ])
      })
    })

    describe('pushes', () => {
      const watched = async () => {
        const changes: KeyChange[] = []
        const leave = (await store.watch?.((change) => changes.push(change))) ?? (async () => undefined)
        return { changes, leave }
      }
      const settled = () => new Promise((resolve) => setTimeout(resolve, pushedWithinMs))

      test('every change to every watcher', async () => {
        if (!store.can.watch) return
        const first = await watched()
        const second = await watched()
        const old = recordOf('key_1')
        await store.insert(old)
        await store.update('key_1', { name: 'new' })
        await store.replace(rotated({ ...old, name: 'new' }, 'key_2'), recordOf('key_2'))
        if (store.can.revocations)
          await store.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(Date.now() + DAY) })
        await settled()
        for (const { changes } of [first, second]) {
          expect(
            changes.filter((each) => typeof each === 'object' && 'keyId' in each && each.keyId === 'key_1').length,
          ).toBeGreaterThan(0)
          expect(changes).toContainEqual({ keyId: 'key_2' })
          if (store.can.revocations) expect(changes).toContainEqual({ tokenId: 'tok_1' })
        }
        await first.leave()
        await second.leave()
      })

      test('nothing where a key was only used, and nothing to a watcher who has left', async () => {
        if (!store.can.watch) return
        await store.insert(recordOf('key_1'))
        await settled()
        const stays = await watched()
        const leaves = await watched()
        await leaves.leave()
        await store.update('key_1', { lastUsedAt: new Date(NOW) })
        await settled()
        expect(stays.changes).toEqual([])
        await store.update('key_1', { revokedAt: new Date(NOW) })
        await settled()
        expect(stays.changes).toContainEqual({ keyId: 'key_1' })
        expect(leaves.changes).toEqual([])
        await stays.leave()
      })

      test('nothing where a change was refused', async () => {
        if (!store.can.watch) return
        await store.insert(recordOf('key_1'))
        await settled()
        const { changes, leave } = await watched()
        await expect(store.insert(recordOf('key_1'))).rejects.toThrow('exists')
        await expect(store.replace(rotated(recordOf('key_3'), 'key_4'), recordOf('key_4'))).rejects.toThrow('changed')
        await settled()
        expect(changes).toEqual([])
        await leave()
      })
    })

    test('holds a thousand keys and finds each', async () => {
      const ids = Array.from({ length: 1000 }, () => `key_${randomBytes(10).toString('hex')}`)
      for (const id of ids) await store.insert(recordOf(id))
      for (const id of ids) expect((await find(digestOf(id)))?.id).toBe(id)
    })
  })
}
