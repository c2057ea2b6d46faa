/** What a client's error says, without what it carries: ioredis adds the command with its arguments, Redis may quote them. */
export function redisError(error: unknown): Error {
  const said = error instanceof Error ? error.message : ''
  const code = codeOf(error, said)
  const text = (said.split(/[\r\n]|, with args/, 1)[0] ?? '').slice(0, 300)
  const remedy = code === 'CROSSSLOT' ? ' On a cluster the prefix needs a hash tag, such as `{hc}:`.' : ''
  return Object.assign(new Error(`Redis: ${text === '' ? (code ?? 'the command failed') : text}${remedy}`), { code })
}

/** Of the network (`ECONNREFUSED`), or the first word of Redis' own errors (`WRONGTYPE`). */
function codeOf(error: unknown, said: string): string | undefined {
  const code: unknown = error instanceof Error && Object.hasOwn(error, 'code') ? Reflect.get(error, 'code') : undefined
  if (typeof code === 'string') return code
  return /^[A-Z]{3,}(?= )/.exec(said)?.[0]
}
