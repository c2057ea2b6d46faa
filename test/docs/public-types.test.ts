import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../scripts/local-bin.mjs'

/** Every type that a signature of an entry leads to must be nameable: exported by that entry, or by the root. */

interface Declaration {
  readonly exported: boolean
  readonly isType: boolean
  /** What a reader of the declaration sees; of a function, its signature. */
  readonly text: string
}

interface Module {
  readonly declarations: ReadonlyMap<string, Declaration>
  /** Local name → where it comes from. */
  readonly imports: ReadonlyMap<string, Origin>
  /** Public name → where it comes from. */
  readonly exports: ReadonlyMap<string, Origin>
}

interface Origin {
  readonly path: string
  readonly name: string
}

/** Named by nobody, because their members alone are public (`AuditEvent` says `AuditDraft['target']`). */
const MEMBERS_ONLY = new Set(['AuditDraft'])

const ENTRIES = Object.values(
  (
    JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      exports: Record<string, string | { default: string }>
    }
  ).exports,
).flatMap((target) =>
  typeof target === 'string' ? [] : [target.default.replace('./dist/', '').replace(/\.js$/, '.ts')],
)

const modules = new Map<string, Module>()

function moduleAt(path: string): Module {
  const known = modules.get(path)
  if (known !== undefined) return known
  const source = readFileSync(join(ROOT, path), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  const read = {
    declarations: declarationsOf(source),
    imports: new Map<string, Origin>(),
    exports: new Map<string, Origin>(),
  }
  for (const [, verb, names = '', from = ''] of source.matchAll(
    /^(import|export)\b[^'{;]*\{([^}]*)\}\s*from\s*'(\.[^']+)'/gm,
  )) {
    for (const [, name = '', local = name] of names.matchAll(/(?:type\s+)?(\w+)(?:\s+as\s+(\w+))?/g)) {
      const target = verb === 'import' ? read.imports : read.exports
      target.set(local, { path: join(dirname(path), from), name })
    }
  }
  for (const [name, { exported }] of read.declarations) if (exported) read.exports.set(name, { path, name })
  modules.set(path, read)
  return read
}

function declarationsOf(source: string): Map<string, Declaration> {
  const starts = [
    ...source.matchAll(/^(export )?(?:declare )?(?:async )?(interface|type|class|function|const) (\w+)/gm),
  ]
  return new Map(
    starts.map(({ index, 1: exported, 2: what, 3: name = '' }) => {
      const rest = source.slice(index)
      const end = /\n(?=[^\s})|&])/.exec(rest)?.index ?? rest.length
      const whole = rest.slice(0, end)
      const text = what === 'function' ? (/^[\s\S]*?\{\n/.exec(`${whole}\n`)?.[0] ?? whole) : whole
      return [
        name,
        {
          exported: exported !== undefined,
          isType: what !== 'function' && what !== 'const',
          text: what === 'const' ? annotationOf(text) : text,
        },
      ]
    }),
  )
}

function annotationOf(text: string): string {
  return text.split(' = ')[0] ?? ''
}

/** The module that declares a name, through however many re-exports. */
function declaredAt({ path, name }: Origin): Origin {
  const { declarations, exports } = moduleAt(path)
  const next = exports.get(name)
  return declarations.has(name) || next === undefined ? { path, name } : declaredAt(next)
}

function keyOf({ path, name }: Origin): string {
  return `${path} ${name}`
}

/** What the declaration leads to, itself included. */
function reachable(from: Iterable<Origin>): Map<string, Origin> {
  const found = new Map<string, Origin>()
  const open = [...from].map(declaredAt)
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (found.has(keyOf(at))) continue
    found.set(keyOf(at), at)
    const { declarations, imports } = moduleAt(at.path)
    const text = declarations.get(at.name)?.text ?? ''
    for (const [, name = ''] of text.matchAll(/(?<!\.)\b([A-Z]\w*)\b(?!\s*\??:)/g)) {
      const origin = declarations.has(name) ? { path: at.path, name } : imports.get(name)
      if (origin !== undefined) open.push(declaredAt(origin))
    }
  }
  return found
}

const namesOf = (entry: string) => new Set([...moduleAt(entry).exports.values()].map(declaredAt).map(keyOf))

function isPublicType({ path, name }: Origin): boolean {
  const declaration = moduleAt(path).declarations.get(name)
  return declaration?.exported === true && declaration.isType
}

test.each(ENTRIES)('%s exports the types that its signatures name', (entry) => {
  const nameable = new Set([...namesOf(entry), ...namesOf('src/index.ts')])
  const missing = [...reachable(moduleAt(entry).exports.values()).values()].filter(
    (each) => isPublicType(each) && !nameable.has(keyOf(each)) && !MEMBERS_ONLY.has(each.name),
  )
  expect(missing.map(keyOf)).toEqual([])
})

test('the walk sees through imports, local types and signatures', () => {
  const names = new Set([...reachable([{ path: 'src/index.ts', name: 'createAuth' }]).values()].map(({ name }) => name))
  for (const each of [
    'Auth',
    'AuthOptions',
    'KeyAdmin',
    'NewKey',
    'CreateKey',
    'KeyStore',
    'KeyRecord',
    'PartnerScopes',
    'PrincipalFacts',
    'RecorderHealth',
    'Reason',
  ]) {
    expect(names).toContain(each)
  }
})
