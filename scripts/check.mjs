// `npm run check`: every fence, by rounds; a round that breaks is the last. `--fast`: those that need no test and no
// build. `npm run check -- types layers`: the named ones.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { localBin, ROOT } from './local-bin.mjs'

const FAST = ['format', 'layers', 'lint', 'types', 'rows']
/** All but the long ones (vitest.config.ts), which `npm test` and CI run. */
const SHORT = ['source', 'alone', 'package'].flatMap((name) => ['--project', name])

/** Without `rows`: `build` compiles the source, and the tests of the package compile the rows as a consumer does. */
const ROUNDS = [['types', 'lint', 'build', 'format', 'layers'], ['attw', 'publint', 'exports'], ['tests']]
const CORES = 2
const budgetSeconds = 120

const script = (name, ...args) => [join(ROOT, 'scripts', name), ...args]
const tsc = (project) => [localBin('typescript', 'tsc'), '-p', project, '--checkers', '1']

/** The commands of each step. */
const STEPS = {
  format: [[localBin('oxfmt'), '--check']],
  lint: [[localBin('oxlint'), '--format=unix']],
  types: [tsc('tsconfig.test.json')],
  rows: ['tsconfig.json', ...typeProjects()].map(tsc),
  layers: [script('check-layers.mjs')],
  build: [script('build.mjs')],
  exports: [script('check-exports.mjs')],
  publint: [[localBin('publint'), '--strict']],
  attw: [[localBin('@arethetypeswrong/cli', 'attw'), '--pack', ROOT, '--profile', 'esm-only', '--no-emoji']],
  tests: [script('test.mjs', ...SHORT)],
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

/** The compilers are short-lived: they collect no garbage until they hold a lot of it. */
const environment = { GOGC: 'off', GOMEMLIMIT: '1GiB', ...process.env }

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env: environment })
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

const seconds = (since) => (performance.now() - since) / 1000

function report({ name, since, results }) {
  const output = results.map((result) => result.output).join('')
  const ok = results.every((result) => result.ok)
  if (!ok) console.error(output)
  // What built stands for the tests of the package, too.
  if (ok && name === 'build') environment.HC_CHECK_BUILT = '1'
  const note = ok && name === 'tests' ? `  ${output.trimEnd().split('\n').at(-1)}` : ''
  console.log(`${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(8)} ${seconds(since).toFixed(1).padStart(6)} s${note}`)
  return ok
}

/** The steps of a round side by side, as many commands at once as there are cores; nothing is begun after a failure. */
async function runRound(names) {
  const steps = names.map((name) => ({ name, since: 0, results: [] }))
  const queue = steps.flatMap((step) => STEPS[step.name].map((command) => ({ step, command })))
  let good = true
  const work = async () => {
    for (let next = queue.shift(); good && next !== undefined; next = queue.shift()) {
      const { step, command } = next
      step.since ||= performance.now()
      const result = await run(command)
      step.results.push(result)
      good &&= result.ok
      if (!result.ok || step.results.length === STEPS[step.name].length) report(step)
    }
  }
  await Promise.all(Array.from({ length: CORES }, work))
  return good
}

async function check(names) {
  const started = performance.now()
  for (const round of names) if (!(await runRound(round))) return false
  const total = seconds(started)
  console.log(`ok    ${names.flat().length} checks ${total.toFixed(1).padStart(6)} s`)
  if (total > budgetSeconds) console.warn(`warning: over the budget of ${budgetSeconds} s on two cores`)
  return true
}

/** The rounds that the arguments ask for. */
function chosen(args) {
  if (args.includes('--fast')) return [FAST]
  const unknown = args.filter((name) => !Object.hasOwn(STEPS, name))
  if (unknown.length > 0)
    throw new Error(`No such check: ${unknown.join(', ')}. There are ${Object.keys(STEPS).join(', ')}.`)
  if (args.length === 0) return ROUNDS
  const [first, ...rest] = ROUNDS
  return [['rows', ...first], ...rest].map((round) => round.filter((name) => args.includes(name)))
}

if (!(await check(chosen(process.argv.slice(2))))) process.exitCode = 1
