import type { AuditEvent } from './event.ts'

/** One event as a sink receives it: the object, and the exact line that the journal holds (without newline). */
export interface AuditLine {
  readonly event: AuditEvent
  readonly text: string
}

/** Where events go beside the journal. A sink that does not acknowledge (`acks: false`) can lose events and cannot be relied on. */
export interface AuditSink {
  readonly name: string
  readonly acks: boolean
  write(batch: readonly AuditLine[], signal: AbortSignal): Promise<void>
  close?(): Promise<void>
}
