import { describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { createSinkFeed } from '../../../src/audit/recorder/sink-feed.ts'
import type { AuditLine, AuditSink } from '../../../src/audit/sink.ts'
import { draft, memoryRecorder } from '../../fixtures/audit.ts'

function line(seq: number): AuditLine {
  return { event: { seq } as AuditEvent, text: `{"seq":${seq}}` }
}

const seqs = (batch: readonly AuditLine[]) => batch.map(({ event }) => event.seq)

/** A sink whose writes end when the test says so. */
function heldSink(): AuditSink & { batches: number[][]; release(error?: Error): void } {
  const batches: number[][] = []
  let settle: (error?: Error) => void = () => undefined
  return {
    name: 'held',
    acks: false,
    batches,
    release: (error) => settle(error),
    write: (batch) => {
      batches.push(seqs(batch))
      return new Promise((resolve, reject) => {
        settle = (error) => (error === undefined ? resolve() : reject(error))
      })
    },
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a sink gets', () => {
  test('what was recorded in one turn as one batch, after it', async () => {
    const sink = heldSink()
    const feed = createSinkFeed(sink)
    for (const seq of [1, 2, 3]) feed.push(line(seq))
    expect(sink.batches).toEqual([])
    await turn()
    expect(sink.batches).toEqual([[1, 2, 3]])
  })

  test('the next batch when it is done with the one before, in order', async () => {
    const sink = heldSink()
    const feed = createSinkFeed(sink)
    feed.push(line(1))
    await turn()
    for (const seq of [2, 3]) {
      feed.push(line(seq))
      await turn()
    }
    expect(sink.batches).toEqual([[1]])
    sink.release()
    await turn()
    await turn()
    expect(sink.batches).toEqual([[1], [2, 3]])
  })

  test('at most 500 at a time', async () => {
    const sizes: number[] = []
    const feed = createSinkFeed({ name: 's', acks: false, write: async (batch) => void sizes.push(batch.length) })
    for (let seq = 1; seq <= 1201; seq += 1) feed.push(line(seq))
    await feed.settled(1000)
    expect(sizes).toEqual([500, 500, 201])
  })

  test('batches that it cannot change', async () => {
    let frozen = false
    const feed = createSinkFeed({
      name: 's',
      acks: false,
      write: async (batch) => {
        frozen = Object.isFrozen(batch)
      },
    })
    feed.push(line(1))
    await feed.settled(1000)
    expect(frozen).toBe(true)
  })
})

describe('a sink that', () => {
  test.each<[string, AuditSink['write']]>([
    ['rejects', () => Promise.reject(new Error('mine'))],
    [
      'throws',
      () => {
        throw new Error('mine')
      },
    ],
  ])('%s is counted and gets the next batch', async (_, fail) => {
    const taken: number[] = []
    let first = true
    const feed = createSinkFeed({
      name: 's',
      acks: false,
      write(batch, signal) {
        if (first) {
          first = false
          return fail(batch, signal)
        }
        taken.push(...seqs(batch))
        return Promise.resolve()
      },
    })
    feed.push(line(1))
    await feed.settled(1000)
    feed.push(line(2))
    await feed.settled(1000)
    expect([feed.errors, taken]).toEqual([1, [2]])
  })

  test('hangs delays nobody but itself, and loses what its queue cannot hold', async () => {
    const sink = heldSink()
    const feed = createSinkFeed(sink)
    feed.push(line(0))
    await turn()
    for (let seq = 1; seq <= 10_007; seq += 1) feed.push(line(seq))
    expect(feed.errors).toBe(7)
    const before = performance.now()
    await feed.settled(50)
    expect(performance.now() - before).toBeLessThan(1000)
    expect(sink.batches).toEqual([[0]])
  })

  test('hangs is told to stop when it is closed, and then closed', async () => {
    const said: string[] = []
    const feed = createSinkFeed({
      name: 's',
      acks: false,
      write: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            said.push('aborted')
            reject(new Error('aborted'))
          })
        }),
      close: async () => void said.push('closed'),
    })
    feed.push(line(1))
    await feed.close(50)
    feed.push(line(2))
    expect(said).toEqual(['aborted', 'closed'])
    expect(feed.errors).toBe(2)
  })

  test.each<[string, () => Promise<void>]>([
    ['rejects', () => Promise.reject(new Error('mine'))],
    [
      'throws',
      () => {
        throw new Error('mine')
      },
    ],
    ['hangs', () => new Promise(() => undefined)],
  ])('%s while it is closed keeps nobody up', async (_, close) => {
    const feed = createSinkFeed({ name: 's', acks: false, write: () => Promise.resolve(), close })
    await feed.close(50)
    expect(feed.errors).toBe(0)
  })
})

describe('a recorder', () => {
  test('hands its sinks the event and its exact line', async () => {
    const got: AuditLine[] = []
    const sink: AuditSink = { name: 's', acks: false, write: async (batch) => void got.push(...batch) }
    const { recorder, events } = memoryRecorder({ sinks: [sink] })
    recorder.record(draft())
    recorder.record(draft())
    await recorder.flush()
    expect(got.map(({ event }) => event)).toEqual(events)
    expect(got.map(({ text }) => JSON.parse(text) as unknown)).toEqual(events)
  })

  test('does not hand events to a sink that acknowledges: those come with the forwarder', async () => {
    let calls = 0
    const sink: AuditSink = {
      name: 's',
      acks: true,
      write: async () => {
        calls += 1
      },
    }
    const { recorder } = memoryRecorder({ sinks: [sink] })
    recorder.record(draft())
    await recorder.flush()
    expect(calls).toBe(0)
  })

  test('counts the errors of its sinks by name', async () => {
    const bad = (name: string): AuditSink => ({ name, acks: false, write: () => Promise.reject(new Error('mine')) })
    const good: AuditSink = { name: 'good', acks: false, write: () => Promise.resolve() }
    const { recorder } = memoryRecorder({ sinks: [bad('a'), bad('a'), bad('__proto__'), good], onEvent: null })
    recorder.record(draft())
    await recorder.flush()
    const { sinkErrors } = recorder.health()
    expect(Object.entries(sinkErrors)).toEqual([
      ['a', 2],
      ['__proto__', 1],
    ])
  })

  test('waits with flush() for what was recorded before, not for what comes after', async () => {
    const sink = heldSink()
    const { recorder } = memoryRecorder({ sinks: [sink] })
    recorder.record(draft())
    const flushed = recorder.flush()
    await turn()
    recorder.record(draft())
    sink.release()
    await flushed
    expect(sink.batches).toEqual([[1]])
  })

  test('closes its sinks', async () => {
    const said: string[] = []
    const sink: AuditSink = {
      name: 's',
      acks: false,
      write: async (batch) => void said.push(`wrote ${batch.length}`),
      close: async () => void said.push('closed'),
    }
    const { recorder } = memoryRecorder({ sinks: [sink] })
    recorder.record(draft())
    await recorder.close(1000)
    expect(said).toEqual(['wrote 1', 'closed'])
  })
})
