import { relative } from 'node:path'

/**
 * What a run of vitest comes to. A file that could not be loaded, and a run that failed without a failed test, count as
 * one failure each; a run without a passed test is a failure; in CI every skip is one.
 *
 * @param {{ testResults: { name: string, status: string, assertionResults: { status: string, title: string, ancestorTitles: string[] }[] }[] }} report
 * @param {{ status: number | null, args: readonly string[], ci: string | undefined, root: string }} run
 * @returns {{ lines: string[], exitCode: 0 | 1 }} the last line is the summary
 */
export function summarize({ testResults }, { status, args, ci, root }) {
  const tests = testResults.flatMap(({ name, assertionResults }) => assertionResults.map((each) => ({ ...each, name })))
  const passed = tests.filter((each) => each.status === 'passed').length
  const failed = countFailed(testResults, tests, status)
  // What a name pattern leaves out is not skipped.
  const narrowed = args.some((arg) => /^(-t|--testNamePattern)/.test(arg))
  const skipped = narrowed ? [] : tests.filter((each) => !['passed', 'failed'].includes(each.status))
  const isCi = !['', '0', 'false'].includes(ci ?? '')
  const suites = skipped.map(
    ({ name, ancestorTitles, title }) => `${relative(root, name)} › ${ancestorTitles[0] ?? title}`,
  )
  return {
    lines: [
      ...[...new Set(suites)].map((suite) => `skipped${isCi ? ' (a failure in CI)' : ''}: ${suite}`),
      `${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
    ],
    exitCode: failed > 0 || passed === 0 || (isCi && skipped.length > 0) ? 1 : 0,
  }
}

function countFailed(files, tests, status) {
  const unloaded = files.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((each) => each.status === 'failed'),
  )
  const failed = tests.filter((each) => each.status === 'failed').length + unloaded.length
  return status !== 0 && failed === 0 ? 1 : failed
}
