import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
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

interface Place {
  writer: string
  segment: number
  line: number
}

interface Facts {
  exchange: { command: string; members: string[]; rest: Record<string, unknown>; header: Record<string, unknown> }[]
  exchangeKey: object[]
  calls: { what: string; statuses: number[]; code: string | null; identical: boolean }[]
  outages: object[]
  load: { framework: string; kind: string; calls: number; refused: number; brokenOff: number }[]
  sink: { calls: number; unanswered: number; waiting: number; repeats: number }[]
  crash: { brokenOff: number; interrupted: number; named: number }[]
  rotation: { on: string; before: Answers; old: Answers; fresh: Answers; validUntil: string; milliseconds: number[] }[]
  clock: object[]
  revocation: { on: string; before: number[]; refused: { milliseconds: number }[]; after: number[] }[]
  journal: { events: number; calls: number; unanswered: number }[]
  token: { calls: number }[]
  changes: object[]
  received: { events: number; received: number }[]
  verified: { events: number; checkpoints: number }[]
  flipped: Place[]
  removed: Place[]
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

const DOCS = readFileSync(join(ROOT, 'docs/issuing.md'), 'utf8')

test('the demo shows what it says, and every call that it made is in the journal and at the log receiver', async () => {
  const { stdout, stderr, code, left } = await demo()
  const facts = JSON.parse(stdout) as Facts

  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(left).toEqual([])
  expect(stdout).not.toMatch(/hc_live_sk_\w|eyJ/)
  expectExchange(facts)
  expectCalls(facts)
  expectOutages(facts)
  expectCrash(facts)
  expectRotation(facts)
  expectRevocation(facts)
  expectJournal(facts)
  expectChanges(facts)
  expectEvidence(facts)
})

test('without an engine for SQLite the demo says what to install, and leaves nothing behind', async () => {
  const { stdout, stderr, code, left } = await demo('--import', WITHOUT_ENGINE)

  expect(stderr).toContain('The demo cannot start: sqliteKeyStore: this Node has no node:sqlite')
  expect(stderr).toContain('Run: npm install libsql')
  expect(stderr).not.toContain('    at ')
  expect({ stdout, code, left }).toEqual({ stdout: '', code: 1, left: [] })
})

function expectExchange({ exchange: [exchange], exchangeKey }: Facts) {
  const documented = exchange?.command.replace(/https:\/\/127\.0\.0\.1:\d+/, 'https://api.partner.example')
  expect(DOCS).toContain(`\`\`\`sh\n${documented}\n\`\`\``)
  expect(exchange?.members).toEqual(['access_token', 'token_type', 'expires_in', 'scope', 'issued_at'])
  expect(exchange?.rest).toEqual({
    token_type: 'Bearer',
    expires_in: 3600,
    scope: 'read:patients exec:agents',
    issued_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  })
  expect(exchange?.header).toMatchObject({ alg: 'RS256', typ: 'at+jwt' })
  const refused = { status: 400, code: 'INVALID_SCOPE' }
  expect(exchangeKey).toEqual([{ scopes: ['read:patients'], minutes: 60, used: [200, 200, 200], refused }])
}

function expectCalls({ calls }: Facts) {
  expect(calls.map(({ statuses, code, identical }) => ({ statuses, code, identical }))).toEqual([
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [403, 403, 403], code: 'INSUFFICIENT_SCOPE', identical: true },
    { statuses: [403, 403, 403], code: 'INSUFFICIENT_SCOPE', identical: true },
    { statuses: [401, 401, 401], code: 'UNAUTHORIZED', identical: true },
    { statuses: [401, 401, 401], code: 'UNAUTHORIZED', identical: true },
    { statuses: [200, 200, 200], code: null, identical: true },
    { statuses: [404, 404, 404], code: 'NOT_FOUND', identical: true },
  ])
}

/** The issuer, the store and the log receiver: nobody who is known is refused, and no event is lost. */
function expectOutages({ outages, load, sink: [sink] }: Facts) {
  expect(outages).toEqual([
    {
      token: [200, 200, 200],
      cachedKey: [200, 200, 200],
      unknownKey: [503, 503, 503],
      heldToken: [200, 200, 200],
      newExchange: 'EXCHANGE_UNAVAILABLE',
    },
  ])
  expect(load.map(({ refused, brokenOff }) => refused + brokenOff)).toEqual([0, 0, 0, 0, 0, 0])
  expect(sink).toMatchObject({ refused: 0, brokenOff: 0, lag: 0 })
  expect(sink?.calls).toBeGreaterThan(0)
  expect(sink?.waiting).toBeGreaterThan(0)
  expect(sink?.unanswered).toBeGreaterThan(0)
  expect(sink?.repeats).toBeGreaterThanOrEqual(sink?.unanswered ?? 0)
}

function expectCrash({ crash: [crash] }: Facts) {
  expect(crash).toMatchObject({ brokenOff: 16, next: 200, withoutEvent: 0, named: crash?.interrupted })
  expect(crash?.interrupted).toBeGreaterThan(0)
  expect(crash?.interrupted).toBeLessThanOrEqual(16)
}

function expectJournal({ journal: [journal], crash: [crash], token: [token] }: Facts) {
  expect(journal).toMatchObject({ withoutEvent: 0, twice: 0 })
  expect(journal?.events).toBe((journal?.calls ?? 0) + (journal?.unanswered ?? 0))
  expect(journal?.unanswered).toBeGreaterThanOrEqual(crash?.interrupted ?? 0)
  expect(journal?.unanswered).toBeLessThanOrEqual(16)
  expect(token).toMatchObject({ exchangedOn: ['Issuer'], servers: ['Express', 'Fastify', 'Koa'] })
  expect(token?.calls).toBeGreaterThan(3)
}

function expectEvidence({ received: [received], verified: [verified], flipped, removed }: Facts) {
  expect(received).toMatchObject({ received: received?.events, missing: 0, twice: 0, unknown: 0 })
  expect(verified).toMatchObject({ ok: true, events: received?.events, unanchored: 0, tornTail: false, findings: [] })
  // Three servers, the issuer, and one that was killed and started again.
  expect(verified?.checkpoints).toBeGreaterThanOrEqual(6)
  const [{ writer, segment, line }] = flipped as [Place]
  expect(flipped).toEqual([
    { writer, segment, line, ok: false, findings: [{ writer, segment, line, kind: 'altered' }] },
  ])
  const gone = { writer, segment: 1, line: 1, kind: 'segment-missing' }
  expect(removed).toEqual([{ writer, blind: true, ok: false, findings: [gone] }])
}

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
