import { statfsSync } from 'node:fs'
import type { AuthOptions } from '../../options/auth-options.ts'
import { EXIT } from '../command-error.ts'
import { failed, ok, skipped, warning, type Check } from './check.ts'
import { existingFolder, whyNotWritable } from '../writable-folder.ts'

const MIB = 1_048_576
/** A journal that finds no room refuses live calls. */
const LITTLE_BYTES = 64 * MIB
const LITTLE_SHARE = 0.2

/** Whether this user may write there, and how much room is left. Writes no line: that is for whoever has something to say. */
export function checkJournal(options: AuthOptions | null): Check {
  if (options === null) return skipped('journal', 'the configuration comes first')
  if (options.environment === 'test') return skipped('journal', 'a test server keeps none')
  const directory = options.audit?.directory
  if (directory === undefined)
    return failed('journal', EXIT.configuration, { message: 'HEALTHCLOUD_AUDIT_DIR is not set.' })
  const folder = existingFolder(directory)
  const problem = whyNotWritable(folder)
  if (problem !== null) {
    return failed('journal', EXIT.failed, {
      message: `HEALTHCLOUD_AUDIT_DIR cannot be written (${problem})`,
      remedy: 'Make it a directory on a local volume that this user may write.',
    })
  }
  return checkRoom(folder, folder === directory ? 'writable' : 'does not exist yet, and can be made')
}

function checkRoom(folder: string, state: string): Check {
  const { bavail, blocks, bsize } = statfsSync(folder)
  const free = bavail * bsize
  const message = `${state}, ${sizeOf(free)} free (${Math.floor((bavail / Math.max(1, blocks)) * 100)} %)`
  const remedy = 'Make room: live calls that cannot be audited are refused.'
  if (free < LITTLE_BYTES) return failed('journal', EXIT.failed, { message, remedy })
  return bavail / blocks < LITTLE_SHARE ? warning('journal', message, remedy) : ok('journal', message)
}

function sizeOf(bytes: number): string {
  return bytes < 1024 * MIB ? `${Math.floor(bytes / MIB)} MiB` : `${Math.floor(bytes / (1024 * MIB))} GiB`
}
