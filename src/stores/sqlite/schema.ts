import { ownMember } from '../../lib/own-member.ts'
import { inTransaction, numberOf, type SqliteDatabase } from './database.ts'
import { storeError } from './failure.ts'

const VERSION = 1

/**
 * Named in full, for a database that is handed in may hold tables of others. Rows of `keys` have a rowid: the long texts
 * would make a tree by id deep, and a look-up by digest ends in a second tree anyway. Texts compare byte by byte.
 */
const TABLES = `
CREATE TABLE healthcloud_schema (version INTEGER NOT NULL, store_id TEXT NOT NULL);
CREATE TABLE healthcloud_keys (
  id TEXT PRIMARY KEY NOT NULL,
  digest TEXT UNIQUE NOT NULL,
  organization_id TEXT NOT NULL,
  last_used_at INTEGER,
  record TEXT NOT NULL
);
CREATE INDEX healthcloud_keys_by_organization ON healthcloud_keys (organization_id, id);
CREATE TABLE healthcloud_changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, key_id TEXT, token_id TEXT);
CREATE TABLE healthcloud_revoked_tokens (token_id TEXT PRIMARY KEY NOT NULL, expires_at INTEGER NOT NULL);
CREATE INDEX healthcloud_revoked_tokens_by_expiry ON healthcloud_revoked_tokens (expires_at);
INSERT INTO healthcloud_schema (version, store_id) VALUES (${VERSION}, lower(hex(randomblob(16))));
`

/**
 * The id of the store that the tables hold, which a copy of them shares; `null`: there are none yet. Refuses, before anything
 * is changed, what a newer version wrote, and where the store was open before (`known`) and is gone: without its keys every
 * one would be unknown, which is an outage and no answer.
 */
export function checkTables(database: SqliteDatabase, known: string | null): string | null {
  const version = versionOf(database)
  if (version === 0) {
    if (known === null) return null
    throw storeError('the file has no tables any more.', 'Restore it from a backup.')
  }
  const [row] = database.prepare('SELECT store_id FROM healthcloud_schema').all()
  const id = String(ownMember(row, 'store_id'))
  if (known === null || id === known) return id
  throw storeError(
    'the tables are not those that were open before: somebody made them anew.',
    'Restore the file from a backup; if this is the store you want, start the process anew.',
  )
}

/** Makes the tables where there are none, and where there never were any. Gives the id of the store. */
export function makeTables(database: SqliteDatabase, known: string | null): string {
  const make = () => {
    // Another process may have made them since.
    const made = checkTables(database, known)
    if (made !== null) return made
    database.exec(TABLES)
    return String(checkTables(database, known))
  }
  return checkTables(database, known) ?? inTransaction(database, make)
}

/** 0: there are no tables. */
function versionOf(database: SqliteDatabase): number {
  const tables = numberOf(database.prepare("SELECT count(*) FROM sqlite_master WHERE name = 'healthcloud_schema'"))
  if (tables === 0) return 0
  const version = numberOf(database.prepare('SELECT max(version) FROM healthcloud_schema'))
  if (version === VERSION) return version
  if (version > VERSION) {
    throw storeError(
      `the tables are of version ${version}, written by a newer @healthcloud/auth; this one knows version ${VERSION}.`,
      'Update the package here.',
    )
  }
  throw storeError('the table healthcloud_schema names no version that there is.', 'Restore the file from a backup.')
}
