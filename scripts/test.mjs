// Runs vitest with the arguments given, and prints as its last line `N passed, N failed[, N skipped]`, alone.
// With CI set a skipped test is a failure: there every engine must be within reach.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { localBin, ROOT } from './local-bin.mjs'

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
  const { passed, failed, skipped } = count(readReport(), status)
  // A name pattern leaves all other tests out, which is no skip.
  const narrowed = args.some((arg) => /^(-t|--testNamePattern)/.test(arg))
  const isCi = !['', '0', 'false'].includes(process.env.CI ?? '')
  const bad = failed > 0 || passed === 0 || (isCi && !narrowed && skipped.length > 0)
  if (!narrowed) for (const line of new Set(skipped)) console.log(`skipped${isCi ? ' (a failure in CI)' : ''}: ${line}`)
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
  process.exitCode = bad ? 1 : 0
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function readReport() {
  try {
    return JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { testResults: [] }
  }
}

/** A file that could not be loaded, and a run that failed without a failed test, count as one failure each. */
function count({ testResults }, status) {
  const tests = testResults.flatMap(({ name, assertionResults }) => assertionResults.map((each) => ({ ...each, name })))
  const of = (...states) => tests.filter((each) => states.includes(each.status))
  const unloaded = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((each) => each.status === 'failed'),
  )
  const failed = of('failed').length + unloaded.length
  return {
    passed: of('passed').length,
    failed: status !== 0 && failed === 0 ? 1 : failed,
    skipped: of('skipped', 'pending', 'todo', 'disabled').map(
      ({ name, ancestorTitles, title }) => `${relative(ROOT, name)} › ${ancestorTitles[0] ?? title}`,
    ),
  }
}
