import type {
  KeyChange,
  KeyLookup,
  KeyQuery,
  KeyRecord,
  KeyStore,
  StoreContext,
  TokenRevocation,
} from '../keys/store.ts'
import { systemClock } from '../lib/clock.ts'
import { send, survivingErrors, type RedisClient } from './redis/client.ts'
import { createCommands } from './redis/commands.ts'
import { createCondition, refuseEviction } from './redis/condition.ts'
import { createFeed, HEARTBEAT } from './redis/feed.ts'
import { openLine } from './redis/line.ts'
import { checkClient, namesOf, readPrefix, type RedisKeyStoreOptions } from './redis/options.ts'
import {
  findRecord,
  getRecord,
  insertRecord,
  listRecords,
  readRevocations,
  replaceRecord,
  updateRecord,
  writeRevocation,
  type Shelf,
} from './redis/records.ts'

export type { IoRedisClient, NodeRedisClient, NodeRedisSubscriber, RedisClient } from './redis/client.ts'
export type { RedisKeyStoreOptions } from './redis/options.ts'

/**
 * Keys in Redis 5 or later, by a client of node-redis (5, 6) or ioredis (5) that is handed in, connected, and stays its
 * owner's: the store never closes it. It listens to the client's `error` events, so that a lost connection cannot end the
 * process; to log them, listen as well. Changes reach every instance by publish/subscribe, over a duplicate of the client
 * that is opened when somebody watches and closed when nobody does.
 *
 * - Redis must not evict: `ready()` refuses a `maxmemory-policy` other than `noeviction` where memory is limited.
 * - Redis must keep its data over a restart (`appendonly yes`), and that is its operator's to see to. A store that has seen
 *   keys and finds that Redis lost them all answers with errors, not with "unknown".
 * - On a cluster (ioredis `Cluster`) the prefix needs a hash tag, as the default `{hc}:` has: all keys are on one node.
 *   Its `scaleReads` must be left at `master`: replicas lag behind.
 * - Its Redis user needs GET, MGET, ZRANGE, ZRANGEBYLEX on `<prefix>*`, PUBLISH and SUBSCRIBE on `<prefix>changes`, to
 *   write also EVAL, SET, EXISTS, ZADD, ZREM, ZCARD, ZSCORE, ZREMRANGEBYSCORE; INFO if the policy is to be checked.
 *
 * @throws {ConfigError} where the client or an option does not fit.
 */
export function redisKeyStore(client: RedisClient, options: RedisKeyStoreOptions = {}): KeyStore {
  checkClient(client)
  const prefix = readPrefix(options)
  const names = namesOf(prefix)
  const clock = systemClock
  const commands = createCommands((command, signal) => send(client, command, signal), clock)
  const shelf: Shelf = Object.freeze({ commands, names, prefix, condition: createCondition(prefix) })
  const feed = createFeed({
    open: (handlers) => openLine(client, names.channel, handlers),
    beat: () => commands.ask([['PUBLISH', names.channel, HEARTBEAT]]),
    clock,
  })
  let mute: (() => void) | null = survivingErrors(client)
  /** Another `auth` may go on to use a store that one has closed. */
  const inUse = (): Shelf => {
    mute ??= survivingErrors(client)
    feed.wake()
    return shelf
  }

  return Object.freeze({
    name: 'redis',
    can: Object.freeze({ write: true, watch: true, list: true, get: true, revocations: true }),
    find: async ({ digests }: KeyLookup, { signal }: StoreContext) => findRecord(inUse(), digests, signal),
    get: async (id: string, { signal }: StoreContext) => getRecord(inUse(), id, signal),
    insert: async (record: KeyRecord) => insertRecord(inUse(), record),
    replace: async (old: KeyRecord, fresh: KeyRecord) => replaceRecord(inUse(), old, fresh),
    update: async (id: string, change: Partial<KeyRecord>) => updateRecord(inUse(), id, change),
    list: async (query: KeyQuery) => listRecords(inUse(), query),
    revokeToken: async (revocation: TokenRevocation) => writeRevocation(inUse(), revocation),
    revokedTokens: async () => readRevocations(inUse()),
    watch: async (on: (change: KeyChange) => void) => {
      inUse()
      return feed.watch(on)
    },
    ready: async (signal: AbortSignal) => {
      const { condition } = inUse()
      const [version] = await commands.ask([['GET', names.version]], signal)
      condition.check(version)
      await refuseEviction(commands, signal)
    },
    close: async () => {
      feed.close()
      mute?.()
      mute = null
    },
  })
}
