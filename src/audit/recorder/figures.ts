import { sinkHealth, type SinkHealth } from '../caretaker/sink-health.ts'
import type { Caretaker } from '../caretaker/caretaker.ts'
import type { DiskSpace } from '../journal/disk-space.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Delivery } from './delivery.ts'
import type { EventLog } from './event-log.ts'
import type { AuditMetrics, AuditSnapshot } from './metrics.ts'

export type { SinkHealth } from '../caretaker/sink-health.ts'

/** Of `auth.health().audit`: counts since this process began, nothing of a caller. */
export interface RecorderHealth {
  /** `null` where no journal is kept (a test server). */
  readonly journal: { readonly directory: string; readonly writable: boolean; readonly events: number } | null
  /** Events that could not be written. */
  readonly gaps: number
  /** Exceptions of `onEvent`. */
  readonly listenerErrors: number
  /** By name of the sink that does not acknowledge: batches that it refused, and events that found its queue full. */
  readonly sinkErrors: Readonly<Record<string, number>>
  /** By name of the acknowledging sink: how far it is behind. */
  readonly sinks: Readonly<Record<string, SinkHealth>>
  /** Calls by route template that nothing attributes. */
  readonly unattributed: Readonly<Record<string, number>>
  /** Every figure of the audit, as a meter gets it (`telemetry.meter`). */
  readonly metrics: AuditSnapshot
}

/** What the recorder tells of itself. */
export interface Figures {
  unattributed(route: string): void
  health(): RecorderHealth
}

export interface FiguresParts {
  readonly clock: Clock
  readonly log: EventLog
  readonly delivery: Delivery
  readonly caretaker: Caretaker | null
  readonly disk: DiskSpace | null
  readonly metrics: AuditMetrics
}

/** Routes that are counted by name; further ones count as `*`. */
const MAX_ROUTES = 1000

export function createFigures({ clock, log, delivery, caretaker, disk, metrics }: FiguresParts): Figures {
  const routes = new Map<string, number>()
  return Object.freeze({
    unattributed(route: string) {
      const name = routes.has(route) || routes.size < MAX_ROUTES ? route : '*'
      routes.set(name, (routes.get(name) ?? 0) + 1)
    },
    health() {
      const gaps = log.gaps
      const unattributed = Object.fromEntries(routes)
      const now = clock.now()
      const legs = Object.entries(caretaker?.sinks(log.length) ?? {})
      const sinks = Object.fromEntries(legs.map(([name, its]) => [name, sinkHealth(its, now)]))
      const unchecked = log.uncheckedMs()
      const checkpointAgeSeconds = unchecked === null ? null : unchecked / 1000
      return {
        journal: log.journal === null ? null : { ...log.journal, events: log.length },
        gaps,
        listenerErrors: delivery.listenerErrors,
        sinkErrors: delivery.sinkErrors,
        sinks,
        unattributed,
        metrics: metrics.snapshot({ sinks, unattributed, gaps, freeBytes: disk?.free() ?? null, checkpointAgeSeconds }),
      }
    },
  })
}
