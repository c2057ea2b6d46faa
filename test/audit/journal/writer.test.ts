import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeFiles } from '../../../src/audit/journal/append-file.ts'
import { createJournalWriter, type JournalWriter } from '../../../src/audit/journal/writer.ts'
import { failingFiles, type FailingFiles } from '../failing-files.ts'

let directory = ''
let files: FailingFiles
let nowMs = 0
const path = () => join(directory, 'journal', 'w1', '00000001.jsonl')
const text = () => readFileSync(path(), 'utf8')

function writer(): JournalWriter {
  const clock = { now: () => 0, monotonicMs: () => nowMs }
  return createJournalWriter({ directory: join(directory, 'journal'), writer: 'w1', clock, files })
}

function opened(): JournalWriter {
  const journal = writer()
  journal.open()
  return journal
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-writer-'))
  files = failingFiles()
  nowMs = 0
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

describe('a journal writer', () => {
  test('touches no file before it is opened', () => {
    expect(writer().good).toBe(false)
    expect(existsSync(join(directory, 'journal'))).toBe(false)
  })

  // A folder that cannot be made in a place that is there: with `recursive`, Node 20 would try for ever.
  test.runIf(existsSync('/proc/self'))('fails at once where no folder can be made', () => {
    const clock = { now: () => 0, monotonicMs: () => nowMs }
    const journal = createJournalWriter({ directory: '/proc/nope/journal', writer: 'w1', clock })
    expect(() => journal.open()).toThrow('ENOENT')
    expect(journal.good).toBe(false)
  })

  test('writes one line after the other, for the owner alone', () => {
    const journal = opened()
    expect([journal.append('{"a":1}'), journal.append('{"b":"é😀"}')]).toEqual([true, true])
    expect(text()).toBe('{"a":1}\n{"b":"é😀"}\n')
    expect(statSync(path()).mode & 0o777).toBe(0o600)
    expect(statSync(join(directory, 'journal', 'w1')).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'journal')).mode & 0o777).toBe(0o700)
  })

  test('writes a line that is longer than its buffer', () => {
    const journal = opened()
    const line = 'é'.repeat(60_000)
    expect(journal.append(line)).toBe(true)
    expect(text()).toBe(`${line}\n`)
  })

  test('writes nothing while it is not open', () => {
    expect(writer().append('{}')).toBe(false)
    const journal = opened()
    journal.close()
    expect(journal.append('{}')).toBe(false)
    expect(text()).toBe('')
  })

  test('forces the file to the disk when it is closed, once', () => {
    const journal = opened()
    journal.append('{}')
    journal.close()
    journal.close()
    expect(files.calls).toMatchObject({ sync: 1, close: 1 })
  })

  test('closes the file also when that fails, and does not ask the same descriptor again', () => {
    const journal = opened()
    files.syncError = 'EIO'
    expect(() => journal.close()).toThrow('EIO')
    expect(() => journal.close()).not.toThrow()
    expect(files.calls).toMatchObject({ sync: 1, close: 1 })
  })

  test('does not follow a symbolic link, nor write into a file that was there', () => {
    mkdirSync(join(directory, 'journal', 'w1'), { recursive: true })
    symlinkSync(join(directory, 'elsewhere'), path())
    expect(() => writer().open()).toThrow(/EEXIST|ELOOP/)
    rmSync(path())
    writeFileSync(path(), 'old\n')
    expect(() => writer().open()).toThrow('EEXIST')
    expect(text()).toBe('old\n')
  })

  test.each(['', '..', 'a/b', 'a.b', 'x'.repeat(65)])('refuses the id %j', (id) => {
    const clock = { now: () => 0, monotonicMs: () => 0 }
    expect(() => createJournalWriter({ directory, writer: id, clock })).toThrow(TypeError)
  })

  test('throws what keeps it from opening', () => {
    writeFileSync(join(directory, 'journal'), 'a file where the folder should be')
    const journal = writer()
    expect(() => journal.open()).toThrow('ENOTDIR')
    expect(journal.failure).toMatchObject({ code: 'ENOTDIR' })
  })
})

describe('a write that fails', () => {
  test('leaves no half line behind, and nothing is written until it is opened again', () => {
    const journal = opened()
    journal.append('{"a":1}')
    files.room = 5
    expect(journal.append('{"b":2}')).toBe(false)
    expect(journal.good).toBe(false)
    expect(text()).toBe('{"a":1}\n')
    files.room = 1000
    expect(journal.append('{"c":3}')).toBe(false)
    journal.open()
    expect(journal.append('{"d":4}')).toBe(true)
    expect(text()).toBe('{"a":1}\n{"d":4}\n')
    expect(journal.failure).toBeNull()
  })

  test.each(['EIO', 'ENOSPC', 'EROFS'])('with %s is reported, and the descriptor is not used again', (code) => {
    const journal = opened()
    files.writeError = code
    expect(journal.append('{"a":1}')).toBe(false)
    expect(journal.failure).toMatchObject({ code })
    files.writeError = null
    journal.open()
    expect(files.calls).toMatchObject({ open: 2, close: 1 })
    expect(journal.append('{"b":2}')).toBe(true)
    expect(text()).toBe('{"b":2}\n')
  })

  test('and whose half line cannot be cut at once is cut before the next line', () => {
    const journal = opened()
    journal.append('{"a":1}')
    files.room = 5
    files.truncateError = 'EIO'
    expect(journal.append('{"b":2}')).toBe(false)
    expect(text()).toBe('{"a":1}\n{"b":')
    files.room = 1000
    expect(() => journal.open()).toThrow('EIO')
    expect(journal.good).toBe(false)
    files.truncateError = null
    journal.open()
    journal.append('{"c":3}')
    expect(text()).toBe('{"a":1}\n{"c":3}\n')
  })

  test('on a device that is really full', () => {
    const clock = { now: () => 0, monotonicMs: () => 0 }
    const full = { ...nodeFiles, open: () => openSync('/dev/full', 'a'), isAt: () => true }
    const journal = createJournalWriter({ directory, writer: 'w2', clock, files: full })
    journal.open()
    expect(journal.append('{}')).toBe(false)
    expect(journal.failure).toMatchObject({ code: 'ENOSPC' })
  })

  test('is not made good in a file that a symbolic link names', () => {
    const journal = opened()
    journal.append('{"a":1}')
    files.writeError = 'EIO'
    journal.append('{"b":2}')
    files.writeError = null
    rmSync(path())
    writeFileSync(join(directory, 'elsewhere'), '')
    symlinkSync(join(directory, 'elsewhere'), path())
    expect(() => journal.open()).toThrow('ELOOP')
    expect(readFileSync(join(directory, 'elsewhere'), 'utf8')).toBe('')
  })

  test('goes on at the end of a file that somebody has cut', () => {
    const journal = opened()
    journal.append('{"a":1}')
    journal.append('{"b":2}')
    files.writeError = 'EIO'
    journal.append('{"c":3}')
    files.writeError = null
    truncateSync(path(), 8)
    journal.open()
    journal.append('{"d":4}')
    expect(text()).toBe('{"a":1}\n{"d":4}\n')
  })
})

describe('a probe', () => {
  test('opens at first use', () => {
    const journal = writer()
    expect(journal.probe()).toBe(true)
    expect(journal.append('{}')).toBe(true)
  })

  test('asks a broken disk at most once a second of the monotonic clock', () => {
    const journal = writer()
    files.openError = 'EACCES'
    for (nowMs = 0; nowMs < 999; nowMs += 100) expect(journal.probe()).toBe(false)
    expect(files.calls.open).toBe(1)
    nowMs = 1000
    expect(journal.probe()).toBe(false)
    expect(files.calls.open).toBe(2)
    files.openError = null
    nowMs = 1999
    expect(journal.probe()).toBe(false)
    nowMs = 2000
    expect(journal.probe()).toBe(true)
    expect(journal.failure).toBeNull()
  })
})
