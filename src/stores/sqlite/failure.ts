import { ConfigError, StoreConflict } from '../../keys/store.ts'

/** How long a statement waits on another connection's lock. */
export const LOCK_WAIT_MS = 100

/** By the primary result code, which node:sqlite gives as a number. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [5, 'SQLITE_BUSY'],
  [6, 'SQLITE_LOCKED'],
  [8, 'SQLITE_READONLY'],
  [10, 'SQLITE_IOERR'],
  [11, 'SQLITE_CORRUPT'],
  [13, 'SQLITE_FULL'],
  [14, 'SQLITE_CANTOPEN'],
  [26, 'SQLITE_NOTADB'],
])

const TEXTS: readonly (readonly [name: string, problem: string, remedy: string])[] = [
  [
    'SQLITE_BUSY',
    `another connection has held the lock for more than ${LOCK_WAIT_MS} ms.`,
    'Find the program that keeps a transaction open.',
  ],
  ['SQLITE_LOCKED', 'another connection of this process holds the lock.', 'End its transaction first.'],
  ['SQLITE_READONLY', 'the database is read-only.', 'Make the file and its directory writable for this process.'],
  ['SQLITE_CORRUPT', 'the file is damaged.', 'Restore it from a backup.'],
  ['SQLITE_FULL', 'the disk is full.', 'Make room.'],
  [
    'SQLITE_CANTOPEN',
    'the file cannot be opened.',
    'Make it and its directory readable and writable for this process.',
  ],
  [
    'SQLITE_NOTADB',
    'the file is not a SQLite database.',
    'Give the path of one, or of a file that does not exist yet.',
  ],
]

/** A path that no database can be at. Never told itself: it may be a secret, given by mistake. */
export function pathError(problem: string, remedy: string): ConfigError {
  return new ConfigError('CONFIG_INVALID', 'sqliteKeyStore.path', { problem, remedy })
}

/** What this store rejects with when something is wrong with the database. */
export function storeError(problem: string, remedy: string, cause?: unknown): Error {
  return new Error(`sqliteKeyStore: ${problem} ${remedy}`, cause === undefined ? undefined : { cause })
}

export function isLocked(error: unknown): boolean {
  const name = resultOf(error)
  return name.startsWith('SQLITE_BUSY') || name.startsWith('SQLITE_LOCKED')
}

/** What the engine threw, in words: an outage, whatever it is, unless the store itself has refused. */
export function failureOf(error: unknown): unknown {
  if (error instanceof StoreConflict || isOwn(error)) return error
  const name = resultOf(error)
  const [, problem, remedy] = TEXTS.find(([each]) => name.startsWith(each)) ?? []
  if (problem !== undefined && remedy !== undefined) return storeError(problem, remedy, error)
  return storeError(`the engine failed (${name === '' ? 'no code' : name}).`, 'See the cause.', error)
}

function isOwn(error: unknown) {
  return error instanceof Error && error.message.startsWith('sqliteKeyStore: ')
}

/** The engine's result code by its name, or an empty text. */
function resultOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const result: unknown = Reflect.get(error, 'errcode')
  if (typeof result === 'number') return NAMES.get(result & 0xff) ?? `SQLite result ${result}`
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : ''
}
