import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { toFhirAuditEvents } from '../../../src/audit/fhir.ts'
import { CSV_HEADER, csvLine } from '../../../src/cli/audit/csv.ts'
import { eventOf, makeJournal, systemEvent, type TestJournal } from './journal.ts'
import { hcAuth, words } from '../hc-auth.ts'

let journal: TestJournal

beforeEach(() => {
  journal = makeJournal()
})

afterEach(() => journal.remove())

const exported = (line: string) =>
  hcAuth(words(`audit export ${line}`), { env: { HEALTHCLOUD_AUDIT_DIR: journal.directory }, cwd: journal.directory })

const T1 = '2026-11-24T01:00:00.000Z'
const T2 = '2026-11-24T02:00:00.000Z'

test('ndjson: the exact lines of the journal, without its intents', async () => {
  const [a, b] = [journal.writer('a'), journal.writer('b')]
  a.write(eventOf({ time: T1, requestId: 'é 😀 \u2028 " \\' }))
  a.intent()
  a.write(eventOf({ time: T2 }))
  b.raw(`${JSON.stringify(eventOf({ time: '2026-11-24T01:30:00.000Z' }), null, 1).replaceAll('\n', ' ')}\n`)
  const linesOf = (file: string) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.includes('"id"'))
  const [first, last] = linesOf(a.file)
  const { code, stdout, stderr } = await exported('--format ndjson')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '3 events.\n' })
  expect(stdout).toBe(`${[first, ...linesOf(b.file), last].join('\n')}\n`)
  expect(await exported('--format ndjson --since 2026-11-24T02:00:00Z')).toEqual({
    code: 0,
    stdout: `${last}\n`,
    stderr: '1 event.\n',
  })
})

/** RFC 4180, read by another hand: records of fields, quotes taken off. */
function readCsv(text: string): string[][] {
  const records: string[][] = []
  let [record, field, quoted]: [string[], string, boolean] = [[], '', false]
  for (let at = 0; at < text.length; at += 1) {
    const letter = text.charAt(at)
    if (quoted && letter === '"' && text.charAt(at + 1) === '"') {
      field += '"'
      at += 1
    } else if (letter === '"') quoted = !quoted
    else if (!quoted && letter === ',') {
      record.push(field)
      field = ''
    } else if (!quoted && letter === '\r' && text.charAt(at + 1) === '\n') {
      records.push([...record, field])
      ;[record, field] = [[], '']
      at += 1
    } else field += letter
  }
  expect([record, field, quoted]).toEqual([[], '', false])
  return records
}

function rowsOf(text: string): Record<string, string>[] {
  const [names = [], ...records] = readCsv(text)
  return records.map((record) => {
    expect(record).toHaveLength(names.length)
    return Object.fromEntries(names.map((name, index) => [name, record[index] ?? '']))
  })
}

test('csv: columns that stay, a line for each event', async () => {
  journal
    .writer('w1')
    .write(
      eventOf({ time: T1, scopes: { granted: ['read:patients', 'exec:agents'], required: [] } }),
      systemEvent('audit.gap', T2, { count: 3 }),
    )
  const { code, stdout } = await exported('--format csv')
  expect(code).toBe(0)
  expect(stdout.split('\r\n')[0]).toBe(
    'time,recorded,duration_ms,id,kind,name,outcome,reason,action,actor_kind,org,key_id,sub,jti,grace_ends,by,' +
      'target_key_id,target_org,target_fields,env,scopes_granted,scopes_required,ip,via,method,route,status,query,bytes,' +
      'request_id,operation,purpose,interaction,resource_types,patients,patient_count,resource_count,bulk,attribution,' +
      'delivered,count,part,part_of,service,service_version,instance,writer,seq,prev',
  )
  expect(rowsOf(stdout)).toMatchObject([
    { time: T1, key_id: 'key_1', scopes_granted: 'read:patients exec:agents', status: '200', bulk: 'false', prev: '' },
    { time: T2, name: 'audit.gap', key_id: '', route: '', patients: '', count: '3', seq: '2' },
  ])
})

test('csv: an empty journal has a header', async () => {
  expect((await exported('--format csv')).stdout).toBe(`${CSV_HEADER}\n`)
})

test.each([
  ['=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'],
  ['+1', "'+1"],
  ['-1+1', "'-1+1"],
  ['@SUM(A1)', "'@SUM(A1)"],
  [' =1', "' =1"],
  ['＝1', "'＝1"],
  ['\t=1', '\\u0009=1'],
  ['\r=1', '\\u000d=1'],
  ['a\r\nb', 'a\\u000d\\u000ab'],
  ['a,b;c', 'a,b;c'],
  ['say "x"', 'say "x"'],
  ["'", "'"],
  ['', ''],
])('csv: %j is no formula and no second cell', (text, read) => {
  const [row] = rowsOf(`${CSV_HEADER}\n${csvLine(eventOf({ requestId: text }))}\n`)
  expect(row?.['request_id']).toBe(read)
})

test('csv: whatever stands in an event, each line has its columns, and no cell begins as a formula does', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('=1', '"', '",=1', '\r\n', ',', '\t+', "'"))
  fc.assert(
    fc.property(text, text, fc.array(text), (requestId, route, granted) => {
      const line = `${csvLine(eventOf({ requestId, http: { route }, scopes: { granted, required: [] } }))}\n`
      expect(line.indexOf('\r\n')).toBe(line.length - 2)
      const [record = []] = readCsv(line)
      expect(record).toHaveLength(CSV_HEADER.split(',').length)
      for (const field of record) expect(field).not.toMatch(/^\s*[=+\-@\t\r\n]/)
    }),
  )
})

test('fhir: the AuditEvents of each event, one a line', async () => {
  const two = eventOf({ time: T1, phi: { patients: ['pt_k1_a', 'pt_k1_b'], patientCount: 2 } })
  journal.writer('w1').write(two, systemEvent('audit.stopped', T2))
  const { code, stdout, stderr } = await exported('--format fhir')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '2 events.\n' })
  const resources = stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)
  expect(resources).toHaveLength(3)
  expect(resources.slice(0, 2)).toEqual(toFhirAuditEvents({ ...two, writer: 'w1', seq: 1, prev: null }))
  expect(resources[2]).toMatchObject({ resourceType: 'AuditEvent' })
})

test('a file is whole, and readable to its owner alone', async () => {
  journal.writer('w1').write(eventOf({ time: T1 }), eventOf({ time: T2 }))
  expect(await exported('--format csv --output out.csv')).toEqual({ code: 0, stdout: '', stderr: '2 events.\n' })
  const file = join(journal.directory, 'out.csv')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(file, 'utf8')).toBe((await exported('--format csv')).stdout)
  expect(await exported('--format fhir --output out.csv --json --since 2026-11-24T02:00:00Z')).toEqual({
    code: 0,
    stdout: '{"format":"fhir","events":1,"lines":1,"unreadable":0}\n',
    stderr: '',
  })
  expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(2)
  expect(readdirSync(journal.directory).toSorted()).toEqual(['out.csv', 'w1'])
})

test('a large export comes out whole', async () => {
  const writer = journal.writer('w1')
  for (let index = 0; index < 20; index += 1) writer.write(...Array.from({ length: 100 }, () => eventOf({ time: T1 })))
  const { stdout } = await exported('--format ndjson')
  expect(stdout).toBe(readFileSync(writer.file, 'utf8'))
})

test('what stands there is kept where the export fails, and nothing is left beside it', async () => {
  writeFileSync(join(journal.directory, 'out.csv'), 'before')
  journal.writer('w1').write(eventOf({ time: T1 }))
  const ran = await hcAuth(words('audit export --format csv --output out.csv'), {
    env: { HEALTHCLOUD_AUDIT_DIR: journal.directory },
    cwd: journal.directory,
    signal: AbortSignal.abort(),
  })
  expect(ran.code).toBe(130)
  expect(readFileSync(join(journal.directory, 'out.csv'), 'utf8')).toBe('before')
  expect(readdirSync(journal.directory).toSorted()).toEqual(['out.csv', 'w1'])
})

test('a link is followed, and stays', async () => {
  writeFileSync(join(journal.directory, 'real.csv'), 'before')
  symlinkSync('real.csv', join(journal.directory, 'link.csv'))
  expect((await exported('--format csv --output link.csv')).code).toBe(0)
  expect(readFileSync(join(journal.directory, 'real.csv'), 'utf8')).toBe(`${CSV_HEADER}\n`)
})

test('a device or a folder is never replaced, and a folder that is not there is said', async () => {
  mkdirSync(join(journal.directory, 'folder'))
  for (const output of ['folder', '/dev/null']) {
    expect(await exported(`--format csv --output ${output}`)).toEqual({
      code: 2,
      stdout: '',
      stderr: 'hc-auth: --output: names something that is not a file.\n',
    })
  }
  expect(statSync('/dev/null').isCharacterDevice()).toBe(true)
  expect(await exported('--format csv --output nowhere/out.csv')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'hc-auth: --output: cannot be written (ENOENT).\n',
  })
})

test('a file that lacks lines that could not be read ends with 1', async () => {
  const writer = journal.writer('w1')
  writer.write(eventOf({ time: T1 }))
  writer.raw('no line\n')
  expect(await exported('--format ndjson --output out.ndjson --json')).toMatchObject({
    code: 1,
    stdout: '{"format":"ndjson","events":1,"lines":1,"unreadable":1}\n',
  })
})
