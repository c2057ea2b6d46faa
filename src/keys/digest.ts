import { createHmac, createSecretKey, hash } from 'node:crypto'

/** A pepper, or plain SHA-256 where `'sha256'` stands. */
export type Pepper = { readonly id: string; readonly secret: Buffer } | 'sha256'

/** Digests of keys as a store holds them: `<pepperId or 'sha256'>:<base64url>`. */
export interface Digester {
  /** One a pepper, in their order: a key is looked up by all of them, so that peppers can be rotated. */
  all(key: string): readonly string[]
  /** Of the first pepper: for new keys. */
  first(key: string): string
}

/**
 * HMAC-SHA-256 with each pepper. The plain digest counts only if the list says so: whoever can write to the store could
 * plant a key otherwise.
 */
export function createDigester(peppers: readonly Pepper[]): Digester {
  const digests = (peppers.length === 0 ? (['sha256'] as const) : peppers).map(digestWith)
  const [first = plain] = digests
  return Object.freeze({
    all: (key: string) => digests.map((digest) => digest(key)),
    first: (key: string) => first(key),
  })
}

function digestWith(pepper: Pepper): (key: string) => string {
  if (pepper === 'sha256') return plain
  const secret = createSecretKey(pepper.secret)
  return (key) => `${pepper.id}:${createHmac('sha256', secret).update(key).digest('base64url')}`
}

function plain(key: string): string {
  return `sha256:${hash('sha256', key, 'base64url')}`
}
