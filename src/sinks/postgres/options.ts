import { ENGINE_OPTIONS, readEngineOptions, readText, type EngineSettings } from '../../lib/engine-options.ts'
import { readOwnOptions } from '../../lib/own-options.ts'

/** What the sink needs of a client that was taken from a pool: a `pg.PoolClient` fits. */
export interface PostgresSinkClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  /** With `true`, the connection is closed instead of going back to the pool. */
  release(error?: Error | boolean): void
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

/** What the sink needs of a pool: a `pg.Pool` fits. */
export interface PostgresSinkPool {
  /** Not called: what is asked through a connection of its own can be bounded, and ended. */
  query?(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  connect(): Promise<PostgresSinkClient>
  on?(event: 'error', listener: (error: Error) => void): unknown
  on?(event: 'connect', listener: (client: PostgresSinkClient) => void): unknown
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
  removeListener?(event: 'connect', listener: (client: PostgresSinkClient) => void): unknown
}

/** Of `postgresSink`; every one has a default. */
export interface PostgresSinkOptions {
  /** Name of the sink in `auth.health()`, and of its cursor. Default `postgres`. */
  readonly name?: string | undefined
  /**
   * The table of the events, by default `hc_audit_events`; its sister with the version is named after it. Made in the first
   * schema of the connection's `search_path` where it is not there.
   */
  readonly table?: string | undefined
  /** Segments of the journal stay on this machine until the database has their events. Default `false`. */
  readonly required?: boolean | undefined
  /** You keep the table for `retentionDays`: local segments may go earlier (`localDays`). Default `false`. */
  readonly retains?: boolean | undefined
  /** For a batch as a whole, the wait for a connection included; milliseconds, at most 60,000. Default 10,000. */
  readonly timeoutMs?: number | undefined
}

export interface PostgresSinkSettings extends EngineSettings {
  readonly table: string
}

const TABLE = {
  fallback: 'hc_audit_events',
  form: /^[a-z_][a-z0-9_]{0,40}$/,
  remedy:
    'Use at most 41 lower-case letters, digits and underscores, no digit first; a schema is chosen by the search_path of ' +
    'the connection.',
}

/** @throws {TypeError} where it is no pool. */
export function readPool(pool: PostgresSinkPool): PostgresSinkPool {
  const given: unknown = pool
  if (typeof given !== 'object' || given === null || typeof Reflect.get(given, 'connect') !== 'function')
    throw new TypeError('postgresSink takes a pool: hand in a pg.Pool, such as new pg.Pool({ connectionString }).')
  return pool
}

/** @throws {TypeError} for the first mistake; it names the option and the remedy. */
export function readOptions(options: PostgresSinkOptions): PostgresSinkSettings {
  const own = readOwnOptions('postgresSink', options, [...ENGINE_OPTIONS, 'table'])
  return Object.freeze({ ...readEngineOptions(own, 'postgres'), table: readText(own, 'table', TABLE) })
}
