import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The version of this package: its package.json is further up, whether this is the source or the build. */
export function packageVersion(from: string = import.meta.dirname): string {
  const path = join(from, 'package.json')
  if (!existsSync(path)) return packageVersion(dirname(from))
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { readonly version: string }
  return version
}
