import type { AuditLine, AuditSink } from '../audit/sink.ts'
import { withDeadline, type Deadline } from '../lib/deadline.ts'
import { sinkError } from './nats/failure.ts'
import { readClient, readOptions, type NatsJetStream, type NatsSinkOptions } from './nats/options.ts'
import { sendLines } from './nats/send.ts'
import { storedLines, type StoredLine } from './nats/stored.ts'
import { findStream, type Stream } from './nats/stream.ts'

export type {
  NatsAck,
  NatsJetStream,
  NatsManager,
  NatsPublishOptions,
  NatsSinkOptions,
  NatsStoredMessage,
  NatsStreamConfig,
} from './nats/options.ts'

const WRITER = /^[A-Za-z0-9]{1,64}$/
/** Writers whose end in the stream is remembered: this process's own, and those that it has taken over. */
const MAX_KNOWN = 64

/**
 * Events in a stream of NATS JetStream (server 2.9 or later), one message each: the exact line, on the subject
 * `<subject>.<writer>`, with the event's id as `Nats-Msg-Id`. Once for each writer and number, and in order, beyond any
 * `duplicate_window`: the stream is asked where the subject ends before anything is sent again, and takes a message only
 * behind the one that it must follow. `client`: `jetstream(connection)`; the stream must be there, and is never made here.
 *
 * Rejected for good, each alone: `conflict` (at its place in the journal another line is stored), `missing` (its neighbours
 * are stored and it is not), `too_large`, `unstorable` (no UTF-8). For all else, `write` rejects within `timeoutMs` with an
 * `Error`, and the batch should come again. `close()` leaves the connection alone.
 *
 * @throws {TypeError} where it is no client of JetStream, or an option is wrong.
 */
export function natsSink(client: NatsJetStream, options: NatsSinkOptions = {}): AuditSink {
  const js = readClient(client)
  const settings = readOptions(options)
  const { name, required, retains, timeoutMs } = settings
  const ends = new Map<string, StoredLine>()
  let stream: Stream | null = null

  const write = async (batch: readonly AuditLine[], deadline: Deadline) => {
    const writer = writerOf(batch)
    stream ??= await findStream(js, settings)
    const subject = `${settings.subject}.${writer}`
    const stored = storedLines(stream, subject)
    const known = ends.get(writer)
    // Known again once all has gone well: after a failure the stream is asked.
    ends.delete(writer)
    const rejected = batch
      .filter(({ text }) => !isUtf8(text))
      .map(({ event }) => ({ id: event.id, reason: 'unstorable' }))
    const lines = batch.filter(({ text }) => isUtf8(text))
    const to = { client: js, stream: stream.name, subject, stored, deadline }
    const sent = await sendLines(lines, known ?? (await stored.last()), to)
    if (sent.last !== null) remember(ends, writer, sent.last)
    return { rejected: [...rejected, ...sent.rejected] }
  }

  return Object.freeze({
    name,
    acks: true,
    required,
    retains,
    write: async (batch: readonly AuditLine[], signal: AbortSignal) => {
      if (batch.length === 0) return
      try {
        return await withDeadline((deadline) => write(batch, deadline), { ms: timeoutMs, signal, whose: 'NATS' })
      } catch (error) {
        stream = null
        throw sinkError(error)
      }
    },
    close: async () => ends.clear(),
  })
}

function writerOf(batch: readonly AuditLine[]): string {
  const writers = new Set(batch.map(({ event }) => event.writer))
  const [writer] = writers
  if (writers.size !== 1 || writer === undefined || !WRITER.test(writer))
    throw new TypeError('a batch holds the lines of one writer, whose name is 1 to 64 letters and digits.')
  return writer
}

function remember(ends: Map<string, StoredLine>, writer: string, end: StoredLine): void {
  ends.set(writer, end)
  const [oldest] = ends.keys()
  if (ends.size > MAX_KNOWN && oldest !== undefined) ends.delete(oldest)
}

function isUtf8(text: string): boolean {
  return Buffer.from(text).toString() === text
}
