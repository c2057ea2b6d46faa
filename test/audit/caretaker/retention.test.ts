import { generateKeyPairSync } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createChain } from '../../../src/audit/chain/chain.ts'
import { createCheckpointSigner, type CheckpointSigner } from '../../../src/audit/chain/checkpoint.ts'
import type { AuditDraft, AuditEvent, AuditRetention } from '../../../src/audit/event.ts'
import { saveCursor } from '../../../src/audit/journal/cursor.ts'
import { segmentsOf } from '../../../src/audit/journal/lines.ts'
import { ownWriter, thisProcess } from '../../../src/audit/journal/owner.ts'
import { verifyJournal } from '../../../src/audit/journal/verify.ts'
import { createJournalWriter } from '../../../src/audit/journal/writer.ts'
import { createRetention } from '../../../src/audit/caretaker/retention.ts'
import type { AuditSink } from '../../../src/audit/sink.ts'
import { systemDraft } from '../../../src/audit/chain/system-draft.ts'
import { draft } from '../../fixtures/audit.ts'
import { intent } from '../written-journal.ts'

const DAY = 86_400_000
const HOUR = 3_600_000
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const signer = createCheckpointSigner(privateKey)

let directory = ''
let now = 0
let running: Process[] = []
const clock = { now: () => now, monotonicMs: () => now }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-retention-'))
  now = Date.now()
  running = []
})
afterEach(() => {
  for (const each of running) each.stop()
  rmSync(directory, { recursive: true })
})

/** A server: the real chain, files and owner. A line that comes an hour after the last one begins a segment. */
interface Process {
  readonly writer: string
  record(): AuditEvent
  intend(): void
  append(draft: AuditDraft): Promise<boolean>
  retire(...sinks: readonly AuditSink[]): Promise<void>
  /** Ends it in good order, and its folder is nobody's. */
  stop(): void
}

interface StartSettings {
  readonly localDays?: number
  readonly seal?: CheckpointSigner | null
}

function start(writer: string, { localDays = 3, seal = signer }: StartSettings = {}): Process {
  const owner = ownWriter(directory, writer)
  const journal = createJournalWriter({ directory, writer, clock })
  const service = { name: 'records', version: null, instance: 'host:1' }
  const chain = createChain({ environment: 'live', service, writer, clock, linked: true, signer: seal })
  const retention = createRetention({ directory, writer, clock, localDays, signer: seal })
  let stopped = false
  const write = (each: AuditDraft): AuditEvent => {
    const line = chain.next(each)
    expect(journal.append(line.text)).toBe(true)
    chain.add(line)
    return line.event
  }
  const append = async (each: AuditDraft): Promise<boolean> => {
    write(each)
    return journal.synced()
  }
  journal.open()
  write(systemDraft('audit.started', now))
  const made: Process = {
    writer,
    record: () => write(draft({ time: now })),
    intend() {
      const line = chain.nextIntent({ ...intent(), time: now }, null)
      expect(journal.append(line.text)).toBe(true)
      chain.addIntent(line)
    },
    append,
    retire: (...sinks) => retention.retire(sinks, append),
    stop() {
      if (stopped) return
      stopped = true
      write(systemDraft('audit.stopped', now))
      if (seal !== null) write(systemDraft('audit.checkpoint', now))
      journal.close()
      owner.release()
    },
  }
  running.push(made)
  return made
}

/** One event a day, each in a segment of its own, the first of them with `audit.started`. */
function days(process: Process, count: number): void {
  for (let day = 0; day < count; day += 1) {
    process.record()
    now += DAY
  }
}

function sink(change: Partial<AuditSink> = {}): AuditSink {
  return { name: 'store', acks: true, required: true, write: () => Promise.resolve(), ...change }
}

const segments = (writer: string) => segmentsOf(directory, writer)
const files = (writer: string) => readdirSync(join(directory, writer)).toSorted()

function eventsOf(writer: string): AuditEvent[] {
  if (!existsSync(join(directory, writer))) return []
  return files(writer)
    .filter((name) => /^\d{8}\.jsonl$/.test(name))
    .flatMap((name) =>
      readFileSync(join(directory, writer, name), 'utf8')
        .trimEnd()
        .split('\n'),
    )
    .map((text) => JSON.parse(text) as AuditEvent)
}

const linesIn = (writer: string): AuditRetention[] =>
  eventsOf(writer).flatMap(({ retention }) => (retention === undefined ? [] : [retention]))

/** What is wrong with the journal, by the verifier. */
async function findings(keys: readonly (typeof publicKey)[] = [publicKey]): Promise<string[]> {
  const verdict = await verifyJournal(directory, { publicKeys: keys })
  return verdict.findings.map(({ writer, segment, line, kind }) => `${writer}/${segment}:${line} ${kind}`)
}

describe('of its own journal a process deletes', () => {
  test('segments whose last event is older than `localDays`, and tells of them first', async () => {
    const server = start('w1')
    days(server, 6)
    await server.retire()
    expect(await segments('w1')).toEqual([4, 5, 6, 7])
    expect(linesIn('w1')).toMatchObject([{ writer: 'w1', segments: [1, 3], lastSeq: 4 }])
    const [first] = eventsOf('w1')
    expect(linesIn('w1')[0]?.lastHash).toBe(first?.prev)
    expect(await findings()).toEqual([])
  })

  test('nothing that was recorded exactly so long ago', async () => {
    const server = start('w1')
    now += HOUR
    server.record()
    now += 3 * DAY - HOUR
    await server.retire()
    expect(await segments('w1')).toEqual([1, 2])
    now += 1
    await server.retire()
    expect((await segments('w1'))[0]).toBe(2)
  })

  test('never the last segment, however old', async () => {
    const server = start('w1')
    server.record()
    now += 400 * DAY
    await server.retire()
    expect(await segments('w1')).toEqual([1])
    expect(linesIn('w1')).toEqual([])
  })

  test('segments without an event together with the next one that has some', async () => {
    const server = start('w1')
    for (let day = 0; day < 3; day += 1) {
      now += DAY
      server.intend()
    }
    now += 4 * DAY
    server.record()
    await server.retire()
    expect(await segments('w1')).toEqual([2, 3, 4, 5])
    now += 4 * DAY
    server.record()
    await server.retire()
    expect(await segments('w1')).toEqual([6])
    expect(await findings()).toEqual([])
  })

  test('nothing where the line cannot be written', async () => {
    const server = start('w1')
    days(server, 6)
    const retention = createRetention({ directory, writer: 'w1', clock, localDays: 3, signer })
    await retention.retire([], () => Promise.resolve(false))
    expect(await segments('w1')).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('what somebody else has taken away stays missed', async () => {
    const server = start('w1')
    days(server, 8)
    unlinkSync(join(directory, 'w1', '00000002.jsonl'))
    await server.retire()
    expect(linesIn('w1')).toMatchObject([{ segments: [1, 1] }])
    await server.retire()
    expect(linesIn('w1')).toMatchObject([{ segments: [1, 1] }, { segments: [3, 5] }])
    expect(await findings()).toEqual(['w1/2:1 segment-missing'])
  })

  const UNVOUCHED = ['w1/1:1 segment-missing', 'w1/2:1 segment-missing', 'w1/3:1 segment-missing', 'w1/7:1 signature']

  test.each<[string, CheckpointSigner | null, string[]]>([
    ['the key of the journal', signer, []],
    ['another key', createCheckpointSigner(generateKeyPairSync('ed25519').privateKey), UNVOUCHED],
    ['no key', null, UNVOUCHED],
  ])('and the line is signed with %s', async (_, seal, expected) => {
    const server = start('w1', { seal })
    days(server, 6)
    await server.retire()
    expect(linesIn('w1')[0]?.signed?.keyId).toBe(seal?.keyId)
    expect(await findings()).toEqual(expected)
    expect((await verifyJournal(directory)).ok).toBe(true)
  })
})

describe('a segment waits for', () => {
  test.each<[string, AuditSink, { segment: number; seq: number } | null, number[]]>([
    ['a required sink that has nothing', sink(), null, [1, 2, 3, 4, 5, 6]],
    ['one that has it in part', sink(), { segment: 1, seq: 1 }, [1, 2, 3, 4, 5, 6]],
    ['one that has it, but not the next', sink(), { segment: 1, seq: 2 }, [2, 3, 4, 5, 6, 7]],
    ['one that is further', sink(), { segment: 3, seq: 3 }, [3, 4, 5, 6, 7]],
    ['no sink that is not required', sink({ required: false }), null, [4, 5, 6, 7]],
    ['no sink that leaves it open', sink({ required: undefined }), null, [4, 5, 6, 7]],
    ['no sink that does not acknowledge', sink({ acks: false }), null, [4, 5, 6, 7]],
  ])('%s', async (_, each, cursor, left) => {
    const server = start('w1')
    days(server, 6)
    if (cursor !== null) await saveCursor(join(directory, 'w1'), 'store', { ...cursor, offset: 10 })
    await server.retire(each)
    expect(await segments('w1')).toEqual(left)
    expect(await findings()).toEqual([])
  })

  test('the slowest of several', async () => {
    const server = start('w1')
    days(server, 6)
    await saveCursor(join(directory, 'w1'), 'fast', { segment: 6, seq: 7, offset: 0 })
    await saveCursor(join(directory, 'w1'), 'slow', { segment: 1, seq: 2, offset: 0 })
    await server.retire(sink({ name: 'fast' }), sink({ name: 'slow' }))
    expect((await segments('w1'))[0]).toBe(2)
  })
})

describe('of a writer that has ended a process deletes', () => {
  /** Ends after four days; a day later all but the last two days are too old. */
  async function ended(): Promise<Process> {
    const old = start('old')
    days(old, 4)
    old.stop()
    now += DAY
    return start('new')
  }

  test('as much as is too old, and at last all, the folder with it', async () => {
    const server = await ended()
    await server.retire()
    expect(await segments('old')).toEqual([3, 4, 5])
    expect(files('old')).toEqual(['00000003.jsonl', '00000004.jsonl', '00000005.jsonl'])
    expect(await findings()).toEqual([])
    await saveCursor(join(directory, 'old'), 'store', { segment: 5, seq: 7, offset: 0 })
    writeFileSync(join(directory, 'old', 'dead-store.jsonl'), '')
    writeFileSync(join(directory, 'old', 'cursor-store.json.new'), '{')
    now += 9 * DAY
    await server.retire(sink())
    expect(readdirSync(directory)).toEqual(['new'])
    expect(linesIn('new')).toMatchObject([
      { writer: 'old', segments: [1, 2] },
      { writer: 'old', segments: [1, 5], lastSeq: 7 },
    ])
    expect(await findings()).toEqual([])
  })

  test('all but what a required sink has not taken, its last segment included', async () => {
    const server = await ended()
    now += 9 * DAY
    await saveCursor(join(directory, 'old'), 'store', { segment: 5, seq: 6, offset: 0 })
    await server.retire(sink())
    expect(await segments('old')).toEqual([5])
    await saveCursor(join(directory, 'old'), 'store', { segment: 5, seq: 7, offset: 0 })
    await server.retire(sink())
    expect(existsSync(join(directory, 'old'))).toBe(false)
    expect(await findings()).toEqual([])
  })

  test.each(['dead-store.jsonl', 'notes.txt'])('the folder stays where %s is in it', async (name) => {
    const server = await ended()
    now += 9 * DAY
    writeFileSync(join(directory, 'old', name), '{"reason":"http_400","event":{}}\n')
    await saveCursor(join(directory, 'old'), 'other', { segment: 5, seq: 7, offset: 0 })
    for (let look = 0; look < 3; look += 1) {
      await server.retire()
      now += DAY
      expect(files('old')).toEqual([name])
    }
    expect(linesIn('new').filter(({ writer }) => writer === 'old')).toHaveLength(1)
    expect(await findings()).toEqual([])
  })

  test.each<[string, unknown]>([
    ['lives', thisProcess()],
    ['is dead, and nobody has ended its journal yet', { ...thisProcess(), pid: 2 ** 30 }],
  ])('nothing where its owner %s', async (_, mark) => {
    const server = await ended()
    now += 99 * DAY
    writeFileSync(join(directory, 'old', 'owner-1'), JSON.stringify(mark))
    await server.retire()
    expect(await segments('old')).toEqual([1, 2, 3, 4, 5])
    expect(files('old')).toContain('owner-1')
  })

  test('nothing twice: two that look at the same time are one that deletes', async () => {
    const server = await ended()
    const other = start('other')
    now += 99 * DAY
    await Promise.all([server.retire(), other.retire()])
    expect(existsSync(join(directory, 'old'))).toBe(false)
    expect([...linesIn('new'), ...linesIn('other')].filter(({ writer }) => writer === 'old')).toHaveLength(1)
    expect(await findings()).toEqual([])
  })

  test('a folder in which nothing is left, but none that a process has just made for itself', async () => {
    const server = await ended()
    mkdirSync(join(directory, 'fresh'))
    mkdirSync(join(directory, 'spent'))
    writeFileSync(join(directory, 'spent', 'cursor-store.json'), '{}')
    for (const name of ['fresh', 'spent']) {
      const then = new Date(now - (name === 'fresh' ? HOUR / 2 : 2 * HOUR))
      utimesSync(join(directory, name), then, then)
    }
    await server.retire()
    expect(existsSync(join(directory, 'fresh'))).toBe(true)
    expect(existsSync(join(directory, 'spent'))).toBe(false)
  })

  test('what it can: a folder that it cannot work in keeps none of the others', async () => {
    const server = await ended()
    now += 99 * DAY
    mkdirSync(join(directory, 'aaa'))
    writeFileSync(join(directory, 'aaa', '00000001.jsonl'), `${JSON.stringify({})}\n`)
    mkdirSync(join(directory, 'aaa', 'cursor-store.json'))
    await saveCursor(join(directory, 'old'), 'store', { segment: 5, seq: 7, offset: 0 })
    await expect(server.retire(sink())).rejects.toMatchObject({ code: 'EISDIR' })
    expect(existsSync(join(directory, 'old'))).toBe(false)
  })
})

describe('a process that dies between the line and the deletion', () => {
  /** `gone` of the three segments that the line tells of are deleted when it dies. */
  async function died(gone: number): Promise<Process> {
    const old = start('old')
    days(old, 4)
    old.stop()
    now += 2 * DAY
    const dying = start('dying')
    const retention = createRetention({ directory, writer: 'dying', clock, localDays: 3, signer })
    const death = new Error('kill -9')
    const killed = retention.retire([], async (each) => {
      await dying.append(each)
      throw death
    })
    await expect(killed).rejects.toBe(death)
    expect(linesIn('dying')).toMatchObject([{ writer: 'old', segments: [1, 3] }])
    for (let segment = 1; segment <= gone; segment += 1) unlinkSync(join(directory, 'old', `0000000${segment}.jsonl`))
    dying.stop()
    return start('next')
  }

  test.each([0, 1, 2, 3])('after %d of three files leaves nothing wrong, and the next one goes on', async (gone) => {
    const next = await died(gone)
    expect(await findings()).toEqual([])
    await next.retire()
    expect(await segments('old')).toEqual([4, 5])
    const lines = [...linesIn('dying'), ...linesIn('next')]
    expect(lines).toHaveLength(gone === 3 ? 1 : 2)
    expect(new Set(lines.map(({ lastSeq, lastHash }) => `${lastSeq} ${lastHash}`)).size).toBe(1)
    expect(await findings()).toEqual([])
    now += 9 * DAY
    await next.retire()
    expect(existsSync(join(directory, 'old'))).toBe(false)
    expect(await findings()).toEqual([])
  })

  test('is not needed: files that cannot be deleted are told of once', async () => {
    const server = start('w1')
    days(server, 6)
    const retention = createRetention({ directory, writer: 'w1', clock, localDays: 3, signer })
    const [path, aside] = [join(directory, 'w1', '00000002.jsonl'), join(directory, 'aside')]
    // A folder cannot be unlinked.
    const failing = retention.retire([], async (each) => {
      renameSync(path, aside)
      mkdirSync(path)
      return server.append(each)
    })
    await expect(failing).rejects.toMatchObject({ syscall: 'unlink' })
    rmdirSync(path)
    renameSync(aside, path)
    expect(await segments('w1')).toEqual([2, 3, 4, 5, 6, 7])
    expect(await findings()).toEqual([])
    await retention.retire([], server.append)
    expect(await segments('w1')).toEqual([4, 5, 6, 7])
    expect(linesIn('w1')).toHaveLength(1)
    expect(await findings()).toEqual([])
  })
})

describe('a line about a hole', () => {
  test('stays as long as the hole can be seen, though its own segment is deleted', async () => {
    const server = start('w1')
    for (let day = 0; day < 20; day += 1) {
      days(server, 1)
      await server.retire()
      expect(await findings()).toEqual([])
    }
    expect(linesIn('w1').length).toBeLessThanOrEqual(4)
    expect(linesIn('w1').at(-1)?.segments[0]).toBe(1)
  })

  test('of another writer is written again as it is, while that one still has segments', async () => {
    const old = start('old')
    days(old, 4)
    old.stop()
    const teller = start('teller')
    const server = start('w1', { seal: null })
    await saveCursor(join(directory, 'old'), 'store', { segment: 2, seq: 2, offset: 0 })
    for (const each of ['teller', 'w1'])
      await saveCursor(join(directory, each), 'store', { segment: 99, seq: 0, offset: 0 })
    await teller.retire(sink())
    const [line] = linesIn('teller')
    expect(line).toMatchObject({ writer: 'old', segments: [1, 1], signed: { keyId: signer.keyId } })
    teller.stop()
    now += 9 * DAY
    await server.retire(sink())
    expect(existsSync(join(directory, 'teller'))).toBe(false)
    expect(linesIn('w1').filter(({ writer }) => writer === 'old')).toEqual([line])
    expect((await verifyJournal(directory)).findings).toEqual([])
    now += 9 * DAY
    server.record()
    await server.retire(sink())
    expect((await segments('w1'))[0]).toBeGreaterThan(2)
    expect(linesIn('w1').filter(({ writer }) => writer === 'old')).toEqual([line])
    expect((await verifyJournal(directory)).findings).toEqual([])
  })

  test('is not written again when its writer is gone', async () => {
    const old = start('old')
    days(old, 2)
    old.stop()
    now += 9 * DAY
    const server = start('w1')
    await server.retire()
    expect(linesIn('w1')).toHaveLength(1)
    now += 9 * DAY
    server.record()
    await server.retire()
    expect(linesIn('w1').map(({ writer }) => writer)).toEqual(['w1'])
    expect(await findings()).toEqual([])
  })
})

type Step = 'day' | 'call' | 'restart' | 'retire' | 'kill' | 'second'

test('whatever happens in whatever order, nothing is wrong with the journal, and nothing too old stays', async () => {
  const steps = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constant<Step>('day') },
      { weight: 3, arbitrary: fc.constant<Step>('call') },
      { weight: 3, arbitrary: fc.constant<Step>('retire') },
      { weight: 1, arbitrary: fc.constantFrom<Step>('restart', 'kill', 'second') },
    ),
    { minLength: 10, maxLength: 30 },
  )
  let count = 0
  await fc.assert(
    fc.asyncProperty(steps, async (taken) => {
      rmSync(directory, { recursive: true })
      mkdirSync(directory)
      const begin = (): Process => start(`w${(count += 1)}`, { localDays: 2 })
      let [one, other] = [begin(), begin()]
      for (const step of taken) {
        if (step === 'day') now += DAY
        else if (step === 'call') one.record()
        else if (step === 'retire') await one.retire()
        else if (step === 'second') [one, other] = [other, one]
        else if (step === 'restart') {
          one.stop()
          one = begin()
        } else {
          const retention = createRetention({ directory, writer: one.writer, clock, localDays: 2, signer })
          const killed = retention.retire(
            [],
            async (each) => (await one.append(each)) && Promise.reject(new Error('9')),
          )
          await killed.catch(() => undefined)
          one.stop()
          one = begin()
        }
        expect(await findings()).toEqual([])
      }
      now += 9 * DAY
      await Promise.all([one.retire(), other.retire()])
      expect(readdirSync(directory)).toEqual([one.writer, other.writer].toSorted())
      expect(await findings()).toEqual([])
      for (const each of running) each.stop()
      running = []
    }),
    { numRuns: 12 },
  )
}, 60_000)
