import { ConfigError } from '../../keys/store.ts'
import type { PostgresPool } from './pool.ts'

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
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    throw new ConfigError('CONFIG_INVALID', 'postgresKeyStore.options', {
      problem: 'are no object.',
      remedy: 'Leave them out, or give { table }.',
    })
  }
  // Own members alone: what every object inherits is no option.
  const own = new Map<string, unknown>(Object.entries(given))
  const unknown = [...own.keys()].find((name) => name !== 'table')
  if (unknown !== undefined) {
    throw new ConfigError('CONFIG_UNKNOWN_OPTION', `postgresKeyStore.${unknown}`, {
      problem: 'is no option.',
      remedy: 'The only one is `table`.',
    })
  }
  const table = own.get('table')
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
