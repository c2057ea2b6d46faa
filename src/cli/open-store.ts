import { existsSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { ConfigError } from '../errors.ts'
import type { KeyStore } from '../keys/store.ts'
import { secretText } from '../options/environment.ts'
import { readStoreUrl, type StoreUrl } from '../options/store-url.ts'
import { postgresKeyStore, type PostgresPool } from '../stores/postgres.ts'
import { redisKeyStore, type NodeRedisClient } from '../stores/redis.ts'
import { sqliteKeyStore } from '../stores/sqlite.ts'
import { loadDriver } from './load-driver.ts'
import type { Shell } from './shell.ts'
import { PATIENCE_MS, within } from './within.ts'

/** The key store of the environment. Nothing is opened before `reach`. */
export interface CommandStore {
  readonly store: KeyStore
  /** For people: kind and host, nothing else of the URL. */
  readonly place: string
  /** `false`: there is no such file yet, and `reach` would make it. */
  readonly exists: boolean
  /** The store answers, with tables that this version knows. Rejects within five seconds where it does not. */
  readonly reach: () => Promise<void>
  /** After `store.close`. */
  readonly close: () => Promise<void>
}

export const STORE_URL = 'HEALTHCLOUD_KEY_STORE_URL'

const FORMS = 'sqlite:<path>, postgres://<user>:<password>@<host>/<database> or redis://<host>'
/** Less than a command waits: a client says better what is wrong. */
const CONNECT_MS = 4000
const CLOSE_MS = 1000

/** @throws {ConfigError} where there is no usable URL, or its driver is not installed. The URL is never shown. */
export function prepareStore({ env, cwd }: Pick<Shell, 'env' | 'cwd'>): CommandStore {
  const source = secretText(env, STORE_URL)
  if (source === undefined) {
    throw new ConfigError('CONFIG_MISSING', STORE_URL, { problem: 'is not set.', remedy: `Set it to ${FORMS}.` })
  }
  const url = readStoreUrl(source.text)
  if (url === null) throw notUsable(source.name, 'is not the URL of a key store.', `Give ${FORMS}.`)
  if (url.kind === 'sqlite') return sqliteStore(url.path, { cwd, variable: source.name })
  const network = { cwd, host: hostOf(url, source.name), variable: source.name }
  return url.kind === 'postgres' ? postgresStore(url.url, network) : redisStore(url.url, network)
}

function sqliteStore(path: string, { cwd, variable }: { cwd: string; variable: string }): CommandStore {
  if (path === ':memory:') {
    throw notUsable(variable, 'keeps nothing: it is gone when this command ends.', 'Give sqlite:<path of a file>.')
  }
  const file = isAbsolute(path) ? path : join(cwd, path)
  const store = sqliteKeyStore(file)
  return { store, place: 'SQLite', exists: existsSync(file), reach: () => reach(store), close: async () => undefined }
}

interface Network {
  readonly cwd: string
  readonly host: string
  readonly variable: string
}

function postgresStore(connectionString: string, { cwd, host }: Network): CommandStore {
  const { Pool } = loadDriver('postgres', cwd) as { readonly Pool: new (options: object) => CommandPool }
  const pool = new Pool({ connectionString, max: 2, connectionTimeoutMillis: CONNECT_MS, application_name: 'hc-auth' })
  pool.on?.('error', ignore)
  const store = postgresKeyStore(pool)
  // A connection that hangs is never given back, and the pool waits for it without end.
  const close = () => Promise.race([pool.end(), rest(CLOSE_MS)]).catch(ignore)
  return { store, place: `PostgreSQL at ${host}`, exists: true, reach: () => reach(store), close }
}

interface CommandPool extends PostgresPool {
  end(): Promise<void>
}

function redisStore(url: string, { cwd, host, variable }: Network): CommandStore {
  const client = redisClient(url, { cwd, variable })
  client.on('error', ignore)
  const store = redisKeyStore(client)
  const connectAndAsk = async () => {
    await within(client.connect(), 'did not answer within 5 seconds.')
    await reach(store)
  }
  const close = async () => {
    // Throws where it never was connected.
    await Promise.resolve()
      .then(() => client.destroy())
      .catch(ignore)
  }
  return { store, place: `Redis at ${host}`, exists: true, reach: connectAndAsk, close }
}

function redisClient(url: string, { cwd, variable }: Omit<Network, 'host'>): CommandRedis {
  const driver = loadDriver('redis', cwd) as { readonly createClient: (options: object) => CommandRedis }
  try {
    return driver.createClient({
      url,
      name: 'hc-auth',
      disableOfflineQueue: true,
      socket: { connectTimeout: CONNECT_MS, reconnectStrategy: false },
    })
  } catch {
    // The client's own error quotes what it did not understand.
    throw notUsable(variable, 'is no URL that the Redis client takes.', 'Give redis://<host>:<port>/<database number>.')
  }
}

interface CommandRedis extends NodeRedisClient {
  connect(): Promise<unknown>
  destroy(): void
}

async function reach(store: KeyStore): Promise<void> {
  await within(Promise.resolve(store.ready?.(AbortSignal.timeout(PATIENCE_MS))), 'did not answer within 5 seconds.')
}

/** A password with an unescaped `/`, `?` or `#` would end up in the host, or behind it. */
function hostOf({ url }: Extract<StoreUrl, { url: string }>, variable: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || `${parsed.pathname}${parsed.search}${parsed.hash}`.includes('@')) {
    const remedy = 'Percent-encode what is special in its user name and password (%40 for @, %2F for /).'
    throw notUsable(variable, 'is no URL that can be read.', remedy)
  }
  return parsed.host === '' ? 'a local socket' : parsed.host
}

function notUsable(variable: string, problem: string, remedy: string): ConfigError {
  return new ConfigError('CONFIG_INVALID', variable, { problem, remedy })
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}

function ignore(): void {
  // Whoever waits for an answer hears of it by that.
}
