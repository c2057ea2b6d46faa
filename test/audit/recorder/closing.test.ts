import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createCaretaker } from '../../../src/audit/caretaker/caretaker.ts'
import { createCourier } from '../../../src/audit/caretaker/courier.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { readJournal } from '../../../src/audit/index.ts'
import { ownWriter, thisProcess } from '../../../src/audit/journal/owner.ts'
import { createJournalWriter } from '../../../src/audit/journal/writer.ts'
import { createAdoption } from '../../../src/audit/caretaker/orphans.ts'
import type { Recorder } from '../../../src/audit/recorder/recorder.ts'
import type { AuditSink } from '../../../src/audit/sink.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { draft, memoryRecorder } from '../../fixtures/audit.ts'
import { failingFiles, type FailingFiles } from '../failing-files.ts'
import { intent, writtenJournal } from '../written-journal.ts'

let directory = ''
let files: FailingFiles
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-found-'))
  files = failingFiles()
  vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

function adoptionOf(writer: string) {
  const service = { name: 'records', version: null, instance: 'host:2' }
  return createAdoption({
    directory,
    writer,
    environment: 'live',
    service,
    clock: systemClock,
    signer: null,
    sinks: [],
  })
}

/** As a live server has it, with the journal's files in the hands of the test. */
async function server(sinks: readonly AuditSink[] = []): Promise<Recorder> {
  const caretaker = createCaretaker({
    directory,
    writer: 'w1',
    sinks,
    adoption: adoptionOf('w1'),
    own: () => ownWriter(directory, 'w1'),
    retire: () => Promise.resolve(),
  })
  const journal = createJournalWriter({ directory, writer: 'w1', clock: systemClock, files, owner: caretaker })
  const { recorder } = memoryRecorder({ environment: 'live', writer: 'w1', clock: systemClock, journal, caretaker })
  await recorder.ready()
  return recorder
}

function letIn(recorder: Recorder, requestId: string): string {
  const admission = recorder.intend({ ...intent(), requestId }, null)
  if (admission instanceof Promise || admission.id === null) throw new Error('not let in')
  return admission.id
}

/** The process ends, and the next one looks. */
async function eventsAfterTheNextStart(): Promise<readonly AuditEvent[]> {
  const owner = join(directory, 'w1', 'owner-1')
  try {
    writeFileSync(owner, JSON.stringify({ ...thisProcess(), pid: 2 ** 30 }), { flag: 'r+' })
  } catch {
    // It was let go of: the folder counts as finished.
  }
  await adoptionOf('w2').look(() => undefined)
  const events: AuditEvent[] = []
  for await (const event of readJournal(directory)) events.push(event)
  return events
}

const ofCalls = (events: readonly AuditEvent[]) =>
  events.filter(({ kind }) => kind === 'access').map(({ id, outcome }) => [id, outcome])

describe('a call that has its intent in the journal has an event, once its process is gone:', () => {
  test('one that was still open when the deadline of close() had passed is interrupted', async () => {
    const recorder = await server()
    const id = letIn(recorder, 'req_1')
    await recorder.close(0)
    expect(ofCalls(await eventsAfterTheNextStart())).toEqual([[id, 'interrupted']])
  })

  test('one that ends after close() is not there twice', async () => {
    const recorder = await server()
    const id = letIn(recorder, 'req_1')
    await recorder.close(0)
    recorder.record(draft({ id, requestId: 'req_1' }))
    expect(ofCalls(await eventsAfterTheNextStart())).toEqual([[id, 'interrupted']])
  })

  test('one whose event was held, because the disk was full until the end, is interrupted', async () => {
    const recorder = await server()
    const id = letIn(recorder, 'req_1')
    files.room = 0
    recorder.record(draft({ id, requestId: 'req_1' }))
    await recorder.close(0)
    expect(ofCalls(await eventsAfterTheNextStart())).toEqual([[id, 'interrupted']])
  })
})

describe('close()', () => {
  test('does not wait out the pause after a failure: a sink that is well again takes the rest', async () => {
    const written = writtenJournal({ directory })
    written.record()
    const taken: string[] = []
    let well = false
    const sink: AuditSink = {
      name: 'store',
      acks: true,
      write: async (batch) => {
        if (!well) throw Object.assign(new Error('not now'), { retryAfterMs: 30_000 })
        taken.push(...batch.map(({ event }) => event.id))
      },
    }
    const courier = createCourier({ directory, writer: 'w1', sink })
    await vi.waitFor(() => expect(courier.state.failing).toBe(true))
    well = true
    const taking = courier.close(1000)
    expect(await taking).toBe(true)
    expect(taken).toHaveLength(1)
  })
})
