import type { KeyStore } from '../keys/store.ts'
import type { SqliteDatabase } from './sqlite/database.ts'
import { createSqliteKeyStore } from './sqlite/key-store.ts'

export type { SqliteDatabase, SqliteStatement, SqliteValue } from './sqlite/database.ts'

/**
 * Keys in a SQLite file of this machine: the embedded store, for one server or several processes on one local disk.
 *
 * `path`: the file is opened at first use (made where there is none, readable for its owner alone) by `node:sqlite`, else
 * by the optional package `libsql`, and closed by `close()`; a later use opens it again. `:memory:` keeps nothing.
 * `database`: an open `DatabaseSync` of node:sqlite or `Database` of libsql or better-sqlite3. It is not closed; its
 * `busy_timeout` is set to 100 ms, its other settings stay. Give it to nobody who leaves transactions open: what this
 * store writes meanwhile is refused.
 *
 * The engine is synchronous: a look-up takes microseconds, but a write waits for the disk and at most 100 ms for another
 * connection's lock, and nothing else runs in this process meanwhile. Changes by other processes are seen every 500 ms.
 *
 * @throws ConfigError where it is given neither. Everything else is found by `ready()` or at first use, as a rejection.
 */
export function sqliteKeyStore(source: string | SqliteDatabase): KeyStore {
  return createSqliteKeyStore(source)
}
