import { spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'
import { summarize } from '../../scripts/summarize.mjs'

const each = (status: string, suite = 'PostgreSQL') => ({ status, title: `is ${status}`, ancestorTitles: [suite] })
const file = (status: string, ...assertionResults: ReturnType<typeof each>[]) => ({
  name: '/project/test/a.test.ts',
  status,
  assertionResults,
})

interface Row {
  readonly why: string
  readonly files: ReturnType<typeof file>[]
  readonly status?: number | null
  readonly ci?: string
  readonly args?: string[]
  readonly lines: string[]
  readonly exitCode: 0 | 1
}

const SKIPPED = 'skipped: test/a.test.ts › PostgreSQL'
const rows: Row[] = [
  { why: 'all good', files: [file('passed', each('passed'))], lines: ['1 passed, 0 failed'], exitCode: 0 },
  {
    why: 'one bad',
    files: [file('failed', each('passed'), each('failed'))],
    status: 1,
    lines: ['1 passed, 1 failed'],
    exitCode: 1,
  },
  {
    why: 'an engine out of reach: one line a suite',
    files: [file('passed', each('passed'), each('skipped'), each('pending'), each('todo', 'Redis'))],
    lines: [SKIPPED, 'skipped: test/a.test.ts › Redis', '1 passed, 0 failed, 3 skipped'],
    exitCode: 0,
  },
  {
    why: 'an engine out of reach in CI',
    files: [file('passed', each('passed'), each('skipped'))],
    ci: 'true',
    lines: ['skipped (a failure in CI): test/a.test.ts › PostgreSQL', '1 passed, 0 failed, 1 skipped'],
    exitCode: 1,
  },
  {
    why: 'CI=false is no CI',
    files: [file('passed', each('passed'), each('skipped'))],
    ci: 'false',
    lines: [SKIPPED, '1 passed, 0 failed, 1 skipped'],
    exitCode: 0,
  },
  {
    why: 'what a name pattern leaves out is no skip',
    files: [file('passed', each('passed'), each('skipped'))],
    ci: 'true',
    args: ['-t', 'good'],
    lines: ['1 passed, 0 failed'],
    exitCode: 0,
  },
  {
    why: 'a file that did not load, beside one that did',
    files: [file('passed', each('passed')), file('failed')],
    status: 1,
    lines: ['1 passed, 1 failed'],
    exitCode: 1,
  },
  {
    why: 'a run that failed although every test passed',
    files: [file('passed', each('passed'))],
    status: 1,
    lines: ['1 passed, 1 failed'],
    exitCode: 1,
  },
  { why: 'a run that was killed', files: [], status: null, lines: ['0 passed, 1 failed'], exitCode: 1 },
  { why: 'nothing that passed', files: [], lines: ['0 passed, 0 failed'], exitCode: 1 },
]

test.each(rows)('$why', ({ files, status = 0, ci, args = [], lines, exitCode }) => {
  expect(summarize({ testResults: files }, { status, args, ci, root: '/project' })).toEqual({ lines, exitCode })
})

describe('the script, over real runs of vitest', () => {
  const PASS = `test('good', () => expect(1).toBe(1))\n`
  const FAIL = `test('bad', () => expect(1).toBe(2))\n`
  const SKIP = `describe.skipIf(true)('PostgreSQL', () => { test('one', () => {}); test('two', () => {}) })\n`

  const LEAVES = `${PASS}process.env['LEFT_BEHIND'] = '1'\n`
  const config = {
    test: { isolate: false, maxWorkers: 1, setupFiles: [join(ROOT, 'test/fixtures/shared-process.ts')] },
  }

  function runTests(files: readonly string[], ci: string) {
    const root = realpathSync(mkdtempSync(join(tmpdir(), 'summarize-')))
    try {
      symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'), 'junction')
      writeFileSync(join(root, 'vitest.config.mjs'), `export default ${JSON.stringify(config)}\n`)
      for (const [index, text] of files.entries())
        writeFileSync(join(root, `${index}.test.ts`), `import { describe, expect, test } from 'vitest'\n${text}`)
      const env = { ...process.env, VITEST: '', CI: ci, NO_COLOR: '1', FORCE_COLOR: '0' }
      const args = [join(ROOT, 'scripts/test.mjs'), '--root', root]
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
      const left = /leaves changed what others share: (.*)/.exec(stderr)?.[1] ?? null
      return { status, last: stdout.trimEnd().split('\n').at(-1), left }
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  }

  test.each([
    {
      why: 'good, bad, skipped; one not loaded; one that leaves changed what others share',
      files: [PASS + FAIL + SKIP, `import './gone.ts'\n${PASS}`, LEAVES],
      ci: '',
      last: '2 passed, 3 failed, 2 skipped',
      status: 1,
      left: 'process.env.LEFT_BEHIND',
    },
    { why: 'skipped in CI', files: [PASS + SKIP], ci: 'true', last: '1 passed, 0 failed, 2 skipped', status: 1 },
    { why: 'skipped at home', files: [PASS + SKIP], ci: '', last: '1 passed, 0 failed, 2 skipped', status: 0 },
    {
      why: 'a rejection nobody caught',
      files: [`${PASS}void Promise.reject(new Error('lost'))\n`],
      ci: '',
      last: '1 passed, 1 failed',
      status: 1,
    },
  ])('$why', ({ files, ci, last, status, left = null }) => {
    expect(runTests(files, ci)).toEqual({ last, status, left })
  })
})
