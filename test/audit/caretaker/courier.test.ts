import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCourier, type Courier } from '../../../src/audit/caretaker/courier.ts'
import type { AuditLine, AuditSink, RejectedEvent } from '../../../src/audit/sink.ts'
import { writtenJournal, type WrittenJournal } from '../written-journal.ts'

let directory = ''
let couriers: Courier[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-courier-'))
  couriers = []
})
afterEach(async () => {
  await Promise.all(couriers.map((each) => each.close(0)))
  rmSync(directory, { recursive: true })
})

type Answer = void | { readonly rejected: readonly RejectedEvent[] }

/** A sink that keeps what it takes; `refuse` is asked before each batch. */
function sink(refuse: (batch: readonly AuditLine[]) => Answer | Promise<Answer> = () => undefined) {
  const texts: string[] = []
  const batches: number[] = []
  const taking: AuditSink = {
    name: 'store',
    acks: true,
    async write(batch) {
      batches.push(batch.length)
      const answer = await refuse(batch)
      texts.push(...batch.map(({ text }) => text))
      return answer
    },
  }
  return { texts, batches, sink: taking }
}

function courier(to: AuditSink): Courier {
  const each = createCourier({ directory, writer: 'w1', sink: to, random: () => 0 })
  couriers.push(each)
  return each
}

function calls(written: WrittenJournal, count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => {
    const requestId = `req_${from + index}`
    return written.record({ id: written.intend({ requestId }), requestId }).text
  })
}

const cursor = () => JSON.parse(readFileSync(join(directory, 'w1', 'cursor-store.json'), 'utf8')) as unknown

describe('a courier', () => {
  test('carries the exact lines of all events, in order, in batches of at most 500; intents stay', async () => {
    const lines = calls(writtenJournal({ directory }), 1200)
    const store = sink()
    await courier(store.sink).finish()
    expect(store.texts).toEqual(lines)
    expect(store.batches).toEqual([500, 500, 200])
    expect(cursor()).toMatchObject({ segment: 1, seq: 1200 })
  })

  test('carries what is written while it waits', async () => {
    const written = writtenJournal({ directory })
    const store = sink()
    const each = courier(store.sink)
    const lines = calls(written, 3)
    each.wake()
    await expect.poll(() => store.texts).toEqual(lines)
    lines.push(...calls(written, 2, 3))
    each.wake()
    await expect.poll(() => store.texts).toEqual(lines)
    await expect.poll(() => each.state).toMatchObject({ seq: 5, failures: 0, dead: 0, failing: false })
  })

  test('goes from segment to segment', async () => {
    const lines = calls(writtenJournal({ directory, segmentBytes: 4000 }), 30)
    const store = sink()
    await courier(store.sink).finish()
    expect(store.texts).toEqual(lines)
  })

  test('tries the same batch again until it is taken, and goes on where it was after a restart', async () => {
    const lines = calls(writtenJournal({ directory }), 600)
    let failures = 0
    const flaky = sink(() => {
      failures += 1
      if (failures % 3 !== 0) throw new Error('down')
    })
    const first = courier(flaky.sink)
    await expect.poll(() => flaky.texts.length).toBeGreaterThanOrEqual(500)
    await first.close(0)
    await courier(flaky.sink).finish()
    expect([...new Set(flaky.texts)]).toEqual(lines)
  })

  test('waits as long as the receiver says', async () => {
    calls(writtenJournal({ directory }), 1)
    const times: number[] = []
    const busy = sink(() => {
      times.push(performance.now())
      if (times.length === 1) throw Object.assign(new Error('busy'), { retryAfterMs: 300 })
    })
    await courier(busy.sink).finish()
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(290)
  })

  test('puts what the sink will never take into the dead-letter file, and goes on', async () => {
    const lines = calls(writtenJournal({ directory }), 3)
    const poison = (JSON.parse(lines[1] ?? '') as { id: string }).id
    const picky = sink(() => ({
      rejected: [
        { id: poison, reason: 'http_400' },
        { id: 'unheard of', reason: 'x' },
      ],
    }))
    const each = courier(picky.sink)
    await each.finish()
    const letters = readFileSync(join(directory, 'w1', 'dead-store.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
    expect(letters.map((letter) => JSON.parse(letter) as unknown)).toEqual([
      { reason: 'http_400', event: JSON.parse(lines[1] ?? '') as unknown },
    ])
    expect(each.state).toMatchObject({ dead: 1, seq: 3 })
  })

  test('does not send again what a failed flush has put into the next segment a second time', async () => {
    const written = writtenJournal({ directory })
    const lines = calls(written, 4)
    const whole = readFileSync(join(directory, 'w1', '00000001.jsonl'), 'utf8')
    writeFileSync(join(directory, 'w1', '00000002.jsonl'), whole)
    const store = sink()
    await courier(store.sink).finish()
    expect(store.texts).toEqual(lines)
  })

  test.each(['', '{', '{"segment":-1,"offset":0,"seq":0}', '[]'])(
    'begins anew where its cursor is %j: the sink knows what it has',
    async (text) => {
      const lines = calls(writtenJournal({ directory }), 2)
      writeFileSync(join(directory, 'w1', 'cursor-store.json'), text)
      const store = sink()
      await courier(store.sink).finish()
      expect(store.texts).toEqual(lines)
    },
  )

  test('goes on while its cursor cannot be saved, and sends nothing twice', async () => {
    const lines = calls(writtenJournal({ directory }), 1200)
    mkdirSync(join(directory, 'w1', 'cursor-store.json.new'))
    const store = sink()
    const each = courier(store.sink)
    await expect.poll(() => store.texts.length).toBe(1200)
    await expect.poll(() => each.state.failing).toBe(true)
    expect(store.texts).toEqual(lines)
    rmSync(join(directory, 'w1', 'cursor-store.json.new'), { recursive: true })
    await expect.poll(() => each.state.failing, { timeout: 5000 }).toBe(false)
    expect(await each.close(2000)).toBe(true)
    expect(store.texts).toEqual(lines)
    expect(cursor()).toMatchObject({ seq: 1200 })
  })

  test('is not silenced by a line whose number is far ahead, nor by one of another writer', async () => {
    const written = writtenJournal({ directory })
    const lines = calls(written, 2)
    const forged = (change: object) => JSON.stringify({ ...(JSON.parse(lines[1] ?? '') as object), ...change })
    written.journal.append(forged({ seq: 9_007_199_254_740_990 }))
    written.journal.append(forged({ seq: 3, writer: 'w2' }))
    lines.push(...calls(written, 2, 2))
    const store = sink()
    await courier(store.sink).finish()
    expect(store.texts.filter((text) => lines.includes(text))).toEqual(lines)
    expect(store.texts.some((text) => text.includes('"writer":"w2"'))).toBe(false)
  })

  test('knows how far it is where the beginning was deleted because of its age, and where a line is missing', async () => {
    const written = writtenJournal({ directory })
    const lines = calls(written, 8)
    const path = join(directory, 'w1', '00000001.jsonl')
    const kept = [3, 4, 6, 7].map((index) => `${lines[index] ?? ''}\n`)
    writeFileSync(path, kept.join(''))
    const store = sink()
    const each = courier(store.sink)
    await each.finish()
    expect(store.texts.map((text) => `${text}\n`)).toEqual(kept)
    expect(each.state.seq).toBe(8)
  })

  test('takes all of a segment that ends while it is read', async () => {
    const written = writtenJournal({ directory, segmentBytes: 6000 })
    const lines = calls(written, 1)
    const { readdir } = promises
    const hook = async (...args: Parameters<typeof readdir>) => {
      promises.readdir = readdir
      syncBuiltinESMExports()
      lines.push(...calls(written, 12, 1))
      return readdir(...args)
    }
    promises.readdir = hook as typeof readdir
    syncBuiltinESMExports()
    const store = sink()
    await courier(store.sink).finish()
    expect(store.texts).toEqual(lines)
    expect(written.journal.end.segment).toBeGreaterThan(2)
  })

  test('passes over lines that somebody has broken', async () => {
    const written = writtenJournal({ directory })
    const lines = calls(written, 1)
    written.journal.append('no event')
    const store = sink()
    await courier(store.sink).finish()
    expect(store.texts).toEqual(lines)
  })

  test('carries what is written while it looks for more, right before the end', async () => {
    for (let turns = 0; turns < 40; turns += 1) {
      const folder = join(directory, String(turns))
      const written = writtenJournal({ directory: folder })
      const store = sink()
      const one = createCourier({ directory: folder, writer: 'w1', sink: store.sink, random: () => 0 })
      for (let each = 0; each < turns; each += 1) await turn()
      const [last] = calls(written, 1)
      await one.close(5000)
      expect([turns, store.texts.at(-1)]).toEqual([turns, last])
    }
  })

  test('leaves the rest to the next process when its time is over, even where the sink hangs', async () => {
    calls(writtenJournal({ directory }), 1)
    let aborted = false
    const hanging: AuditSink = {
      name: 'store',
      acks: true,
      write: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted = true
            reject(new Error('aborted'))
          })
        }),
    }
    expect(await courier(hanging).close(50)).toBe(false)
    expect(aborted).toBe(true)
    expect(existsSync(join(directory, 'w1', 'cursor-store.json'))).toBe(false)
  })
})
