import { realpathSync, statSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { CommandError, EXIT, usage } from '../command-error.ts'
import type { Shell } from '../shell.ts'
import { systemCode } from '../writable-folder.ts'

/** A file that is whole, or not there: it gets its name when all is written. What stood there before is replaced. */
export interface ExportFile {
  write(text: string): Promise<void>
  /** Brings it to the disk, and gives it its name. */
  keep(): Promise<void>
  /** Leaves nothing; after `keep`, does nothing. */
  drop(): Promise<void>
}

/** Readable to its owner alone. @throws {CommandError} where it cannot be made, or where the path names something else. */
export async function openExportFile({ cwd }: Shell, path: string): Promise<ExportFile> {
  const target = targetOf(resolve(cwd, path))
  const partial = `${target}.partial-${process.pid}`
  const file = await failing(() => open(partial, 'wx', 0o600))
  let state: 'open' | 'closed' = 'open'
  return Object.freeze({
    write: (text: string) => failing(() => file.appendFile(`${text}\n`)),
    keep: () =>
      failing(async () => {
        await file.sync()
        await file.close()
        state = 'closed'
        await rename(partial, target)
      }),
    async drop() {
      if (state === 'open') await file.close()
      state = 'closed'
      await rm(partial, { force: true })
    },
  })
}

/** A device or a folder must not be replaced by a file; of a link, what it leads to is meant. */
function targetOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return path
  if (!found.isFile()) throw usage('--output: names something that is not a file.')
  return realpathSync(path)
}

async function failing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new CommandError(EXIT.failed, `--output: cannot be written (${systemCode(error)}).`)
  }
}
