// Runs vitest with the arguments given, and prints as its last line `N passed, N failed[, N skipped]`, alone.
// With CI set a skipped test is a failure: there every engine must be within reach.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localBin, ROOT } from './local-bin.mjs'
import { summarize } from './summarize.mjs'

const args = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'test-report-'))
const report = join(folder, 'report.json')

try {
  const reporters = args.some((arg) => arg.startsWith('--reporter')) ? [] : ['--reporter=default']
  const { status } = spawnSync(
    process.execPath,
    [localBin('vitest'), 'run', ...reporters, '--reporter=json', `--outputFile.json=${report}`, ...args],
    { cwd: ROOT, stdio: 'inherit' },
  )
  const { lines, exitCode } = summarize(readReport(), { status, args, ci: process.env.CI, root: ROOT })
  for (const line of lines) console.log(line)
  process.exitCode = exitCode
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** A run that died before it could report has no test that passed, and so fails. */
function readReport() {
  try {
    return JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { testResults: [] }
  }
}
