/** A reply that is a text, or `null` for nothing. @throws for any other, which is never "nothing". */
export function textOf(reply: unknown): string | null {
  if (reply === null || typeof reply === 'string') return reply
  if (Buffer.isBuffer(reply)) return reply.toString()
  throw new TypeError('Redis: a reply that is no text.')
}

/** A reply that is a list; of pairs too, which RESP3 gives as lists and RESP2 one after the other. */
export function listOf(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new TypeError('Redis: a reply that is no list.')
  return (reply as readonly unknown[]).flat()
}
