import { setTimeout as delay } from 'node:timers/promises'
import { createChangeLog, type ChangeLog } from './change-log.ts'
import type { SqliteDatabase } from './database.ts'
import { loadDriver, type ClosableDatabase, type Drivers } from './driver.ts'
import { failureOf, isLocked, LOCK_WAIT_MS, pathError, storeError } from './failure.ts'
import { checkFile, identityOf, IN_MEMORY } from './file.ts'
import { createKeyTable, type KeyTable } from './key-table.ts'
import { createRevokedTokens, type RevokedTokens } from './revoked-tokens.ts'
import { checkTables, makeTables } from './schema.ts'

/** What an open database holds. */
export interface Tables {
  readonly keys: KeyTable
  readonly tokens: RevokedTokens
  readonly log: ChangeLog
  /** Throws where another file, or other tables, were put in the place of the open ones, and lets go of them. */
  checkPlace(): void
  close(): void
}

/** Opens at first use, again after it was closed, and again after a failure. */
export interface Connection {
  open(): Promise<Tables>
  close(): Promise<void>
}

type Opener = () => Promise<Tables>

export function createConnection(open: Opener): Connection {
  let tables: Promise<Tables> | null = null
  const forget = (which: Promise<Tables>) => {
    if (tables === which) tables = null
  }
  const begin = () => {
    const opening = open().then((opened) => ({
      ...opened,
      checkPlace: () => {
        try {
          opened.checkPlace()
        } catch (error) {
          forget(opening)
          opened.close()
          throw error
        }
      },
    }))
    opening.catch(() => forget(opening))
    return opening
  }
  return {
    open: () => {
      tables ??= begin()
      return tables
    },
    close: async () => {
      const closing = tables
      tables = null
      const opened = await closing?.catch(() => null)
      opened?.close()
    },
  }
}

/** Opens the file, and makes it at the first time alone: one that vanished later is an outage, not a store without keys. */
export function fileOpener(path: string, drivers?: Drivers): Opener {
  let known: string | null = null
  return async () => {
    const Database = await loadDriver(drivers)
    checkFile(path, known === null)
    if (known !== null && path === IN_MEMORY)
      throw storeError('the keys in memory are gone, it was closed.', 'Make a new store.')
    const database = openWith(() => new Database(path))
    try {
      const id = await whenUnlocked(() => prepareFile(database, known))
      known = id
      const identity = identityOf(path)
      const checkPlace = () => {
        const found = identityOf(path)
        // The engine goes on with a file that was deleted: better than none.
        if (found !== null && found !== identity) {
          throw storeError('another file was put in the place of the open one.', 'It is opened anew.')
        }
        checkTables(database, id)
      }
      return { ...tablesOf(database), checkPlace, close: () => closeFile(database) }
    } catch (error) {
      database.close()
      throw failureOf(error)
    }
  }
}

/** What was handed in is not closed, and keeps the journal mode and the synchronous setting that its owner chose. */
export function databaseOpener(database: SqliteDatabase): Opener {
  let known: string | null = null
  return async () => {
    try {
      limitWaiting(database)
      const id = makeTables(database, known)
      known = id
      return { ...tablesOf(database), checkPlace: () => void checkTables(database, id), close: () => undefined }
    } catch (error) {
      throw failureOf(error)
    }
  }
}

function openWith<T>(open: () => T): T {
  try {
    return open()
  } catch {
    // Without the cause: what the engine says here names the path.
    throw pathError('cannot be opened.', 'Give the path of a SQLite database that this process may write.')
  }
}

/**
 * A write-ahead log, so that readers never wait for writers. FULL, so that a power failure undoes nothing that was
 * answered: a revocation that came back to life would let a stolen key in, and records of keys are evidence.
 */
function prepareFile(database: SqliteDatabase, known: string | null): string {
  limitWaiting(database)
  checkTables(database, known)
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = FULL')
  return makeTables(database, known)
}

function limitWaiting(database: SqliteDatabase) {
  database.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`)
}

/**
 * Moves the log into the file first: with libsql a closed database lingers until its statements are collected, and a copy
 * of the file alone would lack what the log still holds.
 */
function closeFile(database: ClosableDatabase) {
  try {
    database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all()
  } catch {
    // Another connection is at work; the log stays and is complete.
  }
  database.close()
}

/** The engine does not wait where two processes change the journal mode of a new file at one time. */
async function whenUnlocked<T>(work: () => T): Promise<T> {
  const deadline = performance.now() + LOCK_WAIT_MS
  for (;;) {
    try {
      return work()
    } catch (error) {
      if (!isLocked(error) || performance.now() >= deadline) throw error
    }
    await delay(10)
  }
}

function tablesOf(database: SqliteDatabase): Pick<Tables, 'log' | 'keys' | 'tokens'> {
  const log = createChangeLog(database)
  return { log, keys: createKeyTable(database, log), tokens: createRevokedTokens(database, log) }
}
