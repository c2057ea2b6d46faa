/** What the store binds to a statement. */
export type SqliteValue = string | number | null

/** A prepared statement. `all` and `run` alone are used: a `get` may leave the statement, and its read snapshot, open. */
export interface SqliteStatement {
  all(...values: SqliteValue[]): unknown[]
  run(...values: SqliteValue[]): unknown
}

/** An open database: `DatabaseSync` of node:sqlite, and `Database` of libsql and better-sqlite3, fit. */
export interface SqliteDatabase {
  prepare(sql: string): SqliteStatement
  exec(sql: string): unknown
}

/** All of `work` or nothing of it. Takes the write lock at once, so that nothing changes between its reads and its writes. */
export function inTransaction<T>(database: SqliteDatabase, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    rollBack(database)
    throw error
  }
}

function rollBack(database: SqliteDatabase) {
  try {
    database.exec('ROLLBACK')
  } catch {
    // The engine rolls back by itself where the disk is full or broken; what failed first is what is told.
  }
}

/** The one number that a statement gives; some drivers give a bigint. */
export function numberOf(statement: SqliteStatement): number {
  const [row] = statement.all()
  return typeof row === 'object' && row !== null ? Number(Object.values(row)[0]) : Number.NaN
}
