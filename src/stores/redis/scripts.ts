/** The form of what is stored; a later version of this package that changes it writes another number. */
export const VERSION = '1'

/** For how long a write is remembered, so that a client which sends it again after a lost connection does not repeat it. */
const DONE_SECONDS = 600

/*
 * One script is one transaction, but what it has written before an error stays. So all that can fail comes first: every
 * check, the type of every key, and the notices, which may be forbidden to the user. Nobody sees between them and the
 * writes: whoever hears a notice and asks is answered after the script.
 *
 * A script answers `ok`, or why nothing was written: `exists`, `changed`, `version:<that of what is stored>`.
 *
 * KEYS: version, done, then those of the parts. ARGV: version, channel, then those of the parts.
 */

const BEGIN = `
local version = redis.call('GET', KEYS[1])
if version and version ~= ARGV[1] then return 'version:' .. version end
if redis.call('EXISTS', KEYS[2]) == 1 then return 'ok' end`

const END = `
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], '1', 'EX', ${DONE_SECONDS})
return 'ok'`

interface Part {
  readonly check: string
  readonly notice: string
  readonly write: string
}

/** KEYS from `k`: record, digest, ids, organization, used. ARGV from `a`: id, notice, text, used (empty: never). */
function insertion(k: number, a: number): Part {
  return {
    check: `
if redis.call('EXISTS', KEYS[${k}], KEYS[${k + 1}]) > 0 then return 'exists' end
redis.call('ZCARD', KEYS[${k + 2}])
redis.call('ZCARD', KEYS[${k + 3}])`,
    notice: `
redis.call('PUBLISH', ARGV[2], ARGV[${a + 1}])`,
    write: `
redis.call('SET', KEYS[${k}], ARGV[${a + 2}])
redis.call('SET', KEYS[${k + 1}], ARGV[${a}])
redis.call('ZADD', KEYS[${k + 2}], 0, ARGV[${a}])
redis.call('ZADD', KEYS[${k + 3}], 0, ARGV[${a}])
if ARGV[${a + 3}] ~= '' then redis.call('SET', KEYS[${k + 4}], ARGV[${a + 3}]) end`,
  }
}

/** KEYS from `k`: record, organization before, organization after. ARGV from `a`: id, notice, text before, text after. */
function exchange(k: number, a: number): Part {
  return {
    check: `
if redis.call('GET', KEYS[${k}]) ~= ARGV[${a + 2}] then return 'changed' end
redis.call('ZCARD', KEYS[${k + 1}])
redis.call('ZCARD', KEYS[${k + 2}])`,
    notice: `
redis.call('PUBLISH', ARGV[2], ARGV[${a + 1}])`,
    write: `
redis.call('SET', KEYS[${k}], ARGV[${a + 3}])
if KEYS[${k + 1}] ~= KEYS[${k + 2}] then
  redis.call('ZREM', KEYS[${k + 1}], ARGV[${a}])
  redis.call('ZADD', KEYS[${k + 2}], 0, ARGV[${a}])
end`,
  }
}

function scriptOf(...parts: readonly Part[]): string {
  const all = (name: keyof Part) => parts.map((part) => part[name]).join('')
  return `${BEGIN}${all('check')}${all('notice')}${all('write')}${END}`
}

export const INSERT: string = scriptOf(insertion(3, 3))
export const UPDATE: string = scriptOf(exchange(3, 3))
export const REPLACE: string = scriptOf(exchange(3, 3), insertion(6, 7))

/** KEYS: version, done, revoked. ARGV: version, channel, token id, notice, its expiry, the expiry up to which all go (both in ms). */
export const REVOKE_TOKEN: string = `${BEGIN}
local known = redis.call('ZSCORE', KEYS[3], ARGV[3])
redis.call('PUBLISH', ARGV[2], ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[6])
if not known or tonumber(known) < tonumber(ARGV[5]) then redis.call('ZADD', KEYS[3], ARGV[5], ARGV[3]) end${END}`

/** KEYS: used. ARGV: an instant, ISO 8601, whose texts are in the order of time. Answers with the last use by then. */
export const MARK_USED = `
local known = redis.call('GET', KEYS[1])
if known and known >= ARGV[1] then return known end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]`
