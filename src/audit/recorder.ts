import type { AuditDraft, AuditEvent } from './event.ts'

/** The one door to the journal and the sinks. */
export interface Recorder {
  /** `false` on a test server that nobody listens to: exchanges then build no event at all. */
  readonly wanted: boolean
  /**
   * Before the handler of a live call: is the journal open and was its last append good? `false` means that the call cannot
   * be audited. Never throws. This is where the intent line of a later version is written.
   */
  gate(): boolean
  /** Completes the draft and appends it. Returns the event, or `null` if it could not be written (then it counts as a gap). */
  record(draft: AuditDraft): AuditEvent | null
  /** A live route that nothing attributes to PHI or to none. */
  unattributed(route: string): void
  /** Everything recorded so far has reached the journal, `onEvent` and the sinks. */
  flush(): Promise<void>
  /** Opens the journal; throws with the cause where it is not writable. */
  ready(): Promise<void>
  health(): RecorderHealth
  close(deadlineMs: number): Promise<void>
}

export interface RecorderHealth {
  /** `null` where no journal is kept (a test server). */
  readonly journal: { readonly directory: string; readonly writable: boolean; readonly events: number } | null
  /** Events that could not be written. */
  readonly gaps: number
  /** Exceptions of `onEvent`. */
  readonly listenerErrors: number
  /** Rejections of sinks, by name. */
  readonly sinkErrors: Readonly<Record<string, number>>
  /** Calls by route template that nothing attributes. */
  readonly unattributed: Readonly<Record<string, number>>
}
