import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { verifyJournal } from '../../../src/audit/journal/verify.ts'
import { createJournalWriter } from '../../../src/audit/journal/writer.ts'
import { createRecorder, type Admission, type Recorder } from '../../../src/audit/recorder/recorder.ts'
import { draft } from '../../fixtures/audit.ts'
import { failingFiles } from '../failing-files.ts'
import { intent } from '../written-journal.ts'

/** What happens to a disk between two calls. */
type Step = 'call' | 'wait' | 'flush fails once' | 'flush fails twice'

const clock = { now: () => Date.now(), monotonicMs: () => performance.now() }

/**
 * A file system that loses at a power cut what no flush has confirmed: of each file it remembers how long it was when the last good
 * flush of it began.
 */
function losingFiles() {
  const files = failingFiles()
  const paths = new Map<number, string>()
  const safe = new Map<string, number>()
  let failures = 0
  const { open, flush, sync, truncate } = files
  files.open = (path, flags) => {
    const file = open(path, flags)
    paths.set(file, path)
    return file
  }
  files.flush = async (file) => {
    const length = files.size(file)
    if (failures > 0) {
      failures -= 1
      throw Object.assign(new Error('EIO'), { code: 'EIO' })
    }
    await flush(file)
    safe.set(paths.get(file) ?? '', length)
  }
  files.sync = (file) => {
    sync(file)
    safe.set(paths.get(file) ?? '', files.size(file))
  }
  files.truncate = (file, length) => {
    truncate(file, length)
    const path = paths.get(file) ?? ''
    safe.set(path, Math.min(length, safe.get(path) ?? 0))
  }
  return {
    files,
    fail: (times: number) => {
      failures = times
    },
    safeBytes: (path: string): number => safe.get(path) ?? 0,
    cutPower: (folder: string) => {
      for (const name of readdirSync(folder)) {
        const path = join(folder, name)
        writeFileSync(path, readFileSync(path).subarray(0, safe.get(path) ?? 0))
      }
    },
  }
}

async function run(steps: readonly Step[], directory: string): Promise<readonly string[]> {
  const disk = losingFiles()
  const journal = createJournalWriter({ directory, writer: 'w1', clock, files: disk.files, segmentBytes: 3000 })
  const recorder: Recorder = createRecorder({
    environment: 'live',
    writer: 'w1',
    service: { name: 'records', version: null, instance: 'host:1' },
    clock,
    journal,
    durability: 'synced',
    onFailure: 'deny',
    onEvent: null,
    sinks: [],
  })
  await recorder.ready()
  const admitted: string[] = []
  const calls: Promise<unknown>[] = []
  for (const step of steps) {
    if (step === 'wait') await new Promise((resolve) => setImmediate(resolve))
    else if (step !== 'call') disk.fail(step === 'flush fails once' ? 1 : 2)
    else
      calls.push(
        Promise.resolve(recorder.intend(intent(), null)).then(({ ok, id }: Admission) => {
          if (!ok || id === null) return
          admitted.push(id)
          recorder.record(draft({ id }))
        }),
      )
  }
  await Promise.all(calls)
  disk.cutPower(join(directory, 'w1'))
  return admitted
}

test('with durability synced a power cut loses no call that was let in, whatever the disk does before', async () => {
  const step = fc.constantFrom<Step>('call', 'call', 'call', 'wait', 'flush fails once', 'flush fails twice')
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const directory = mkdtempSync(join(tmpdir(), 'hc-auth-power-'))
      try {
        const admitted = await run(steps, directory)
        const folder = join(directory, 'w1')
        const text = readdirSync(folder)
          .toSorted()
          .map((name) => readFileSync(join(folder, name), 'utf8'))
          .join('')
        for (const id of admitted) expect(text).toContain(`{"v":1,"intent":"${id}"`)
        expect((await verifyJournal(directory)).findings).toEqual([])
      } finally {
        rmSync(directory, { recursive: true })
      }
    }),
    { numRuns: 150 },
  )
})

test('with durability written it takes the lines of the last moments alone: all others were flushed behind the calls', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'hc-auth-power-'))
  try {
    const disk = losingFiles()
    // As a live server with this durability has it.
    const journal = createJournalWriter({ directory, writer: 'w1', clock, files: disk.files, keepsLines: false })
    const recorder = createRecorder({
      environment: 'live',
      writer: 'w1',
      service: { name: 'records', version: null, instance: 'host:1' },
      clock,
      journal,
      durability: 'written',
      onFailure: 'deny',
      onEvent: null,
      sinks: [],
    })
    await recorder.ready()
    const path = join(directory, 'w1', '00000001.jsonl')
    const written: { readonly id: string; readonly end: number; readonly atMs: number }[] = []
    const call = (): void => {
      const { id } = recorder.intend(intent(), null) as Admission
      recorder.record(draft({ id }))
      written.push({ id: String(id), end: journal.end.offset, atMs: performance.now() })
    }
    let [oldestMs, stallMs] = [0, 0]
    for (let at = 0; at < 120; at += 1) {
      call()
      const before = performance.now()
      await sleep(5)
      stallMs = Math.max(stallMs, performance.now() - before)
      const first = written.find(({ end }) => end > disk.safeBytes(path))
      oldestMs = Math.max(oldestMs, performance.now() - (first?.atMs ?? Infinity))
    }
    call()
    disk.cutPower(join(directory, 'w1'))
    const left = readFileSync(path, 'utf8')
    const kept = written.filter(({ id }) => left.includes(`{"v":1,"id":"${id}"`))
    // In order, without a hole; the last call is younger than any flush.
    expect(kept).toEqual(written.slice(0, kept.length))
    expect(kept.length).toBeLessThan(written.length)
    // Whenever the power goes: 100 ms to the flush, and room for the disk and for a machine that is busy with other things.
    expect(oldestMs).toBeGreaterThan(50)
    expect(oldestMs).toBeLessThan(250 + 2 * stallMs)
    expect((await verifyJournal(directory)).findings).toEqual([])
  } finally {
    rmSync(directory, { recursive: true })
  }
})
