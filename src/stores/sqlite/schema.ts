import { inTransaction, numberOf, type SqliteDatabase } from './database.ts'
import { storeError } from './failure.ts'

const VERSION = 1

/**
 * Named in full, for a database that is handed in may hold tables of others. Rows of `keys` have a rowid: the long texts
 * would make a tree by id deep, and a look-up by digest ends in a second tree anyway. Texts compare byte by byte.
 */
const TABLES = `
CREATE TABLE healthcloud_schema (version INTEGER NOT NULL);
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
INSERT INTO healthcloud_schema (version) VALUES (${VERSION});
`

/** 0: there are no tables yet. Refuses what a newer version wrote, before anything is changed. */
export function checkVersion(database: SqliteDatabase): number {
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

/** Makes the tables where there are none. */
export function makeTables(database: SqliteDatabase): void {
  if (checkVersion(database) !== 0) return
  inTransaction(database, () => {
    // Another process may have made them since.
    if (checkVersion(database) === 0) database.exec(TABLES)
  })
}
