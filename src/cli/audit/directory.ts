import { resolve } from 'node:path'
import { plainText, refuseUnknown } from '../../options/environment.ts'
import { CommandError, EXIT } from '../command-error.ts'
import type { Shell } from '../shell.ts'

export interface DirectoryOptions {
  readonly directory?: string
}

/** The option decides, then the variable. A relative path begins in the current directory. */
export function auditDirectory({ env, cwd }: Shell, { directory }: DirectoryOptions): string {
  if (directory !== undefined && directory.trim() !== '') return resolve(cwd, directory)
  // A misspelt variable is the likeliest reason for one that is missing.
  refuseUnknown(env)
  const named = plainText(env, 'HEALTHCLOUD_AUDIT_DIR')
  if (named !== undefined) return resolve(cwd, named)
  throw new CommandError(
    EXIT.configuration,
    'There is no audit journal to read. Give --directory, or set HEALTHCLOUD_AUDIT_DIR.',
  )
}

/** What the file system has thrown, as an error for whoever runs the command; anything else stays as it is. */
export function unreadable(error: unknown): unknown {
  const code = codeOf(error)
  if (code === null) return error
  return new CommandError(
    EXIT.unreachable,
    `The audit journal cannot be read (${code}).\n` +
      'Check the directory (--directory, HEALTHCLOUD_AUDIT_DIR), and that this user may read it.',
  )
}

/** Retention deletes segments while somebody reads. */
export function isGone(error: unknown): boolean {
  return codeOf(error) === 'ENOENT'
}

/** Errors of the system alone have a `syscall`: those of this program pass. */
function codeOf(error: unknown): string | null {
  if (!(error instanceof Error) || !Object.hasOwn(error, 'syscall')) return null
  const code: unknown = Object.hasOwn(error, 'code') ? Reflect.get(error, 'code') : undefined
  return typeof code === 'string' ? code : 'an error of the system'
}
