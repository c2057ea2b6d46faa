import { accessSync, closeSync, constants, existsSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder itself, or the nearest one above it that there is. */
export function existingFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existingFolder(dirname(path))
}

/** The system's code for why this user cannot make a file there; `null`: he can. Tried, not asked: root may write anywhere. */
export function whyNotWritable(folder: string): string | null {
  try {
    if (!statSync(folder).isDirectory()) return 'ENOTDIR'
    accessSync(folder, constants.W_OK | constants.X_OK)
    const probe = join(folder, `.hc-auth-${process.pid}`)
    closeSync(openSync(probe, 'wx', 0o600))
    rmSync(probe)
    return null
  } catch (error) {
    return systemCode(error)
  }
}

/** What the system calls it: `EACCES`. Its own message holds the path. */
export function systemCode(error: unknown): string {
  const code: unknown = error instanceof Error && Object.hasOwn(error, 'code') ? Reflect.get(error, 'code') : undefined
  return typeof code === 'string' ? code : 'a short write'
}
