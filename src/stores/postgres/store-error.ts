import { StoreConflict } from '../../keys/store.ts'

const OURS = 'The PostgreSQL key store could not'
const UNIQUE_VIOLATION = '23505'
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * What the store rejects with. Only the first line of what PostgreSQL said, and its SQLSTATE: the rest of such an error
 * quotes whole rows, with the digest in them.
 */
export function storeError(error: unknown, doing: string): Error {
  if (error instanceof StoreConflict || (error instanceof Error && error.message.startsWith(OURS))) return error
  const code = codeOf(error)
  if (code === UNIQUE_VIOLATION) return new StoreConflict('A record with this id or digest exists.')
  const said = code === LOCK_NOT_AVAILABLE ? 'another change held its lock for too long; try again.' : messageOf(error)
  return Object.assign(new Error(`${OURS} ${doing}: ${said}`), code === null ? {} : { code })
}

export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === LOCK_NOT_AVAILABLE
}

function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !Object.hasOwn(error, 'code')) return null
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : null
}

/** Node gives no message where it tried more than one address, but a code. */
function messageOf(error: unknown): string {
  const message = error instanceof Error && error.message !== '' ? error.message : (codeOf(error) ?? 'unknown error')
  return message.split('\n', 1)[0] ?? message
}
