import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createJournalWriter, type JournalSettings, type JournalWriter } from '../../../src/audit/journal/writer.ts'
import { nodeFiles } from '../../../src/audit/journal/append-file.ts'
import { failingFiles, type FailingFiles } from '../failing-files.ts'

let directory = ''
let files: FailingFiles
let nowMs = 0
const opened: JournalWriter[] = []
const clock = { now: () => 0, monotonicMs: () => nowMs }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-sync-'))
  files = failingFiles()
  nowMs = 0
})
afterEach(() => {
  files.syncError = null
  for (const journal of opened.splice(0)) quietly(() => journal.close())
  rmSync(directory, { recursive: true })
})

function quietly(work: () => void): void {
  try {
    work()
  } catch {
    return
  }
}

function writer(change: Partial<JournalSettings> = {}): JournalWriter {
  const journal = createJournalWriter({ directory, writer: 'w1', clock, files, ...change })
  opened.push(journal)
  journal.open()
  return journal
}

const folder = () => join(directory, 'w1')
const segments = () =>
  readdirSync(folder())
    .toSorted()
    .map((name) => readFileSync(join(folder(), name), 'utf8'))

describe('a journal that is forced to the disk', () => {
  test('says so once its lines are there', async () => {
    const journal = writer()
    journal.append('{"a":1}')
    expect(await journal.synced()).toBe(true)
    expect(files.calls.flush).toBe(1)
  })

  test('is forced there by itself when nobody waits, in the background', async () => {
    const journal = writer()
    for (let line = 0; line < 50; line += 1) journal.append('{}')
    await expect.poll(() => files.calls.flush, { timeout: 2000 }).toBe(1)
    await new Promise((resolve) => {
      setTimeout(resolve, 250)
    })
    expect(files.calls.flush).toBe(1)
  })

  test('says no after two seconds of a disk that hangs, and at once from then on, until it answers', async () => {
    const journal = writer()
    journal.append('{"a":1}')
    let answer = () => {}
    files.hang = new Promise((resolve) => {
      answer = resolve
    })
    const started = performance.now()
    expect(await journal.synced()).toBe(false)
    expect(performance.now() - started).toBeGreaterThan(1900)
    expect(await journal.synced()).toBe(false)
    expect(performance.now() - started).toBeLessThan(4000)
    files.hang = null
    answer()
    await expect.poll(() => journal.synced()).toBe(true)
    expect(segments()).toEqual(['{"a":1}\n'])
  })
})

describe('a flush that fails', () => {
  test('moves what may be lost to a segment of its own, and never asks the old descriptor again', async () => {
    const journal = writer()
    journal.append('{"a":1}')
    expect(await journal.synced()).toBe(true)
    journal.append('{"b":2}')
    journal.append('{"c":3}')
    const { flush } = files
    files.flush = async (file) => {
      files.flush = flush
      await Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO', file }))
    }
    const waiting = journal.synced()
    journal.append('{"d":4}')
    expect(await waiting).toBe(true)
    journal.append('{"e":5}')
    expect(segments()).toEqual(['{"a":1}\n', '{"b":2}\n{"c":3}\n{"d":4}\n{"e":5}\n'])
    expect(journal.end).toEqual({ segment: 2, offset: 32 })
    expect(journal.good).toBe(true)
  })

  test('a second time says no, and the lines follow as soon as the disk is sound', async () => {
    const journal = writer()
    journal.append('{"a":1}')
    files.syncError = 'EIO'
    expect(await journal.synced()).toBe(false)
    expect(journal.good).toBe(false)
    expect(journal.append('{"x":0}')).toBe(false)
    files.syncError = null
    journal.open()
    journal.append('{"b":2}')
    expect(await journal.synced()).toBe(true)
    expect(segments()).toEqual(['', '', '{"a":1}\n{"b":2}\n'])
  })

  test('whose lines cannot be taken out of the old segment says no, and leaves them where they are', async () => {
    const journal = writer()
    journal.append('{"a":1}')
    files.truncateError = 'EIO'
    const { flush } = files
    files.flush = async (file) => {
      files.flush = flush
      await Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO', file }))
    }
    expect(await journal.synced()).toBe(false)
    journal.append('{"b":2}')
    expect(segments()).toEqual(['{"a":1}\n', '{"b":2}\n'])
  })
})

describe('a flush that fails, and then a segment that cannot be made,', () => {
  test.each([
    ['kept lines', true, ['{"a":1}\n', '{"b":2}\n{"c":3}\n']],
    ['lines that stay', false, ['{"a":1}\n{"b":2}\n', '{"c":3}\n']],
  ])('costs no line and leaves no hole: %s', async (_, keepsLines, expected) => {
    const journal = writer({ keepsLines })
    journal.append('{"a":1}')
    expect(await journal.synced()).toBe(true)
    journal.append('{"b":2}')
    failOnce()
    files.openError = 'EMFILE'
    const cutFirst = files.open
    files.open = (path, flags) => (path.endsWith('1.jsonl') ? nodeFiles.open(path, flags) : cutFirst(path, flags))
    expect(await journal.synced()).toBe(false)
    for (let tries = 0; tries < 3; tries += 1) expect(() => journal.open()).toThrow('EMFILE')
    files.openError = null
    journal.open()
    journal.append('{"c":3}')
    expect(await journal.synced()).toBe(true)
    expect(segments()).toEqual(expected)
  })

  test('is not taken for good because the old segment was closed meanwhile', async () => {
    const journal = writer({ segmentBytes: 10 })
    let answer = () => {}
    files.hang = new Promise((resolve) => {
      answer = resolve
    })
    journal.append('{"a":1}')
    const first = journal.synced()
    files.syncError = 'EIO'
    expect(journal.append('{"b":2}')).toBe(false)
    journal.open()
    answer()
    expect(await first).toBe(false)
  })
})

/** The next flush fails, and no other. */
function failOnce(): void {
  const { flush } = files
  files.flush = async () => {
    files.flush = flush
    await Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
  }
}

describe('segments', () => {
  test('end at their size', () => {
    const journal = writer({ segmentBytes: 20 })
    for (const name of ['a', 'b', 'c', 'd', 'e']) journal.append(`{"${name}":1}`)
    expect(segments()).toEqual(['{"a":1}\n{"b":1}\n', '{"c":1}\n{"d":1}\n', '{"e":1}\n'])
  })

  test('end after an hour', () => {
    const journal = writer()
    journal.append('{"a":1}')
    nowMs = 3_599_999
    journal.append('{"b":1}')
    nowMs = 3_600_000
    journal.append('{"c":1}')
    expect(segments()).toEqual(['{"a":1}\n{"b":1}\n', '{"c":1}\n'])
  })

  test('whose end cannot be forced to the disk are written anew', () => {
    const journal = writer({ segmentBytes: 20 })
    journal.append('{"a":1}')
    journal.append('{"b":1}')
    files.syncError = 'EIO'
    expect(journal.append('{"c":1}')).toBe(false)
    files.syncError = null
    journal.open()
    journal.append('{"c":1}')
    expect(segments()).toEqual(['', '{"a":1}\n{"b":1}\n', '{"c":1}\n'])
  })
})

describe('a folder', () => {
  test('that was moved away is noticed within a second, like one that was deleted', () => {
    const journal = writer()
    journal.append('{"a":1}')
    renameSync(folder(), join(directory, 'elsewhere'))
    nowMs = 1000
    expect(journal.append('{"b":1}')).toBe(false)
    journal.open()
    journal.append('{"c":1}')
    expect(segments()).toEqual(['{"c":1}\n'])
  })

  test('that another process has taken over is not written any more', () => {
    let holds = true
    const owner = { claim: () => undefined, holds: () => holds }
    const journal = writer({ owner })
    journal.append('{"a":1}')
    holds = false
    nowMs = 1000
    expect(journal.append('{"b":1}')).toBe(false)
    expect(() => journal.open()).toThrow('Another process has ended this journal.')
    expect(segments()).toEqual(['{"a":1}\n'])
  })
})

test('a journal that was there is gone on with where it ended', () => {
  const first = writer()
  first.append('{"a":1}')
  first.close()
  const second = writer({ from: first.end })
  second.append('{"b":1}')
  expect(segments()).toEqual(['{"a":1}\n{"b":1}\n'])
})
