import { describe, expect, test } from 'vitest'
import { changedRecord, type KeyChange, type KeyRecord, type KeyStore } from '../../src/keys/store.ts'
import { memoryKeyStore } from '../../src/stores/memory.ts'
import { keyStoreSuite } from '../../src/testing/index.ts'
import { refuseProduction } from '../../src/testing/refuse-production.ts'

/** A memory store with one fault. */
const faulty = (fault: (memory: KeyStore) => Partial<KeyStore>): KeyStore => {
  const memory = memoryKeyStore()
  return { ...memory, ...fault(memory) }
}

async function failuresOf(open: () => KeyStore): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of keyStoreSuite({ name: 'x', open, pushedWithinMs: 0 })) {
    await run().catch(() => failed.push(name.replace('the key store x ', '')))
  }
  return failed
}

const FAULTS: readonly (readonly [string, (memory: KeyStore) => Partial<KeyStore>, string])[] = [
  ['has no proper name', () => ({ name: 'My Store' }), 'has a name'],
  ['finds what nobody asked for', (memory) => ({ find: () => memory.get('key_Ab', undefined as never) }), 'finds only'],
  [
    'loses the milliseconds',
    (memory) => ({
      insert: (record: KeyRecord) =>
        memory.insert({ ...record, createdAt: new Date(Math.floor(record.createdAt.getTime() / 1000) * 1000) }),
    }),
    'finds a record as it was inserted',
  ],
  [
    'hides what is taken',
    (memory) => ({ insert: (record) => memory.insert(record).catch(() => undefined) }),
    'inserts neither',
  ],
  [
    'rotates whatever changed',
    (memory) => ({
      replace: async (old, fresh) => {
        await memory.update(old.id, changedRecord(old, {}))
        await memory.insert(fresh)
      },
    }),
    'replaces nothing where the record was revoked',
  ],
  [
    'lists backwards',
    (memory) => ({ list: async (query) => (await memory.list(query)).toReversed() }),
    'lists in order',
  ],
  [
    'updates nothing',
    (memory) => ({ update: async (id) => (await memory.list({})).find((each) => each.id === id) as KeyRecord }),
    'updates the given',
  ],
  [
    'revokes twice',
    (memory) => {
      let later: Partial<KeyRecord> = {}
      const seen = async (record: Promise<KeyRecord | null>) => {
        const found = await record
        return found?.revokedAt ? { ...found, ...later } : found
      }
      return {
        update: (id, change) => {
          if (change.revokedAt) later = change
          return seen(memory.update(id, change)) as Promise<KeyRecord>
        },
        get: (id, context) => seen(memory.get(id, context)),
      }
    },
    'keeps when and why',
  ],
  [
    'sets the last use back',
    (memory) => ({
      update: async (id, change) => ({ ...(await memory.update(id, change)), ...change }),
    }),
    'never sets back',
  ],
  [
    'shortens a revocation',
    (memory) => {
      const all = new Map<string, Date>()
      return {
        revokeToken: async (revocation) => (
          all.set(revocation.tokenId, revocation.expiresAt),
          memory.revokeToken?.(revocation)
        ),
        revokedTokens: async () => [...all].map(([tokenId, expiresAt]) => ({ tokenId, expiresAt })),
      }
    },
    'never shortens',
  ],
  [
    'lets a watcher refuse a change',
    (memory) => {
      const all: ((change: KeyChange) => void)[] = []
      return {
        insert: async (record) => {
          await memory.insert(record)
          for (const on of all) on({ keyId: record.id })
        },
        watch: async (on) => (all.push(on), async () => undefined),
      }
    },
    'neither refuses a change',
  ],
  ['forgets revoked tokens', () => ({ revokedTokens: async () => [] }), 'remembers revoked'],
  ['pushes nothing', () => ({ watch: async () => async () => undefined }), 'pushes every change'],
  [
    'keeps pushing to who left',
    (memory) => ({ watch: async (on) => (await memory.watch?.(on), async () => undefined) }),
    'pushes nothing where a key',
  ],
]

describe('the suite of key stores', () => {
  test('passes a store without fault, and opens and closes one for each case', async () => {
    let opened = 0
    let closed = 0
    const open = () => {
      opened += 1
      return faulty(() => ({ close: async () => void (closed += 1) }))
    }
    expect(await failuresOf(open)).toEqual([])
    expect([opened, closed]).toEqual([34, 34])
  })

  test.each(FAULTS)('fails a store that %s', async (_, fault, title) => {
    expect((await failuresOf(() => faulty(fault))).join('\n')).toContain(title)
  })

  test.each([
    ['name', { open: memoryKeyStore, pushedWithinMs: 0 }],
    ['open', { name: 'x', pushedWithinMs: 0 }],
    ['pushedWithinMs', { name: 'x', open: memoryKeyStore }],
  ])('says that %s is missing', (option, suite) => {
    expect(() => keyStoreSuite(suite as never)).toThrow(expect.objectContaining({ name: 'ConfigError', option }))
  })

  test('is refused in production, and there alone', () => {
    expect(() => refuseProduction({ NODE_ENV: 'production' })).toThrow(/NODE_ENV.*does not load.*from tests alone/)
    expect(() => refuseProduction({ NODE_ENV: 'test' })).not.toThrow()
    expect(() => refuseProduction(Object.create({ NODE_ENV: 'production' }) as NodeJS.ProcessEnv)).not.toThrow()
  })
})
