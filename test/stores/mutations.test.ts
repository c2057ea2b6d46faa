import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Pool } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import type { KeyStore } from '../../src/keys/store.ts'
import { postgresKeyStore } from '../../src/stores/postgres.ts'
import { redisKeyStore } from '../../src/stores/redis.ts'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'
import { mutationModel } from '../keys/mutation-model.ts'
import { dropTables, isReachable, newTable, POSTGRES_URL } from './postgres-world.ts'
import { CLIENTS, REDIS } from './redis-clients.ts'
import { answersPing } from './redis-engine.ts'

const cleanups: (() => Promise<void>)[] = []

const redisIsHere = process.env['CI'] !== undefined || (await answersPing(REDIS.host, REDIS.port))

/** Every change of keys, interleaved with verifications, against a simple model: on every store that can write (in memory: test/keys/model.test.ts). */
const STORES: readonly { name: string; here: boolean; numRuns: number; open: () => Promise<KeyStore> }[] = [
  {
    name: 'sqlite',
    here: true,
    numRuns: 15,
    open: async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'hc-auth-'))
      cleanups.push(async () => rmSync(folder, { recursive: true, force: true }))
      return sqliteKeyStore(path.join(folder, 'keys.db'))
    },
  },
  {
    name: 'postgres',
    here: await isReachable(POSTGRES_URL),
    numRuns: 15,
    open: async () => {
      const pool = new Pool({ connectionString: POSTGRES_URL, max: 4 })
      cleanups.push(async () => {
        await dropTables(pool)
        await pool.end()
      })
      return postgresKeyStore(pool, { table: newTable() })
    },
  },
  ...CLIENTS.map((maker) => ({
    name: `redis (${maker.name})`,
    here: redisIsHere,
    numRuns: 15,
    open: async () => {
      const { client, close } = await maker.connect(REDIS.url)
      cleanups.push(async () => close())
      return redisKeyStore(client, { prefix: `{t${randomBytes(5).toString('hex')}}:` })
    },
  })),
]

/** A lock that is held for more than 100 ms fails the change, and nothing was written: on a busy machine it is tried again. */
function patient(store: KeyStore): KeyStore {
  const again = async <T>(change: () => Promise<T>, times = 10): Promise<T> => {
    try {
      return await change()
    } catch (error) {
      if (times === 0 || !(error instanceof Error) || !/lock/.test(error.message)) throw error
      return again(change, times - 1)
    }
  }
  return {
    ...store,
    insert: (record) => again(() => store.insert(record)),
    replace: (old, fresh) => again(() => store.replace(old, fresh)),
    update: (id, change) => again(() => store.update(id, change)),
  }
}

afterAll(async () => {
  for (const each of cleanups) await each()
})

describe('auth.keys on the store', () => {
  for (const { name, here, numRuns, open } of STORES) {
    test.skipIf(!here)(`${name} does what is promised, whatever comes when`, { timeout: 60_000 }, () =>
      expect(mutationModel(async () => patient(await open()), { numRuns })).resolves.toBeUndefined(),
    )
  }
})
