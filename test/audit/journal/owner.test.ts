import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSilence, followOwner, hasOwner, ownWriter, thisProcess } from '../../../src/audit/journal/owner.ts'

let directory = ''
let child: ChildProcess | null = null
let nowMs = 0
let silence = createSilence({ monotonicMs: () => nowMs })
const follow = () => followOwner(directory, 'w1', silence)
const files = (writer: string) => readdirSync(join(directory, writer)).toSorted()

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-owner-'))
  nowMs = 0
  silence = createSilence({ monotonicMs: () => nowMs })
})
afterEach(() => {
  child?.kill('SIGKILL')
  child = null
  rmSync(directory, { recursive: true })
})

/** A folder that names another process as its owner. */
function owned(writer: string, mark: unknown): void {
  mkdirSync(join(directory, writer))
  writeFileSync(join(directory, writer, 'owner-1'), typeof mark === 'string' ? mark : JSON.stringify(mark))
}

function age(writer: string, seconds: number): void {
  const then = new Date(Date.now() - seconds * 1000)
  utimesSync(join(directory, writer, 'owner-1'), then, then)
}

describe('a process', () => {
  test('owns the folder that it makes, and nobody follows it while it lives', () => {
    const owner = ownWriter(directory, 'w1')
    expect(owner.holds()).toBe(true)
    expect(hasOwner(directory, 'w1')).toBe(true)
    expect(followOwner(directory, 'w1')).toBeNull()
    expect(JSON.parse(readFileSync(join(directory, 'w1', 'owner-1'), 'utf8'))).toEqual(thisProcess())
  })

  test('leaves a folder without owner when it releases it', () => {
    ownWriter(directory, 'w1').release()
    expect(hasOwner(directory, 'w1')).toBe(false)
    expect(files('w1')).toEqual([])
  })

  test('cannot own a folder twice', () => {
    ownWriter(directory, 'w1')
    expect(() => ownWriter(directory, 'w1')).toThrow('EEXIST')
  })
})

describe('who follows an owner', () => {
  test.runIf(existsSync('/proc/self/stat'))('is one that finds the process gone', async () => {
    child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    await once(child, 'spawn')
    const pid = child.pid ?? 0
    const started = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19]
    owned('w1', { ...thisProcess(), pid, started })
    expect(followOwner(directory, 'w1')).toBeNull()
    child.kill('SIGKILL')
    await once(child, 'exit')
    const follower = followOwner(directory, 'w1')
    expect(follower?.holds()).toBe(true)
    expect(files('w1')).toEqual(['owner-1', 'owner-2'])
    follower?.release()
    expect(files('w1')).toEqual([])
  })

  test.runIf(existsSync('/proc/self/stat'))('is not deceived by a new process with the old id', () => {
    owned('w1', { ...thisProcess(), started: '1' })
    expect(followOwner(directory, 'w1')).not.toBeNull()
  })

  test('is one only', () => {
    owned('w1', { ...thisProcess(), pid: 2 ** 30 })
    const [first, second] = [followOwner(directory, 'w1'), followOwner(directory, 'w1')]
    expect(first).not.toBeNull()
    expect(second).toBeNull()
  })

  test.each([
    ['of another machine or container', { scope: 'elsewhere', pid: 1, started: '1' }],
    ['that cannot be read', 'half a fi'],
  ])('waits until an owner %s has been silent for 30 seconds before his eyes', (_, mark) => {
    owned('w1', mark)
    expect(follow()).toBeNull()
    nowMs = 29_999
    expect(follow()).toBeNull()
    nowMs = 30_000
    expect(follow()).not.toBeNull()
  })

  test('is kept away by a sign of life', () => {
    const owner = ownWriter(directory, 'w1')
    writeFileSync(join(directory, 'w1', 'owner-1'), JSON.stringify({ scope: 'elsewhere', pid: 1, started: '1' }))
    for (nowMs = 0; nowMs < 120_000; nowMs += 20_000) {
      expect(follow()).toBeNull()
      age('w1', nowMs)
    }
    owner.beat()
    expect(follow()).toBeNull()
  })

  test('is not deceived by a clock that was set, or by a file that is old', () => {
    owned('w1', { scope: 'elsewhere', pid: 1, started: '1' })
    age('w1', 86_400)
    expect(follow()).toBeNull()
  })

  test('takes the folder from an owner that was taken for dead, who notices', () => {
    const owner = ownWriter(directory, 'w1')
    writeFileSync(join(directory, 'w1', 'owner-1'), JSON.stringify({ scope: 'elsewhere', pid: 1, started: '1' }))
    follow()
    nowMs = 60_000
    const follower = follow()
    expect([owner.holds(), follower?.holds()]).toEqual([false, true])
    owner.release()
    expect(hasOwner(directory, 'w1')).toBe(true)
  })
})

test('who leaves a folder that he followed leaves it to the next', () => {
  owned('w1', { ...thisProcess(), pid: 2 ** 30 })
  followOwner(directory, 'w1')?.leave()
  expect(files('w1')).toEqual(['owner-1'])
  expect(followOwner(directory, 'w1')).not.toBeNull()
})
