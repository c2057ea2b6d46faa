import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** Arguments for `process.execPath` that run a tool of this project's own node_modules, on every platform and without a shell. */
export function localBin(packageName, binName = packageName) {
  const folder = join(ROOT, 'node_modules', packageName)
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const path = typeof bin === 'string' ? bin : bin[binName]
  if (path === undefined) throw new Error(`${packageName} has no bin ${binName}.`)
  return join(folder, path)
}
