import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT } from '../../../scripts/local-bin.mjs'
import { docsJournal } from './docs-journal.ts'
import { SECRET, type TestJournal } from './journal.ts'
import { hcAuth, words } from '../hc-auth.ts'

/** Every `hc-auth audit` command of the pages is run on one journal, and gives what the page shows. */
const PAGES = ['docs/command-line.md', 'docs/reviewing.md']

const COMMANDS = PAGES.flatMap((page) =>
  [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```text\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
    [...block.matchAll(/^\$ hc-auth (.*)\n((?:(?!\$ ).*\n)*)/gm)].map(
      ([, line = '', output = '']) => [page, line, output] as const,
    ),
  ),
)

let journal: TestJournal

beforeAll(() => {
  journal = docsJournal()
})

afterAll(() => journal.remove())

test('the pages show every command', () => {
  const shown = new Set(COMMANDS.map(([, line]) => line.split(' ')[1]))
  expect([...shown].toSorted((a = '', b = '') => (a < b ? -1 : 1))).toEqual([
    'export',
    'query',
    'summary',
    'tail',
    'verify',
  ])
})

test.each(COMMANDS)('%s: hc-auth %s', async (_, line, output) => {
  const env = {
    HEALTHCLOUD_AUDIT_DIR: journal.directory,
    HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${SECRET}`,
  }
  const { code, stdout, stderr } = await hcAuth(words(line), { env, cwd: journal.directory })
  expect(`${stdout}${stderr}${code === 0 ? '' : `[exit ${code}]\n`}`).toBe(output)
  expect(stdout.split('\n').filter((each) => each.length > 80)).toEqual([])
})
