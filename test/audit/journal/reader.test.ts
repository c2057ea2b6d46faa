import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { JournalLineError, readJournal, type JournalRange } from '../../../src/audit/index.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { placedEvent } from '../../../src/audit/chain/placed-event.ts'
import { eventLine } from '../../../src/audit/chain/event-line.ts'
import { draft } from '../../fixtures/audit.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-reader-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

const service = { name: 'records', version: null, instance: 'i' }

function event(writer: string, seq: number, time = '2026-11-24T03:05:11.123Z'): AuditEvent {
  const place = {
    id: `${writer}-${seq}`,
    recorded: Date.parse(time),
    env: 'live',
    service,
    writer,
    seq,
    prev: null,
  } as const
  return placedEvent(draft({ time: Date.parse(time), requestId: `req_${writer}_${seq}` }), place)
}

function segment(writer: string, name: string, text: string | Buffer): void {
  mkdirSync(join(directory, writer), { recursive: true })
  writeFileSync(join(directory, writer, name), text)
}

const lines = (...events: readonly AuditEvent[]) => events.map((each) => `${eventLine(each)}\n`).join('')

async function read(range?: JournalRange): Promise<AuditEvent[]> {
  const events: AuditEvent[] = []
  for await (const each of readJournal(directory, range)) events.push(each)
  return events
}

async function failure(): Promise<unknown> {
  try {
    await read()
  } catch (error) {
    return error
  }
  return null
}

describe('a journal is read', () => {
  test('writer by writer, segment by segment, in order', async () => {
    segment('w2', '00000001.jsonl', lines(event('w2', 1)))
    segment('w1', '00000002.jsonl', lines(event('w1', 3)))
    segment('w1', '00000001.jsonl', lines(event('w1', 1), event('w1', 2)))
    const events = await read()
    expect(events.map(({ id }) => id)).toEqual(['w1-1', 'w1-2', 'w1-3', 'w2-1'])
    expect(events[0]).toEqual(event('w1', 1))
  })

  test('as empty where nothing was written', async () => {
    segment('w1', '00000001.jsonl', '')
    mkdirSync(join(directory, 'w2'))
    expect(await read()).toEqual([])
  })

  test('and whatever else lies there is passed over', async () => {
    writeFileSync(join(directory, 'README'), 'not a journal')
    segment('w1', 'notes.txt', 'not a journal')
    segment('w1', '1.jsonl', 'not a journal')
    segment('w1', '00000001.jsonl', lines(event('w1', 1)))
    expect(await read()).toHaveLength(1)
  })

  test('without the line that is torn at the end', async () => {
    segment('w1', '00000001.jsonl', lines(event('w1', 1)) + eventLine(event('w1', 2)).slice(0, 100))
    expect(await read()).toEqual([event('w1', 1)])
    segment('w1', '00000001.jsonl', lines(event('w1', 1)) + eventLine(event('w1', 2)))
    expect(await read()).toEqual([event('w1', 1)])
  })

  test('across the chunks of the stream, in which characters and lines may be cut', async () => {
    const many = Array.from({ length: 400 }, (_, index) => ({
      ...event('w1', index + 1),
      operation: '😀é'.repeat(index % 50),
    }))
    segment('w1', '00000001.jsonl', lines(...many))
    expect(await read()).toEqual(many)
  })

  test('again and again: each reading starts at the beginning', async () => {
    segment('w1', '00000001.jsonl', lines(event('w1', 1)))
    const journal = readJournal(directory)
    for (let each = 0; each < 2; each += 1) {
      const ids: string[] = []
      for await (const { id } of journal) ids.push(id)
      expect(ids).toEqual(['w1-1'])
      appendFileSync(join(directory, 'w1', '00000001.jsonl'), 'torn')
    }
  })

  test('and left in the middle', async () => {
    segment('w1', '00000001.jsonl', lines(event('w1', 1), event('w1', 2)) + 'broken\n')
    for await (const { id } of readJournal(directory)) {
      expect(id).toBe('w1-1')
      break
    }
  })

  test('with flat memory', async () => {
    const block = lines(...Array.from({ length: 1000 }, (_, index) => event('w1', index + 1)))
    segment('w1', '00000001.jsonl', '')
    for (let each = 0; each < 40; each += 1) appendFileSync(join(directory, 'w1', '00000001.jsonl'), block)
    const before = process.memoryUsage().arrayBuffers
    let count = 0
    let most = 0
    for await (const { v } of readJournal(directory)) {
      count += v
      if (count % 1000 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(count).toBe(40_000)
    expect(block.length * 40).toBeGreaterThan(30_000_000)
    expect(most).toBeLessThan(15_000_000)
  })
})

describe('a range', () => {
  const times = ['2026-11-24T03:00:00.000Z', '2026-11-24T03:00:00.001Z', '2026-11-24T03:00:00.002Z']
  beforeEach(() => {
    segment('w1', '00000001.jsonl', lines(...times.map((time, index) => event('w1', index + 1, time))))
  })

  test.each<[JournalRange | undefined, number[]]>([
    [undefined, [1, 2, 3]],
    [{ since: times[1] }, [2, 3]],
    [{ until: times[1] }, [1]],
    [{ since: times[1], until: times[2] }, [2]],
    [{ since: new Date(times[2] ?? '') }, [3]],
    [{ since: '2026-11-24T04:00:00.001+01:00' }, [2, 3]],
    [{ since: '2026-11-25' }, []],
    [{ since: undefined, until: undefined }, [1, 2, 3]],
  ])('%j holds its first instant and not its last', async (range, seqs) => {
    expect((await read(range)).map(({ seq }) => seq)).toEqual(seqs)
  })

  test.each<JournalRange>([{ since: 'yesterday' }, { until: new Date(Number.NaN) }])(
    '%j is refused at once',
    (range) => {
      expect(() => readJournal(directory, range)).toThrow(RangeError)
    },
  )

  test('is not read from a prototype', async () => {
    Object.assign(Object.prototype, { since: '2030-01-01' })
    try {
      expect(await read({})).toHaveLength(3)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'since')
    }
  })
})

describe('a broken line', () => {
  const secret = 'patient-canary'
  test.each<[string, string | Buffer]>([
    ['no JSON', `{"v":1,"${secret}`],
    ['no object', `"${secret}"`],
    ['null', 'null'],
    ['an array', `["${secret}"]`],
    ['of another version', `{"v":2,"time":"2026-11-24T03:05:11.123Z","x":"${secret}"}`],
    ['without a time', `{"v":1,"x":"${secret}"}`],
    ['with a time that is none', `{"v":1,"time":"${secret}"}`],
    ['empty', ''],
    [
      'no UTF-8',
      Buffer.concat([
        Buffer.from('{"v":1,"time":"2026-11-24T03:05:11.123Z","x":"'),
        Buffer.from([0xff]),
        Buffer.from('"}'),
      ]),
    ],
    ['zeros', '\0'.repeat(100)],
  ])('(%s) is an error that says where it is and not what it holds', async (_, broken) => {
    const good = lines(event('w1', 1))
    segment(
      'w1',
      '00000001.jsonl',
      Buffer.concat([Buffer.from(good), Buffer.from(broken), Buffer.from('\n'), Buffer.from(good)]),
    )
    const error = await failure()
    expect(error).toBeInstanceOf(JournalLineError)
    expect(error).toMatchObject({
      name: 'JournalLineError',
      code: 'JOURNAL_LINE_BROKEN',
      file: 'w1/00000001.jsonl',
      line: 2,
    })
    expect(Object.hasOwn(error as Error, 'cause')).toBe(false)
    expect(String(error) + JSON.stringify(error) + (error as Error).stack).not.toContain(secret)
  })

  test('is one that is torn where another segment follows', async () => {
    segment('w1', '00000001.jsonl', `${lines(event('w1', 1))}{"v":1`)
    segment('w1', '00000002.jsonl', lines(event('w1', 2)))
    expect(await failure()).toMatchObject({ file: 'w1/00000001.jsonl', line: 2 })
  })

  test('is one that never ends', async () => {
    segment('w1', '00000001.jsonl', `${lines(event('w1', 1))}${'x'.repeat(1_200_000)}`)
    expect(await failure()).toMatchObject({ file: 'w1/00000001.jsonl', line: 2 })
  })

  test('comes after the events before it', async () => {
    segment('w1', '00000001.jsonl', `${lines(event('w1', 1))}broken\n`)
    const seen: string[] = []
    await expect(async () => {
      for await (const { id } of readJournal(directory)) seen.push(id)
    }).rejects.toThrow('w1/00000001.jsonl:2 is no event of the audit journal.')
    expect(seen).toEqual(['w1-1'])
  })
})

test('a directory that is not there is an error', async () => {
  await expect(async () => {
    for await (const each of readJournal(join(directory, 'nowhere'))) expect(each).toBeNull()
  }).rejects.toMatchObject({ code: 'ENOENT' })
})
