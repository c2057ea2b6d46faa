import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from '../../scripts/local-bin.mjs'

/** Once, before the tests of the package: they all look at one build. `npm run check` has just made it. */
export function setup(): void {
  if (process.env['HC_CHECK_BUILT'] !== undefined) return
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.mjs')], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}
