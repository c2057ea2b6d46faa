import { rawValues } from './raw-headers.ts'

/** The caller's `X-Request-Id` where it is harmless, else one of our own. */
export function requestIdFrom(rawHeaders: readonly string[], make: () => string): string {
  const values = rawValues(rawHeaders, 'x-request-id')
  const [id] = values
  return id !== undefined && values.length === 1 && isHarmless(id) ? id : make()
}

/** The id stands in the journal, in logs and in the answer: a key or a token put there would stand there, too. */
function isHarmless(id: string): boolean {
  return /^[\w.-]{1,64}$/.test(id) && !/hc_(?:live|test)_/i.test(id) && !holdsToken(id)
}

function holdsToken(id: string): boolean {
  const start = id.indexOf('eyJ')
  if (start === -1) return false
  const dot = id.indexOf('.', start)
  return dot !== -1 && id.includes('.', dot + 1)
}
