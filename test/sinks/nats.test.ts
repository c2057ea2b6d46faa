import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditLine, AuditSink } from '../../src/audit/sink.ts'
import {
  natsSink,
  type NatsAck,
  type NatsJetStream,
  type NatsPublishOptions,
  type NatsSinkOptions,
} from '../../src/sinks/nats.ts'
import { lineWriter } from '../../src/testing/audit-sink/lines.ts'
import { deliver, losingJetStream, losses } from '../../scripts/prove/lost-replies.mjs'
import { natsProgram, startNats } from './nats-engine.ts'
import { isNatsReachable, NATS_URL, openNats, WINDOW_MS, type NatsWorld } from './nats-world.ts'

const signal = new AbortController().signal
const write = (sink: AuditSink, batch: readonly AuditLine[]) => sink.write(batch, signal)
const textsOf = (lines: readonly AuditLine[]) => lines.map(({ text }) => text)
const withText = ({ event }: AuditLine, text: string): AuditLine => ({ event, text })
const BEYOND_MS = WINDOW_MS + 50

describe('what it is given', () => {
  const client = { publish: () => undefined, jetstreamManager: () => undefined }

  test.each<[string, unknown, unknown, string]>([
    ['no client', undefined, {}, 'hand in jetstream(connection)'],
    ['a connection', { publish: () => undefined }, {}, 'hand in jetstream(connection)'],
    ['options that are none', client, 'events', 'its options are no object'],
    ['an option that there is not', client, { streams: 'x' }, 'natsSink.streams: is no option'],
    ['a stream with a dot', client, { stream: 'a.b' }, 'natsSink.stream'],
    ['a subject with a wildcard', client, { subject: 'hc.>' }, 'natsSink.subject'],
    ['a subject that ends in a dot', client, { subject: 'hc.' }, 'natsSink.subject'],
    ['no subject', client, { subject: '' }, 'natsSink.subject'],
    ['a name that is no file name', client, { name: 'a/b' }, 'natsSink.name'],
    ['a flag of another type', client, { retains: 1 }, 'natsSink.retains'],
    ['too long a time', client, { timeoutMs: 60_001 }, 'natsSink.timeoutMs'],
  ])('is refused at once where it is %s', (_, given, options, message) => {
    const open = () => natsSink(given as NatsJetStream, options as NatsSinkOptions)
    expect(open).toThrow(message)
    expect(open).toThrow(TypeError)
  })

  test('is said of it', () => {
    const open = (options?: NatsSinkOptions) => natsSink(client as unknown as NatsJetStream, options)
    expect(open()).toMatchObject({ name: 'nats', acks: true, required: false, retains: false })
    const options = { name: 'evidence', required: true, retains: true }
    expect(open(options)).toMatchObject({ ...options, acks: true })
  })
})

describe.skipIf(!(await isNatsReachable(NATS_URL)))('on NATS JetStream', () => {
  let world: NatsWorld
  beforeAll(async () => {
    world = await openNats(NATS_URL)
  })
  afterAll(() => world.close())

  describe('a message', () => {
    test('is the exact line, on the subject of its writer, with the id of its event', async () => {
      const { name, subject } = await world.stream()
      const one = lineWriter()
      const [line] = one.next(1)
      await write(natsSink(world.client, { subject }), line === undefined ? [] : [line])
      const message = await world.manager.streams.getMessage(name, { seq: 1 })
      expect(message?.subject).toBe(`${subject}.${one.writer}`)
      expect(message?.string()).toBe(line?.text)
      expect(message?.header.get('Nats-Msg-Id')).toBe(line?.event.id)
    })

    test('is sent together with its neighbours, and all answers are waited for', async () => {
      const { subject } = await world.stream()
      let [open, most] = [0, 0]
      const counting: NatsJetStream = {
        jetstreamManager: (check) => world.client.jetstreamManager(check),
        publish: async (...args) => {
          most = Math.max(most, (open += 1))
          const ack = await world.client.publish(...args)
          open -= 1
          return ack
        },
      }
      await write(natsSink(counting, { subject }), lineWriter().next(200))
      expect([open, most]).toEqual([0, 200])
    })

    test('is not mixed with those of another writer', async () => {
      const { subject } = await world.stream()
      const batch = [...lineWriter().next(1), ...lineWriter().next(1)]
      await expect(write(natsSink(world.client, { subject }), batch)).rejects.toThrow('one writer')
      const wild = lineWriter().next(1, () => ({ writer: 'a.*' }))
      await expect(write(natsSink(world.client, { subject }), wild)).rejects.toThrow('letters and digits')
    })
  })

  describe('a stream', () => {
    test('that is missing is said to be, with how to make it', async () => {
      const subject = `t.none-${Date.now()}`
      const unknown = natsSink(world.client, { subject })
      await expect(write(unknown, lineWriter().next(1))).rejects.toThrow(
        `The NATS audit sink could not store events: no stream takes ${subject}.>. Make one: nats stream add HC_AUDIT ` +
          `--subjects '${subject}.>' --storage file --replicas 3 --retention limits --discard new`,
      )
      const named = natsSink(world.client, { subject, stream: 'NOT_THERE' })
      await expect(write(named, lineWriter().next(1))).rejects.toThrow(
        'there is no stream NOT_THERE. Make one: nats stream add NOT_THERE',
      )
    })

    test('that is made later is found then', async () => {
      const { name, subject } = await world.stream()
      await world.manager.streams.delete(name)
      const one = lineWriter()
      const batch = one.next(3)
      const sink = natsSink(world.client, { subject })
      await expect(write(sink, batch)).rejects.toThrow('no stream takes')
      await world.manager.streams.add({ name, subjects: [`${subject}.>`] })
      await write(sink, batch)
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
    })

    test('that is deleted under way is noticed, and its successor gets what comes, whatever its name', async () => {
      const { name, subject } = await world.stream()
      const one = lineWriter()
      const sink = natsSink(world.client, { subject, timeoutMs: 2000 })
      await write(sink, one.next(3))
      await world.manager.streams.delete(name)
      const batch = one.next(3)
      await expect(write(sink, batch)).rejects.toThrow('could not store events')
      await world.manager.streams.add({ name: `${name}_2`, subjects: [`${subject}.>`] })
      await write(sink, batch)
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
      await world.manager.streams.delete(`${name}_2`)
    })

    test.each([
      ['deletes what its consumers have taken', { retention: 'workqueue' as const }],
      ['keeps 5 messages of a subject', { max_msgs_per_subject: 5 }],
      ['acknowledges nothing', { no_ack: true }],
    ])('that %s is refused', async (problem, config) => {
      const { subject } = await world.stream(config)
      await expect(write(natsSink(world.client, { subject }), lineWriter().next(1))).rejects.toThrow(problem)
    })

    test('that takes another subject than the one that is named is refused', async () => {
      const [{ subject }, { name }] = [await world.stream(), await world.stream()]
      const sink = natsSink(world.client, { subject, stream: name })
      await expect(write(sink, lineWriter().next(1))).rejects.toThrow('could not store events')
    })

    test('that is full rejects, and takes the rest in order once there is room', async () => {
      const { name, subject } = await world.stream({ max_msgs: 7, discard: 'new' as StreamDiscard })
      const one = lineWriter()
      const batch = one.next(12)
      const sink = natsSink(world.client, { subject })
      await expect(write(sink, batch)).rejects.toThrow('maximum messages exceeded')
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch.slice(0, 7)))
      await world.manager.streams.update(name, { max_msgs: -1 })
      await write(sink, batch)
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
    })

    test('on whose subject somebody else writes is refused', async () => {
      const { subject } = await world.stream()
      const one = lineWriter()
      await world.client.publish(`${subject}.${one.writer}`, 'no event')
      await expect(write(natsSink(world.client, { subject }), one.next(1))).rejects.toThrow(
        'somebody else writes there',
      )
    })
  })

  describe('an event is there once, and in order,', () => {
    test('when the batch comes again long after the window', async () => {
      const { subject } = await world.stream()
      const one = lineWriter()
      const [first, second] = [one.next(8), one.next(8)]
      await write(natsSink(world.client, { subject }), [...first, ...second])
      await sleep(BEYOND_MS)
      const sink = natsSink(world.client, { subject })
      expect(await write(sink, first)).toEqual({ rejected: [] })
      expect(await write(sink, second)).toEqual({ rejected: [] })
      expect(await world.lines(subject, one.writer)).toEqual(textsOf([...first, ...second]))
    })

    test('when two senders of one writer send at the same time', async () => {
      const { subject } = await world.stream()
      for (let round = 0; round < 10; round += 1) {
        const one = lineWriter()
        const batch = one.next(40)
        const senders = Array.from({ length: 3 }, () => natsSink(world.client, { subject }))
        await Promise.all(senders.map((sink) => write(sink, batch)))
        expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
      }
    })

    test('when two senders send at the same time and no window helps', async () => {
      const { name, subject } = await world.stream()
      const one = lineWriter()
      const batch = one.next(30)
      const slow = delayed(world.client, () => Math.random() * (WINDOW_MS + 60))
      const senders = Array.from({ length: 2 }, () => natsSink(slow, { subject }))
      await Promise.all(senders.map((sink) => untilTaken(sink, batch)))
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
      expect((await world.manager.streams.info(name)).state.messages).toBe(30)
    })

    test('when many writers write into one stream at the same time', async () => {
      const { name, subject } = await world.stream()
      const sink = natsSink(world.client, { subject })
      const writers = Array.from({ length: 6 }, () => {
        const one = lineWriter()
        return { one, batches: [one.next(50), one.next(1), one.next(50)] }
      })
      await Promise.all(
        writers.map(async ({ batches }) => {
          for (const batch of batches) await write(sink, batch)
        }),
      )
      for (const { one, batches } of writers)
        expect(await world.lines(subject, one.writer)).toEqual(textsOf(batches.flat()))
      expect((await world.manager.streams.info(name)).state.messages).toBe(606)
    })

    test.each([0, 1, 17, 38, 39])('when message %i of 40 never arrives', async (lostAt) => {
      const { subject } = await world.stream()
      const one = lineWriter()
      const batch = one.next(40)
      let lose = true
      const losing = altered(world.client, async (publish, [to, payload, options]) => {
        if (!lose || options.msgID !== batch[lostAt]?.event.id) return publish(to, payload, options)
        lose = false
        throw new Error('timeout')
      })
      const sink = natsSink(losing, { subject })
      await expect(write(sink, batch)).rejects.toThrow('timeout')
      // Behind a message that is missing nothing was stored.
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch.slice(0, lostAt)))
      await sleep(BEYOND_MS)
      await write(sink, batch)
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
    })

    test('when a message of an attempt that was given up arrives during the next one', async () => {
      const { subject } = await world.stream()
      const one = lineWriter()
      const batch = one.next(20)
      let first = true
      const late: Promise<unknown>[] = []
      const holding = altered(world.client, (publish, args) => {
        if (!first) return publish(...args)
        const sent = sleep(60 + Math.random() * 60).then(() => publish(...args))
        late.push(sent.catch(() => undefined))
        return sent
      })
      const sink = natsSink(holding, { subject, timeoutMs: 80 })
      await expect(write(sink, batch)).rejects.toThrow('in time')
      first = false
      await untilTaken(sink, batch)
      await Promise.all(late)
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
    })

    test('however often an acknowledgement is lost', async () => {
      const { subject } = await world.stream()
      const total = 50
      const { lose, lost } = losses(total, () => Math.random() < 0.3)
      const losing = losingJetStream(world.client, lose)
      const open = () => natsSink(losing, { subject, timeoutMs: 400 })
      const writers = Array.from({ length: 5 }, lineWriter)
      const sent = await Promise.all(
        writers.map(async (one) => {
          const lines: AuditLine[] = []
          while (lost() < total) {
            const batch = one.next(4)
            lines.push(...batch)
            await deliver(batch, { open, crashes: () => Math.random() < 0.5, pauseMs: BEYOND_MS })
          }
          return lines
        }),
      )
      expect(lost()).toBe(total)
      for (const [at, { writer }] of writers.entries())
        expect(await world.lines(subject, writer)).toEqual(textsOf(sent[at] ?? []))
    })

    test('and is not taken as stored because its id is known on another subject', async () => {
      const { name, subject } = await world.stream({ duplicate_window: 120e9 })
      const one = lineWriter()
      const batch = one.next(3)
      await write(natsSink(world.client, { subject: `${subject}.one`, stream: name }), batch)
      const sink = natsSink(world.client, { subject: `${subject}.two`, stream: name })
      await expect(write(sink, batch)).rejects.toThrow('refused the same events again and again')
      expect(await world.lines(`${subject}.two`, one.writer)).toEqual([])
    })
  })

  describe('a line that is not there', () => {
    test('because another has its place is a conflict', async () => {
      const { subject } = await world.stream()
      const one = lineWriter()
      const batch = one.next(30)
      await write(natsSink(world.client, { subject }), batch)
      const forged = batch.map((line) => (line.event.seq >= 12 ? withText(line, `${line.text} `) : line))
      const conflicts = (lines: readonly AuditLine[]) => ({
        rejected: lines
          .filter(({ event }) => event.seq >= 12)
          .map(({ event }) => ({ id: event.id, reason: 'conflict' })),
      })
      for (const [from, to] of [
        [0, 30],
        [8, 20],
        [11, 12],
        [0, 11],
      ] as const) {
        const part = forged.slice(from, to)
        expect(await write(natsSink(world.client, { subject }), part)).toEqual(conflicts(part))
      }
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch))
    })

    test('because it is too large for the stream is rejected alone, and again when the batch comes again', async () => {
      const { subject } = await world.stream({ max_msg_size: 90_000 })
      const one = lineWriter()
      const batch = one.next(9, (seq) => (seq === 4 || seq === 9 ? { requestId: 'x'.repeat(90_000) } : {}))
      const rejected = (reason: string) => [3, 8].map((at) => ({ id: batch[at]?.event.id, reason }))
      expect(await write(natsSink(world.client, { subject }), batch)).toEqual({ rejected: rejected('too_large') })
      const others = batch.filter(({ event }) => event.seq !== 4 && event.seq !== 9)
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(others))
      const again = await write(natsSink(world.client, { subject }), batch)
      expect(again).toEqual({
        rejected: [
          { id: batch[3]?.event.id, reason: 'missing' },
          { id: batch[8]?.event.id, reason: 'too_large' },
        ],
      })
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(others))
    })

    test('because it is too large for the server is rejected alone', async () => {
      const { subject } = await world.stream()
      const one = lineWriter()
      const large = { requestId: 'x'.repeat(world.connection.info?.max_payload ?? 0) }
      const batch = one.next(3, (seq) => (seq === 2 ? large : {}))
      expect(await write(natsSink(world.client, { subject }), batch)).toEqual({
        rejected: [{ id: batch[1]?.event.id, reason: 'too_large' }],
      })
    })

    test('because it is no UTF-8 is rejected alone', async () => {
      const { subject } = await world.stream()
      const batch = lineWriter()
        .next(3)
        .map((line, at) => (at === 1 ? withText(line, `${line.text}\uD800`) : line))
      expect(await write(natsSink(world.client, { subject }), batch)).toEqual({
        rejected: [{ id: batch[1]?.event.id, reason: 'unstorable' }],
      })
    })

    test('because the stream has forgotten it is taken as stored: it was', async () => {
      const { name, subject } = await world.stream()
      const one = lineWriter()
      const batch = one.next(10)
      await write(natsSink(world.client, { subject }), batch)
      for (const seq of [1, 2, 3]) await world.manager.streams.deleteMessage(name, seq)
      const early = batch.slice(0, 3)
      expect(await write(natsSink(world.client, { subject }), early)).toEqual({ rejected: [] })
      expect(await world.lines(subject, one.writer)).toEqual(textsOf(batch.slice(3)))
    })
  })

  describe('a write', () => {
    test('is over within its time-out where no answer comes', async () => {
      const silent: NatsJetStream = {
        publish: () => new Promise<NatsAck>(() => undefined),
        jetstreamManager: (check) => world.client.jetstreamManager(check),
      }
      const { subject } = await world.stream()
      const start = performance.now()
      await expect(write(natsSink(silent, { subject, timeoutMs: 100 }), lineWriter().next(1))).rejects.toThrow(
        'NATS did not answer in time.',
      )
      expect(performance.now() - start).toBeLessThan(300)
      const deaf = { ...silent, jetstreamManager: () => new Promise<never>(() => undefined) }
      await expect(write(natsSink(deaf, { subject, timeoutMs: 50 }), lineWriter().next(1))).rejects.toThrow('in time')
    })

    test('is over when its caller stops waiting, and sends nothing more', async () => {
      const { subject } = await world.stream()
      let sent = 0
      const slow = altered(world.client, async () => {
        sent += 1
        await sleep(100)
        throw Object.assign(new Error('wrong last sequence'), { code: 10_071 })
      })
      const sink = natsSink(slow, { subject })
      const ending = new AbortController()
      const writing = sink.write(lineWriter().next(5), ending.signal)
      await expect.poll(() => sent, { interval: 2 }).toBe(5)
      ending.abort()
      await expect(writing).rejects.toThrow('in time')
      await expect(sink.write(lineWriter().next(5), ending.signal)).rejects.toThrow('stopped waiting')
      await sleep(250)
      expect(sent).toBe(5)
    })
  })
})

describe.skipIf(natsProgram() === null && !process.env['CI'])('with a NATS of its own', () => {
  test('rejects within the time-out while it hangs, and goes on where it was after a crash', async () => {
    const engine = await startNats()
    const world = await openNats(engine.url)
    try {
      const { subject } = await world.stream({ duplicate_window: WINDOW_MS * 1e6 })
      const sink = natsSink(world.client, { subject, timeoutMs: 1000 })
      const one = lineWriter()
      const [first, second, third] = [one.next(50), one.next(50), one.next(50)]
      await write(sink, first)
      engine.hang()
      const start = performance.now()
      await expect(write(sink, second)).rejects.toThrow('could not store events')
      expect(performance.now() - start).toBeLessThan(1500)
      // What was sent meanwhile arrives now, while the same lines are sent again.
      engine.resume()
      await untilTaken(sink, second)
      await engine.kill()
      await expect(write(sink, third)).rejects.toThrow('could not store events')
      await engine.start()
      await untilTaken(sink, third)
      await untilTaken(natsSink(world.client, { subject }), [...first, ...second])
      expect(await world.lines(subject, one.writer)).toEqual(textsOf([...first, ...second, ...third]))
    } finally {
      await world.close()
      await engine.stop()
    }
  })
})

type StreamDiscard = Awaited<ReturnType<NatsWorld['manager']['streams']['info']>>['config']['discard']
type Publish = (subject: string, payload: string, options: NatsPublishOptions) => Promise<NatsAck>

function altered(
  client: NatsJetStream,
  publish: (real: Publish, args: Parameters<Publish>) => Promise<NatsAck>,
): NatsJetStream {
  const real: Publish = (...args) => client.publish(...args)
  return {
    publish: (...args) => publish(real, args),
    jetstreamManager: (check) => client.jetstreamManager(check),
  }
}

function delayed(client: NatsJetStream, ms: () => number): NatsJetStream {
  return altered(client, async (publish, args) => {
    await sleep(ms())
    return publish(...args)
  })
}

/** As whoever feeds it does. */
async function untilTaken(sink: AuditSink, batch: readonly AuditLine[]): Promise<void> {
  for (const end = Date.now() + 10_000; ; await sleep(50)) {
    try {
      const result = await write(sink, batch)
      expect(result).toEqual({ rejected: [] })
      return
    } catch (error) {
      if (Date.now() > end) throw error
    }
  }
}
