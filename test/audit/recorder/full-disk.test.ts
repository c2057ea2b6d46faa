import fs, { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createDiskSpace } from '../../../src/audit/journal/disk-space.ts'
import { keepDeadLetters } from '../../../src/audit/journal/dead-letters.ts'
import { ownWriter } from '../../../src/audit/journal/owner.ts'
import { createJournalWriter } from '../../../src/audit/journal/writer.ts'
import { memoryRecorder, refusal } from '../../fixtures/audit.ts'

const realWrite = fs.writeSync
const realOpen = promises.open

/** A full disk still gives a file its name: what fails is the first byte that is written into it. */
function fillDisk(): void {
  fs.writeSync = (): number => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
  }
  syncBuiltinESMExports()
}

/** What `write(2)` does where only a part still fits: it says so, and does not fail. */
function takeOnlyPart(): void {
  promises.open = async (...args: Parameters<typeof realOpen>) => {
    const file = await realOpen(...args)
    const write = file.write.bind(file) as (bytes: Uint8Array) => Promise<unknown>
    return Object.assign(file, { write: (text: string) => write(Buffer.from(text).subarray(0, 10)) })
  }
  syncBuiltinESMExports()
}

function mendDisk(): void {
  fs.writeSync = realWrite
  promises.open = realOpen
  syncBuiltinESMExports()
}

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-found-'))
})
afterEach(() => {
  mendDisk()
  vi.restoreAllMocks()
  rmSync(directory, { recursive: true })
})

describe('a server that is started while the disk is full', () => {
  test('has its journal as soon as there is room', () => {
    const owner = { claim: () => void ownWriter(directory, 'w1'), holds: () => true }
    let nowMs = 0
    const clock = { now: () => 1_764_000_000_000, monotonicMs: () => nowMs }
    const journal = createJournalWriter({ directory, writer: 'w1', clock, owner })
    fillDisk()
    expect(journal.probe()).toBe(false)
    mendDisk()
    nowMs += 1000
    expect([journal.probe(), journal.failure]).toEqual([true, null])
  })

  test('leaves no empty mark of an owner behind', () => {
    fillDisk()
    expect(() => ownWriter(directory, 'w1')).toThrow('ENOSPC')
    expect(readdirSync(join(directory, 'w1'))).toEqual([])
  })
})

describe('refusals leave what is reserved to calls that are served:', () => {
  const RESERVE = 50_000
  /** One line that still began above it, and the one that tells of all others. */
  const SLACK = 2000
  let nowMs = 0
  const clock = { now: () => 1_764_000_000_000 + nowMs, monotonicMs: () => nowMs }

  /** A small volume on which the journal is the only file. */
  function volume(bytes: number) {
    const used = (): number =>
      readdirSync(directory, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.jsonl'))
        .reduce((sum, name) => sum + readFileSync(join(directory, name)).length, 0)
    const free = (): number => bytes - used()
    const space = createDiskSpace({ directory, clock, statfs: () => ({ bsize: 1, blocks: bytes, bavail: free() }) })
    const { recorder, events } = memoryRecorder({
      environment: 'live',
      writer: 'w1',
      clock,
      journal: createJournalWriter({ directory, writer: 'w1', clock }),
      onFailure: 'deny',
      disk: space,
      reserveBytes: RESERVE,
    })
    return { recorder, events, free }
  }
  const from = (index: number) =>
    refusal({
      actor: { kind: 'none', org: null, keyId: null, sub: null, jti: null, graceEnds: null, by: null },
      client: { ip: `203.${index >> 8}.${index & 255}.7`, via: 0 },
    })
  beforeEach(() => {
    nowMs = 0
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  })

  test('those of one second', async () => {
    const { recorder, free } = volume(RESERVE + 20_000)
    await recorder.ready()
    for (let index = 0; index < 200; index += 1) recorder.record(from(index))
    expect(free()).toBeGreaterThanOrEqual(RESERVE - SLACK)
    await recorder.close(0)
  })

  test('those that were counted together, in which nobody is forgotten', async () => {
    const { recorder, events, free } = volume(RESERVE + 250_000)
    await recorder.ready()
    for (let index = 0; index < 1500; index += 1) recorder.record(from(index))
    nowMs += 1000
    recorder.record(from(0))
    await recorder.flush()
    expect(free()).toBeGreaterThanOrEqual(RESERVE - SLACK)
    await recorder.close(0)
    const told = events.filter(({ kind, name }) => kind === 'access' || name === 'audit.gap')
    expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(1501)
  })
})

describe('dead letters', () => {
  const letters = ['a', 'b'].map((id) => ({ reason: 'http_400', text: `{"id":"${id}"}` }))

  test('are all there, also where the system takes only a part at once', async () => {
    takeOnlyPart()
    await keepDeadLetters(directory, 'store', letters)
    const lines = readFileSync(join(directory, 'dead-store.jsonl'), 'utf8').trim().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      letters.map(({ reason, text }) => ({ reason, event: JSON.parse(text) as unknown })),
    )
  })
})
