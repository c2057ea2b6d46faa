import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'
import { maskSource, readImports } from '../../scripts/read-imports.mjs'

/** No compiler looks into these: a file that moves would be missed only when somebody runs the command. */
const FILES = ['scripts', 'bench'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => join(folder, name)),
)

const NAMED = /(?<![\w@./-])(?:\.{1,2}\/)*((?:dist\/)?(?:src|test|adapters)\/[\w./-]*\w)/g
const BESIDE = /['"`](\.{1,2}\/[\w./-]+\.mjs)['"`]/g

/** What is built, and what is named without its ending, is looked for as the source that it comes from. */
function isThere(path: string): boolean {
  const source = path.replace(/^dist\//, '')
  return [source, source.replace(/(?:\.d)?\.[jt]s$/, '.ts'), `${source}.ts`].some((each) =>
    existsSync(join(ROOT, each)),
  )
}

function missing(file: string, text: string): string[] {
  const { code, strings } = maskSource(text)
  const imports = readImports(code, strings)
    .flatMap(({ specifier }) => (specifier?.startsWith('.') === true ? [specifier] : []))
    .map((specifier) => relative(ROOT, join(ROOT, dirname(file), specifier)))
  const named = [...text.matchAll(NAMED)].map(([, path = '']) => path)
  // Scripts of child processes stand beside the file or in `scripts/prove/`, from where they are started.
  const children = [...text.matchAll(BESIDE)].flatMap(([, path = '']) =>
    [dirname(file), 'scripts/prove'].some((folder) => existsSync(join(ROOT, folder, path))) ? [] : [path],
  )
  return [...[...imports, ...named].filter((path) => !isThere(path)), ...children]
}

describe('what a script names exists', () => {
  test.each(FILES)('%s', (file) => {
    expect(missing(file, readFileSync(join(ROOT, file), 'utf8'))).toEqual([])
  })

  test('and a path that does not is found, however it is written', () => {
    const text = [
      `import { a } from './nowhere.mjs'`,
      `import { b } from '../dist/src/audit/nowhere.js'`,
      `import { c } from '../dist/src/audit/phi/body.js'`,
      `spawn(['test/audit/nowhere.test.ts', 'test/audit/phi/body.test.ts', 'src/audit/journal'])`,
      `startChild('./nowhere-server.mjs')`,
      `// as src/nowhere.ts has it`,
    ].join('\n')
    expect(new Set(missing('scripts/made-up.mjs', text))).toEqual(
      new Set([
        'scripts/nowhere.mjs',
        'dist/src/audit/nowhere.js',
        'test/audit/nowhere.test.ts',
        './nowhere.mjs',
        './nowhere-server.mjs',
        'src/nowhere.ts',
      ]),
    )
  })
})
