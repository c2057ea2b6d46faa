import { ConfigError, readStoreOptions } from '../../keys/store.ts'
import { ownMember } from '../../lib/own-member.ts'
import { hasMethod } from './client.ts'

/** Of `redisKeyStore`; every one has a default. */
export interface RedisKeyStoreOptions {
  /**
   * What the names of all keys and of the channel begin with: 1 to 64 printable ASCII characters, by default `{hc}:`. On a
   * cluster it needs a hash tag, the part in braces, so that all keys of the store are on one node.
   */
  readonly prefix?: string | undefined
}

/** @throws {ConfigError} for the first mistake; it names the option and the remedy, never the value. */
export function readPrefix(options: RedisKeyStoreOptions): string {
  const prefix = readStoreOptions('redisKeyStore', options, ['prefix']).get('prefix')
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
  if (readsFromReplicas(client)) {
    const problem = 'is a Cluster that may read from replicas, which lag behind: a revoked key would pass.'
    throw mistake('CONFIG_INVALID', 'client', [problem, "Leave out its option scaleReads, or give 'master'."])
  }
}

/** ioredis puts what it takes by default into `options` as well. */
function readsFromReplicas(client: unknown): boolean {
  if (ownMember(client, 'isCluster') !== true) return false
  const scaleReads = ownMember(ownMember(client, 'options'), 'scaleReads')
  return scaleReads !== undefined && scaleReads !== 'master'
}

function mistake(
  code: ConstructorParameters<typeof ConfigError>[0],
  name: string,
  [problem, remedy]: readonly [string, string],
): ConfigError {
  return new ConfigError(code, `redisKeyStore.${name}`, { problem, remedy })
}

/** The names of everything that a store keeps, all behind its prefix. */
export interface Names {
  readonly version: string
  /** Ids of all records, a sorted set with one score: its members are in order of their bytes. */
  readonly ids: string
  /** Revoked tokens, a sorted set by expiry in epoch milliseconds. */
  readonly revoked: string
  /** Where changes are published. */
  readonly channel: string
  /** The record's text. */
  key(id: string): string
  /** The id of the record with this digest. */
  digest(digest: string): string
  /** Ids of the records of one organization, like `ids`. */
  organization(organizationId: string): string
  /** When a key was last used, ISO 8601: beside the record, so that it conflicts with no change. */
  used(id: string): string
  /** A write that was made. */
  done(write: string): string
}

export function namesOf(prefix: string): Names {
  return Object.freeze({
    version: `${prefix}version`,
    ids: `${prefix}ids`,
    revoked: `${prefix}revoked`,
    channel: `${prefix}changes`,
    key: (id: string) => `${prefix}key:${id}`,
    digest: (digest: string) => `${prefix}digest:${digest}`,
    organization: (organizationId: string) => `${prefix}org:${organizationId}`,
    used: (id: string) => `${prefix}used:${id}`,
    done: (write: string) => `${prefix}done:${write}`,
  })
}
