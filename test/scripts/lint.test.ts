import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { localBin, ROOT } from '../../scripts/local-bin.mjs'

interface Row {
  readonly rule: string
  readonly path: string
  readonly text: string
}

const statements = (count: number) => '  touch()\n'.repeat(count)
const TOUCH = `declare function touch(): void\n`

/** One file a row, each with exactly one fault. */
const rows: Row[] = [
  {
    rule: 'typescript(no-floating-promises)',
    path: 'src/floating.ts',
    text: `declare function save(): Promise<void>\nexport function run(): void {\n  save()\n}\n`,
  },
  {
    rule: 'typescript(no-floating-promises)',
    path: 'test/floating.test.ts',
    text: `declare function save(): Promise<void>\nexport function run(): void {\n  save()\n}\n`,
  },
  {
    rule: 'typescript(no-misused-promises)',
    path: 'src/misused.ts',
    text: `declare function isGood(): Promise<boolean>\nexport function run(): number {\n  return isGood() ? 1 : 2\n}\n`,
  },
  {
    rule: 'typescript(switch-exhaustiveness-check)',
    path: 'src/exhaustive.ts',
    text: `export function run(kind: 'a' | 'b'): void {\n  switch (kind) {\n    case 'a':\n      throw new Error('a')\n  }\n}\n`,
  },
  {
    rule: 'typescript(consistent-type-imports)',
    path: 'src/type-import.ts',
    text: `import { Server } from 'node:net'\nexport function run(server: Server): unknown {\n  return server\n}\n`,
  },
  {
    rule: 'typescript(no-explicit-any)',
    path: 'src/any.ts',
    text: `export function run(value: any): unknown {\n  return value\n}\n`,
  },
  {
    rule: 'typescript(no-non-null-assertion)',
    path: 'src/non-null.ts',
    text: `export function run(value: string | null): string {\n  return value!\n}\n`,
  },
  {
    rule: 'eslint(max-params)',
    path: 'src/params.ts',
    text: `export function run(a: number, b: number, c: number, d: number): number {\n  return a + b + c + d\n}\n`,
  },
  {
    rule: 'eslint(max-lines-per-function)',
    path: 'src/long-function.ts',
    text: `${TOUCH}export function run(): void {\n${statements(59)}}\n`,
  },
  {
    rule: 'eslint(max-lines)',
    path: 'adapters/long-file.ts',
    text: `${TOUCH}${'touch()\n'.repeat(250)}`,
  },
  { rule: 'import(no-default-export)', path: 'src/default.ts', text: `export default 1\n` },
  {
    rule: 'import(no-default-export)',
    path: 'adapters/default.ts',
    text: `const one = 1\nexport { one as default }\n`,
  },
  { rule: 'node(no-top-level-await)', path: 'src/top-level.ts', text: `await Promise.resolve()\n` },
  { rule: 'eslint(no-console)', path: 'src/console.ts', text: `console.log('')\n` },
  {
    rule: 'eslint(eqeqeq)',
    path: 'src/equality.ts',
    text: `export function run(a: string, b: string): boolean {\n  return a == b\n}\n`,
  },
  {
    rule: 'vitest(no-focused-tests)',
    path: 'test/focused.test.ts',
    text: `import { expect, test } from 'vitest'\ntest.only('a', () => {\n  expect(1).toBe(1)\n})\n`,
  },
  {
    rule: 'vitest(expect-expect)',
    path: 'test/no-expect.test.ts',
    text: `import { test } from 'vitest'\ntest('cannot fail', () => {\n  process.cwd()\n})\n`,
  },
]

/** What the limits still allow, and what holds in src alone. */
const good: Record<string, string> = {
  'src/params-good.ts': `export function run(a: number, b: number, c: number): number {\n  return a + b + c\n}\n`,
  'src/long-function-good.ts': `${TOUCH}export function run(): void {\n  // why\n\n${statements(58)}}\n`,
  'adapters/long-file-good.ts': `${TOUCH}// why\n\n${'touch()\n'.repeat(249)}`,
  'adapters/params-good.ts': `export function run(a: number, b: number, c: number, d: number): number {\n  return a + b + c + d\n}\n`,
  'test/non-null-good.ts': `export function run(value: string | null): string {\n  return value!\n}\n`,
  'vitest.config.ts': `export default 1\n`,
}

const UNUSED = 'src/unused-disable.ts'

interface Fault {
  readonly code?: string
  readonly message: string
  readonly severity: string
  readonly filename: string
}

describe('the linter, configured as here', () => {
  let folder: string
  let status: number | null
  let faults: Fault[]

  beforeAll(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'lint-')))
    copyFileSync(join(ROOT, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
    const config = { extends: join(ROOT, 'tsconfig.json'), compilerOptions: { rootDir: '.' }, include: ['**/*.ts'] }
    write('tsconfig.json', JSON.stringify(config))
    for (const { path, text } of rows) write(path, text)
    for (const [path, text] of Object.entries(good)) write(path, text)
    write(UNUSED, `// oxlint-disable-next-line no-console\nexport const one = 1\n`)
    const ran = spawnSync(process.execPath, [localBin('oxlint'), '--format', 'json'], { cwd: folder, encoding: 'utf8' })
    status = ran.status
    faults = (JSON.parse(ran.stdout) as { diagnostics: Fault[] }).diagnostics
  })

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  function write(path: string, text: string): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }

  const faultsOf = (path: string) =>
    faults.filter(({ filename }) => filename === path).map(({ code, severity }) => [code, severity])

  test.each(rows)('$rule fires in $path, and nothing else does', ({ rule, path }) => {
    expect(faultsOf(path)).toEqual([[rule, 'error']])
  })

  test.each(Object.keys(good))('%s is let through', (path) => {
    expect(faultsOf(path)).toEqual([])
  })

  test('a disable comment that disables nothing is an error', () => {
    const found = faults.filter(({ filename }) => filename === UNUSED)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject({ severity: 'error', message: expect.stringContaining('Unused') as string })
  })

  test('a fault fails the run', () => {
    expect(status).toBe(1)
  })
})
