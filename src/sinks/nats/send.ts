import type { AuditLine, RejectedEvent } from '../../audit/sink.ts'
import type { Deadline } from '../../lib/deadline.ts'
import { isTooLarge, isUnexpected } from './failure.ts'
import type { NatsAck, NatsJetStream, NatsPublishOptions } from './options.ts'
import type { StoredLine, StoredLines } from './stored.ts'
import { missingOf } from './taken.ts'

export interface Sending {
  readonly client: NatsJetStream
  readonly stream: string
  /** Of the writer. */
  readonly subject: string
  readonly stored: StoredLines
  readonly deadline: Deadline
}

export interface Sent {
  readonly last: StoredLine | null
  readonly rejected: readonly RejectedEvent[]
}

const MAX_BURST = 500
/** Somebody else stores the same lines, or a server has not yet applied what it took. */
const MAX_ROUNDS_IN_VAIN = 5
const REST_MS = 20

/** All that is to be sent, burst by burst; `last` is what the stream has of this writer, as far as it is known. */
export async function sendLines(lines: readonly AuditLine[], last: StoredLine | null, to: Sending): Promise<Sent> {
  const rejected: RejectedEvent[] = []
  let [reached, pending, size, inVain] = [last, lines, MAX_BURST, 0]
  for (;;) {
    const taken = reached === null ? [] : pending.filter(({ event }) => event.seq <= (reached?.seq ?? 0))
    if (reached !== null) rejected.push(...(await missingOf(taken, to.stored, reached)))
    pending = pending.slice(taken.length)
    if (pending.length === 0) return { last: reached, rejected }
    if (inVain === MAX_ROUNDS_IN_VAIN) throw new Error('the stream has refused the same events again and again.')
    const round = await sendBurst(pending.slice(0, size), reached, to)
    if (round.tooLarge !== null) rejected.push({ id: round.tooLarge.event.id, reason: 'too_large' })
    pending = pending.filter((line) => line !== round.tooLarge)
    size = round.whole ? Math.min(MAX_BURST, size * 2) : Math.max(1, round.stored)
    const next = round.last ?? (await to.stored.last())
    inVain = round.tooLarge === null && next?.seq === reached?.seq ? inVain + 1 : 0
    if (inVain > 0) await rest(REST_MS * inVain)
    reached = next
  }
}

interface Round {
  /** The last one that was stored, before the first that was not; `null`: not known. */
  readonly last: StoredLine | null
  readonly stored: number
  readonly whole: boolean
  readonly tooLarge: AuditLine | null
}

/**
 * Many publishes at a time, and yet in order and once, whichever of them fails: the first is taken only if the subject still
 * ends where it is known to end, and each other one only right behind the one before it (`Nats-Expected-Last-Msg-Id`).
 * Where a message is refused, all behind it are. A publish whose answer is lost ends the attempt: the next one asks first.
 */
async function sendBurst(lines: readonly AuditLine[], last: StoredLine | null, to: Sending): Promise<Round> {
  if (to.deadline.signal.aborted) throw new Error('The caller has stopped waiting.')
  const results = await Promise.allSettled(lines.map((line, at) => publish(line, expectation(lines, at, last), to)))
  let [reached, stored, tooLarge] = [last, 0, null as AuditLine | null]
  for (const [at, line] of lines.entries()) {
    const result = results[at]
    if (result?.status === 'fulfilled') {
      // Refused as a duplicate by its id, which may be on another subject: only the stream itself can tell.
      if (result.value.duplicate) return { last: null, stored, whole: false, tooLarge }
      if (stored !== at) continue
      reached = { at: result.value.seq, seq: line.event.seq, text: line.text }
      stored += 1
    } else if (isTooLarge(result?.reason)) tooLarge ??= line
    else if (!isUnexpected(result?.reason)) throw result?.reason
  }
  const whole = stored === lines.length
  return { last: stored > 0 || tooLarge !== null ? reached : null, stored, whole, tooLarge }
}

type Expectation = NatsPublishOptions['expect']

function expectation(lines: readonly AuditLine[], at: number, last: StoredLine | null): Expectation {
  const before = lines[at - 1]
  return before === undefined ? { lastSubjectSequence: last?.at ?? 0 } : { lastMsgID: before.event.id }
}

async function publish({ event, text }: AuditLine, expect: Expectation, to: Sending): Promise<NatsAck> {
  const options = { msgID: event.id, timeout: to.deadline.left(), expect: { streamName: to.stream, ...expect } }
  return to.client.publish(to.subject, text, options)
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms))
}
