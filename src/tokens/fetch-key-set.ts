import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import type { RemoteSettings } from './settings.ts'

const MAX_BYTES = 1_048_576

/**
 * The `keys` member of the JWK set at the URL. Rejects on everything but a 200 with a JSON object of at most 1 MiB within
 * the deadline; a redirect is not followed: keys come from where we were told, and from nowhere else.
 */
export async function fetchKeySet({ url, fetch, timeoutMs }: RemoteSettings): Promise<unknown> {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  // A race besides the signal: a `fetch` that was handed in may not listen to it.
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      controller.abort()
      reject(new Error('The key set did not arrive in time.'))
    }, timeoutMs).unref()
  })
  try {
    return await Promise.race([request(url, fetch, controller.signal), deadline])
  } finally {
    clearTimeout(timer)
    controller.abort()
  }
}

async function request(url: URL, fetch: RemoteSettings['fetch'], signal: AbortSignal): Promise<unknown> {
  const headers = inheritingNothing({ accept: 'application/jwk-set+json, application/json' })
  // Method and body are said although they are the defaults: `fetch` looks for what is left out in `Object.prototype`.
  const init: RequestInit = { method: 'GET', body: null, redirect: 'manual', signal, headers }
  const response = await fetch(url, inheritingNothing(init))
  if (response.status !== 200) throw new Error('The key set was not answered with 200.')
  const body: unknown = JSON.parse(await readText(response))
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, 'keys')) throw new Error('That is no key set.')
  return Reflect.get(body, 'keys')
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_BYTES) throw new Error('The key set is too large.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
