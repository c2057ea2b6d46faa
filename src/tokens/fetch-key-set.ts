import { boundedFetch } from '../lib/bounded-fetch.ts'
import type { RemoteSettings } from './settings.ts'

const MAX_BYTES = 1_048_576

/**
 * The `keys` member of the JWK set at the URL. Rejects on everything but a 200 with a JSON object of at most 1 MiB within
 * the deadline; a redirect is not followed: keys come from where we were told, and from nowhere else.
 */
export async function fetchKeySet({ url, fetch, timeoutMs }: RemoteSettings): Promise<unknown> {
  const { status, text } = await boundedFetch({
    url,
    method: 'GET',
    headers: { accept: 'application/jwk-set+json, application/json' },
    body: null,
    fetch,
    timeoutMs,
    signal: null,
    again: false,
    maxBytes: MAX_BYTES,
    what: 'The key set',
  })
  if (status !== 200) throw new Error('The key set was not answered with 200.')
  const body: unknown = JSON.parse(text)
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, 'keys')) throw new Error('That is no key set.')
  return Reflect.get(body, 'keys')
}
