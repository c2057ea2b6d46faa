// Fences of the house (ARCHITECTURE.md): imports go down only. Usage: node scripts/check-layers.mjs [root]
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, resolve, sep } from 'node:path'
import { maskSource, readImports } from './read-imports.mjs'

const MAX_CODE_LINES = 250

/** First match wins. `part`: what a file may enter beside the floors below it, where its floor is divided. */
const PLACES = [
  { at: /^src\/lib\//, floor: 0, name: 'ground' },
  { at: /^src\/(scopes|principal|decision|errors)\.ts$/, floor: 1, name: 'words' },
  { at: /^src\/(keys\/store|keys\/stored-record|audit\/sink|audit\/event)\.ts$/, floor: 1, name: 'words' },
  { at: /^src\/(index|audit\/index|server\/index)\.ts$/, floor: 5, name: 'doors', part: (path) => path },
  { at: /^src\/(request|keys|tokens|audit)\//, floor: 2, name: 'rooms', part: segment(1) },
  { at: /^src\/(stores|sinks)\//, floor: 3, name: 'drivers', part: driverOf },
  { at: /^src\/(cli|testing)\//, floor: 5, name: 'doors', part: segment(1) },
  { at: /^src\/[^/]+\.ts$/, floor: 4, name: 'flow' },
  { at: /^src\/(options|server|exchange|exchange-key|issuing|mounting)\//, floor: 4, name: 'flow' },
  { at: /^adapters\/[^/]+\.ts$/, floor: 5, name: 'doors', part: adapterOf },
]

const FRAMEWORKS = new Set(['express', 'koa', 'fastify'])

/** Who may import which package. What is not here may be imported nowhere. */
const PACKAGES = {
  jose: /^src\/tokens\//,
  zod: /^src\/(options\.ts$|options\/|server\/)/,
  'lru-cache': /^src\/(keys|tokens|audit)\//,
  commander: /^src\/cli\//,
  libsql: /^src\/stores\/sqlite\//,
  express: /^adapters\/express\b/,
  koa: /^adapters\/koa\b/,
  fastify: /^adapters\/fastify\b/,
}

const FILE_SYSTEM = /^src\/(audit\/journal\/|stores\/|cli\/|options\.ts$|options\/)/

/** Loads the database clients of the caller's project for the command line; nothing else is loaded by a computed name. */
const DRIVER_LOADER = 'src/cli/load-driver.ts'

/** Drivers know their port and the ground. */
const PORTS = {
  stores: ['src/keys/store.ts'],
  sinks: ['src/audit/sink.ts', 'src/audit/event.ts'],
}

function segment(index) {
  return (path) => path.split('/')[index]
}

/** A driver is a file, or a folder of its own. */
function driverOf(path) {
  const [, family, name] = path.split('/')
  return `${family}/${name.replace(/\.ts$/, '')}`
}

/** `express.ts` and its helpers `express-*.ts` are one adapter. */
function adapterOf(path) {
  return posix.basename(path, '.ts').split('-')[0]
}

function placeOf(path) {
  const place = PLACES.find(({ at }) => at.test(path))
  return place === undefined ? null : { ...place, part: place.part?.(path) ?? place.name }
}

function listFiles(root, folder) {
  const start = join(root, folder)
  if (!existsSync(start)) return []
  return readdirSync(start, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .toSorted()
}

function ruleForFile(path, { code, lines }) {
  const found = []
  const add = (rule, text) => found.push({ line: 1, subject: 'file', rule, text })
  if (!path.endsWith('.ts') || path.endsWith('.d.ts')) add('name', 'only .ts sources live here')
  if (!/^([a-z0-9]+(-[a-z0-9]+)*)\.ts$/.test(posix.basename(path))) add('name', 'file names are kebab-case')
  if (/^(utils?|types|helpers?|common|misc)\.ts$/.test(posix.basename(path))) {
    add('name', 'a file is named after what it exports')
  }
  if (placeOf(path) === null) add('floors', 'stands on no floor: give its folder one in scripts/check-layers.mjs')
  const count = code.split('\n').filter((line) => line.trim() !== '').length
  if (count > MAX_CODE_LINES) add('size', `${count} lines of code, at most ${MAX_CODE_LINES}`)
  for (const [index, line] of lines.entries()) {
    const disable = /(oxlint|eslint)-disable[\w-]*|@ts-(ignore|expect-error|nocheck)/.exec(line)
    if (disable !== null) {
      found.push({ line: index + 1, subject: disable[0], rule: 'disable', text: 'fences are never disabled inline' })
    }
  }
  return found
}

/** The rule that one import breaks, or null. */
function ruleForImport(path, each, files) {
  const { specifier } = each
  if (specifier === null) return ['dynamic', 'what is imported must be a literal']
  if (each.kind === 'augment') return null
  if (specifier.startsWith('.')) return ruleForRelative(path, specifier, files)
  if (specifier.startsWith('node:')) return ruleForBuiltin(path, specifier)
  return ruleForPackage(path, each)
}

function ruleForBuiltin(path, specifier) {
  if (/^node:fs(\/|$)/.test(specifier) && !FILE_SYSTEM.test(path)) {
    return ['file-system', 'files are opened by src/audit/journal, src/stores, src/cli and src/options alone']
  }
  if (/^node:module$/.test(specifier) && path !== DRIVER_LOADER) {
    return ['dynamic', `no way around the fences by createRequire, but for ${DRIVER_LOADER}`]
  }
  return null
}

function ruleForPackage(path, { specifier, typeOnly }) {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
  if (!Object.hasOwn(PACKAGES, name)) return ['package', `${name} is no dependency of this package`]
  if (!PACKAGES[name].test(path))
    return ['package', `${name} may be imported only where ${PACKAGES[name].source} matches`]
  if (FRAMEWORKS.has(name) && !typeOnly) return ['package', `${name} is an optional peer: \`import type\` only`]
  return null
}

function ruleForRelative(path, specifier, files) {
  const target = posix.normalize(posix.join(posix.dirname(path), specifier))
  if (!specifier.endsWith('.ts')) return ['relative', 'relative imports end in .ts']
  if (!files.has(target)) return ['relative', `${target} does not exist in src or adapters`]
  const from = placeOf(path)
  const to = placeOf(target)
  if (from === null || to === null) return null
  return ruleForFloors(path, target, { from, to })
}

function ruleForFloors(path, target, { from, to }) {
  const sameDoor = from.name === 'doors' && to.name === 'doors' && from.part === to.part
  if (to.name === 'doors' && !sameDoor) return ['doors', 'nobody imports a door']
  if (path.startsWith('adapters/') && !sameDoor && target !== 'src/adapter-kit.ts') {
    return ['adapter', 'an adapter imports src/adapter-kit.ts and its framework, nothing else']
  }
  if (to.floor > from.floor)
    return ['floors', `imports go down only: ${from.name} (${from.floor}) below ${to.name} (${to.floor})`]
  if (from.name === 'rooms' && to.name === 'rooms' && from.part !== to.part) {
    return ['rooms', `room ${from.part} does not enter room ${to.part}`]
  }
  return from.name === 'drivers' ? ruleForDriver(from, to, target) : null
}

function ruleForDriver(from, to, target) {
  if (to.name === 'drivers') return from.part === to.part ? null : ['drivers', 'one driver does not import another']
  const ports = PORTS[from.part.split('/')[0]]
  if (to.floor === 0 || ports.includes(target)) return null
  return ['drivers', `a driver imports its port (${ports.join(', ')}) and src/lib only`]
}

/** One line for each cycle, found by depth-first search; types count, for a cycle of types is one of thoughts. */
function findCycles(graph) {
  const cycles = []
  const state = new Map()
  const visit = (path, trail) => {
    state.set(path, 'open')
    for (const { target, line } of graph.get(path) ?? []) {
      if (state.get(target) === 'open') {
        const ring = [...trail.slice(trail.indexOf(target)), target]
        cycles.push({ path, line, subject: target, rule: 'cycle', text: ring.join(' → ') })
      } else if (!state.has(target)) visit(target, [...trail, target])
    }
    state.set(path, 'done')
  }
  for (const path of graph.keys()) if (!state.has(path)) visit(path, [path])
  return cycles
}

/** @param {string} root */
export function checkLayers(root) {
  const paths = [...listFiles(root, 'src'), ...listFiles(root, 'adapters')]
  const files = new Set(paths)
  const graph = new Map()
  const found = []
  for (const path of paths) {
    const source = readFileSync(join(root, path), 'utf8')
    const { code, strings } = maskSource(source)
    const imports = readImports(code, strings)
    for (const each of ruleForFile(path, { code, lines: source.split('\n') })) found.push({ path, ...each })
    for (const each of imports) {
      const broken = ruleForImport(path, each, files)
      if (broken === null) continue
      found.push({
        path,
        line: each.line,
        subject: `imports ${each.specifier ?? '(computed)'}`,
        rule: broken[0],
        text: broken[1],
      })
    }
    const relatives = imports.filter(({ specifier }) => specifier?.startsWith('.'))
    graph.set(
      path,
      relatives
        .map(({ specifier, line }) => ({ target: posix.normalize(posix.join(posix.dirname(path), specifier)), line }))
        .filter(({ target }) => files.has(target)),
    )
  }
  if (!files.has('src/index.ts'))
    found.push({ path: 'src/index.ts', line: 1, subject: 'file', rule: 'missing', text: 'the entry does not exist' })
  return { files: paths.length, found: [...found, ...findCycles(graph)] }
}

function main() {
  const { files, found } = checkLayers(resolve(process.argv[2] ?? dirname(import.meta.dirname)))
  for (const { path, line, subject, rule, text } of found)
    console.error(`${path}:${line}  ${subject}  [${rule}] ${text}`)
  console.log(`${files} files, ${found.length} broken rules`)
  if (found.length > 0) process.exitCode = 1
}

if (process.argv[1] === import.meta.filename) main()
