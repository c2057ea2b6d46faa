import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError } from '../../keys/store.ts'
import { pathError } from './failure.ts'

export const IN_MEMORY = ':memory:'

const WRITABLE = constants.R_OK | constants.W_OK

const PROBLEMS: ReadonlyMap<unknown, readonly [problem: string, remedy: string]> = new Map([
  ['ENOENT', ['does not exist, or its directory does not.', 'Create the directory, or give another path.']],
  ['ENOTDIR', ['leads through something that is no directory.', 'Give the path of a file.']],
  ['EACCES', ['is not readable and writable for this process, or its directory is not.', 'Change the permissions.']],
  ['EPERM', ['is not readable and writable for this process, or its directory is not.', 'Change the permissions.']],
  ['EROFS', ['lies on a read-only file system.', 'Give a path on a writable one.']],
])

/**
 * Refuses a path that no database can be at. Makes the file where there is none and `mayCreate` says so, for its owner
 * alone: it holds digests of keys. One that exists is never opened: closing it would drop the locks that the engine holds.
 */
export function checkFile(path: string, mayCreate: boolean): void {
  if (path === IN_MEMORY) return
  try {
    if (mayCreate) create(path)
    if (!statSync(path).isFile()) throw pathError('names no file.', 'Give the path of a file.')
    accessSync(path, WRITABLE)
    // The engine keeps its log beside the file.
    accessSync(dirname(path), WRITABLE)
  } catch (error) {
    const code = codeOf(error)
    if (error instanceof ConfigError || typeof code !== 'string') throw error
    const [problem, remedy] = PROBLEMS.get(code) ?? [`cannot be used (${code}).`, 'Give another path.']
    throw pathError(problem, remedy)
  }
}

/** Tells one file from another that was put in its place; `null` where there is none. */
export function identityOf(path: string): string | null {
  if (path === IN_MEMORY) return path
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? null : `${found.dev}:${found.ino}`
}

function create(path: string) {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined
}
