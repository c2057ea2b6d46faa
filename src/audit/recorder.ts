import type { Clock } from '../lib/clock.ts'
import type { Environment } from '../principal.ts'
import { createChain } from './chain.ts'
import { createDelivery, type EventListener } from './delivery.ts'
import type { AuditDraft, AuditEvent } from './event.ts'
import { createClosedLog, createPassingLog, type EventLog } from './event-log.ts'
import { createJournalLog } from './journal-log.ts'
import type { JournalWriter } from './journal/writer.ts'
import type { AuditLine, AuditSink } from './sink.ts'

/** The one door to the journal and the sinks. */
export interface Recorder {
  /** `false` on a test server that nobody listens to: exchanges then build no event at all. */
  readonly wanted: boolean
  /**
   * Before the handler of a live call: is the journal open and was its last append good? `false` means that the call cannot
   * be audited. Never throws. This is where the intent line of a later version is written.
   */
  gate(): boolean
  /**
   * Completes the draft and appends it. Returns the event, or `null` if it could not be written now: then that of a served
   * call is held until it can be, and any other counts as a gap. Of a draft whose patients do not fit in one line, the first.
   */
  record(draft: AuditDraft): AuditEvent | null
  /** A live route that nothing attributes to PHI or to none. */
  unattributed(route: string): void
  /**
   * Everything recorded so far has reached the journal, `onEvent` and the sinks; a sink that hangs is waited for 10 seconds.
   * @throws when events are held because the journal cannot be written.
   */
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
  /** By name of the sink: batches that it refused, and events that found its queue full. */
  readonly sinkErrors: Readonly<Record<string, number>>
  /** Calls by route template that nothing attributes. */
  readonly unattributed: Readonly<Record<string, number>>
}

export interface RecorderSettings {
  readonly environment: Environment
  /** Id of this process's part of the journal: letters and digits. */
  readonly writer: string
  readonly service: AuditEvent['service']
  readonly clock: Clock
  /** Required on a live server, not used on a test server. */
  readonly journal: JournalWriter | null
  /** A live call that cannot be audited: refused, or served and held. */
  readonly onFailure: 'deny' | 'allow'
  readonly onEvent: EventListener | null
  readonly sinks: readonly AuditSink[]
  /** Makes the ids of events; default UUIDv7. */
  readonly newId?: ((nowMs: number) => string) | undefined
}

/** How long `flush` waits for a sink that hangs. */
const FLUSH_DEADLINE_MS = 10_000
/** Routes that are counted by name; further ones count as `*`. */
const MAX_ROUTES = 1000

/** Opens nothing: that happens in `ready`, or when the first live call is at its gate. */
export function createRecorder(settings: RecorderSettings): Recorder {
  const { environment, onFailure, onEvent, sinks } = settings
  const delivery = createDelivery(onEvent, sinks)
  const log = createLog(settings, (line) => delivery.deliver(line))
  const unattributed = new Map<string, number>()
  const wanted = environment === 'live' || onEvent !== null || sinks.length > 0

  return Object.freeze({
    wanted,
    gate: () => log.writable() || onFailure === 'allow',
    record: (draft: AuditDraft) => (wanted ? log.record(draft) : null),
    unattributed(route: string) {
      const name = unattributed.has(route) || unattributed.size < MAX_ROUTES ? route : '*'
      unattributed.set(name, (unattributed.get(name) ?? 0) + 1)
    },
    async flush() {
      try {
        log.settle()
      } finally {
        await delivery.settled(FLUSH_DEADLINE_MS)
      }
    },
    async ready() {
      log.ready()
    },
    health: () => ({
      journal: log.journal === null ? null : { ...log.journal, events: log.length },
      gaps: log.gaps,
      listenerErrors: delivery.listenerErrors,
      sinkErrors: delivery.sinkErrors,
      unattributed: Object.fromEntries(unattributed),
    }),
    async close(deadlineMs: number) {
      log.close()
      await delivery.close(deadlineMs)
    },
  })
}

function createLog(settings: RecorderSettings, deliver: (line: AuditLine) => void): EventLog {
  const { environment, service, writer, clock, journal } = settings
  const newId = Object.hasOwn(settings, 'newId') ? settings.newId : undefined
  const live = environment === 'live'
  const chain = createChain({ environment, service, writer, clock, linked: live, newId })
  if (!live) return createPassingLog(chain, deliver)
  if (journal === null) return createClosedLog()
  return createJournalLog({ chain, journal, clock, deliver, announce: (failure) => warn(settings, failure) })
}

/** The code of the system's error says what is wrong; its message may hold paths. */
function warn({ onFailure }: RecorderSettings, failure: Error | null): void {
  const code: unknown =
    failure !== null && Object.hasOwn(failure, 'code') ? Reflect.get(failure, 'code') : 'a short write'
  const then = onFailure === 'deny' ? 'refused with 503 AUDIT_UNAVAILABLE' : 'served, and their events held'
  process.emitWarning(
    `The audit journal cannot be written (${String(code)}). Until it can be, live calls are ${then}.`,
    {
      type: 'HealthCloudAuthWarning',
      code: 'HC_AUTH_JOURNAL',
    },
  )
}
