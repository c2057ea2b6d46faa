import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createBroken } from '../../../src/cli/audit/broken.ts'
import { latestEntries } from '../../../src/cli/audit/tail.ts'
import { run } from '../../../src/cli/run.ts'
import { eventOf, makeJournal, PSEUDONYM, pseudonymOf, SECRET, systemEvent, type TestJournal } from './journal.ts'
import { hcAuth, words, type Env } from '../hc-auth.ts'

let journal: TestJournal
let env: Env

beforeEach(() => {
  journal = makeJournal()
  env = { HEALTHCLOUD_AUDIT_DIR: journal.directory }
})

afterEach(() => journal.remove())

const audit = (line: string, more: Env = {}, input?: string) =>
  hcAuth(words(`audit ${line}`), { env: { ...env, ...more }, ...(input === undefined ? {} : { input }) })

/** `03:05` of that day. */
const at = (clock: string, day = '2026-11-24') => `${day}T${clock}:00.000Z`
const call = (clock: string, requestId = clock) => eventOf({ time: at(clock), requestId })

/** The request ids of the events that come out. */
async function found(line: string, more: Env = {}, input?: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await audit(`${line} --json`, more, input)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return jsonLines(stdout).map(({ requestId, name }) => requestId ?? name)
}

function jsonLines(text: string) {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as ReturnType<typeof eventOf>)
}

/** Two servers, side by side and one after the other, and one that has crashed. */
function severalWriters(): void {
  const [a, b, c] = [journal.writer('a'), journal.writer('b'), journal.writer('c')]
  b.write(systemEvent('audit.started', at('01:00')), call('01:10'), call('01:30'))
  a.intent(at('01:05'))
  a.write(call('01:05'), call('01:20'))
  a.nextSegment()
  a.write(call('02:00'))
  a.raw('{"v":1,"id":"torn')
  c.write(call('03:00'), call('03:10'))
}

const IN_ORDER = ['audit.started', '01:05', '01:10', '01:20', '01:30', '02:00', '03:00', '03:10']

describe('query', () => {
  test('gives the events of all writers in their order, and no intents', async () => {
    severalWriters()
    expect(await found('query')).toEqual(IN_ORDER)
  })

  test('is a table of 80 columns, in UTC', async () => {
    journal.writer('w1').write(
      systemEvent('audit.started', at('23:59', '2026-11-23')),
      eventOf({ time: at('00:00'), actor: { keyId: 'key_3r9Wc0TqVbYx5LhZkN2d' } }),
      eventOf({ time: at('00:01'), outcome: 'denied', reason: 'organization_mismatch', http: { route: '*' } }),
      eventOf({ time: at('00:02'), phi: { attribution: 'none', patients: [], patientCount: null } }),
      eventOf({ time: at('00:03'), phi: { patientCount: 12_345, bulk: true } }),
      eventOf({
        time: at('00:04'),
        outcome: 'denied',
        reason: 'key_unknown',
        count: 30,
        actor: { keyId: null, org: null },
      }),
      eventOf({ time: at('00:05'), part: { n: 2, of_id: 'x' } }),
      eventOf({
        time: at('00:06'),
        kind: 'admin',
        name: 'key.rotate',
        http: null,
        phi: null,
        actor: { kind: 'none', org: null, keyId: null, by: 'anna' },
        target: { keyId: 'key_1', org: 'org_1', fields: [] },
      }),
    )
    const { code, stdout, stderr } = await audit('query')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '8 events.\n' })
    expect(stdout).toBe(`TIME      WHO                       WHAT                  PAT  RESULT
2026-11-23
23:59:00  w1                        audit.started              success
2026-11-24
00:00:00  key_3r9Wc0TqVbYx5LhZkN2d  GET /v1/patients/:id    1  success
00:01:00  key_1                     GET *                   1  organization_mis…
00:02:00  key_1                     GET /v1/patients/:id    ?  success
00:03:00  key_1                     GET /v1/patients/:id  12k  bulk, success
00:04:00  -                         GET /v1/patients/:id    1  30 x key_unknown
00:05:00  key_1                     GET /v1/patients/:id    1  + success
00:06:00  anna                      key.rotate key_1           success
`)
  })

  const HOUR = 3_600_000
  const ago = (hours: number) => new Date(Date.now() - hours * HOUR).toISOString()

  test.each([
    ['--since 2026-11-24T01:20:00Z', ['01:20', '01:30', '02:00', '03:00', '03:10']],
    ['--since 2026-11-24T01:20:00.001Z --until 2026-11-24T03:00Z', ['01:30', '02:00']],
    ['--since 2026-11-25', []],
    ['--until 2026-11-24', []],
    ['--since 2026-11-24T02:30+01:00 --until 2026-11-24T03:30+01:00', ['01:30', '02:00']],
  ])('%s', async (options, ids) => {
    severalWriters()
    expect(await found(`query ${options}`)).toEqual(ids)
  })

  test('durations count back from now', async () => {
    const write = (hours: number) => eventOf({ time: ago(hours), requestId: `${hours}` })
    journal.writer('w1').write(write(200), write(30), write(5), write(0.5))
    expect(await found('query --since 7d')).toEqual(['30', '5', '0.5'])
    expect(await found('query --since 24h --until 60m')).toEqual(['5'])
  })

  test('reads no segment that ended before, however many there are; a clock that was set back hides nothing', async () => {
    const old = journal.writer('w1')
    old.write(call('01:00', 'old'))
    old.write(call('01:01', 'older'))
    old.raw('no line at all\n')
    old.nextSegment()
    old.write(
      eventOf({ time: at('05:00', '2026-11-26'), requestId: 'ahead' }),
      eventOf({ time: at('23:00', '2026-11-25') }),
    )
    expect(await found('query --since 2026-11-26')).toEqual(['ahead'])
  })

  const org2 = { actor: { org: 'org_2', keyId: 'key_2' } }
  const ROWS = [
    eventOf({ requestId: 'r1', actor: { jti: 'tok_1' } }),
    eventOf({ requestId: 'r2', ...org2, outcome: 'denied', reason: 'scope_missing', client: { ip: '192.0.2.9' } }),
    eventOf({ requestId: 'r3', outcome: 'error', reason: 'handler_error', http: { route: '/v1/labs' } }),
    eventOf({
      requestId: 'r4',
      kind: 'admin',
      name: 'key.revoke',
      actor: { kind: 'none', org: null, keyId: null, by: 'anna' },
      target: { keyId: 'key_2', org: 'org_2', fields: [] },
      phi: null,
      http: null,
    }),
    eventOf({ requestId: 'r5', id: '01930000-0000-7000-8000-00000000ffff' }),
    eventOf({ requestId: 'r6', part: { n: 2, of_id: '01930000-0000-7000-8000-00000000ffff' }, phi: null }),
  ]

  test.each([
    ['--key key_2', ['r2', 'r4']],
    ['--key key_1 --key key_2', ['r1', 'r2', 'r3', 'r4', 'r5', 'r6']],
    ['--org org_2', ['r2', 'r4']],
    ['--org org_2 --kind access', ['r2']],
    ['--outcome denied,error', ['r2', 'r3']],
    ['--reason scope_missing', ['r2']],
    ['--name key.revoke', ['r4']],
    ['--route /v1/labs', ['r3']],
    ['--request-id r3', ['r3']],
    ['--ip 192.0.2.9', ['r2']],
    ['--jti tok_1', ['r1']],
    ['--id 01930000-0000-7000-8000-00000000ffff', ['r5', 'r6']],
    ['--key key_1 --outcome denied', []],
  ])('%s', async (options, ids) => {
    journal.writer('w1').write(...ROWS)
    expect(await found(`query ${options}`)).toEqual(ids)
  })
})

describe('query --patient', () => {
  const OLD = Buffer.alloc(32, 9).toString('base64')
  const keys: Env = {
    HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k2:${Buffer.alloc(32, 5).toString('base64')},k1:${SECRET},k0:${OLD}`,
  }
  const of = (requestId: string, org: string | null, patient: string) =>
    eventOf({
      requestId,
      actor: { org, ...(org === null ? { keyId: null } : {}) },
      phi: { patients: ['pt_x', patient] },
    })

  beforeEach(() => {
    journal
      .writer('w1')
      .write(
        of('r1', 'org_1', PSEUDONYM),
        of('r2', 'org_1', pseudonymOf(OLD, 'k0', ['org_1', '123'])),
        of('r3', 'org_2', pseudonymOf(SECRET, 'k1', ['org_2', '123'])),
        of('other organization', 'org_2', PSEUDONYM),
        of('other patient', 'org_1', pseudonymOf(SECRET, 'k1', ['org_1', '124'])),
        of('r4', null, pseudonymOf(SECRET, 'k1', ['', '123'])),
        of('unknown key', 'org_1', pseudonymOf(Buffer.alloc(32, 8).toString('base64'), 'k9', ['org_1', '123'])),
        systemEvent('audit.stopped', at('04:00')),
      )
  })

  test('finds a patient under every key and in every organization', async () => {
    expect(await found('query --patient Patient/123', keys)).toEqual(['r1', 'r2', 'r3', 'r4'])
    expect(await found('query --patient Patient/123 --org org_2', keys)).toEqual(['r3'])
    expect(await found('query --patient Patient/999', keys)).toEqual([])
  })

  test('reads the key from a file, and the patient from standard input', async () => {
    const file = join(journal.directory, 'secret')
    writeFileSync(file, `k1:${SECRET}\n`)
    const more = { HEALTHCLOUD_AUDIT_PSEUDONYM_KEY_FILE: file }
    expect(await found('query --patient -', more, 'Patient/123\n')).toEqual(['r1', 'r3', 'r4'])
  })

  test.each([
    ['', 'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: is not set, and the journal names patients by pseudonyms alone.'],
    ['k1', 'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: is malformed. Give `id:base64`, or several separated by commas.'],
    ['k1:c2hvcnQ=', 'audit.pseudonymKeys.0.secret: is not valid.'],
    [`k1:${SECRET},k1:${SECRET}`, 'audit.pseudonymKeys'],
  ])('ends with 3 where the pseudonym key is %j', async (key, text) => {
    const { code, stdout, stderr } = await audit('query --patient Patient/123', {
      HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: key,
    })
    expect({ code, stdout, stderr: stderr.slice(0, text.length + 9) }).toEqual({
      code: 3,
      stdout: '',
      stderr: `hc-auth: ${text}`,
    })
    expect(stderr).not.toContain(SECRET)
  })

  test('points at a misspelt variable', async () => {
    const { code, stderr } = await audit('query --patient Patient/1', {
      HEALTHCLOUD_AUDIT_PSEUDONYM_KEYS: `k1:${SECRET}`,
    })
    expect({ code, stderr: stderr.slice(0, 65) }).toEqual({
      code: 3,
      stderr: 'hc-auth: HEALTHCLOUD_AUDIT_PSEUDONYM_KEYS: is not a variable of t',
    })
  })
})

describe('tail', () => {
  test('gives the last events of all writers, oldest first', async () => {
    severalWriters()
    expect(await found('tail')).toEqual(IN_ORDER)
    expect(await found('tail -n 3')).toEqual(IN_ORDER.slice(-3))
    expect(await found('tail --lines 5')).toEqual(IN_ORDER.slice(-5))
    expect(await found('tail -n 2 --until 2026-11-24T02:00:00Z')).toEqual(['01:20', '01:30'])
    expect(await found('tail -n 1 --name audit.started')).toEqual(['audit.started'])
  })

  test('gives twenty, also where they lie in many segments and after much that is not wanted', async () => {
    const writer = journal.writer('w1')
    const id = (index: number) => `r${index}`
    for (let index = 0; index < 30; index += 1) {
      writer.write(
        eventOf({ requestId: id(index), time: new Date(Date.parse(at('01:00')) + index * 1000).toISOString() }),
      )
      writer.write(
        ...Array.from({ length: 40 }, () => eventOf({ outcome: 'denied', reason: 'key_unknown', time: at('01:00') })),
      )
      if (index % 7 === 0) writer.nextSegment()
    }
    expect(await found('tail --outcome success')).toEqual(Array.from({ length: 20 }, (_, index) => id(index + 10)))
    expect(await found('tail --outcome success -n 30')).toHaveLength(30)
  })

  test('reads no more of a large segment than it has to', async () => {
    const writer = journal.writer('w1')
    writer.raw('no line\n')
    for (let index = 0; index < 20; index += 1) {
      writer.write(...Array.from({ length: 50 }, (_, line) => call('01:00', `r${index * 50 + line}`)))
    }
    expect(await found('tail -n 3')).toEqual(['r997', 'r998', 'r999'])
    const { code, stdout, stderr } = await audit('tail -n 1000 --json')
    expect([code, jsonLines(stdout).length]).toEqual([1, 1000])
    expect(stderr).toContain('1 line cannot be read')
  })
})

test('what is written while tail reads is left to those who follow', async () => {
  const writer = journal.writer('w1')
  writer.write(call('01:00', 'r1'), call('01:01', 'r2'))
  const ends = new Map([['w1', { segment: 1, offset: statSync(writer.file).size }]])
  writer.write(call('01:02', 'r3'))
  writer.nextSegment()
  writer.write(call('01:03', 'r4'))
  const shell = { goOn: () => undefined }
  const filter = { since: null, accepts: () => true }
  const { directory } = journal
  for (const count of [1, 10]) {
    const entries = await latestEntries({ shell, directory, broken: createBroken(), filter, ends, count })
    expect(entries.map(({ event }) => event.requestId)).toEqual(['r1', 'r2'].slice(-count))
  }
})

describe('tail --follow', () => {
  /** A terminal, and somebody who presses Ctrl-C. */
  function follow(line: string) {
    const controller = new AbortController()
    const chunks: { out: string; err: string } = { out: '', err: '' }
    const into = (name: 'out' | 'err') =>
      new Writable({
        decodeStrings: false,
        write: (chunk: unknown, _encoding, done) => {
          chunks[name] += String(chunk)
          done()
        },
      })
    const stdin = Object.assign((async function* () {})(), { isTTY: true })
    const surroundings = { env, cwd: '/', stdin, stdout: into('out'), stderr: into('err'), signal: controller.signal }
    const ended = run(words(`audit ${line}`), surroundings)
    const shows = async (text: string) => {
      for (let tries = 0; !chunks.out.includes(text) && tries < 400; tries += 1) await delay(10)
      expect(chunks.out).toContain(text)
    }
    return { chunks, ended, shows, interrupt: () => controller.abort() }
  }

  const ids = (text: string) => jsonLines(text).map(({ requestId }) => requestId)

  test('goes on with what is written: to a line, a new segment, by a new writer; and ends with Ctrl-C', async () => {
    const writer = journal.writer('w1')
    writer.write(call('01:00', 'r1'), call('01:01', 'r2'), call('01:02', 'r3'))
    const { chunks, ended, shows, interrupt } = follow('tail -n 2 --follow --json')
    await shows('r3')
    writer.write(call('01:03', 'r4'))
    const late = JSON.stringify({ ...call('01:04', 'r5'), writer: 'w1' })
    writer.raw(late.slice(0, 100))
    await shows('r4')
    await delay(300)
    writer.raw(`${late.slice(100)}\n`)
    await shows('r5')
    writer.nextSegment()
    writer.intent()
    writer.write(call('01:05', 'r6'))
    journal.writer('a0').write(call('01:06', 'r7'))
    await shows('r7')
    await shows('r6')
    interrupt()
    expect(await ended).toBe(0)
    expect(chunks.err).toBe('')
    expect(ids(chunks.out).slice(0, 4)).toEqual(['r2', 'r3', 'r4', 'r5'])
    expect(new Set(ids(chunks.out).slice(4))).toEqual(new Set(['r6', 'r7']))
  })

  test('shows each event once, however fast they come', async () => {
    const writer = journal.writer('w1')
    const all: string[] = []
    const write = () => {
      for (let count = 0; count < 20; count += 1) {
        all.push(`r${all.length}`)
        writer.write(call('01:00', all.at(-1)))
      }
      if (all.length % 300 === 0) writer.nextSegment()
    }
    write()
    const { chunks, ended, shows, interrupt } = follow('tail -n 100000 --follow --json')
    for (let round = 0; round < 60; round += 1) {
      write()
      await delay(5)
    }
    await shows(`"${all.at(-1)}"`)
    interrupt()
    expect(await ended).toBe(0)
    expect(ids(chunks.out)).toEqual(all)
  })

  test('shows what fits the filter alone, in a journal that is empty at first', async () => {
    const { chunks, ended, shows, interrupt } = follow('tail -f --outcome denied')
    await delay(50)
    journal
      .writer('w1')
      .write(call('01:00'), eventOf({ time: at('01:01'), outcome: 'denied', reason: 'scope_missing' }))
    await shows('scope_missing')
    interrupt()
    expect(await ended).toBe(0)
    expect(chunks.out.split('\n')).toHaveLength(4)
  })

  test('says when the directory goes away', async () => {
    journal.writer('w1').write(call('01:00', 'r1'))
    const { chunks, ended, shows } = follow('tail -f --json')
    await shows('r1')
    rmSync(journal.directory, { recursive: true })
    expect(await ended).toBe(4)
    expect(chunks.err).toContain('The audit journal cannot be read (ENOENT).')
  })
})

test.each(['', 'verify', 'tail', 'query', 'export', 'summary'])(
  'help on 80 columns: hc-auth audit %s',
  async (name) => {
    const { code, stdout, stderr } = await hcAuth(words(`audit ${name} --help`), { env: { FORCE_COLOR: '1' } })
    expect({ code, stderr, help: stdout.startsWith('Usage: hc-auth audit') }).toEqual({
      code: 0,
      stderr: '',
      help: true,
    })
    expect(stdout.split('\n').filter((each) => each.length > 80)).toEqual([])
    expect(stdout).not.toContain('\u001b')
  },
)

describe('mistakes', () => {
  test.each([
    ['query --since soon', '--since: expected a date (2026-11-01), an instant (2026-11-01T12:00:00Z), or how long ago'],
    ['query --since 7w', '--since: expected a date'],
    ['query --until 2026-02-30', '--until: expected a date'],
    ['query --since 1d --until 2d', '--since: is not before --until.'],
    ['query --since 2026-11-24 --until 2026-11-24', '--since: is not before --until.'],
    ['query --outcome failed', '--outcome: expected one of success, denied, error, aborted, interrupted.'],
    ['query --kind user', '--kind: expected one of access, auth, admin, system.'],
    ['query --reason No-Such', '--reason: expected a word such as key_unknown.'],
    ['query --name ;', '--name: expected a word such as request or key.create.'],
    ['query --patient 123', '--patient: expected Patient/ and an id, such as Patient/123'],
    ['query --patient Patient/', '--patient: expected Patient/ and an id'],
    ['tail -n 0', '-n: expected a whole number from 1 on.'],
    ['tail -n many', '-n: expected a whole number from 1 on.'],
    ['query key_1', 'Too many arguments'],
    ['qeury', 'Unknown command qeury. Did you mean query?'],
    ['query --outcom denied', 'Unknown option --outcom. Did you mean --outcome?'],
    ['export', 'Required option --format <name> not specified.'],
    ['export --format xml', 'Option --format <name> argument xml is invalid. Allowed choices are ndjson, csv, fhir.'],
    ['export --format csv --json', '--json: tells of a file, so it needs --output.'],
    ['summary --since 10m', '--since: expected an hour, or longer.'],
    ['summary --since 2999-01-01', '--since: is not before --until.'],
  ])('exit 2: hc-auth audit %s', async (line, text) => {
    const more = { HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${SECRET}` }
    const { code, stdout, stderr } = await audit(line, more)
    expect({ code, stdout, stderr: stderr.slice(0, text.length + 9) }).toEqual({
      code: 2,
      stdout: '',
      stderr: `hc-auth: ${text}`,
    })
  })

  const COMMANDS = ['query', 'tail', 'tail -f', 'export --format ndjson', 'summary', 'query --json', 'summary --json']

  test.each(COMMANDS)('exit 3 without a directory: hc-auth audit %s', async (line) => {
    const { code, stdout, stderr } = await audit(line, { HEALTHCLOUD_AUDIT_DIR: ' ' })
    expect({ code, stdout, stderr }).toEqual({
      code: 3,
      stdout: '',
      stderr: 'hc-auth: There is no audit journal to read. Give --directory, or set HEALTHCLOUD_AUDIT_DIR.\n',
    })
  })

  test.each(COMMANDS)('exit 4 where the directory cannot be read: hc-auth audit %s', async (line) => {
    writeFileSync(join(journal.directory, 'file'), '')
    for (const [name, problem] of [
      ['nowhere', 'ENOENT'],
      ['file', 'ENOTDIR'],
    ] as const) {
      const { code, stdout, stderr } = await audit(`${line} --directory ${join(journal.directory, name)}`)
      expect({ code, stdout, stderr: stderr.split('\n')[0] }).toEqual({
        code: 4,
        stdout: '',
        stderr: `hc-auth: The audit journal cannot be read (${problem}).`,
      })
    }
  })

  test('a journal that is empty is no failure, and says so', async () => {
    expect(await audit('query')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'There is no event in this journal, or none so late.\n',
    })
    expect(await audit('tail')).toEqual({ code: 0, stdout: '', stderr: 'There is no journal in this directory.\n' })
    expect(await audit('export --format ndjson')).toMatchObject({ code: 0, stdout: '' })
    mkdirSync(join(journal.directory, 'w1'))
    writeFileSync(join(journal.directory, 'w1', '00000001.jsonl'), '')
    writeFileSync(join(journal.directory, 'w1', 'cursor.json'), 'not a segment')
    mkdirSync(join(journal.directory, 'no-writer'))
    expect(await found('query')).toEqual([])
    expect(await found('tail')).toEqual([])
    expect(await audit('summary')).toMatchObject({ code: 0, stderr: 'There is no event in this journal.\n' })
  })

  test('the directory may be relative to where the command runs', async () => {
    journal.writer('w1').write(call('01:00', 'r1'))
    const ran = await hcAuth(words('audit query --json --directory .'), { env: {}, cwd: journal.directory })
    expect(jsonLines(ran.stdout)).toHaveLength(1)
  })

  test('whoever reads the first lines only ends it quietly', async () => {
    journal.writer('w1').write(call('01:00'))
    for (const line of ['query', 'tail', 'tail -f', 'export --format csv', 'summary', 'query --json']) {
      const ran = await hcAuth(words(`audit ${line}`), { env, brokenOutput: 'EPIPE' })
      expect({ line, ...ran }).toEqual({ line, code: 0, stdout: '', stderr: '' })
    }
    expect(await hcAuth(words('audit query'), { env, brokenOutput: 'ENOSPC' })).toMatchObject({ code: 1 })
  })

  test('Ctrl-C ends a search', async () => {
    journal.writer('w1').write(call('01:00'))
    for (const line of ['query', 'tail', 'export --format csv', 'summary']) {
      const ran = await hcAuth(words(`audit ${line}`), { env, signal: AbortSignal.abort() })
      expect({ line, ...ran }).toEqual({ line, code: 130, stdout: '', stderr: 'hc-auth: Interrupted.\n' })
    }
  })
})

describe('a journal that somebody has altered', () => {
  const good = () => call('01:00', 'r1')
  const BROKEN: readonly (readonly [what: string, text: string])[] = [
    ['no JSON', 'no line'],
    ['nothing', ''],
    ['no object', '[]'],
    ['another version', JSON.stringify({ ...good(), v: 2 })],
    ['a member that is missing', JSON.stringify({ ...good(), actor: undefined })],
    ['a member of another type', JSON.stringify({ ...good(), phi: { patients: 'all' } })],
    ['a time that is none', JSON.stringify({ ...good(), recorded: 'now' })],
    ['an id that is none', JSON.stringify({ ...good(), id: 'x' })],
    ['members that are inherited', `{"__proto__":${JSON.stringify(good())},"id":"x"}`],
    ['bytes that are no text', '\u0000'],
  ]

  test.each(BROKEN)('shows the rest, says where it is broken, and ends with 1: %s', async (_, text) => {
    const writer = journal.writer('w1')
    writer.write(good())
    writer.raw(`${text}\n`)
    writer.write(call('01:01', 'r2'))
    for (const line of ['query --json', 'tail --json', 'export --format ndjson']) {
      const { code, stdout, stderr } = await audit(line)
      expect([code, jsonLines(stdout).map(({ requestId }) => requestId)]).toEqual([1, ['r1', 'r2']])
      expect(stderr).toContain('1 line cannot be read, and is left out: w1/00000001.jsonl:2\n')
    }
    for (const line of ['summary', 'summary --json', 'export --format csv', 'export --format fhir', 'query', 'tail']) {
      expect((await audit(line)).code, line).toBe(1)
    }
  })

  test('a segment that ends in the middle of a line is broken, unless it is the last', async () => {
    const writer = journal.writer('w1')
    writer.write(call('01:00', 'r1'))
    writer.raw('{"v":1,')
    writer.nextSegment()
    writer.write(call('01:01', 'r2'))
    writer.raw('{"v":1,')
    const { code, stdout, stderr } = await audit('query --json')
    expect([code, jsonLines(stdout).length]).toEqual([1, 2])
    expect(stderr).toContain('1 line cannot be read, and is left out: w1/00000001.jsonl, byte ')
  })

  test('a megabyte without a line ends the segment, not the command', async () => {
    const writer = journal.writer('w1')
    writer.write(call('01:00', 'r1'))
    writer.raw('x'.repeat(1_200_000))
    journal.writer('w2').write(call('01:01', 'r2'))
    const { code, stdout } = await audit('query --json')
    expect([code, jsonLines(stdout).map(({ requestId }) => requestId)]).toEqual([1, ['r1', 'r2']])
  })

  /** ESC, the one-byte CSI, a window title, an override of direction, DEL. */
  const EVIL = '\u001b[2J\u009b31m\u001b]0;x\u0007\u202e\u007f'

  test('cannot drive the terminal of whoever reads it', async () => {
    const evil = eventOf({
      time: new Date(Date.now() - 1000).toISOString(),
      requestId: EVIL,
      name: EVIL as 'request',
      outcome: 'denied',
      reason: EVIL as 'key_unknown',
      actor: { org: EVIL, keyId: EVIL },
      http: { method: EVIL, route: EVIL },
      client: { ip: EVIL },
    })
    const nameless = eventOf({
      ...evil,
      name: 'request',
      phi: { attribution: 'none' },
      outcome: 'success',
      reason: null,
    })
    journal.writer('w1').write(evil, nameless, eventOf({ ...evil, kind: 'admin' }))
    const commands = [
      'query',
      'query --json',
      'tail',
      'tail --json',
      'summary',
      'export --format csv',
      'summary --json',
    ]
    for (const line of commands) {
      const { code, stdout, stderr } = await audit(line)
      expect([line, code]).toEqual([line, 0])
      // Lines end with LF, those of CSV with CR and LF.
      expect((stdout + stderr).replaceAll(/\r?\n/g, '')).not.toMatch(/[\p{C}\u2028\u2029]/u)
    }
    expect(jsonLines((await audit('query --json')).stdout)[0]?.requestId).toBe(EVIL)
  })
})
