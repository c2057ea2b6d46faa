import { resolve } from 'node:path'
import {
  ConfigError,
  type KeyLookup,
  type KeyQuery,
  type KeyRecord,
  type KeyStore,
  type TokenRevocation,
} from '../../keys/store.ts'
import { createConnection, databaseOpener, fileOpener, type Tables } from './connection.ts'
import type { SqliteDatabase } from './database.ts'
import type { Drivers } from './driver.ts'
import { failureOf, pathError } from './failure.ts'
import { createFeed } from './feed.ts'
import { IN_MEMORY } from './file.ts'

/** With the engines to choose from, for tests. */
export function createSqliteKeyStore(source: string | SqliteDatabase, drivers?: Drivers): KeyStore {
  const connection = createConnection(openerOf(source, drivers))
  const feed = createFeed(connection.open)
  const open = async () => {
    const tables = await connection.open()
    feed.resume()
    return tables
  }
  const read = <T>(work: (tables: Tables) => T) => open().then((tables) => guarded(() => work(tables)))
  const write = <T>(work: (tables: Tables) => T) =>
    open().then((tables) => {
      const result = guarded(() => work(tables))
      feed.wrote(tables)
      return result
    })

  return Object.freeze({
    name: 'sqlite',
    can: Object.freeze({ write: true, watch: true, list: true, get: true, revocations: true }),
    find: ({ digests }: KeyLookup) => read(({ keys }) => keys.byDigests(digests)),
    get: (id: string) => read(({ keys }) => keys.byId(id)),
    list: (query: KeyQuery) => read(({ keys }) => keys.page(query)),
    insert: (record: KeyRecord) => write(({ keys }) => keys.add(record)),
    replace: (old: KeyRecord, fresh: KeyRecord) => write(({ keys }) => keys.replace(old, fresh)),
    update: (id: string, change: Partial<KeyRecord>) => write(({ keys }) => keys.change(id, change)),
    revokeToken: (revocation: TokenRevocation) => write(({ tokens }) => tokens.add(revocation)),
    revokedTokens: () => read(({ tokens }) => tokens.all()),
    watch: feed.watch,
    ready: () => read(({ keys }) => void keys.byId('')),
    close: async () => {
      feed.pause()
      await connection.close()
    },
  })
}

function openerOf(source: unknown, drivers: Drivers | undefined) {
  if (typeof source === 'string') return fileOpener(checkedPath(source), drivers)
  if (isDatabase(source)) return databaseOpener(source)
  throw new ConfigError('CONFIG_INVALID', 'sqliteKeyStore', {
    problem: 'is given neither a path nor an open database.',
    remedy: 'Give the path of a file, or an object with prepare and exec.',
  })
}

/** From here on the same file, wherever the process goes. */
function checkedPath(path: string): string {
  if (path === IN_MEMORY) return path
  if (path.trim() === '') throw pathError('is empty.', 'Give the path of a file.')
  // Two letters at least: one is a drive of Windows. libsql would take some of them as the address of a server.
  if (/^[a-z][a-z0-9+.-]+:/i.test(path)) {
    throw pathError('is a URL.', 'Give the path of a file, without a scheme.')
  }
  return resolve(path)
}

function isDatabase(source: unknown): source is SqliteDatabase {
  if (typeof source !== 'object' || source === null) return false
  return ['prepare', 'exec'].every((name) => typeof Reflect.get(source, name) === 'function')
}

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw failureOf(error)
  }
}
