import type { Clock } from '../../lib/clock.ts'
import type { Environment } from '../../principal.ts'
import { settledWithin } from '../../lib/settled-within.ts'
import type { Caretaker } from '../caretaker/caretaker.ts'
import { createChain } from '../chain/chain.ts'
import type { ChainLine } from '../chain/chain-line.ts'
import type { CheckpointSigner } from '../chain/checkpoint.ts'
import { createDelivery, type EventListener } from './delivery.ts'
import type { AuditDraft, AuditEvent } from '../event.ts'
import { createClosedLog, createPassingLog, type EventLog } from './event-log.ts'
import type { IntentDraft } from '../intent.ts'
import { createJournalLog } from './journal-log.ts'
import type { DiskSpace } from '../journal/disk-space.ts'
import type { JournalWriter } from '../journal/writer.ts'
import { createFigures, type RecorderHealth } from './figures.ts'
import { createAuditMetrics, type AuditMetrics } from './metrics.ts'
import { createRefusals, type Refusals } from './refusals.ts'
import type { AuditSink } from '../sink.ts'

export type { RecorderHealth, SinkHealth } from './figures.ts'

/** The one door to the journal and the sinks. */
export interface Recorder {
  /** `false` on a test server that nobody listens to: exchanges then build no event at all. */
  readonly wanted: boolean
  /** A live server: an intent is written before a handler runs. */
  readonly intends: boolean
  /**
   * Is the journal open and was its last append good? `false` means that a call cannot be audited now. Never throws. For what
   * is not served by a handler; that goes through `intend`.
   */
  gate(): boolean
  /**
   * Before the handler of a live call: writes its intent, under the id of an earlier one of the same call or under a new id.
   * Synchronous with durability `written`; with `synced` it resolves once the line is on the disk, or after 2 seconds.
   * Never throws and never rejects.
   */
  intend(draft: IntentDraft, id: string | null): Admission | Promise<Admission>
  /**
   * Completes the draft and appends it. Returns the id of the event, or `null` if it could not be written now: then that of a
   * served call is held until it can be, and any other counts as a gap. Of a draft whose patients do not fit in one line, that
   * of the first.
   */
  record(draft: AuditDraft): string | null
  /** Whether what was recorded so far is as durable as the configuration says. Synchronous with `written`. */
  durable(): boolean | Promise<boolean>
  /** A live route that nothing attributes to PHI or to none. */
  unattributed(route: string): void
  /**
   * Everything recorded so far has reached the journal, `onEvent` and the sinks that do not acknowledge; one that hangs is
   * waited for 10 seconds. Open folds are closed.
   * @throws when events are held because the journal cannot be written.
   */
  flush(): Promise<void>
  /** Opens the journal, and ends those of dead processes; throws with the cause where it is not writable. */
  ready(): Promise<void>
  health(): RecorderHealth
  close(deadlineMs: number): Promise<void>
}

/** `ok`: the handler may run. `id`: of the intent; `null` where none is in the journal. */
export interface Admission {
  readonly ok: boolean
  readonly id: string | null
}

export interface RecorderSettings {
  readonly environment: Environment
  /** Id of this process's part of the journal: letters and digits. */
  readonly writer: string
  readonly service: AuditEvent['service']
  readonly clock: Clock
  /** Required on a live server, not used on a test server. */
  readonly journal: JournalWriter | null
  /** Of the folder in which the journal is. */
  readonly caretaker?: Caretaker | null | undefined
  /** When a record counts: in the kernel, or on the disk. Default `written`. */
  readonly durability?: 'written' | 'synced' | undefined
  /** A live call that cannot be audited: refused, or served and held. */
  readonly onFailure: 'deny' | 'allow'
  readonly signer?: CheckpointSigner | null | undefined
  /** Refusals that are written one by one in a second; default 200. */
  readonly refusalsPerSecond?: number | undefined
  /** Of the journal; with fewer than `reserveBytes` free, refusals are only counted. */
  readonly disk?: DiskSpace | null | undefined
  readonly reserveBytes?: number | undefined
  readonly onEvent: EventListener | null
  readonly sinks: readonly AuditSink[]
  /** Counts; default its own. */
  readonly metrics?: AuditMetrics | undefined
  /** Makes the ids of events; default UUIDv7. */
  readonly newId?: ((nowMs: number) => string) | undefined
}

/** How long `flush` waits for a sink that hangs. */
const FLUSH_DEADLINE_MS = 10_000
/** How long `ready` waits for the journals of dead processes; what is not done by then goes on. */
const ADOPTION_DEADLINE_MS = 5_000

/** Opens nothing: that happens in `ready`, or when the first live call is at its gate. */
export function createRecorder(given: RecorderSettings): Recorder {
  const settings = own(given)
  const { environment, onFailure, onEvent, sinks, caretaker = null, disk = null, durability = 'written' } = settings
  const { clock, refusalsPerSecond, reserveBytes, metrics = createAuditMetrics() } = settings
  const delivery = createDelivery(onEvent, sinks)
  const log = createLog(own({ ...settings, metrics }), deliver)
  const refusals = createRefusals({ clock, disk, refusalsPerSecond, reserveBytes }, log)
  const figures = createFigures({ clock, log, delivery, caretaker, disk, metrics })
  const life = createLife({ log, refusals, disk, caretaker, metrics, deliver })
  const wanted = environment === 'live' || onEvent !== null || sinks.some(({ acks }) => !acks)

  function deliver(line: ChainLine): void {
    metrics.event(line.draft)
    delivery.deliver(line)
    caretaker?.wake()
  }
  const admission = (ok: boolean, id: string | null): Admission => {
    if (!ok) metrics.refused()
    return { ok, id }
  }

  return Object.freeze({
    wanted,
    intends: environment === 'live',
    gate: () => life.writable() || onFailure === 'allow',
    intend(draft: IntentDraft, known: string | null) {
      const id = life.writable() ? log.intend(draft, known) : null
      if (id === null) return admission(onFailure === 'allow', known)
      if (durability === 'written') return admission(true, id)
      return log.synced().then((good) => admission(good || onFailure === 'allow', id))
    },
    record(draft: AuditDraft) {
      if (!wanted) return null
      life.writable()
      const kept = refusals.take(draft)
      return kept === null ? null : log.record(kept)
    },
    durable: () => durability === 'written' || onFailure === 'allow' || log.synced(),
    unattributed: figures.unattributed,
    async flush() {
      refusals.end()
      try {
        log.settle()
      } finally {
        await delivery.settled(FLUSH_DEADLINE_MS)
      }
    },
    async ready() {
      log.ready()
      await settledWithin(life.begin(), ADOPTION_DEADLINE_MS)
    },
    health: figures.health,
    async close(deadlineMs: number) {
      life.end()
      refusals.end()
      const finished = log.close()
      await Promise.all([delivery.close(deadlineMs), caretaker?.close({ deadlineMs, finished })])
    },
  })
}

/** What goes on beside the calls, from the first that the log took until the end. */
interface Life {
  /** A call can be written down now. */
  writable(): boolean
  /** Resolves when what dead processes have left is ended. */
  begin(): Promise<void>
  end(): void
}

interface LifeParts {
  readonly log: EventLog
  readonly refusals: Refusals
  readonly disk: DiskSpace | null
  readonly caretaker: Caretaker | null
  readonly metrics: AuditMetrics
  readonly deliver: (line: ChainLine) => void
}

function createLife({ log, refusals, disk, caretaker, metrics, deliver }: LifeParts): Life {
  let begun: Promise<void> | null = null
  let timer: NodeJS.Timeout | null = null
  let ended = false
  // What cannot be written now is not held: it tells of something that is then not done.
  const append = async (draft: AuditDraft): Promise<boolean> =>
    log.writable() && log.record(draft) !== null && (await log.synced())
  const second = (): void => {
    refusals.due()
    log.tick()
    disk?.warn()
    caretaker?.second()
  }
  const begin = (): Promise<void> => {
    // What is recorded after the end begins nothing that nobody would end.
    if (ended) return Promise.resolve()
    timer ??= setInterval(second, 1000).unref()
    begun ??= caretaker?.start({ deliver, append, metrics }) ?? Promise.resolve()
    return begun
  }
  return {
    writable() {
      const good = log.writable()
      if (good && begun === null) void begin()
      return good
    },
    begin,
    end() {
      ended = true
      if (timer !== null) clearInterval(timer)
    },
  }
}

/** Own members alone: what stands on a polluted prototype is nobody's setting. */
function own(settings: RecorderSettings): RecorderSettings {
  return Object.assign(Object.create(null), settings) as RecorderSettings
}

function createLog(settings: RecorderSettings, deliver: (line: ChainLine) => void): EventLog {
  const {
    environment,
    service,
    writer,
    clock,
    journal,
    newId,
    signer = null,
    disk = null,
    metrics = createAuditMetrics(),
  } = settings
  const live = environment === 'live'
  const chain = createChain({ environment, service, writer, clock, linked: live, newId, signer })
  if (!live) return createPassingLog(chain, deliver)
  if (journal === null) return createClosedLog()
  const announce = (failure: Error | null): void => warn(settings, failure)
  const spend = (bytes: number): void => disk?.spend(bytes)
  return createJournalLog({ chain, journal, clock, deliver, announce, checkpoints: signer !== null, metrics, spend })
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
