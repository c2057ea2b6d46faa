import type { AuditEvent } from './event.ts'

/** One event as a sink receives it: the object, and the exact line that the journal holds (without newline). */
export interface AuditLine {
  readonly event: AuditEvent
  readonly text: string
}

/** An event that the receiver will never take, whatever is tried: it goes to the dead-letter file. */
export interface RejectedEvent {
  readonly id: string
  /** A code or a status, never what the receiver said: its text may quote the event. */
  readonly reason: string
}

/**
 * Where events go beside the journal. A sink that acknowledges (`acks: true`) is fed from the journal, with a cursor of its
 * own: at least once, in order for each writer, and again until `write` resolves. One that does not can lose events and
 * cannot be relied on.
 */
export interface AuditSink {
  /** Unique among the sinks of an `auth`; of one that acknowledges `[a-z0-9-]{1,64}`: its cursor has it as file name. */
  readonly name: string
  readonly acks: boolean
  /** Segments stay on this disk until this sink has their events. Acknowledging sinks alone. */
  readonly required?: boolean | undefined
  /** What it has taken it keeps for `retentionDays`: local segments may go earlier (`localDays`). */
  readonly retains?: boolean | undefined
  /**
   * Takes the lines of one writer, in their order; the same ones again after a failure or a restart, so it must know by
   * `id`, or by `writer` and `seq`, what it has already. Resolves once they are kept, naming those it will never take; rejects where
   * they should be tried again: the whole batch then comes again. An error may carry `retryAfterMs`.
   */
  write(
    batch: readonly AuditLine[],
    signal: AbortSignal,
  ): Promise<void | { readonly rejected: readonly RejectedEvent[] }>
  close?(): Promise<void>
}

/** What `write` rejects with to say when it should be tried again. */
export interface RetryableError extends Error {
  readonly retryAfterMs?: number | undefined
}
