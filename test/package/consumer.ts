import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localBin, ROOT } from '../../scripts/local-bin.mjs'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Two projects outside this repository that have installed the packed tarball. */
export interface Consumers {
  readonly folder: string
  readonly entries: readonly string[]
  /** Has the package and its declared dependencies, and nothing else. */
  readonly runtime: string
  /** Has the frameworks and their types, too, and the compiler projects of test/types. */
  readonly types: string
}

export function run(file: string, args: readonly string[], cwd: string): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { cwd, encoding: 'utf8', timeout: 50_000, env: { ...process.env, NODE_OPTIONS: '' } } as const
    execFile(file, [...args], options, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ status, stdout, stderr })
    })
  })
}

export function node(args: readonly string[], cwd: string): Promise<Ran> {
  return run(process.execPath, args, cwd)
}

async function done(step: string, work: Promise<Ran>): Promise<Ran> {
  const result = await work
  if (result.status !== 0) throw new Error(`${step} failed:\n${result.stdout}${result.stderr}`)
  return result
}

/** Builds, packs and installs: what a partner gets from the registry is what is tested. */
export async function packConsumers(): Promise<Consumers> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'consumer-')))
  const npm = process.env['npm_execpath']
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  await done('npm pack', npm === undefined ? run('npm', args, ROOT) : node([npm, ...args], ROOT))
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error('npm pack wrote no tarball.')

  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    name: string
    exports: Record<string, unknown>
    dependencies: Record<string, string>
  }
  const everything = readdirSync(join(ROOT, 'node_modules')).filter((name) => !name.startsWith('.'))
  const runtime = await install(join(folder, 'runtime'), join(folder, tarball), Object.keys(manifest.dependencies))
  const types = await install(join(folder, 'types'), join(folder, tarball), everything)
  copyTypeProjects(types)
  const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json')
  return { folder, runtime, types, entries: entries.map((entry) => manifest.name + entry.slice(1)) }
}

async function install(project: string, tarball: string, packages: readonly string[]): Promise<string> {
  const target = join(project, 'node_modules/@healthcloud/auth')
  mkdirSync(target, { recursive: true })
  await done('tar', run('tar', ['-xzf', tarball, '-C', target, '--strip-components=1'], project))
  for (const name of packages)
    symlinkSync(join(ROOT, 'node_modules', name), join(project, 'node_modules', name), 'junction')
  writeFileSync(join(project, 'package.json'), '{ "type": "module", "private": true }\n')
  return project
}

/** The same rows as in test/types, where they stand for the source: here without the paths that lead there. */
function copyTypeProjects(project: string): void {
  const rows = join(ROOT, 'test/types')
  cpSync(rows, project, { recursive: true })
  const config = JSON.parse(readFileSync(join(rows, 'tsconfig.json'), 'utf8')) as {
    compilerOptions: Record<string, unknown>
  }
  const { paths: _paths, allowImportingTsExtensions: _extensions, ...compilerOptions } = config.compilerOptions
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ ...config, compilerOptions }))
}

export function typeProjects(): string[] {
  return readdirSync(join(ROOT, 'test/types'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
}

export function compile(project: string, args: readonly string[], cwd: string): Promise<Ran> {
  return node([localBin('typescript', 'tsc'), '-p', project, ...args], cwd)
}
