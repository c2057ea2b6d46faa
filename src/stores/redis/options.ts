import { ConfigError } from '../../keys/store.ts'
import { hasMethod } from './client.ts'

export interface RedisKeyStoreOptions {
  /**
   * What the names of all keys and of the channel begin with: 1 to 64 printable ASCII characters, by default `{hc}:`. On a
   * cluster it needs a hash tag, the part in braces, so that all keys of the store are on one node.
   */
  readonly prefix?: string | undefined
}

/** @throws {ConfigError} for the first mistake; it names the option and the remedy, never the value. */
export function readPrefix(options: RedisKeyStoreOptions): string {
  if (typeof options !== 'object' || options === null) {
    throw mistake('CONFIG_INVALID', 'options', ['is no object.', 'Give `{ prefix }` or leave it out.'])
  }
  for (const name of Object.keys(options)) {
    if (name !== 'prefix') throw mistake('CONFIG_UNKNOWN_OPTION', name, ['is no option.', 'The only one is `prefix`.'])
  }
  const prefix = Object.hasOwn(options, 'prefix') ? options.prefix : undefined
  if (prefix === undefined) return '{hc}:'
  if (typeof prefix === 'string' && /^[\x21-\x7e]{1,64}$/.test(prefix)) return prefix
  const remedy = 'Give 1 to 64 printable ASCII characters without spaces, such as `{hc}:`.'
  throw mistake('CONFIG_INVALID', 'prefix', ['is not usable.', remedy])
}

const GIVE =
  'Give a client of node-redis (`createClient`) or of ioredis (`Redis` or `Cluster`); with node-redis a cluster, sentinel or pool object does not fit.'

/** Methods that the other objects of node-redis have, whose `sendCommand` takes something else. */
const OTHERS = ['getSlotRandomNode', 'getSentinelNode', 'acquire']

/** @throws {ConfigError} where the client is none that the store can work with. */
export function checkClient(client: unknown): void {
  const has = (name: string) => hasMethod(client, name)
  const fits = has('call')
    ? has('duplicate') && has('on')
    : ['sendCommand', 'duplicate', 'on', 'removeListener'].every(has) && !OTHERS.some(has)
  if (client === undefined || client === null) throw mistake('CONFIG_MISSING', 'client', ['is missing.', GIVE])
  if (!fits) throw mistake('CONFIG_INVALID', 'client', ['is no Redis client that is known here.', GIVE])
}

function mistake(
  code: ConstructorParameters<typeof ConfigError>[0],
  name: string,
  [problem, remedy]: readonly [string, string],
): ConfigError {
  return new ConfigError(code, `redisKeyStore.${name}`, { problem, remedy })
}
