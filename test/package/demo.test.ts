import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect, promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { localBin, ROOT } from '../../scripts/local-bin.mjs'

const run = promisify(execFile)

interface Answers {
  statuses: number[]
  expires: (string | null)[]
}

interface Facts {
  calls: { what: string; statuses: number[]; code: string | null; identical: boolean }[]
  outages: { token: number[]; cachedKey: number[]; unknownKey: number[] }[]
  load: { framework: string; kind: string; calls: number }[]
  rotation: { on: string; before: Answers; old: Answers; fresh: Answers; validUntil: string; milliseconds: number[] }[]
  clock: object[]
  revocation: { on: string; before: number[]; refused: { milliseconds: number }[]; after: number[] }[]
  journal: { events: number; calls: number; outcomes: Record<string, number> }[]
  changes: object[]
}

/** As a Node without node:sqlite on which the package libsql is not installed. */
const WITHOUT_ENGINE = `data:text/javascript,${encodeURIComponent(`
  import { register } from 'node:module'
  const { getBuiltinModule } = process
  process.getBuiltinModule = (name) => (name === 'node:sqlite' ? undefined : getBuiltinModule(name))
  const hooks = "export const resolve = (name, context, next) => next(name === 'libsql' ? 'libsql-that-is-missing' : name, context)"
  register('data:text/javascript,' + encodeURIComponent(hooks))
`)}`

beforeAll(async () => {
  await run(process.execPath, [localBin('typescript', 'tsc'), '-p', 'tsconfig.examples.json'], { cwd: ROOT })
})

test('the demo shows what it says, and every call that it made is in the journal', async () => {
  const { stdout, stderr, code, left } = await demo()
  const facts = JSON.parse(stdout) as Facts

  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(left).toEqual([])
  expect(facts.calls.map(({ statuses, code: of, identical }) => ({ statuses, code: of, identical }))).toEqual([
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [403, 403, 403], code: 'INSUFFICIENT_SCOPE', identical: true },
    { statuses: [401, 401, 401], code: 'UNAUTHORIZED', identical: true },
    { statuses: [401, 401, 401], code: 'UNAUTHORIZED', identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [404, 404, 404], code: 'NOT_FOUND', identical: true },
  ])
  expect(facts.outages).toEqual([{ token: [200, 200, 200], cachedKey: [200, 200, 200], unknownKey: [503, 503, 503] }])
  expect(facts.load).toHaveLength(6)
  expect(facts.journal).toHaveLength(1)
  expect(facts.journal[0]?.events).toBe(facts.journal[0]?.calls)
  expectRotation(facts)
  expectRevocation(facts)
  expectChanges(facts)
})

test('without an engine for SQLite the demo says what to install, and leaves nothing behind', async () => {
  const { stdout, stderr, code, left } = await demo('--import', WITHOUT_ENGINE)

  expect(stderr).toContain('The demo cannot start: sqliteKeyStore: this Node has no node:sqlite')
  expect(stderr).toContain('Run: npm install libsql')
  expect(stderr).not.toContain('    at ')
  expect({ stdout, code, left }).toEqual({ stdout: '', code: 1, left: [] })
})

function expectRotation({ rotation: [rotation], clock }: Facts) {
  const deadline = rotation?.validUntil
  expect(deadline).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/)
  expect(rotation).toMatchObject({
    on: 'Koa',
    before: { statuses: [200, 200, 200], expires: [null, null, null] },
    old: { statuses: [200, 200, 200], expires: [deadline, deadline, deadline] },
    fresh: { statuses: [200, 200, 200], expires: [null, null, null] },
  })
  expect(rotation?.milliseconds).toHaveLength(3)
  expect(Math.max(...(rotation?.milliseconds ?? []))).toBeLessThan(1000)
  expect(clock).toEqual([
    {
      what: '24 h − 1 s later',
      moved: { now: 86_399_000, monotonicMs: 86_399_000 },
      old: [200, 200, 200],
      codes: [null, null, null],
      fresh: [200, 200, 200],
    },
    {
      what: '24 h later',
      moved: { now: 86_400_000, monotonicMs: 86_400_000 },
      old: [401, 401, 401],
      codes: ['UNAUTHORIZED', 'UNAUTHORIZED', 'UNAUTHORIZED'],
      fresh: [200, 200, 200],
    },
  ])
}

function expectRevocation({ revocation: [revocation] }: Facts) {
  expect(revocation).toMatchObject({
    on: 'Express',
    before: [200, 200, 200],
    refused: [
      { framework: 'Express', status: 401, code: 'UNAUTHORIZED' },
      { framework: 'Koa', status: 401, code: 'UNAUTHORIZED' },
      { framework: 'Fastify', status: 401, code: 'UNAUTHORIZED' },
    ],
    after: [401, 401, 401],
  })
  for (const { milliseconds } of revocation?.refused ?? []) expect(milliseconds).toBeLessThan(1000)
}

function expectChanges({ changes }: Facts) {
  // In any order: the clock is held while they are made, and they stand in the parts of several writers.
  const inOrder = (list: readonly unknown[]) => list.map((each) => inspect(each, { sorted: true })).toSorted()
  const expected = [
    { name: 'key.create', by: 'demo', on: 'Express', fields: ['name', 'scopes'] },
    { name: 'key.create', by: 'demo', on: 'Express', fields: ['name', 'scopes'] },
    { name: 'key.import', by: 'console:anna', on: 'Express', fields: ['name', 'scopes'] },
    { name: 'key.rotate', by: 'cron:rotation', on: 'Koa', fields: ['rotatedAt', 'validUntil', 'replacedBy'] },
    { name: 'key.create', by: 'demo', on: 'Express', fields: ['name', 'scopes'] },
    { name: 'key.revoke', by: 'console:anna', on: 'Express', fields: ['revokedAt', 'revokedReason'] },
  ]
  expect(inOrder(changes)).toEqual(inOrder(expected))
}

/** With a folder of its own for temporary files; `left`: what is in it afterwards. */
async function demo(...nodeOptions: string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'hc-demo-test-'))
  // node:sqlite warns of itself.
  const options = ['--disable-warning=ExperimentalWarning', ...nodeOptions]
  try {
    const { stdout, stderr, code } = await run(
      process.execPath,
      [...options, 'build/examples/demo/main.js', '--json', '--short'],
      { cwd: ROOT, maxBuffer: 1e7, env: { ...process.env, TMPDIR: directory } },
    ).then(
      (output) => ({ ...output, code: 0 }),
      (error: { stdout: string; stderr: string; code: number }) => error,
    )
    return { stdout, stderr, code, left: await readdir(directory) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
