import { inspect } from 'node:util'
import type { AuditEvent } from '../audit/event.ts'
import type { AuditLine, AuditSink } from '../audit/sink.ts'

/** What the sink needs of a logger: pino, Fastify's `app.log`, `console` and many others have it. */
export interface AuditLogger {
  info(entry: object, message: string): void
  /** For events that did not end in success; `info` where there is none. */
  warn?(entry: object, message: string): void
}

/** Of `loggerSink`; every one has a default. */
export interface LoggerSinkOptions {
  /** Name of the sink in `auth.health()`. Default `logger`. */
  readonly name?: string | undefined
}

/**
 * Writes each event to a logger as `{ audit: event }` with the message `healthcloud.audit.<kind>`. The event stands under a
 * name of its own, because loggers have a `time` and a `name` as well. `console` shows it as one line of JSON.
 * A logger does not acknowledge: what it loses is in the journal alone.
 */
export function loggerSink(logger: AuditLogger, options: LoggerSinkOptions = {}): AuditSink {
  if (typeof logger?.info !== 'function')
    throw new TypeError('loggerSink takes a logger: an object with info(object, message).')
  const name = (Object.hasOwn(options, 'name') ? options.name : undefined) ?? 'logger'
  return Object.freeze({
    name,
    acks: false,
    /** An entry that the logger throws on does not keep the others back. */
    async write(batch: readonly AuditLine[]) {
      let failed = 0
      for (const line of batch) if (!log(logger, line)) failed += 1
      if (failed > 0) throw new Error(`The logger threw on ${failed} of ${batch.length} audit events.`)
    },
  })
}

function log(logger: AuditLogger, { event, text }: AuditLine): boolean {
  const entry = { audit: event }
  Object.defineProperty(entry, inspect.custom, { value: () => text })
  const message = `healthcloud.audit.${event.kind}`
  try {
    if (isConspicuous(event) && typeof logger.warn === 'function') logger.warn(entry, message)
    else logger.info(entry, message)
    return true
  } catch {
    return false
  }
}

function isConspicuous({ outcome }: AuditEvent): boolean {
  return outcome !== 'success'
}
