// What is published: `exports` and dist/ agree both ways, no dependency came in unseen, and the tarball holds what it
// should and nothing else. Needs a build.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './local-bin.mjs'
import { maskSource, readImports } from './read-imports.mjs'

/** The entries of the public contract, by the module that each one is. */
const ENTRIES = {
  '.': 'src/index',
  './express': 'adapters/express',
  './koa': 'adapters/koa',
  './fastify': 'adapters/fastify',
  './stores/sqlite': 'src/stores/sqlite',
  './stores/postgres': 'src/stores/postgres',
  './stores/redis': 'src/stores/redis',
  './stores/introspection': 'src/stores/introspection',
  './sinks/logger': 'src/sinks/logger',
  './sinks/http': 'src/sinks/http',
  './sinks/otlp': 'src/sinks/otlp',
  './sinks/postgres': 'src/sinks/postgres',
  './sinks/nats': 'src/sinks/nats',
  './server': 'src/server/index',
  './audit': 'src/audit/index',
  './testing': 'src/testing/index',
}
const REQUIRED = new Set(['.', './express', './koa', './fastify'])
const DEPENDENCIES = ['jose', 'lru-cache', 'zod', 'commander']
/** The one optional package that is loaded when it is used, and where. */
const LOADED = { 'src/stores/sqlite/driver.js': { libsql: 'optional peer' } }
const PEERS = ['express', 'koa', 'fastify', 'libsql']
const PACKED =
  /^(dist\/(src|adapters)\/.+\.(js|d\.ts)(\.map)?|(src|adapters)\/.+\.ts|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|package\.json)$/
const MUST_PACK = [
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  'SECURITY.md',
  'package.json',
  'dist/src/index.js',
  'dist/src/cli/main.js',
  'src/index.ts',
]
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish', 'preprepare', 'postprepare']

const problems = []
const complain = (text) => problems.push(text)
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

function checkEntries() {
  const { './package.json': self, ...entries } = manifest.exports
  if (self !== './package.json') complain('exports: ./package.json is missing')
  for (const [entry, target] of Object.entries(entries)) {
    const module = ENTRIES[entry]
    if (module === undefined) {
      complain(`exports: ${entry} is no entry of the contract`)
      continue
    }
    const expected = { types: `./dist/${module}.d.ts`, default: `./dist/${module}.js` }
    if (JSON.stringify(target) !== JSON.stringify(expected))
      complain(`exports: ${entry} should be ${JSON.stringify(expected)}`)
    for (const path of Object.values(expected))
      if (!existsSync(join(ROOT, path))) complain(`exports: ${entry} needs ${path}, which does not exist`)
  }
  for (const [entry, module] of Object.entries(ENTRIES)) {
    if (entry in entries) continue
    if (existsSync(join(ROOT, `dist/${module}.js`)))
      complain(`exports: dist/${module}.js exists, but ${entry} is not exported`)
    else if (REQUIRED.has(entry)) complain(`exports: ${entry} is missing`)
  }
}

function checkManifest() {
  if (manifest.bin?.['hc-auth'] !== './dist/src/cli/main.js') complain('bin: hc-auth should be ./dist/src/cli/main.js')
  const {
    dependencies = {},
    peerDependencies = {},
    peerDependenciesMeta = {},
    optionalDependencies,
    bundleDependencies,
    scripts,
  } = manifest
  for (const [name, version] of Object.entries(dependencies)) {
    if (!DEPENDENCIES.includes(name)) complain(`dependencies: ${name} is not one of ${DEPENDENCIES.join(', ')}`)
    if (!/^\d+\.\d+\.\d+$/.test(version)) complain(`dependencies: ${name} is not pinned (${version})`)
  }
  for (const name of Object.keys(peerDependencies)) {
    if (!PEERS.includes(name)) complain(`peerDependencies: ${name} is not one of ${PEERS.join(', ')}`)
    if (peerDependenciesMeta[name]?.optional !== true) complain(`peerDependencies: ${name} is not optional`)
  }
  if (optionalDependencies !== undefined || bundleDependencies !== undefined)
    complain('no optional and no bundled dependencies')
  for (const name of INSTALL_SCRIPTS) if (name in scripts) complain(`scripts: ${name} would run on a user's machine`)
  for (const name of ['main', 'module', 'browser'])
    if (name in manifest) complain(`${name}: exports alone say what there is`)
  for (const [name, value] of Object.entries({ type: 'module', sideEffects: false, license: 'MIT' })) {
    if (manifest[name] !== value) complain(`${name} should be ${JSON.stringify(value)}`)
  }
  if (manifest.engines?.node !== '>=20.19') complain('engines.node should be >=20.19')
}

/** Whatever dist/ imports at run time is a dependency; types may name the peers too. */
function checkImports() {
  const files = readdirSync(join(ROOT, 'dist'), { recursive: true }).filter((path) => /\.(js|d\.ts)$/.test(path))
  for (const path of files) {
    const allowed = Object.keys({
      ...manifest.dependencies,
      ...(path.endsWith('.d.ts') ? manifest.peerDependencies : {}),
      ...LOADED[path],
    })
    const { code, strings } = maskSource(readFileSync(join(ROOT, 'dist', path), 'utf8'))
    for (const { specifier, kind } of readImports(code, strings)) {
      if (kind === 'augment' || specifier === null || /^(\.|node:)/.test(specifier)) continue
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')
      if (!allowed.includes(name)) complain(`dist/${path} imports ${specifier}, which is no dependency`)
    }
  }
}

function checkTarball() {
  const [npm, args] = process.env.npm_execpath ? [process.execPath, [process.env.npm_execpath]] : ['npm', []]
  const output = execFileSync(npm, [...args, 'pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const paths = JSON.parse(output)[0].files.map(({ path }) => path)
  for (const path of paths) if (!PACKED.test(path)) complain(`tarball: ${path} does not belong there`)
  for (const path of MUST_PACK) if (!paths.includes(path)) complain(`tarball: ${path} is missing`)
  return paths.length
}

if (existsSync(join(ROOT, 'dist'))) {
  checkEntries()
  checkManifest()
  checkImports()
  const packed = checkTarball()
  console.log(`${Object.keys(manifest.exports).length} exports, ${packed} packed files`)
} else complain('dist: does not exist, run `npm run build` first')
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1
