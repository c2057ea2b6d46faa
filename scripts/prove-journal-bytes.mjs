// `npm run prove:journal-bytes [-- values]`: every byte of a journal of 200 lines is changed (each to so many other
// values, default 1), every two lines are swapped, every line is moved to every place: each is one finding, of the right
// kind and in the right place. Then a segment of 64 MiB is examined, for speed and memory.
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { localBin, ROOT } from './local-bin.mjs'

const LINES = 200
const SEGMENT_BYTES = 67_108_864

/** Node 20 runs no TypeScript. */
function compile(out) {
  const files = ['test/audit/journal/verify-attacks.ts', 'src/audit/journal/verify.ts'].map((file) => join(ROOT, file))
  const flags = ['--ignoreConfig', '--noCheck', '--skipLibCheck', '--rewriteRelativeImportExtensions']
  const target = ['--module', 'nodenext', '--target', 'es2023', '--rootDir', ROOT, '--outDir', out]
  const { status } = spawnSync(process.execPath, [localBin('typescript', 'tsc'), ...flags, ...target, ...files], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('The helpers of the tests do not compile.')
}

async function load(out) {
  const [journal, attacks, verify] = await Promise.all(
    ['test/audit/journal/verify-journal.js', 'test/audit/journal/verify-attacks.js', 'src/audit/journal/verify.js'].map(
      (file) => import(pathToFileURL(join(out, file)).href),
    ),
  )
  return { journal, attacks, verify }
}

/** One part of the changes; gives how often which kind was found, and what was not found as it should be. */
async function work({ out, part, parts, values }) {
  const { journal, attacks } = await load(out)
  const { closedJournal, KEYS, told, verdictOf } = journal
  const { lines, checkpoints } = closedJournal(LINES)
  const outside = { publicKeys: [KEYS.publicKey], checkpoints: checkpoints.slice(-1) }
  const counts = {}
  const misses = []
  const expectOne = (name, segment, wanted) => {
    const found = told(verdictOf({ w1: { 1: segment } }, outside))
    const good = found.length === 1 && wanted.includes(found[0])
    const key = `${name}: ${good ? found[0].split(' ').at(-1) : 'MISSED'}`
    counts[key] = (counts[key] ?? 0) + 1
    if (!good && misses.length < 20)
      misses.push(`${name}: ${found.join(', ') || 'nothing'}, not ${wanted.join(' or ')}`)
  }
  const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0)
  for (let at = part; at < bytes; at += parts) {
    for (let value = 0; value < values; value += 1) {
      const mask = 1 + ((at * 37 + value * 101) % 255)
      const { segment, line, isLastNewline } = attacks.byteChange(lines, at, mask)
      const kinds = isLastNewline ? ['truncated'] : ['altered', 'malformed']
      expectOne(
        'byte',
        segment,
        kinds.map((kind) => `w1 1:${line} ${kind}`),
      )
    }
  }
  for (let one = part; one < LINES; one += parts) {
    for (let other = one + 1; other < LINES; other += 1) {
      expectOne('swap', attacks.swap(lines, one, other), [`w1 1:${one + 1} reordered`])
    }
    for (let to = 0; to < LINES; to += 1) {
      if (Math.abs(one - to) < 2) continue
      const places = [one, to].map((at) => `w1 1:${at + 1} reordered`)
      expectOne('move', attacks.deletion(lines, one).toSpliced(to, 0, lines[one]), places)
    }
  }
  return { counts, misses, bytes }
}

function inWorkers(out, values) {
  const parts = availableParallelism()
  return Promise.all(
    Array.from(
      { length: parts },
      (_, part) =>
        new Promise((resolve, reject) => {
          const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { out, part, parts, values } })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    ),
  )
}

/** One segment of full size, as a busy server writes it. */
function writeSegment(directory, { handWriter, textOf }) {
  const own = handWriter('w1')
  mkdirSync(join(directory, 'w1'), { recursive: true })
  const path = join(directory, 'w1', '00000001.jsonl')
  const file = openSync(path, 'w')
  let size = 0
  let count = 0
  while (size < SEGMENT_BYTES) {
    for (let each = 0; each < 500; each += 1) {
      own.intent()
      own.event()
    }
    own.checkpoint()
    size += writeSync(file, textOf(own.lines.slice(count === 0 ? 0 : 1)))
    count += own.lines.length - (count === 0 ? 0 : 1)
    // Of the lines only the last is needed to go on.
    own.lines.splice(0, own.lines.length - 1)
  }
  closeSync(file)
  return { count, size: statSync(path).size }
}

async function measure(out) {
  const { journal, verify } = await load(out)
  const directory = mkdtempSync(join(tmpdir(), 'hc-auth-prove-'))
  try {
    const { count, size } = writeSegment(directory, journal)
    for (let round = 1; round <= 3; round += 1) {
      let most = 0
      const timer = setInterval(() => {
        most = Math.max(most, process.memoryUsage().arrayBuffers)
      }, 5)
      const [started, cpu] = [performance.now(), process.cpuUsage()]
      const verdict = await verify.verifyJournal(directory, { publicKeys: [journal.KEYS.publicKey] })
      const [ms, used] = [performance.now() - started, process.cpuUsage(cpu)]
      clearInterval(timer)
      const cpuMs = (used.user + used.system) / 1000
      const rate = (time) => `${Math.round((count / time) * 1000).toLocaleString('en')} lines/s`
      console.log(
        `${verdict.ok ? 'good' : 'NOT GOOD'}: ${count} lines, ${(size / 2 ** 20).toFixed(0)} MiB in ${(ms / 1000).toFixed(2)} s:`,
        `${rate(ms)}, ${rate(cpuMs)} of CPU time; buffers at most ${(most / 2 ** 20).toFixed(1)} MiB`,
      )
      if (!verdict.ok) process.exitCode = 1
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function main() {
  const values = Number(process.argv[2] ?? 1)
  const out = join(ROOT, 'build', `prove-${process.pid}`)
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  try {
    compile(out)
    const results = await inWorkers(out, values)
    const counts = {}
    for (const result of results) {
      for (const [key, count] of Object.entries(result.counts)) counts[key] = (counts[key] ?? 0) + count
    }
    const misses = results.flatMap((result) => result.misses)
    console.log(`${LINES} lines, ${results[0].bytes} bytes`)
    for (const [key, count] of Object.entries(counts)) console.log(`  ${key} ${count}`)
    for (const miss of misses) console.log(`  ${miss}`)
    if (misses.length > 0) process.exitCode = 1
    await measure(out)
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

if (isMainThread) await main()
else parentPort.postMessage(await work(workerData), [])
