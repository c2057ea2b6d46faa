import { ConfigError, readStoreOptions } from '../../keys/store.ts'

/** What the store needs of a client that was taken from a pool: a `pg.PoolClient` fits. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  /** With an error or `true`, the connection is closed instead of going back to the pool. */
  release(error?: Error | boolean): void
  on(event: 'notification', listener: (message: PostgresNotification) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  removeListener(event: 'notification', listener: (message: PostgresNotification) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'end', listener: () => void): unknown
}

/** A message of `NOTIFY`, as the client hands it on. */
export interface PostgresNotification {
  readonly channel: string
  readonly payload?: string | undefined
}

/** What the store needs of a pool: a `pg.Pool` fits. */
export interface PostgresPool {
  /** Not called: what is asked through a connection of its own can be bounded, and ended. */
  query?(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  connect(): Promise<PostgresClient>
  on?(event: 'error', listener: (error: Error) => void): unknown
  on?(event: 'connect', listener: (client: PostgresClient) => void): unknown
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
  removeListener?(event: 'connect', listener: (client: PostgresClient) => void): unknown
}

/** Of `postgresKeyStore`; every one has a default. */
export interface PostgresKeyStoreOptions {
  /**
   * The table of the keys, by default `healthcloud_keys`; its sisters and the channel of the changes are named after it.
   * Made in the first schema of the connection's `search_path`.
   */
  readonly table?: string
}

const TABLE = /^[a-z_][a-z0-9_]{0,40}$/

/**
 * The pool as it was given: its methods are its own business, and are called on itself.
 * @throws {ConfigError} where it is none.
 */
export function readPool(pool: PostgresPool): PostgresPool {
  const given: unknown = pool
  if (typeof given !== 'object' || given === null || typeof Reflect.get(given, 'connect') !== 'function') {
    throw new ConfigError(given === undefined ? 'CONFIG_MISSING' : 'CONFIG_INVALID', 'postgresKeyStore.pool', {
      problem: 'is no pool: it has no `connect`.',
      remedy: 'Hand in a pg.Pool, such as new pg.Pool({ connectionString }).',
    })
  }
  return pool
}

/** @throws {ConfigError} for the first mistake; it names the option and the remedy. */
export function readTable(options: PostgresKeyStoreOptions): string {
  const table = readStoreOptions('postgresKeyStore', options, ['table']).get('table')
  if (table === undefined) return 'healthcloud_keys'
  if (typeof table !== 'string' || !TABLE.test(table)) {
    throw new ConfigError('CONFIG_INVALID', 'postgresKeyStore.table', {
      problem: 'is no name for a table.',
      remedy:
        'Use at most 41 lower-case letters, digits and underscores, no digit first; a schema is chosen by the ' +
        'search_path of the connection.',
    })
  }
  return table
}
