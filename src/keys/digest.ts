import { createHmac, createSecretKey, hash } from 'node:crypto'

/** A pepper, or plain SHA-256 where `'sha256'` stands. */
export type Pepper = { readonly id: string; readonly secret: Buffer } | 'sha256'

/** Digests of keys as a store holds them: `<pepperId or 'sha256'>:<base64url>`. */
export interface Digester {
  /** One a pepper, in their order: a key is looked up by all of them, so that peppers can be rotated. Frozen. */
  all(key: string): readonly string[]
  /** Of the first pepper: for new keys. */
  first(key: string): string
}

/**
 * HMAC-SHA-256 with each pepper; plain SHA-256 where there is none. With a pepper the plain digest counts only if the
 * list ends with it: whoever can write to the store could plant a key otherwise.
 * @throws {TypeError} where `'sha256'` stands before the end, since new keys would then go without a pepper.
 */
export function createDigester(peppers: readonly Pepper[]): Digester {
  if (peppers.slice(0, -1).includes('sha256')) throw new TypeError("'sha256' stands last in a list of peppers.")
  const digests = peppers.map(digestWith)
  const [first = plain] = digests
  const all = digests.length === 0 ? [plain] : digests
  return Object.freeze({
    all: (key: string) => Object.freeze(all.map((digest) => digest(key))),
    first: (key: string) => first(key),
  })
}

function digestWith(pepper: Pepper): (key: string) => string {
  if (pepper === 'sha256') return plain
  const { id } = pepper
  // A key object: handing the bytes over on each call costs up to five times as much.
  const secret = createSecretKey(pepper.secret)
  return (key) => `${id}:${createHmac('sha256', secret).update(key).digest('base64url')}`
}

function plain(key: string): string {
  return `sha256:${hash('sha256', key, 'base64url')}`
}
