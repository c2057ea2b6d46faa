import { describe, expect, test } from 'vitest'
import type { AuditLine, AuditSink } from '../../src/audit/sink.ts'
import { auditSinkSuite, type OpenedSink } from '../../src/testing/index.ts'

interface Memory extends OpenedSink {
  readonly kept: AuditLine[]
}

/** A receiver that does everything right, by writer and number. */
function memory(): Memory {
  const kept: AuditLine[] = []
  const isKept = ({ event }: AuditLine) =>
    kept.some((line) => line.event.writer === event.writer && line.event.seq === event.seq)
  const sink: AuditSink = {
    name: 'memory',
    acks: true,
    write: async (batch, signal) => {
      signal.throwIfAborted()
      for (const line of batch) if (!isKept(line)) kept.push(line)
    },
    close: async () => undefined,
  }
  const lines = async (writer: string) => kept.filter(({ event }) => event.writer === writer).map(({ text }) => text)
  return { sink, kept, lines, again: () => sink }
}

/** The same with one fault. */
const faulty = (fault: (memory: Memory) => Partial<AuditSink>) => (): OpenedSink => {
  const right = memory()
  return { ...right, sink: { ...right.sink, ...fault(right) }, again: undefined }
}

async function failuresOf(open: () => OpenedSink, dedupes = true): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of auditSinkSuite({ name: 'x', open, dedupes }))
    await run().catch(() => failed.push(name.replace('the audit sink x ', '')))
  return failed
}

const altering = (alter: (line: AuditLine) => AuditLine) =>
  faulty(({ sink }) => ({ write: (batch, signal) => sink.write(batch.map(alter), signal) }))

const FAULTS: readonly (readonly [string, () => OpenedSink, string])[] = [
  ['has no name for a file', faulty(() => ({ name: 'My Sink' })), 'has a name'],
  ['is required and does not acknowledge', faulty(() => ({ acks: false, required: true })), 'has a name'],
  [
    'fails on an empty batch',
    faulty(({ sink }) => ({
      write: async (batch, signal) => {
        if (batch.length === 0) throw new Error('nothing')
        return sink.write(batch, signal)
      },
    })),
    'takes an empty batch',
  ],
  [
    'turns a batch round',
    faulty(({ sink }) => ({ write: (batch, signal) => sink.write(batch.toReversed(), signal) })),
    'to the byte and in their order',
  ],
  [
    'takes the lines out of the batch',
    faulty(({ sink }) => ({ write: (batch, signal) => sink.write((batch as AuditLine[]).splice(0), signal) })),
    'to the byte and in their order',
  ],
  [
    'changes an event',
    altering((line) => {
      Object.assign(line.event, { requestId: null })
      return line
    }),
    'to the byte and in their order',
  ],
  [
    'writes JSON of its own',
    altering(({ event, text }) => ({ event, text: JSON.stringify(JSON.parse(text), null, 1) })),
    'to the byte and in their order',
  ],
  [
    'unescapes what the line has escaped',
    altering(({ event, text }) => ({ event, text: text.replaceAll(String.raw`\u2028`, '\u2028') })),
    'keeps text of every sort',
  ],
  [
    'cuts what is long',
    altering(({ event, text }) => ({ event, text: text.slice(0, 16_384) })),
    'keeps a line of almost 32 KiB',
  ],
  [
    'drops what it does not know',
    altering(({ event, text }) => ({ event, text: text.replace(/,"checkpoint":\{[^}]*\}/, '') })),
    'keeps a checkpoint',
  ],
  [
    'takes a hundred lines at most',
    faulty(({ sink }) => ({ write: (batch, signal) => sink.write(batch.slice(0, 100), signal) })),
    'keeps batches of 500',
  ],
  [
    'rejects what is long',
    faulty(({ sink }) => ({
      write: async (batch, signal) => {
        await sink.write(batch, signal)
        const long = batch.filter(({ text }) => text.length > 20_000)
        return { rejected: long.map(({ event }) => ({ id: event.id, reason: 'long' })) }
      },
    })),
    'keeps a line of almost 32 KiB',
  ],
  [
    'goes by the number alone',
    faulty(({ kept }) => ({
      write: async (batch, signal) => {
        signal.throwIfAborted()
        for (const line of batch) if (!kept.some(({ event }) => event.seq === line.event.seq)) kept.push(line)
      },
    })),
    'keeps several writers apart',
  ],
  [
    'keeps everything twice',
    faulty(({ kept }) => ({
      write: async (batch, signal) => {
        signal.throwIfAborted()
        kept.push(...batch)
      },
    })),
    'keeps a batch that comes again once',
  ],
  [
    'knows whole batches only',
    faulty(({ kept }) => {
      const known = new Set<string>()
      return {
        write: async (batch, signal) => {
          signal.throwIfAborted()
          const key = batch.map(({ event }) => event.id).join()
          if (known.has(key)) return
          known.add(key)
          kept.push(...batch)
        },
      }
    }),
    'keeps what two batches share once',
  ],
  [
    'takes a batch whose first line it has for one that it has',
    faulty(({ kept, sink }) => ({
      write: async (batch, signal) => {
        signal.throwIfAborted()
        if (!kept.some(({ event }) => event.id === batch[0]?.event.id)) await sink.write(batch, signal)
      },
    })),
    'keeps what two batches share once',
  ],
  [
    'does not look at its signal',
    faulty(({ sink }) => ({ write: (batch) => sink.write(batch, new AbortController().signal) })),
    'ends with its signal',
  ],
  [
    'is no more after it was aborted once',
    faulty(({ sink }) => {
      let isOver = false
      return {
        write: async (batch, signal) => {
          isOver ||= signal.aborted
          if (isOver) throw new Error('over')
          await sink.write(batch, signal)
        },
      }
    }),
    'ends with its signal',
  ],
  [
    'cannot be closed twice',
    faulty(() => {
      let isClosed = false
      return {
        close: async () => {
          if (isClosed) throw new Error('closed')
          isClosed = true
        },
      }
    }),
    'closes twice',
  ],
]

describe('the suite of audit sinks', () => {
  test('passes a sink without fault, and opens and closes one for each case', async () => {
    let opened = 0
    let ended = 0
    const open = () => {
      opened += 1
      return { ...memory(), close: async () => void (ended += 1) }
    }
    expect(await failuresOf(open)).toEqual([])
    expect([opened, ended]).toEqual([13, 13])
  })

  test('passes one that keeps what comes twice twice, where it says so', async () => {
    const open = faulty(({ kept }) => ({
      write: async (batch, signal) => {
        signal.throwIfAborted()
        kept.push(...batch)
      },
    }))
    expect(await failuresOf(open, false)).toEqual([])
  })

  test('passes one whose receiver cannot be read', async () => {
    expect(await failuresOf(() => ({ sink: memory().sink }))).toEqual([])
  })

  test.each(FAULTS)('fails a sink that %s', { timeout: 20_000 }, async (_, open, title) => {
    expect((await failuresOf(open)).join('\n')).toContain(title)
  })

  test.each([
    ['name', { open: memory, dedupes: true }],
    ['open', { name: 'x', dedupes: true }],
    ['dedupes', { name: 'x', open: memory }],
  ])('says that %s is missing', (option, suite) => {
    expect(() => auditSinkSuite(suite as never)).toThrow(expect.objectContaining({ name: 'ConfigError', option }))
  })
})
