import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { localBin, ROOT } from '../../scripts/local-bin.mjs'

/** Every TypeScript snippet of the README and of `docs/` is compiled, so that it says only what is true. */
interface Snippet {
  readonly from: string
  readonly line: number
  readonly code: string
}

const SNIPPETS = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md', ...markdownIn('docs')].flatMap(
  snippetsOf,
)
let folder: string

beforeAll(() => {
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  folder = mkdtempSync(join(ROOT, 'build', 'snippets-'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function markdownIn(directory: string): string[] {
  return readdirSync(join(ROOT, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(directory, name))
}

function snippetsOf(from: string): Snippet[] {
  const text = readFileSync(join(ROOT, from), 'utf8')
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(({ index, 1: code = '' }) => ({
    from,
    line: text.slice(0, index).split('\n').length + 1,
    code,
  }))
}

test('there are snippets, those of the README among them', () => {
  expect(SNIPPETS.filter(({ from }) => from === 'README.md').length).toBeGreaterThanOrEqual(2)
})

/**
 * A snippet that augments a registry must not help or hurt another: it is a program of its own. Importing an adapter
 * augments a framework's types: those that import the same ones share a program.
 */
const ALONE = /^\s*declare (module|global)/m
const ADAPTER = /from '@healthcloud\/auth\/(express|koa|fastify)'/g

const adaptersOf = ({ code }: Snippet) =>
  [...code.matchAll(ADAPTER)]
    .map(([, name]) => name)
    .toSorted()
    .join()

const SHARED = SNIPPETS.filter(({ code }) => !ALONE.test(code))
const PROGRAMS: readonly (readonly Snippet[])[] = [
  ...[...new Set(SHARED.map(adaptersOf))].map((adapters) => SHARED.filter((each) => adaptersOf(each) === adapters)),
  ...SNIPPETS.filter(({ code }) => ALONE.test(code)).map((snippet) => [snippet]),
]

test('each compiles as a file of its own', { timeout: 60_000 }, async () => {
  const results = await Promise.all(PROGRAMS.map((snippets, index) => compile(snippets, join(folder, String(index)))))
  expect(results.filter((result) => result !== null)).toEqual([])
})

async function compile(snippets: readonly Snippet[], directory: string): Promise<string | null> {
  mkdirSync(directory)
  for (const { from, line, code } of snippets) {
    writeFileSync(join(directory, `${from.replace(/\W/g, '-')}-${line}.ts`), `${code}\nexport {}\n`)
  }
  const up = relative(directory, ROOT)
  const config = {
    extends: join(up, 'test/types/tsconfig.json'),
    include: ['*.ts'],
  }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(config))
  try {
    await promisify(execFile)(process.execPath, [localBin('typescript', 'tsc'), '-p', directory], { cwd: ROOT })
    return null
  } catch (error) {
    return String(typeof error === 'object' && error !== null ? Reflect.get(error, 'stdout') : error)
  }
}
