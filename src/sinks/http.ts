import { createHash } from 'node:crypto'
import type { AuditLine, AuditSink } from '../audit/sink.ts'
import { createDivision, type Division, type Taking } from '../lib/division.ts'
import { post, type Receiver } from '../lib/receiver.ts'
import { readOptions, type HttpSinkOptions } from './http/options.ts'
import { rejectedIn } from './http/rejected.ts'

export type { HttpSinkOptions } from './http/options.ts'

/**
 * Posts events in batches, as `application/x-ndjson`: the lines of the journal, byte for byte. `Idempotency-Key` names the
 * batch and is the same when it comes again; a receiver that wants to be sure goes by `id`, or by `writer` and `seq`.
 *
 * Any 2xx is an acknowledgement; its JSON may name events that the receiver will never take: `{ "rejected": [{ "id",
 * "reason" }] }`. After 400, 413, 422 and the like the batch is halved until the event that is to blame stands alone; it is
 * rejected with the reason `http_400`. After everything else, 401, 403 and 404 included, the batch comes again, with regard
 * to `Retry-After`. No redirect is followed.
 * @throws {TypeError} for an option that is missing, misspelt or wrong.
 */
export function httpSink(options: HttpSinkOptions): AuditSink {
  const settings = readOptions(options)
  const { name, required, retains } = settings
  const receiver: Receiver = { ...settings, what: `The receiver of ${name}`, reads: isJson }
  const divide: Division<AuditLine> = createDivision({
    what: receiver.what,
    keyOf: ({ event }) => event.id,
    send: (lines, signal) => send(receiver, lines, signal),
  })
  return Object.freeze({
    name,
    acks: true,
    required,
    retains,
    async write(batch: readonly AuditLine[], signal: AbortSignal) {
      const refusals = await divide(batch, signal)
      return { rejected: refusals.map(({ at, reason }) => ({ id: batch[at]?.event.id ?? '', reason })) }
    },
  })
}

async function send(receiver: Receiver, lines: readonly AuditLine[], signal: AbortSignal): Promise<Taking> {
  const body = lines.map(({ text }) => `${text}\n`).join('')
  const headers = {
    'content-type': 'application/x-ndjson',
    accept: 'application/json',
    'idempotency-key': `"${keyOf(lines, body)}"`,
  }
  const reply = await post(receiver, { headers, body, signal })
  if (!reply.taken) return { taken: false, reason: `http_${reply.status}` }
  const refused = rejectedIn(reply.text, lines)
  if (refused === null) throw new Error(`${receiver.what} answered with JSON that says nothing of these events.`)
  return { taken: true, refused }
}

/** Of a line that somebody has changed in the journal, a header could not be made. */
function keyOf(lines: readonly AuditLine[], body: string): string {
  const [first, last] = [lines[0]?.event, lines.at(-1)?.event]
  const key = `${first?.writer}-${first?.seq}-${last?.seq}`
  return /^[A-Za-z0-9]{1,64}-\d{1,16}-\d{1,16}$/.test(key) ? key : createHash('sha256').update(body).digest('hex')
}

function isJson(mediaType: string): boolean {
  return mediaType === 'application/json' || /^application\/[\w.-]+\+json$/.test(mediaType)
}
