import { randomBytes } from 'node:crypto'
import { StoreCapabilityError, type KeyLookup, type KeyStore, type StoreContext } from '../keys/store.ts'
import { randomBase62 } from '../lib/base62.ts'
import { boundedFetch } from '../lib/bounded-fetch.ts'
import { readMembers, recordOf, type Members } from './introspection/answer.ts'
import { readOptions, type IntrospectionOptions, type IntrospectionSettings } from './introspection/options.ts'

export type { IntrospectionOptions } from './introspection/options.ts'

const MAX_BYTES = 65_536
const DEFAULT_TIMEOUT_MS = 2000
/** Of a look-up, however it is configured. */
const MAX_TIMEOUT_MS = 30_000

/**
 * Holds no keys: asks HealthCloud's introspection endpoint (RFC 7662) about each, with the key itself. An active answer
 * must have the members `org`, `env`, `key_id`, `scope` (space-separated), `allowed_cidrs` (list of CIDR blocks; empty: any
 * address) and `valid_until` (ISO 8601 UTC or NumericDate; `null`: not rotated); `exp` and `iat` (NumericDate) are optional.
 * Read-only: whatever else a key store does rejects with `StoreCapabilityError`. No change is pushed, so that a revoked key
 * works on for `keys.cacheSeconds`.
 * @throws {ConfigError} for an option that is missing, misspelt or wrong.
 */
export function introspectionKeyStore(options: IntrospectionOptions): KeyStore {
  const settings = readOptions(options)
  return Object.freeze({
    name: 'introspection',
    can: Object.freeze({ write: false, watch: false, list: false, get: false, revocations: false }),
    timeoutMs: settings.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    find: async (lookup: KeyLookup, { signal }: StoreContext) => {
      const answer = await introspect(settings, lookup.reveal(), signal)
      return answer.get('active') === false ? null : recordOf(answer, lookup.digests[0] ?? '')
    },
    get: cannot('look keys up by id'),
    insert: cannot('insert keys'),
    replace: cannot('rotate keys'),
    update: cannot('change keys'),
    list: cannot('list keys'),
    ready: (signal: AbortSignal) => proveAnswers(settings, signal),
  })
}

function cannot(what: string): () => Promise<never> {
  return async () => {
    throw new StoreCapabilityError(`The introspection store cannot ${what}: HealthCloud keeps them. Use its console.`)
  }
}

/** What the endpoint says about a key. Rejects unless it says it properly: an outage is never "unknown". */
async function introspect(settings: IntrospectionSettings, key: string, signal: AbortSignal): Promise<Members> {
  const { url, fetch, clientCredential } = settings
  const what = `The introspection endpoint at ${url.host}`
  const { status, mediaType, text } = await boundedFetch({
    url,
    fetch,
    signal,
    timeoutMs: settings.timeoutMs ?? MAX_TIMEOUT_MS,
    what,
    again: true,
    maxBytes: MAX_BYTES,
    method: 'POST',
    headers: {
      accept: 'application/json',
      'accept-encoding': 'identity',
      authorization: `Bearer ${clientCredential}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    // The hint is the registered one that fits best (RFC 7009 section 4.1.2); one that is not registered may be refused.
    body: formOf({ token: key, token_type_hint: 'access_token' }),
  })
  if (status !== 200) throw new Error(`${what} answered ${status}${remedyFor(status)}.`)
  if (mediaType !== 'application/json') throw new Error(`${what} answered with something else than application/json.`)
  const members = readMembers(text)
  if (members === null) throw new Error(`${what} answered with something else than one JSON object.`)
  return members
}

function formOf(members: Readonly<Record<string, string>>): string {
  return new URLSearchParams(Object.entries(members)).toString()
}

function remedyFor(status: number): string {
  if (status === 401 || status === 403) return ': check clientCredential'
  if (status === 404 || status === 405) return ': check url'
  return status >= 300 && status < 400 ? ': give the url that it redirects to' : ''
}

/** Asks about a key that nobody has: only an endpoint that takes our credential, and knows no from yes, says "inactive". */
async function proveAnswers(settings: IntrospectionSettings, signal: AbortSignal): Promise<void> {
  const environment = settings.clientCredential.startsWith('hc_test_') ? 'test' : 'live'
  const nobodys = `hc_${environment}_sk_${randomBase62(16, randomBytes)}`
  const answer = await introspect(settings, nobodys, signal)
  if (answer.get('active') === false) return
  throw new Error(`The introspection endpoint at ${settings.url.host} does not say that an unknown key is inactive.`)
}
