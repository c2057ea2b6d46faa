import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Libsql from 'libsql'
import { afterEach, describe, expect, test } from 'vitest'
import { ConfigError, createAuth } from '../../src/index.ts'
import type { KeyChange, KeyStore } from '../../src/keys/store.ts'
import { createSqliteKeyStore } from '../../src/stores/sqlite/key-store.ts'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'
import { keyStoreSuite } from '../../src/testing/index.ts'
import { DAY, newKey, recordOf, START } from '../keys/parts.ts'

const made: string[] = []
const opened: { close?(): unknown }[] = []

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sqlite-store-'))
  made.push(folder)
  return folder
}

const newPath = () => join(newFolder(), 'keys.db')

/** Closed after the test. */
function closing<T extends { close?(): unknown }>(each: T): T {
  opened.push(each)
  return each
}

const openStore = (path: string): KeyStore => closing(sqliteKeyStore(path))
const openLibsql = (path: string) => closing(new Libsql(path))

/** With settings of its owner's own. */
function openQuick(path: string) {
  const database = openLibsql(path)
  database.exec('PRAGMA journal_mode = MEMORY')
  database.exec('PRAGMA synchronous = OFF')
  return database
}

const signal = AbortSignal.timeout(600_000)
const get = (store: KeyStore, id: string) => store.get(id, { signal })

async function watched(store: KeyStore) {
  const changes: KeyChange[] = []
  const leave = await store.watch?.((change) => changes.push(change))
  return { changes, leave: async () => leave?.() }
}

async function timed(work: () => Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const start = performance.now()
  const error = await work().then(
    () => null,
    (reason: unknown) => reason,
  )
  return { error, ms: performance.now() - start }
}

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close?.()
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const STORES: readonly (readonly [name: string, open: () => KeyStore])[] = [
  ['sqlite (a file)', () => sqliteKeyStore(newPath())],
  ['sqlite (in memory)', () => sqliteKeyStore(':memory:')],
  ['sqlite (a database handed in)', () => sqliteKeyStore(openQuick(newPath()))],
]

const CASES = STORES.flatMap(([name, open]) =>
  keyStoreSuite({ name, open, pushedWithinMs: 0 }).map((each) => [each.name, each.run] as const),
)

// A thousand keys one by one are a thousand times the disk.
test.each(CASES)('%s', (_, run) => expect(run()).resolves.toBeUndefined(), 60_000)

describe('a file of keys', () => {
  test('is not touched before the first use, and is for its owner alone', async () => {
    const path = newPath()
    const store = openStore(path)
    expect(existsSync(path)).toBe(false)
    await store.ready?.(signal)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('outlives the store, and is whole by itself once that is closed', async () => {
    const path = newPath()
    const record = recordOf(newKey(), { lastUsedAt: new Date(START + 1) })
    const store = openStore(path)
    await store.insert(record)
    await store.close?.()
    const copy = newPath()
    copyFileSync(path, copy)
    for (const each of [path, copy]) expect(await get(openStore(each), record.id)).toEqual(record)
    const [mode] = openLibsql(path).prepare('PRAGMA journal_mode').all()
    expect(mode).toEqual({ journal_mode: 'wal' })
  })

  test('is opened again by whoever goes on after a close', async () => {
    const key = newKey('test')
    const store = openStore(newPath())
    await store.insert(recordOf(key, { id: 'key_1' }))
    const auths = [1, 2].map(() => createAuth({ environment: 'test', keys: { store } }))
    const verify = () => auths[1]?.verify(key, { ip: null, secure: null, operation: 'test' })
    expect(await verify()).toMatchObject({ ok: true })
    await auths[0]?.close()
    await store.update('key_1', { revokedAt: new Date(START) })
    expect(await verify()).toMatchObject({ ok: false, reason: 'key_revoked' })
    await auths[1]?.close()
  })

  test('may be used by two stores at once, and the last use does not undo a revocation', async () => {
    const path = newPath()
    const [first, second] = [openStore(path), openStore(path)]
    await first.insert(recordOf(newKey(), { id: 'key_1' }))
    await Promise.all([
      first.update('key_1', { revokedAt: new Date(START) }),
      second.update('key_1', { lastUsedAt: new Date(START + 5) }),
    ])
    expect(await get(second, 'key_1')).toMatchObject({ revokedAt: new Date(START), lastUsedAt: new Date(START + 5) })
  })

  test('that vanished is an outage when it is opened again, not a store without keys', async () => {
    const path = newPath()
    const store = openStore(path)
    await store.ready?.(signal)
    await store.close?.()
    rmSync(path)
    await expect(get(store, 'key_1')).rejects.toThrow('path: does not exist')
    expect(existsSync(path)).toBe(false)
  })
})

describe('tables that were there once', () => {
  const remake = async (path: string) => openStore(path).ready?.(signal)
  const replaced = (path: string) => {
    const empty = newPath()
    writeFileSync(empty, '')
    for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true })
    renameSync(empty, path)
  }

  test.each<[string, (path: string) => unknown, RegExp]>([
    ['are missing from an empty file in its place', replaced, /no tables any more\. Restore it from a backup/],
    [
      'were made anew in a file in its place, by another process',
      async (path) => (replaced(path), remake(path)),
      /not those that were open before.* Restore the file/,
    ],
    [
      'were made anew in the same file',
      async (path) => {
        const names = ['schema', 'keys', 'changes', 'revoked_tokens']
        openLibsql(path).exec(names.map((name) => `DROP TABLE healthcloud_${name}`).join(';'))
        await remake(path)
      },
      /not those that were open before/,
    ],
  ])('and %s are an outage, not a store without keys', async (_, spoil, problem) => {
    const path = newPath()
    const store = openStore(path)
    await store.insert(recordOf(newKey(), { id: 'key_1' }))
    const { changes, leave } = await watched(store)
    await spoil(path)
    await heardAfter(changes, (each) => each === 'lost')
    await expect(get(store, 'key_1')).rejects.toThrow(problem)
    expect(changes).toEqual(['lost'])
    await leave()
  })

  test('are not made anew in a database handed in', async () => {
    const database = openLibsql(newPath())
    const store = sqliteKeyStore(database)
    await store.ready?.(signal)
    await store.close?.()
    database.exec('DROP TABLE healthcloud_schema')
    await expect(get(store, 'key_1')).rejects.toThrow('no tables any more')
  })
})

test('keys in memory that were closed are an outage, not a store without keys', async () => {
  const store = openStore(':memory:')
  await store.insert(recordOf(newKey(), { id: 'key_1' }))
  await store.close?.()
  await expect(get(store, 'key_1')).rejects.toThrow('keys in memory are gone')
})

describe('revoked tokens', () => {
  test('are kept an hour longer than they could be used, and no second revocation shortens that', async () => {
    const store = openStore(newPath())
    const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000)
    const rows: readonly (readonly [string, Date])[] = [
      ['tok_old', inHours(-1.1)],
      ['tok_just', inHours(-0.9)],
      ['tok_new', inHours(2)],
      ['tok_new', inHours(1)],
    ]
    for (const [tokenId, expiresAt] of rows) await store.revokeToken?.({ tokenId, expiresAt })
    const revoked = new Map((await store.revokedTokens?.())?.map((each) => [each.tokenId, each.expiresAt]))
    expect(revoked).toEqual(new Map([rows[1] ?? [], rows[2] ?? []] as [string, Date][]))
  })
})

/** As the command line does it in a process of its own: the change and its line in the log are one transaction. */
const CHILD = `
  const Database = require('libsql')
  const database = new Database(process.argv[1])
  database.exec('PRAGMA busy_timeout = 5000')
  database.exec(process.argv[2])
`

async function runChild(path: string, sql: string) {
  const child = spawn(process.execPath, ['-e', CHILD, path, sql], { cwd: import.meta.dirname, stdio: 'inherit' })
  const [code] = (await once(child, 'exit')) as [number]
  expect(code).toBe(0)
}

async function heardAfter(changes: readonly KeyChange[], wanted: (change: KeyChange) => boolean): Promise<number> {
  const start = performance.now()
  while (!changes.some(wanted) && performance.now() - start < 5000) await delay(10)
  return performance.now() - start
}

describe('changes by others', () => {
  test('of another process are heard within a second, by every watcher and once each', async () => {
    const path = newPath()
    const store = openStore(path)
    await store.insert(recordOf(newKey(), { id: 'key_1' }))
    const [first, second] = [await watched(store), await watched(store)]
    await runChild(
      path,
      `BEGIN IMMEDIATE;
       UPDATE healthcloud_keys SET record = json_set(record, '$.revokedAt', '2026-03-18T12:00:00.000Z') WHERE id = 'key_1';
       INSERT INTO healthcloud_changes (key_id) VALUES ('key_1');
       INSERT INTO healthcloud_changes (token_id) VALUES ('tok_1');
       COMMIT`,
    )
    expect(await heardAfter(second.changes, (each) => typeof each === 'object' && 'tokenId' in each)).toBeLessThan(1000)
    expect(await get(store, 'key_1')).toMatchObject({ revokedAt: new Date(START) })
    await delay(1200)
    for (const { changes, leave } of [first, second]) {
      expect(changes).toEqual([{ keyId: 'key_1' }, { tokenId: 'tok_1' }])
      await leave()
    }
  })

  test('revoke a key that is cached, within a second', async () => {
    const path = newPath()
    const key = newKey('test')
    const [store, other] = [openStore(path), openStore(path)]
    await store.insert(recordOf(key, { id: 'key_1' }))
    const auth = createAuth({ environment: 'test', keys: { store, cacheSeconds: 3600 } })
    const verify = () => auth.verify(key, { ip: null, secure: null, operation: 'test' })
    expect(await verify()).toMatchObject({ ok: true })
    await other.update('key_1', { revokedAt: new Date(START) })
    await delay(1000)
    expect(await verify()).toMatchObject({ ok: false, reason: 'key_revoked' })
    await auth.close()
  })

  test('come in order with own ones, which are told before the call resolves', async () => {
    const path = newPath()
    const [store, other] = [openStore(path), openStore(path)]
    const { changes, leave } = await watched(store)
    await other.insert(recordOf(newKey(), { id: 'key_1' }))
    await store.insert(recordOf(newKey(), { id: 'key_2' }))
    expect(changes).toEqual([{ keyId: 'key_1' }, { keyId: 'key_2' }])
    await delay(700)
    expect(changes).toHaveLength(2)
    await leave()
  })

  test('so many that the log no longer holds them are told as lost and resumed', async () => {
    const path = newPath()
    const [store, other] = [openStore(path), openStore(path)]
    await other.ready?.(signal)
    const { changes, leave } = await watched(store)
    // Without a pause until the other store has shortened the log: nothing is looked at in between.
    openLibsql(path).exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10100)
       INSERT INTO healthcloud_changes (key_id) SELECT 'key_' || i FROM n`,
    )
    await other.insert(recordOf(newKey(), { id: 'key_new' }))
    await heardAfter(changes, (each) => typeof each === 'object')
    expect(changes.slice(0, 2)).toEqual(['lost', 'resumed'])
    expect(changes.at(-1)).toEqual({ keyId: 'key_new' })
    expect(changes.length - 2).toBe(10_000)
    await leave()
  })

  test('that cannot be read are told as lost, once, and as resumed', async () => {
    const path = newPath()
    const store = openStore(path)
    const { changes, leave } = await watched(store)
    const other = openLibsql(path)
    other.exec('ALTER TABLE healthcloud_changes RENAME TO elsewhere')
    await delay(1200)
    expect(changes).toEqual(['lost'])
    other.exec('ALTER TABLE elsewhere RENAME TO healthcloud_changes')
    await heardAfter(changes, (each) => each === 'resumed')
    expect(changes).toEqual(['lost', 'resumed'])
    await leave()
  })

  test('are heard from the file that was put in the place of the open one', async () => {
    const [path, restored] = [newPath(), newPath()]
    const store = openStore(path)
    await store.insert(recordOf(newKey(), { id: 'key_old' }))
    await store.close?.()
    copyFileSync(path, restored)
    const { changes, leave } = await watched(store)
    for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true })
    renameSync(restored, path)
    await heardAfter(changes, (each) => each === 'resumed')
    expect(changes.filter((each) => typeof each === 'string')).toEqual(['lost', 'resumed'])
    expect(await get(store, 'key_old')).toMatchObject({ id: 'key_old' })
    await leave()
  })

  test('by another store on the same connection are heard within a second', async () => {
    const database = openLibsql(newPath())
    const [store, other] = [sqliteKeyStore(database), sqliteKeyStore(database)]
    const { changes, leave } = await watched(store)
    await other.insert(recordOf(newKey(), { id: 'key_1' }))
    expect(await heardAfter(changes, (each) => typeof each === 'object')).toBeLessThan(1000)
    await delay(700)
    expect(changes).toEqual([{ keyId: 'key_1' }])
    await leave()
  })

  test('are lost to those who still watch when it closes, until somebody opens it again', async () => {
    const path = newPath()
    const store = openStore(path)
    const { changes, leave } = await watched(store)
    await store.close?.()
    await openStore(path).insert(recordOf(newKey(), { id: 'key_1' }))
    await delay(700)
    expect(changes).toEqual(['lost'])
    await store.list({})
    await heardAfter(changes, (each) => each === 'resumed')
    expect(changes).toEqual(['lost', { keyId: 'key_1' }, 'resumed'])
    await leave()
  })
})

describe("another connection's lock", () => {
  test('is waited for 100 ms, then the write is refused with its name, and reads go on', async () => {
    const path = newPath()
    const store = openStore(path)
    const record = recordOf(newKey(), { id: 'key_1' })
    await store.insert(record)
    const other = openLibsql(path)
    other.exec('BEGIN IMMEDIATE')
    for (const write of [
      () => store.insert(recordOf(newKey())),
      () => store.update('key_1', { name: 'new' }),
      () => store.replace({ ...record, replacedBy: 'key_2' }, recordOf(newKey(), { id: 'key_2' })),
      () => store.revokeToken?.({ tokenId: 'tok_1', expiresAt: new Date(Date.now() + DAY) }) ?? Promise.resolve(),
    ]) {
      const { error, ms } = await timed(write)
      expect(error).toMatchObject({ name: 'Error', message: expect.stringContaining('held the lock') as string })
      expect(ms).toBeGreaterThan(80)
      expect(ms).toBeLessThan(1000)
    }
    expect(await get(store, 'key_1')).toEqual(record)
    other.exec('ROLLBACK')
    expect(await store.update('key_1', { name: 'new' })).toMatchObject({ name: 'new' })
  })

  test('on a new file delays its opening and no more', async () => {
    const path = newPath()
    const other = openLibsql(path)
    other.exec('PRAGMA journal_mode = WAL; BEGIN IMMEDIATE')
    const store = openStore(path)
    const { error, ms } = await timed(() => store.ready?.(signal) ?? Promise.resolve())
    expect(error).toMatchObject({ message: expect.stringContaining('held the lock') as string })
    expect(ms).toBeLessThan(1500)
    setTimeout(() => other.exec('ROLLBACK'), 0)
    await delay(20)
    await store.ready?.(signal)
    expect(await store.list({})).toEqual([])
  })

  test('is waited for 100 ms by a database handed in, which keeps its settings and stays open', async () => {
    const path = newPath()
    const database = openQuick(path)
    const store = sqliteKeyStore(database)
    await store.ready?.(signal)
    await store.close?.()
    const other = openLibsql(path)
    other.exec('BEGIN EXCLUSIVE')
    for (const work of [() => store.list({}), () => store.insert(recordOf(newKey()))]) {
      const { error, ms } = await timed(work)
      expect(error).toMatchObject({ name: 'Error', message: expect.stringContaining('held the lock') as string })
      expect(ms).toBeGreaterThan(80)
      expect(ms).toBeLessThan(1000)
    }
    other.exec('ROLLBACK')
    const settings = ['journal_mode', 'synchronous'].map((name) => database.prepare(`PRAGMA ${name}`).all()[0])
    expect(settings).toEqual([{ journal_mode: 'memory' }, { synchronous: 0 }])
  })

  test('of a transaction that was left open in a database handed in is an outage', async () => {
    const database = openLibsql(newPath())
    const store = sqliteKeyStore(database)
    await store.ready?.(signal)
    database.exec('BEGIN')
    await expect(store.insert(recordOf(newKey()))).rejects.toMatchObject({ name: 'Error' })
    database.exec('ROLLBACK')
    expect(await store.list({})).toEqual([])
  })
})

describe('what it cannot use', () => {
  const refused = (path: string) => timed(() => openStore(path).ready?.(signal) ?? Promise.resolve())

  test.each<[string, (folder: string) => string, string]>([
    ['a path in a directory that there is not', (folder) => join(folder, 'secret-name', 'keys.db'), 'does not exist'],
    [
      'a path through a file',
      (folder) => (writeFileSync(join(folder, 'secret-name'), ''), join(folder, 'secret-name', 'x')),
      'no directory',
    ],
    ['a directory', (folder) => (mkdirSync(join(folder, 'secret-name')), join(folder, 'secret-name')), 'names no file'],
    [
      'a file that is no database',
      (folder) => (writeFileSync(join(folder, 'secret-name'), 'text '.repeat(1000)), join(folder, 'secret-name')),
      'not a SQLite database',
    ],
  ])('%s is refused by name, and the path is not told', async (_, pathIn, problem) => {
    const { error } = await refused(pathIn(newFolder()))
    expect(error).toBeInstanceOf(Error)
    expect((error as Error).message).toMatch(/^sqliteKeyStore/)
    expect((error as Error).message).toContain(problem)
    expect(JSON.stringify([error, String(error), String((error as Error).cause)])).not.toContain('secret-name')
  })

  test('a file that no longer lets itself be written', async () => {
    const database = openLibsql(newPath())
    const store = sqliteKeyStore(database)
    await store.ready?.(signal)
    database.exec('PRAGMA query_only = ON')
    await expect(store.insert(recordOf(newKey()))).rejects.toThrow('read-only')
  })

  test('tables of a newer version are refused and not changed', async () => {
    const path = newPath()
    const other = openLibsql(path)
    other.exec('CREATE TABLE healthcloud_schema (version INTEGER); INSERT INTO healthcloud_schema VALUES (2)')
    const { error } = await refused(path)
    expect(error).toMatchObject({ message: expect.stringMatching(/version 2, .* knows version 1\. Update/) as string })
    expect(other.prepare('SELECT name FROM sqlite_master').all()).toEqual([{ name: 'healthcloud_schema' }])
    expect(other.prepare('PRAGMA journal_mode').all()).toEqual([{ journal_mode: 'delete' }])
    other.exec("UPDATE healthcloud_schema SET version = 'none'")
    expect((await refused(path)).error).toMatchObject({
      message: expect.stringContaining('names no version') as string,
    })
  })

  test('a record that is damaged is handed out as what it is not, for the verifier to refuse', async () => {
    const path = newPath()
    const key = newKey('test')
    const store = openStore(path)
    await store.insert(recordOf(key, { id: 'key_1' }))
    openLibsql(path).exec("UPDATE healthcloud_keys SET record = 'broken'")
    const auth = createAuth({ environment: 'test', keys: { store } })
    expect(await auth.verify(key, { ip: null, secure: null, operation: 'test' })).toMatchObject({
      ok: false,
      status: 503,
      reason: 'store_invalid_record',
    })
    await auth.close()
  })

  test.each<[unknown, string]>([
    [undefined, 'neither a path nor an open database'],
    [42, 'neither a path nor an open database'],
    [{ prepare: () => null }, 'neither a path nor an open database'],
    [' ', 'path: is empty'],
    ['libsql://db.example.org?authToken=s3cret', 'path: is a URL'],
    ['file:keys.db', 'path: is a URL'],
  ])('%s is a mistake in the program', (source, problem) => {
    const mistake = () => sqliteKeyStore(source as string)
    expect(mistake).toThrow(ConfigError)
    expect(mistake).toThrow(problem)
    expect(mistake).not.toThrow('s3cret')
  })
})

describe('the engine', () => {
  test('that is nowhere is named with the command that installs it', async () => {
    const missing = Object.assign(new Error("Cannot find package 'libsql'"), { code: 'ERR_MODULE_NOT_FOUND' })
    const path = newPath()
    const store = createSqliteKeyStore(path, { builtin: () => undefined, installed: () => Promise.reject(missing) })
    await expect(store.ready?.(signal)).rejects.toThrow(/libsql is not installed\. Run: npm install libsql$/)
    expect(existsSync(path)).toBe(false)
  })

  test('that is installed for another platform is told from one that is not', async () => {
    const broken = Object.assign(new Error("Cannot find module '@libsql/x'"), { code: 'MODULE_NOT_FOUND' })
    const store = createSqliteKeyStore(newPath(), { builtin: () => undefined, installed: () => Promise.reject(broken) })
    await expect(store.ready?.(signal)).rejects.toThrow('does not load on this platform')
  })

  test('of Node goes before the package', async () => {
    let used = 0
    class DatabaseSync extends Libsql {
      constructor(path: string) {
        super(path)
        used += 1
      }
    }
    const installed = () => Promise.reject(new Error('not asked'))
    const store = closing(createSqliteKeyStore(newPath(), { builtin: () => ({ DatabaseSync }), installed }))
    await store.ready?.(signal)
    expect(used).toBe(1)
  })

  test('that failed once is tried again', async () => {
    let tries = 0
    const store = closing(
      createSqliteKeyStore(newPath(), {
        builtin: () => undefined,
        installed: async () => {
          tries += 1
          if (tries === 1) throw new Error('out of memory')
          return Libsql
        },
      }),
    )
    await expect(store.list({})).rejects.toThrow('sqliteKeyStore')
    expect(await store.list({})).toEqual([])
  })
})
