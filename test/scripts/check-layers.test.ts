import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkLayers } from '../../scripts/check-layers.mjs'

const SCRIPT = join(import.meta.dirname, '../../scripts/check-layers.mjs')

/** A small house that breaks no rule; each row below adds to it or replaces a file. */
const HOUSE: Record<string, string> = {
  'src/index.ts': `export { createAuth } from './auth.ts'\nexport { memoryKeyStore } from './stores/memory.ts'\n`,
  'src/auth.ts': `import { z } from './options/schema.ts'\nimport { guard } from './guard.ts'\nexport const createAuth = () => [z, guard]\n`,
  'src/guard.ts': `import { verifier } from './keys/verifier.ts'\nexport const guard = verifier\n`,
  'src/adapter-kit.ts': `export { guard } from './guard.ts'\n`,
  'src/options/schema.ts': `import { z } from 'zod'\nimport { readFileSync } from 'node:fs'\nexport { z, readFileSync }\n`,
  'src/errors.ts': `export class ConfigError extends Error {}\n`,
  'src/keys/store.ts': `import type { Clock } from '../lib/clock.ts'\nexport type KeyStore = Clock\n`,
  'src/keys/digest.ts': `export const digest = 1\n`,
  'src/keys/verifier.ts': `import { LRUCache } from 'lru-cache'\nimport { digest } from './digest.ts'\nimport type { AuditEvent } from '../audit/event.ts'\nexport const verifier: [LRUCache, AuditEvent] = digest\n`,
  'src/tokens/issuer.ts': `import { SignJWT } from 'jose'\nexport { SignJWT }\n`,
  'src/request/view.ts': `import { inspect } from 'node:util'\nexport { inspect }\n`,
  'src/audit/event.ts': `export interface AuditEvent {}\n`,
  'src/audit/journal/writer.ts': `import { openSync } from 'node:fs'\nexport { openSync }\n`,
  'src/stores/memory.ts': `import type { KeyStore } from '../keys/store.ts'\nimport { clock } from '../lib/clock.ts'\nexport const memoryKeyStore: KeyStore = clock\n`,
  'src/lib/clock.ts': `import { performance } from 'node:perf_hooks'\nexport type Clock = typeof performance\nexport const clock = performance\n`,
  'adapters/express.ts': `import type { Request } from 'express'\nimport { guard } from '../src/adapter-kit.ts'\nimport { route } from './express-route.ts'\nexport const guards = (request: Request) => [request, guard, route]\n`,
  'adapters/express-route.ts': `export const route = 1\n`,
}

function inHouse<T>(files: Record<string, string>, look: (root: string) => T): T {
  const root = mkdtempSync(join(tmpdir(), 'layers-'))
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return look(root)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function errorsOf(files: Record<string, string>): string[] {
  return inHouse(files, (root) =>
    checkLayers(root).found.map(
      ({ path, line, subject, rule, text }) => `${path}:${line}  ${subject}  [${rule}] ${text}`,
    ),
  )
}

function runScript(files: Record<string, string>) {
  return inHouse(files, (root) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, root], { encoding: 'utf8' })
    return { status, stdout, stderr }
  })
}

describe('a house that keeps the rules', () => {
  test('passes', () => {
    expect(runScript(HOUSE)).toEqual({ status: 0, stdout: '17 files, 0 broken rules\n', stderr: '' })
  })

  test('may speak of other files in comments, strings, templates and regular expressions', () => {
    const text = [
      `// import { z } from 'zod'`,
      `/* import { z } from 'zod' */`,
      `export const a = "import { z } from 'zod'"`,
      'export const b = `import { z } from "zod" ${`export * from "zod"`} import("zod")`',
      `export const c = /import\\('zod'\\)|["'\`]/`,
      `export const d = 4 / 2 / 1`,
      `export const important = { import: 1, a: { import(key: string) { return key } } }`,
      `export interface Keys { import(options: { key: (a: string) => void }): Promise<void> }`,
      `export const e = (keys: Keys) => keys.import(null)`,
    ].join('\n')
    expect(errorsOf({ ...HOUSE, 'src/request/words.ts': text })).toEqual([])
  })
})

interface Row {
  readonly why: string
  readonly path: string
  readonly text: string
  readonly error: string
}

const rows: Row[] = [
  {
    why: 'a room that imports the flow',
    path: 'src/keys/lost.ts',
    text: `import { adapter } from '../adapter-kit.ts'\nexport { adapter }\n`,
    error: 'src/keys/lost.ts:1  imports ../adapter-kit.ts  [floors]',
  },
  {
    why: 'a word that imports a room of its own folder',
    path: 'src/keys/store.ts',
    text: `\nexport type { digest } from './digest.ts'\n`,
    error: 'src/keys/store.ts:2  imports ./digest.ts  [floors]',
  },
  {
    why: 'the ground that imports a word, even a type',
    path: 'src/lib/ids.ts',
    text: `import type { ConfigError } from '../errors.ts'\nexport type Id = ConfigError\n`,
    error: 'src/lib/ids.ts:1  imports ../errors.ts  [floors]',
  },
  {
    why: 'a room that enters another room',
    path: 'src/tokens/claims.ts',
    text: `import {\n  digest,\n} from '../keys/digest.ts'\nexport { digest }\n`,
    error: 'src/tokens/claims.ts:1  imports ../keys/digest.ts  [rooms]',
  },
  {
    why: 'a room that enters another room by an import type',
    path: 'src/tokens/claims.ts',
    text: `export type A = import('../keys/digest.ts').A\n`,
    error: 'src/tokens/claims.ts:1  imports ../keys/digest.ts  [rooms]',
  },
  {
    why: 'a driver that imports another driver',
    path: 'src/stores/sqlite.ts',
    text: `export { memoryKeyStore } from './memory.ts'\n`,
    error: 'src/stores/sqlite.ts:1  imports ./memory.ts  [drivers]',
  },
  {
    why: 'a driver that imports more than its port',
    path: 'src/sinks/logger.ts',
    text: `import type { KeyStore } from '../keys/store.ts'\nexport type A = KeyStore\n`,
    error: 'src/sinks/logger.ts:1  imports ../keys/store.ts  [drivers]',
  },
  {
    why: 'an import of a door',
    path: 'src/lost.ts',
    text: `export { createAuth } from './index.ts'\n`,
    error: 'src/lost.ts:1  imports ./index.ts  [doors]',
  },
  {
    why: 'an adapter that imports another adapter',
    path: 'adapters/koa.ts',
    text: `export { route } from './express-route.ts'\n`,
    error: 'adapters/koa.ts:1  imports ./express-route.ts  [doors]',
  },
  {
    why: 'an adapter that reaches past the kit',
    path: 'adapters/koa.ts',
    text: `export { guard } from '../src/guard.ts'\n`,
    error: 'adapters/koa.ts:1  imports ../src/guard.ts  [adapter]',
  },
  {
    why: 'a cycle, of types too',
    path: 'src/keys/digest.ts',
    text: `import type { verifier } from './verifier.ts'\nexport const digest: typeof verifier = 1\n`,
    error: 'src/keys/digest.ts:1  src/keys/verifier.ts  [cycle]',
  },
  {
    why: 'jose outside tokens/',
    path: 'src/keys/digest.ts',
    text: `import { SignJWT } from 'jose'\nexport const digest = SignJWT\n`,
    error: 'src/keys/digest.ts:1  imports jose  [package]',
  },
  {
    why: 'zod on the path of a request',
    path: 'src/guard.ts',
    text: `import type { z } from 'zod'\nexport const guard: z = 1\n`,
    error: 'src/guard.ts:1  imports zod  [package]',
  },
  {
    why: 'lru-cache in lib/',
    path: 'src/lib/cache.ts',
    text: `export { LRUCache } from 'lru-cache'\n`,
    error: 'src/lib/cache.ts:1  imports lru-cache  [package]',
  },
  {
    why: 'a framework in src/, even a type',
    path: 'src/guard.ts',
    text: `import type { Request } from 'express'\nexport const guard: Request = 1\n`,
    error: 'src/guard.ts:1  imports express  [package]',
  },
  {
    why: 'a framework at run time',
    path: 'adapters/koa.ts',
    text: `import { type Context } from 'koa'\nexport type A = Context\n`,
    error: 'adapters/koa.ts:1  imports koa  [package]',
  },
  {
    why: 'the framework of another adapter',
    path: 'adapters/koa.ts',
    text: `import type { Request } from 'express'\nexport type A = Request\n`,
    error: 'adapters/koa.ts:1  imports express  [package]',
  },
  {
    why: 'a package that is no dependency',
    path: 'src/sinks/nats.ts',
    text: `export { connect } from '@nats-io/transport-node/sub'\n`,
    error: 'src/sinks/nats.ts:1  imports @nats-io/transport-node/sub  [package]',
  },
  {
    why: 'a builtin by its bare name',
    path: 'src/request/view.ts',
    text: `export { inspect } from 'util'\n`,
    error: 'src/request/view.ts:1  imports util  [package]',
  },
  {
    why: 'node:fs outside the journal',
    path: 'src/audit/recorder.ts',
    text: `export { writeFile } from 'node:fs/promises'\n`,
    error: 'src/audit/recorder.ts:1  imports node:fs/promises  [file-system]',
  },
  {
    why: 'an import for its effect',
    path: 'src/keys/digest.ts',
    text: `import '../tokens/issuer.ts'\nexport const digest = 1\n`,
    error: 'src/keys/digest.ts:1  imports ../tokens/issuer.ts  [rooms]',
  },
  {
    why: 'a dynamic import',
    path: 'src/keys/digest.ts',
    text: `export const digest = () => import('jose')\n`,
    error: 'src/keys/digest.ts:1  imports jose  [package]',
  },
  {
    why: 'a computed import',
    path: 'src/keys/digest.ts',
    text: `const name = 'jose'\nexport const digest = () => import(name)\n`,
    error: 'src/keys/digest.ts:2  imports (computed)  [dynamic]',
  },
  {
    why: 'a computed import in a condition',
    path: 'src/keys/digest.ts',
    text: `export const digest = (a: string) => (a ? import(a) : { a })\n`,
    error: 'src/keys/digest.ts:1  imports (computed)  [dynamic]',
  },
  {
    why: 'createRequire',
    path: 'src/keys/digest.ts',
    text: `import { createRequire } from 'node:module'\nexport const digest = createRequire\n`,
    error: 'src/keys/digest.ts:1  imports node:module  [dynamic]',
  },
  {
    why: 'a relative import without its ending',
    path: 'src/guard.ts',
    text: `export { verifier as guard } from './keys/verifier.js'\n`,
    error: 'src/guard.ts:1  imports ./keys/verifier.js  [relative]',
  },
  {
    why: 'a relative import of nothing',
    path: 'src/guard.ts',
    text: `export { gone as guard } from './gone.ts'\n`,
    error: 'src/guard.ts:1  imports ./gone.ts  [relative]',
  },
  {
    why: 'a way out of src/',
    path: 'src/guard.ts',
    text: `export { guard } from '../test/guard.ts'\n`,
    error: 'src/guard.ts:1  imports ../test/guard.ts  [relative]',
  },
  {
    why: 'a folder without a floor',
    path: 'src/misc/thing.ts',
    text: `export const thing = 1\n`,
    error: 'src/misc/thing.ts:1  file  [floors]',
  },
  {
    why: 'a file of more than 250 lines of code',
    path: 'src/keys/digest.ts',
    text: `/*\n${'\n'.repeat(300)}*/\n${'export const a = 1\n'.repeat(251)}`,
    error: 'src/keys/digest.ts:1  file  [size] 251 lines of code, at most 250',
  },
  {
    why: 'a file called utils.ts',
    path: 'src/lib/utils.ts',
    text: `export const a = 1\n`,
    error: 'src/lib/utils.ts:1  file  [name]',
  },
  {
    why: 'a file in camel case',
    path: 'src/keys/keyDigest.ts',
    text: `export const a = 1\n`,
    error: 'src/keys/keyDigest.ts:1  file  [name]',
  },
  {
    why: 'a fence disabled inline',
    path: 'src/keys/digest.ts',
    text: `\n// oxlint-disable-next-line no-console\nexport const digest = 1\n`,
    error: 'src/keys/digest.ts:2  oxlint-disable-next-line  [disable]',
  },
]

test('the loader of the command line alone may make a require of its own', () => {
  const text = `import { createRequire } from 'node:module'\nexport const load = createRequire\n`
  expect(errorsOf({ ...HOUSE, 'src/cli/load-driver.ts': text })).toEqual([])
  expect(errorsOf({ ...HOUSE, 'src/cli/run.ts': text })).toHaveLength(1)
})

describe('one broken rule is one error that names file, import and rule', () => {
  test.each(rows)('$why', ({ path, text, error }) => {
    const errors = errorsOf({ ...HOUSE, [path]: text })
    expect(errors.map((line) => line.slice(0, error.length))).toEqual([error])
  })

  test('the script prints them and fails', () => {
    expect(runScript({ ...HOUSE, 'src/keys/digest.ts': `import 'jose'\n` })).toEqual({
      status: 1,
      stdout: '17 files, 1 broken rules\n',
      stderr:
        'src/keys/digest.ts:1  imports jose  [package] jose may be imported only where ^src\\/tokens\\/ matches\n',
    })
  })

  test('a house without an entry, or without files', () => {
    const { 'src/index.ts': _entry, ...rest } = HOUSE
    const missing = ['src/index.ts:1  file  [missing] the entry does not exist']
    expect(errorsOf(rest)).toEqual(missing)
    expect(errorsOf({})).toEqual(missing)
  })
})
