// `npm run check`: every fence, in order, stopping at the first that breaks. `--fast`: those that need no test and no
// build. `npm run check -- types layers`: the named ones.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { localBin, ROOT } from './local-bin.mjs'

const FAST = ['format', 'lint', 'types', 'layers']
const budgetSeconds = 120

const script = (name, ...args) => [join(ROOT, 'scripts', name), ...args]
const tsc = (project) => [localBin('typescript', 'tsc'), '-p', project]

/** The commands of a step run one after the other; `types` are compiler projects, two at a time. */
const STEPS = {
  format: [[localBin('oxfmt'), '--check']],
  lint: [[localBin('oxlint'), '--format=unix']],
  types: ['tsconfig.json', 'tsconfig.test.json', ...typeProjects()].map(tsc),
  layers: [script('check-layers.mjs')],
  tests: [script('test.mjs')],
  build: [script('build.mjs')],
  exports: [script('check-exports.mjs')],
  publint: [[localBin('publint'), '--strict']],
  attw: [[localBin('@arethetypeswrong/cli', 'attw'), '--pack', ROOT, '--profile', 'esm-only', '--no-emoji']],
}

/** Each folder of test/types is a project of rows that must and must not compile. */
function typeProjects() {
  const folder = join(ROOT, 'test/types')
  const projects = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(folder, name, 'tsconfig.json'))
  const missing = projects.filter((project) => !existsSync(project))
  if (missing.length > 0 || projects.length === 0)
    throw new Error(`No compiler project: ${missing.join(', ') || folder}`)
  return projects
}

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const add = (chunk) => {
      output += chunk
    }
    child.stdout.setEncoding('utf8').on('data', add)
    child.stderr.setEncoding('utf8').on('data', add)
    child.once('error', reject)
    child.once('close', (code) => resolve({ ok: code === 0, output }))
  })
}

async function runStep(commands) {
  const results = []
  const queue = [...commands]
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results.push(await run(next))
  }
  await Promise.all([work(), work()])
  return { ok: results.every(({ ok }) => ok), output: results.map(({ output }) => output).join('') }
}

const seconds = (since) => (performance.now() - since) / 1000

async function check(names) {
  const started = performance.now()
  for (const name of names) {
    const since = performance.now()
    const { ok, output } = await runStep(STEPS[name])
    if (!ok) {
      console.error(output)
      console.log(`FAIL  ${name.padEnd(8)} ${seconds(since).toFixed(1).padStart(6)} s`)
      return false
    }
    const note = name === 'tests' ? `  ${output.trimEnd().split('\n').at(-1)}` : ''
    console.log(`ok    ${name.padEnd(8)} ${seconds(since).toFixed(1).padStart(6)} s${note}`)
  }
  const total = seconds(started)
  console.log(`ok    ${names.length} checks ${total.toFixed(1).padStart(6)} s`)
  if (total > budgetSeconds) console.warn(`warning: over the budget of ${budgetSeconds} s on two cores`)
  return true
}

function chosen(args) {
  if (args.includes('--fast')) return FAST
  const unknown = args.filter((name) => !Object.hasOwn(STEPS, name))
  if (unknown.length > 0)
    throw new Error(`No such check: ${unknown.join(', ')}. There are ${Object.keys(STEPS).join(', ')}.`)
  return args.length > 0 ? args : Object.keys(STEPS)
}

if (!(await check(chosen(process.argv.slice(2))))) process.exitCode = 1
