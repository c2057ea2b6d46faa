import { createHash, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createCheckpointSigner } from '../../../src/audit/chain/checkpoint.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { readJournal } from '../../../src/audit/index.ts'
import { verifyJournal } from '../../../src/audit/journal/verify.ts'
import { createJournalWriter, type JournalWriter } from '../../../src/audit/journal/writer.ts'
import {
  createRecorder,
  type Admission,
  type Recorder,
  type RecorderSettings,
} from '../../../src/audit/recorder/recorder.ts'
import { draft, memoryRecorder, phi, refusal } from '../../fixtures/audit.ts'
import type { Caretaker, CaretakersRecorder } from '../../../src/audit/caretaker/caretaker.ts'
import { systemDraft } from '../../../src/audit/chain/system-draft.ts'
import { failingFiles, type FailingFiles } from '../failing-files.ts'
import { intent } from '../written-journal.ts'

let directory = ''
let files: FailingFiles
let nowMs = 0
let warnings: string[] = []
const clock = { now: () => 1_764_000_000_000 + nowMs, monotonicMs: () => nowMs }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-recorder-'))
  files = failingFiles()
  nowMs = 0
  warnings = []
  vi.spyOn(process, 'emitWarning').mockImplementation((warning: string | Error) => {
    warnings.push(String(warning))
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

function journal(): JournalWriter {
  return createJournalWriter({ directory, writer: 'w1', clock, files })
}

function live(change: Partial<RecorderSettings> = {}): { recorder: Recorder; events: AuditEvent[] } {
  return memoryRecorder({ environment: 'live', writer: 'w1', clock, journal: journal(), ...change })
}

const text = () => readFileSync(join(directory, 'w1', '00000001.jsonl'), 'utf8')
const written = () =>
  text()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditEvent)
const names = (events: readonly AuditEvent[]) => events.map(({ name, requestId }) => requestId ?? name)
const call = (requestId: string) => draft({ requestId })

describe('on a live server a recorder', () => {
  test('opens nothing before it is asked', () => {
    const { recorder } = live()
    expect(readdirSync(directory)).toEqual([])
    expect(recorder.wanted).toBe(true)
    expect(recorder.health()).toEqual({
      journal: { directory, writable: true, events: 0 },
      gaps: 0,
      listenerErrors: 0,
      sinkErrors: {},
      sinks: {},
      metrics: expect.objectContaining({ hc_audit_events_total: [] }),
      unattributed: {},
    })
  })

  test('opens the journal at the first gate, and says so in it', () => {
    const { recorder, events } = live()
    expect(recorder.gate()).toBe(true)
    expect(written()).toEqual(events)
    expect(events).toMatchObject([
      {
        kind: 'system',
        name: 'audit.started',
        outcome: 'success',
        env: 'live',
        actor: { kind: 'none', org: null },
        http: null,
        phi: null,
        seq: 1,
        prev: null,
        writer: 'w1',
      },
    ])
  })

  test('opens it for a refusal, too', () => {
    const { recorder } = live()
    recorder.record(refusal({ requestId: 'r1' }))
    expect(names(written())).toEqual(['audit.started', 'r1'])
  })

  test('writes one line for each event, each chained to the one before', async () => {
    const { recorder } = live()
    await recorder.ready()
    const id = recorder.record(call('r1'))
    recorder.record(call('r2'))
    const lines = text().split('\n')
    expect(lines).toHaveLength(4)
    expect(lines.at(-1)).toBe('')
    expect(written()[1]?.id).toBe(id)
    for (const [index, { seq, prev }] of written().entries()) {
      expect(seq).toBe(index + 1)
      const before = lines[index - 1]
      expect(prev).toBe(before === undefined ? null : createHash('sha256').update(before).digest('hex'))
    }
  })

  test('tells onEvent once the line is in the journal, never before', () => {
    const seen: [string, boolean][] = []
    const { recorder } = live({ onEvent: ({ id, name }) => seen.push([name, text().includes(`"id":"${id}"`)]) })
    recorder.record(call('r1'))
    expect(seen).toEqual([
      ['audit.started', true],
      ['request', true],
    ])
  })

  test('writes what it says to a reader of the journal', async () => {
    const { recorder, events } = live()
    recorder.record(call('r1'))
    recorder.record(call('r2'))
    const read: AuditEvent[] = []
    for await (const event of readJournal(directory)) read.push(event)
    expect(read).toEqual(events)
  })

  test('closes with a last line, and takes nothing after it', async () => {
    const { recorder } = live()
    recorder.record(call('r1'))
    await recorder.close(1000)
    await recorder.close(1000)
    expect(names(written())).toEqual(['audit.started', 'r1', 'audit.stopped'])
    expect(recorder.gate()).toBe(false)
    expect(recorder.record(call('late'))).toBeNull()
    expect(recorder.health()).toMatchObject({ gaps: 1, journal: { writable: false } })
    await expect(recorder.ready()).rejects.toThrow('closed')
    expect(names(written())).toEqual(['audit.started', 'r1', 'audit.stopped'])
    expect(files.calls).toMatchObject({ sync: 1, close: 1 })
  })

  test('leaves no trace when it is closed unused', async () => {
    await live().recorder.close(1000)
    expect(readdirSync(directory)).toEqual([])
  })

  test('says at ready() what keeps the journal from being written', async () => {
    files.openError = 'EACCES'
    const { recorder } = live()
    await expect(recorder.ready()).rejects.toMatchObject({ code: 'EACCES' })
    expect(recorder.health().journal?.writable).toBe(false)
    files.openError = null
    await recorder.ready()
    files.room = 0
    recorder.record(call('r1'))
    await expect(recorder.ready()).rejects.toMatchObject({ code: 'ENOSPC' })
  })

  test('without a journal lets nothing pass', async () => {
    const { recorder } = live({ journal: null })
    expect(recorder.gate()).toBe(false)
    expect(recorder.record(call('r1'))).toBeNull()
    expect(recorder.health()).toMatchObject({ journal: null, gaps: 1 })
    await expect(recorder.ready()).rejects.toThrow('audit journal')
  })
})

describe('an event with more than 500 patients', () => {
  const patients = Array.from({ length: 1100 }, (_, index) => `pt_k1_${index}`)
  const many = draft({ requestId: 'r1', phi: phi({ patients, patientCount: 1100, bulk: true }) })

  test('is followed by parts that name it', () => {
    const { recorder } = live()
    const id = recorder.record(many)
    const [, ...parts] = written()
    expect(parts.map(({ part }) => part)).toEqual([null, { n: 2, of_id: id }, { n: 3, of_id: id }])
    expect(parts.flatMap((each) => each.phi?.patients ?? [])).toEqual(patients)
    expect(parts.map((each) => each.phi?.patientCount)).toEqual([1100, 1100, 1100])
    expect(parts[0]?.id).toBe(id)
  })

  test('leaves its numbers to what is touched later', () => {
    const { recorder } = live()
    const first = recorder.record(many) ?? ''
    recorder.record(draft({ part: { n: 2, of_id: first } }))
    expect(written().at(-1)?.part).toEqual({ n: 4, of_id: first })
    recorder.record({ ...many, part: { n: 3, of_id: first } })
    expect(
      written()
        .slice(-3)
        .map(({ part }) => part),
    ).toEqual([5, 6, 7].map((n) => ({ n, of_id: first })))
  })

  test('whose parts did not all fit on the disk is completed later', () => {
    const { recorder, events } = live()
    recorder.gate()
    files.room = 8000
    const id = recorder.record(many)
    expect(names(written())).toEqual(['audit.started', 'r1'])
    expect(written()[1]?.phi?.patients).toHaveLength(500)
    files.room = 1_000_000
    nowMs += 1000
    expect(recorder.gate()).toBe(true)
    expect(written().flatMap((each) => each.phi?.patients ?? [])).toEqual(patients)
    expect(
      written()
        .slice(2)
        .map(({ part }) => part),
    ).toEqual([
      { n: 2, of_id: id },
      { n: 3, of_id: id },
    ])
    expect(events).toEqual(written())
  })
})

describe('while the journal cannot be written', () => {
  function broken(change: Partial<RecorderSettings> = {}) {
    const made = live(change)
    expect(made.recorder.gate()).toBe(true)
    files.writeError = 'EIO'
    expect(made.recorder.record(call('r1'))).toBeNull()
    return made
  }

  test('no call passes, and an event that was owed is held', () => {
    const { recorder, events } = broken()
    expect(recorder.gate()).toBe(false)
    expect(names(events)).toEqual(['audit.started'])
    expect(names(written())).toEqual(['audit.started'])
    expect(recorder.health()).toMatchObject({ gaps: 0, journal: { writable: false, events: 1 } })
  })

  test('what is held is written as soon as it can be, before anything new, and only then told', () => {
    const { recorder, events } = broken()
    recorder.record(call('r2'))
    files.writeError = null
    nowMs += 1000
    expect(recorder.gate()).toBe(true)
    recorder.record(call('r3'))
    expect(names(written())).toEqual(['audit.started', 'r1', 'r2', 'r3'])
    expect(written().map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    expect(events).toEqual(written())
    expect(recorder.health()).toMatchObject({ gaps: 0, journal: { writable: true, events: 4 } })
  })

  test('refusals are lost, and one line says how many', () => {
    const { recorder } = broken()
    recorder.record(refusal())
    recorder.record(refusal({ reason: 'audit_unavailable', outcome: 'error' }))
    recorder.record(refusal({ reason: 'store_unavailable', outcome: 'error', count: 5 }))
    expect(recorder.health().gaps).toBe(7)
    files.writeError = null
    nowMs += 1000
    recorder.gate()
    expect(names(written())).toEqual(['audit.started', 'r1', 'audit.gap'])
    expect(written()[2]).toMatchObject({
      kind: 'system',
      outcome: 'error',
      reason: 'audit_unavailable',
      count: 7,
      actor: { kind: 'none' },
    })
    expect(recorder.health().gaps).toBe(7)
    files.writeError = 'EIO'
    recorder.record(call('r2'))
    files.writeError = null
    nowMs += 1000
    recorder.gate()
    expect(names(written())).toEqual(['audit.started', 'r1', 'audit.gap', 'r2'])
  })

  test.each([
    ['handler_error', 'error'],
    ['client_aborted', 'aborted'],
    ['not_found', 'error'],
  ] as const)('a served call that ended with %s is held', (reason, outcome) => {
    const { recorder } = broken()
    recorder.record(draft({ requestId: 'r2', reason, outcome }))
    files.writeError = null
    nowMs += 1000
    recorder.gate()
    expect(names(written())).toEqual(['audit.started', 'r1', 'r2'])
  })

  test('the disk is asked once a second, by refusals too', () => {
    const { recorder } = broken()
    const { open } = files.calls
    for (let each = 0; each < 100; each += 1) {
      recorder.gate()
      recorder.record(refusal())
    }
    expect(files.calls.open).toBe(open)
    files.writeError = null
    nowMs += 1000
    expect(recorder.record(refusal({ requestId: 'r2' }))).not.toBeNull()
    expect(names(written())).toEqual(['audit.started', 'r1', 'audit.gap', 'r2'])
  })

  test('at most 10,000 events are held', () => {
    const { recorder } = broken()
    for (let each = 0; each < 10_009; each += 1) recorder.record(call('r2'))
    expect(recorder.health().gaps).toBe(10)
    files.writeError = null
    nowMs += 1000
    recorder.gate()
    expect(written()).toHaveLength(10_002)
    expect(written().at(-1)).toMatchObject({ name: 'audit.gap', count: 10, seq: 10_002 })
  })

  test('and still cannot in the middle of catching up, nothing is lost nor doubled', () => {
    const { recorder, events } = broken()
    for (const id of ['r2', 'r3', 'r4']) recorder.record(call(id))
    recorder.record(refusal())
    files.writeError = null
    files.room = text().length * 3
    nowMs += 1000
    expect(recorder.gate()).toBe(false)
    expect(events.length).toBeLessThan(5)
    files.room = 1_000_000
    nowMs += 1000
    expect(recorder.gate()).toBe(true)
    expect(names(written())).toEqual(['audit.started', 'r1', 'r2', 'r3', 'r4', 'audit.gap'])
    expect(events).toEqual(written())
  })

  test('it recovers by itself', async () => {
    const { recorder } = broken()
    recorder.gate()
    files.writeError = null
    nowMs += 1000
    await vi.waitFor(() => expect(names(written())).toEqual(['audit.started', 'r1']), { timeout: 3000 })
    expect(recorder.health().journal?.writable).toBe(true)
  })

  test('one warning says so for each outage, without a path', () => {
    const { recorder } = broken()
    for (let each = 0; each < 3; each += 1) recorder.gate()
    expect(warnings).toEqual([
      'The audit journal cannot be written (EIO). Until it can be, live calls are refused with 503 AUDIT_UNAVAILABLE.',
    ])
    files.writeError = null
    nowMs += 1000
    recorder.gate()
    files.writeError = 'ENOSPC'
    recorder.record(call('r2'))
    expect(warnings).toHaveLength(2)
    expect(warnings[1]).toContain('(ENOSPC)')
  })

  test('flush() tries once more, and rejects when something is still held', async () => {
    const { recorder } = broken()
    await expect(recorder.flush()).rejects.toMatchObject({ code: 'EIO' })
    files.writeError = null
    await recorder.flush()
    expect(names(written())).toEqual(['audit.started', 'r1'])
  })

  test('close() tries once more, and counts what it could not write', async () => {
    const first = broken()
    files.writeError = null
    await first.recorder.close(100)
    expect(names(written())).toEqual(['audit.started', 'r1', 'audit.stopped'])

    rmSync(join(directory, 'w1'), { recursive: true })
    files = failingFiles()
    const second = broken()
    await second.recorder.close(100)
    expect(second.recorder.health().gaps).toBe(1)
    expect(names(written())).toEqual(['audit.started'])
  })

  test('a server that prefers to serve lets calls pass and writes them later', () => {
    const { recorder } = broken({ onFailure: 'allow' })
    expect(recorder.gate()).toBe(true)
    recorder.record(call('r2'))
    recorder.record(refusal())
    expect(warnings).toEqual([
      'The audit journal cannot be written (EIO). Until it can be, live calls are served, and their events held.',
    ])
    files.writeError = null
    nowMs += 1000
    recorder.gate()
    expect(names(written())).toEqual(['audit.started', 'r1', 'r2', 'audit.gap'])
  })

  test('because it was never opened, the start is written first', () => {
    files.openError = 'EACCES'
    const { recorder } = live()
    expect(recorder.gate()).toBe(false)
    recorder.record(refusal())
    expect(existsSync(join(directory, 'w1', '00000001.jsonl'))).toBe(false)
    files.openError = null
    nowMs += 1000
    expect(recorder.gate()).toBe(true)
    expect(names(written())).toEqual(['audit.started', 'audit.gap'])
  })
})

describe('what onEvent throws', () => {
  test.each<[string, () => unknown]>([
    [
      'an exception',
      () => {
        throw new Error('mine')
      },
    ],
    ['a rejection', () => Promise.reject(new Error('mine'))],
  ])('(%s) is counted and goes no further', async (_, onEvent) => {
    const { recorder } = live({ onEvent })
    expect(recorder.record(call('r1'))).not.toBeNull()
    await recorder.flush()
    expect(recorder.health().listenerErrors).toBe(2)
    expect(names(written())).toEqual(['audit.started', 'r1'])
  })

  test('and what it does to the event changes nothing for the others', () => {
    const seen: AuditEvent[] = []
    const { recorder } = live({
      onEvent: (event) => {
        seen.push(event)
        ;((event.http as { route: string } | null) ?? { route: '' }).route = '/changed'
      },
    })
    recorder.record(call('r1'))
    expect(seen[1]?.http?.route).toBe('/v1/patients/:id')
    expect(recorder.health().listenerErrors).toBe(1)
  })

  test('a listener that records in turn finds all in order', () => {
    const order: string[] = []
    let recorder: Recorder | null = null
    const made = live({
      onEvent: ({ requestId }) => {
        order.push(requestId ?? 'system')
        if (requestId === 'r1') recorder?.record(call('inner'))
      },
    })
    recorder = made.recorder
    recorder.record(call('r1'))
    recorder.record(call('r2'))
    expect(order).toEqual(['system', 'r1', 'inner', 'r2'])
    expect(names(written())).toEqual(['audit.started', 'r1', 'inner', 'r2'])
  })
})

describe('on a test server a recorder', () => {
  test('keeps no journal, even where one is given', async () => {
    const { recorder, events } = memoryRecorder({ journal: journal() })
    await recorder.ready()
    expect(recorder.gate()).toBe(true)
    const id = recorder.record(call('r1'))
    recorder.record(call('r2'))
    await recorder.flush()
    await recorder.close(100)
    expect(readdirSync(directory)).toEqual([])
    expect(events).toMatchObject([
      { env: 'test', requestId: 'r1', seq: 1, prev: null, writer: 'w000000001' },
      { env: 'test', requestId: 'r2', seq: 2, prev: null },
    ])
    expect(events[0]?.id).toBe(id)
    expect(recorder.health().journal).toBeNull()
    expect(recorder.record(call('late'))).toBeNull()
  })

  test('that nobody listens to builds no event', () => {
    const { recorder } = memoryRecorder({ onEvent: null })
    expect(recorder.wanted).toBe(false)
    expect(recorder.record(call('r1'))).toBeNull()
  })

  test('names itself and the event by what it is given', () => {
    const { recorder, events } = memoryRecorder({ newId: (ms) => `id-${ms}`, clock })
    expect(recorder.record(call('r1'))).toBe('id-1764000000000')
    expect(events[0]).toMatchObject({
      id: 'id-1764000000000',
      recorded: '2025-11-24T16:00:00.000Z',
      service: { name: 'records', version: '1.2.3', instance: 'host:1' },
    })
  })
})

test('routes that nothing attributes are counted by name, further ones together', () => {
  const { recorder } = memoryRecorder()
  for (let each = 0; each < 1000; each += 1) recorder.unattributed(`/r/${each}`)
  recorder.unattributed('/r/0')
  recorder.unattributed('/one')
  recorder.unattributed('/two')
  const { unattributed } = recorder.health()
  expect(unattributed['/r/0']).toBe(2)
  expect(unattributed['*']).toBe(2)
  expect(Object.keys(unattributed)).toHaveLength(1001)
})

test('two recorders of one directory write files of their own', () => {
  const one = live()
  const two = memoryRecorder({
    environment: 'live',
    writer: 'w2',
    clock,
    journal: createJournalWriter({ directory, writer: 'w2', clock }),
  })
  one.recorder.record(call('r1'))
  two.recorder.record(call('r2'))
  expect(names(written())).toEqual(['audit.started', 'r1'])
  expect(readdirSync(directory)).toEqual(['w1', 'w2'])
})

test('createRecorder opens nothing', () => {
  createRecorder({
    environment: 'live',
    writer: 'w1',
    service: { name: 'a', version: null, instance: 'b' },
    clock,
    journal: journal(),
    onFailure: 'deny',
    onEvent: null,
    sinks: [],
  })
  expect(files.calls.open).toBe(0)
})

describe('an intent', () => {
  const intended = (recorder: Recorder, id: string | null = null) => recorder.intend(intent(), id)

  test('is in the journal when intend returns, and lets the handler run', () => {
    const { recorder } = live()
    const admission = intended(recorder)
    expect(admission).toMatchObject({ ok: true, id: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect(text()).toContain(`{"v":1,"intent":"${(admission as Admission).id}","n":1,`)
  })

  test.each([
    ['deny', false],
    ['allow', true],
  ] as const)('that cannot be written: with onFailure %s the handler may run: %s', (onFailure, ok) => {
    const { recorder } = live({ onFailure })
    files.openError = 'EACCES'
    expect(intended(recorder)).toEqual({ ok, id: null })
  })

  test('with durability synced lets the handler run once it is on the disk', async () => {
    const { recorder } = live({ durability: 'synced' })
    let answer = () => {}
    files.hang = new Promise((resolve) => {
      answer = resolve
    })
    let admitted: Admission | null = null
    const waiting = Promise.resolve(intended(recorder)).then((each) => {
      admitted = each
    })
    await new Promise((resolve) => {
      setTimeout(resolve, 50)
    })
    expect([admitted, text().includes('"intent"')]).toEqual([null, true])
    answer()
    await waiting
    expect(admitted).toMatchObject({ ok: true })
  })

  test('with durability synced and a disk that says no twice refuses, and the refusal keeps its id', async () => {
    const { recorder } = live({ durability: 'synced' })
    await recorder.ready()
    files.syncError = 'EIO'
    expect(await intended(recorder)).toEqual({ ok: false, id: expect.any(String) })
    expect(await intended(recorder)).toMatchObject({ ok: false })
    files.syncError = null
    nowMs = 1000
    expect(await intended(recorder)).toMatchObject({ ok: true })
  })

  test('is no event: who listens, and who counts, does not see it', () => {
    const { recorder, events } = live()
    void intended(recorder)
    expect([events.map(({ name }) => name), recorder.health().journal?.events]).toEqual([['audit.started'], 1])
  })

  test('of a test server is not written, and every call passes', () => {
    const { recorder } = memoryRecorder()
    expect([recorder.intends, recorder.gate()]).toEqual([false, true])
  })
})

describe('checkpoints', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const signer = createCheckpointSigner(privateKey)
  const signed = (events: readonly AuditEvent[]) => events.filter(({ name }) => name === 'audit.checkpoint')

  test('come after 1,000 events, and as the last line', async () => {
    const { recorder, events } = live({ signer })
    for (let n = 0; n < 1500; n += 1) recorder.record(call(`r${n}`))
    await recorder.close(0)
    const [first, last, ...more] = signed(events)
    expect([first?.seq, last?.seq, more]).toEqual([1001, 1504, []])
    expect(events.slice(-2).map(({ name }) => name)).toEqual(['audit.stopped', 'audit.checkpoint'])
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    expect(await verifyJournal(directory, { publicKeys: [pem] })).toMatchObject({ ok: true, unanchored: 0 })
  })

  test('come ten seconds after the first line behind the last one, and not while nothing is written', async () => {
    vi.useFakeTimers({ toFake: ['setInterval'] })
    try {
      const { recorder, events } = live({ signer })
      await recorder.ready()
      nowMs = 9_999
      vi.advanceTimersByTime(1000)
      expect(signed(events)).toHaveLength(0)
      nowMs = 10_000
      vi.advanceTimersByTime(1000)
      expect(signed(events)).toHaveLength(1)
      nowMs = 60_000
      vi.advanceTimersByTime(1000)
      expect(signed(events)).toHaveLength(1)
      await recorder.close(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('are not written without a key', async () => {
    const { recorder, events } = live()
    recorder.record(call('r1'))
    await recorder.close(0)
    expect(signed(events)).toEqual([])
  })
})

test('a clock that is set back an hour is told of, and neither order nor duration suffers', async () => {
  let offset = 0
  const jumping = { now: () => 1_764_000_000_000 + nowMs + offset, monotonicMs: () => nowMs }
  vi.useFakeTimers({ toFake: ['setInterval'] })
  try {
    const { recorder, events } = live({ clock: jumping })
    await recorder.ready()
    recorder.record(call('r1'))
    offset = -3_600_000
    vi.advanceTimersByTime(1000)
    recorder.record(call('r2'))
    expect(names(events)).toEqual(['audit.started', 'r1', 'clock.jump', 'r2'])
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    expect(events[2]).toMatchObject({ durationMs: 3_600_000, kind: 'system' })
    vi.advanceTimersByTime(5000)
    expect(events).toHaveLength(4)
    await recorder.close(0)
  } finally {
    vi.useRealTimers()
  }
})

describe('refusals', () => {
  const refused = (n: number) =>
    refusal({
      requestId: `r${n}`,
      actor: { kind: 'api-key', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null },
      client: { ip: `203.0.113.${n % 250}`, via: 0 },
    })

  test('beyond the budget of a second are folded, and a flush closes the folds', async () => {
    const { recorder, events } = live({ refusalsPerSecond: 10 })
    for (let n = 0; n < 1000; n += 1) recorder.record(refused(n))
    expect(events).toHaveLength(11)
    await recorder.flush()
    expect(events).toHaveLength(12)
    expect(events.at(-1)).toMatchObject({ count: 990, client: { ip: '203.0.113.0/24' }, reason: 'key_unknown' })
  })

  test('are only counted while the disk is short, and a line tells how many; calls that are served are written', async () => {
    let free = 100
    const disk = { free: () => free, spend: () => undefined, share: () => 0.5, warn: () => undefined }
    vi.useFakeTimers({ toFake: ['setInterval'] })
    try {
      const { recorder, events } = live({ disk, reserveBytes: 1000 })
      await recorder.ready()
      for (let n = 0; n < 5; n += 1) recorder.record(refused(n))
      recorder.record(call('served'))
      expect([names(events), recorder.health().gaps]).toEqual([['audit.started', 'served'], 5])
      vi.advanceTimersByTime(1000)
      expect(events.at(-1)).toMatchObject({ name: 'audit.gap', count: 5 })
      free = 1000
      recorder.record(refused(6))
      expect(events.at(-1)).toMatchObject({ requestId: 'r6' })
      await recorder.close(0)
    } finally {
      vi.useRealTimers()
    }
  })
})

test('what the caretaker would tell of a deletion is not held while the journal cannot be written: nothing is deleted then', async () => {
  const handed: CaretakersRecorder[] = []
  const caretaker: Caretaker = {
    claim: () => undefined,
    holds: () => true,
    start: async (of) => {
      handed.push(of)
    },
    second: () => undefined,
    wake: () => undefined,
    sinks: () => ({}),
    close: async () => undefined,
  }
  const { recorder, events } = live({ caretaker })
  await recorder.ready()
  const append = async () => handed[0]?.append(systemDraft('audit.retention', 0))
  expect(await append()).toBe(true)
  files.writeError = 'EIO'
  recorder.record(call('r1'))
  expect(await append()).toBe(false)
  files.writeError = null
  nowMs = 1000
  recorder.record(call('r2'))
  expect(names(events)).toEqual(['audit.started', 'audit.retention', 'r1', 'r2'])
  await recorder.close(0)
})

test('what is recorded after the end begins nothing that would go on', async () => {
  const set = vi.spyOn(globalThis, 'setInterval')
  const { recorder, events } = memoryRecorder()
  await recorder.close(0)
  recorder.record(call('late'))
  expect([events, set.mock.calls.length]).toEqual([[], 0])
})
