// Builds dist/. The compiler writes beside it and the folders are swapped at the end: dist/ never holds files of an
// earlier build, and a build that fails leaves none behind.
import { spawnSync } from 'node:child_process'
import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { localBin, ROOT } from './local-bin.mjs'

const dist = join(ROOT, 'dist')
const fresh = join(ROOT, `dist-${process.pid}.tmp`)

const { status } = spawnSync(
  process.execPath,
  [localBin('typescript', 'tsc'), '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', fresh],
  { stdio: 'inherit', cwd: ROOT },
)
if (status === 0) {
  rmSync(dist, { recursive: true, force: true })
  renameSync(fresh, dist)
} else {
  rmSync(fresh, { recursive: true, force: true })
  process.exitCode = 1
}
