import type { AuditLine, AuditSink, RejectedEvent } from '../audit/sink.ts'
import { createDivision, type Taking } from '../lib/division.ts'
import { post, type Receiver } from '../lib/receiver.ts'
import { exportItem, exportRequest, type ExportItem } from './otlp/export-request.ts'
import { readOptions, type OtlpSinkOptions } from './otlp/options.ts'
import { rejectedRecords } from './otlp/partial-success.ts'

export type { OtlpSinkOptions } from './otlp/options.ts'

/**
 * Sends events as log records by OTLP/HTTP 1.5, in JSON, straight from the journal: no SDK that samples or drops is between.
 * The body of a record is the journal's line, byte for byte; `log.record.uid` is the event's id, the key for de-duplication:
 * OTLP has none, and what is sent again after a lost acknowledgement stands there twice.
 *
 * After 400, 413 and the like the batch is halved until the event that is to blame stands alone; it is rejected with the
 * reason `http_400`. A partial success tells how many records were not taken and not which, and forbids to send again: all of
 * that request are rejected as `otlp_rejected_2_of_500`, so that the dead-letter file has the two for sure. After everything
 * else, 401, 403, 404 and 500 included, the batch comes again, with regard to `Retry-After`. No redirect is followed.
 * @throws {TypeError} for an option that is missing, misspelt or wrong.
 */
export function otlpSink(options: OtlpSinkOptions): AuditSink {
  const settings = readOptions(options)
  const { name, required, retains, resource } = settings
  const receiver: Receiver = { ...settings, what: `The receiver of ${name}`, reads: () => true }
  const divide = createDivision<ExportItem>({
    what: receiver.what,
    keyOf: ({ id }) => id,
    send: (items, signal) => send(receiver, items, signal),
  })
  return Object.freeze({
    name,
    acks: true,
    required,
    retains,
    async write(batch: readonly AuditLine[], signal: AbortSignal) {
      const rejected: RejectedEvent[] = []
      const items = batch.flatMap((line) => {
        const item = exportItem(line, resource)
        if (item === null) rejected.push({ id: line.event.id, reason: 'otlp_no_event' })
        return item ?? []
      })
      for (const { at, reason } of await divide(items, signal)) rejected.push({ id: items[at]?.id ?? '', reason })
      return { rejected }
    },
  })
}

const HEADERS = Object.freeze({ 'content-type': 'application/json', accept: 'application/json' })

async function send(receiver: Receiver, items: readonly ExportItem[], signal: AbortSignal): Promise<Taking> {
  const reply = await post(receiver, { headers: HEADERS, body: exportRequest(items), signal })
  if (!reply.taken) return { taken: false, reason: `http_${reply.status}` }
  const count = rejectedRecords(reply.text)
  if (count === null) throw new Error(`${receiver.what} does not answer as OTLP/HTTP does: check its URL.`)
  if (count === 0) return { taken: true, refused: [] }
  const reason = `otlp_rejected_${Math.min(count, items.length)}_of_${items.length}`
  return { taken: true, refused: items.map((_, at) => ({ at, reason })) }
}
