import { channel } from 'node:diagnostics_channel'
import type { AuditEvent, AuditKind, AuditOutcome } from '../event.ts'

/**
 * Every figure of the audit. Names and attributes are what dashboards are built on: they do not change. Counters grow as long
 * as the process lives. Units are UCUM's, as OpenTelemetry has it; braces say what is counted.
 */
export const AUDIT_METRICS = {
  hc_audit_events_total: { type: 'counter', unit: '{event}', description: 'Events, by kind and outcome.' },
  hc_audit_append_seconds_sum: { type: 'counter', unit: 's', description: 'Time spent on appending lines.' },
  hc_audit_append_seconds_count: { type: 'counter', unit: '{line}', description: 'Lines appended to the journal.' },
  hc_audit_append_seconds_max: { type: 'gauge', unit: 's', description: 'The longest append.' },
  hc_audit_fsync_seconds_sum: { type: 'counter', unit: 's', description: 'Time spent on forcing lines to the disk.' },
  hc_audit_fsync_seconds_count: { type: 'counter', unit: '{flush}', description: 'Flushes of the journal.' },
  hc_audit_fsync_seconds_max: { type: 'gauge', unit: 's', description: 'The longest flush.' },
  hc_audit_failures_total: { type: 'counter', unit: '{failure}', description: 'What failed, by stage.' },
  hc_audit_denied_unavailable_total: {
    type: 'counter',
    unit: '{call}',
    description: 'Live calls refused because they could not be audited.',
  },
  hc_audit_degraded: { type: 'gauge', unit: '1', description: '1: the journal cannot be written.' },
  hc_audit_gaps_total: { type: 'counter', unit: '{call}', description: 'Calls that stand in no event.' },
  hc_audit_interrupted_total: {
    type: 'counter',
    unit: '{call}',
    description: 'Calls that a process did not live to see the end of.',
  },
  hc_audit_unattributed_total: {
    type: 'counter',
    unit: '{call}',
    description: 'Live calls that nothing attributes to PHI or to none, by route template.',
  },
  hc_audit_free_bytes: { type: 'gauge', unit: 'By', description: 'Free space where the journal is.' },
  hc_audit_checkpoint_age_seconds: {
    type: 'gauge',
    unit: 's',
    description: 'For how long there have been lines that no checkpoint signs.',
  },
  hc_audit_sink_lag_events: { type: 'gauge', unit: '{event}', description: 'Events that a sink has not taken yet.' },
  hc_audit_sink_lag_seconds: {
    type: 'gauge',
    unit: 's',
    description: 'For how long the oldest of them has waited, at most.',
  },
  hc_audit_sink_batches_total: {
    type: 'counter',
    unit: '{batch}',
    description: 'Batches, by sink and result (taken, failed).',
  },
  hc_audit_dead_total: { type: 'counter', unit: '{event}', description: 'Events that a sink will never take.' },
} as const

/** Names of `AUDIT_METRICS`, as a meter gets them. */
export type AuditMetricName = keyof typeof AUDIT_METRICS

/** One figure. */
export interface AuditSample {
  readonly attributes: Readonly<Record<string, string>>
  readonly value: number
}

/** A plain object: what there is to tell of each metric; of a gauge that cannot be told nothing. */
export type AuditSnapshot = Readonly<Record<AuditMetricName, readonly AuditSample[]>>

/** Where something can fail beside the sinks, which are counted by name. */
export type AuditStage = 'append' | 'fsync' | 'listener' | 'adoption' | 'retention'

/** What others keep count of, at the moment of a snapshot. */
export interface AuditState {
  readonly sinks: Readonly<Record<string, SinkFigures>>
  /** Calls by route template. */
  readonly unattributed: Readonly<Record<string, number>>
  /** Calls that stand in no event. */
  readonly gaps: number
  /** `null`: it cannot be told. */
  readonly freeBytes: number | null
  /** `null`: no checkpoints are written. */
  readonly checkpointAgeSeconds: number | null
}

export interface SinkFigures {
  readonly lagEvents: number
  readonly lagSeconds: number
  readonly batches: number
  readonly failures: number
  readonly dead: number
}

/** What `healthcloud.audit` of `node:diagnostics_channel` publishes; nothing of a caller. */
export type AuditNews =
  | ({ readonly type: 'event' } & Pick<AuditEvent, 'kind' | 'name' | 'outcome' | 'reason'>)
  | { readonly type: 'degraded' | 'recovered' }
  | { readonly type: 'gap'; readonly count: number }
  | { readonly type: 'dead-letter'; readonly sink: string; readonly count: number }

/** Counts, and tells those who listen. Without them nothing is made for them. */
export interface AuditMetrics {
  /** It is written down. */
  event(event: Pick<AuditEvent, 'kind' | 'name' | 'outcome' | 'reason'>): void
  appended(seconds: number): void
  flushed(seconds: number): void
  failed(stage: AuditStage): void
  /** A live call was refused because it could not be audited. */
  refused(): void
  /** The journal cannot be written, or can be again. */
  degraded(): void
  recovered(): void
  /** So many calls stand in no event. */
  lost(count: number): void
  /** A sink will never take so many events. */
  deadLetters(sink: string, count: number): void
  snapshot(state: AuditState): AuditSnapshot
}

const CHANNEL = 'healthcloud.audit'

export function createAuditMetrics(): AuditMetrics {
  const news = channel(CHANNEL)
  const events = eventCounts()
  const [append, flush] = [createTiming(), createTiming()]
  const failures: Record<AuditStage, number> = { append: 0, fsync: 0, listener: 0, adoption: 0, retention: 0 }
  let refused = 0
  let isDegraded = false
  const tell = (message: AuditNews): void => {
    news.publish(Object.freeze(message))
  }
  const turn = (degraded: boolean): void => {
    if (isDegraded === degraded) return
    isDegraded = degraded
    if (news.hasSubscribers) tell({ type: degraded ? 'degraded' : 'recovered' })
  }

  return Object.freeze({
    event(event: Pick<AuditEvent, 'kind' | 'name' | 'outcome' | 'reason'>) {
      const { kind, outcome } = event
      events[kind][outcome] += 1
      if (news.hasSubscribers) tell({ type: 'event', kind, name: event.name, outcome, reason: event.reason })
    },
    appended: append.add,
    flushed: flush.add,
    failed(stage: AuditStage) {
      failures[stage] += 1
    },
    refused() {
      refused += 1
    },
    degraded: () => turn(true),
    recovered: () => turn(false),
    lost(count: number) {
      if (news.hasSubscribers) tell({ type: 'gap', count })
    },
    deadLetters(sink: string, count: number) {
      if (news.hasSubscribers) tell({ type: 'dead-letter', sink, count })
    },
    snapshot: (state: AuditState) => ({
      hc_audit_events_total: eventSamples(events),
      ...append.samples('hc_audit_append_seconds'),
      ...flush.samples('hc_audit_fsync_seconds'),
      hc_audit_failures_total: byName('stage', failures),
      hc_audit_denied_unavailable_total: plain(refused),
      hc_audit_degraded: plain(isDegraded ? 1 : 0),
      hc_audit_interrupted_total: plain(sum(events, 'interrupted')),
      ...stateSamples(state),
    }),
  })
}

type EventCounts = Readonly<Record<AuditKind, Record<AuditOutcome, number>>>

function eventCounts(): EventCounts {
  const none = (): Record<AuditOutcome, number> => ({ success: 0, denied: 0, error: 0, aborted: 0, interrupted: 0 })
  return { access: none(), auth: none(), admin: none(), system: none() }
}

function sum(events: EventCounts, outcome: AuditOutcome): number {
  return Object.values(events).reduce((total, each) => total + each[outcome], 0)
}

function eventSamples(events: EventCounts): readonly AuditSample[] {
  return Object.entries(events).flatMap(([kind, outcomes]) =>
    Object.entries(outcomes)
      .filter(([, value]) => value > 0)
      .map(([outcome, value]) => ({ attributes: { kind, outcome }, value })),
  )
}

interface Timing {
  add(seconds: number): void
  samples<Name extends string>(name: Name): Record<`${Name}_${'sum' | 'count' | 'max'}`, readonly AuditSample[]>
}

function createTiming(): Timing {
  let [total, count, max] = [0, 0, 0]
  return {
    add(seconds) {
      total += seconds
      count += 1
      if (seconds > max) max = seconds
    },
    samples: <Name extends string>(name: Name) =>
      ({ [`${name}_sum`]: plain(total), [`${name}_count`]: plain(count), [`${name}_max`]: plain(max) }) as Record<
        `${Name}_${'sum' | 'count' | 'max'}`,
        readonly AuditSample[]
      >,
  }
}

type StateMetric =
  | 'hc_audit_gaps_total'
  | 'hc_audit_unattributed_total'
  | 'hc_audit_free_bytes'
  | 'hc_audit_checkpoint_age_seconds'
  | `hc_audit_sink_${'lag_events' | 'lag_seconds' | 'batches_total'}`
  | 'hc_audit_dead_total'

function stateSamples(state: AuditState): Pick<AuditSnapshot, StateMetric> {
  const sinks = Object.entries(state.sinks)
  const bySink = (figure: 'lagEvents' | 'lagSeconds' | 'dead'): readonly AuditSample[] =>
    sinks.map(([sink, figures]) => ({ attributes: { sink }, value: figures[figure] }))
  return {
    hc_audit_gaps_total: plain(state.gaps),
    hc_audit_unattributed_total: byName('route', state.unattributed),
    hc_audit_free_bytes: plain(state.freeBytes),
    hc_audit_checkpoint_age_seconds: plain(state.checkpointAgeSeconds),
    hc_audit_sink_lag_events: bySink('lagEvents'),
    hc_audit_sink_lag_seconds: bySink('lagSeconds'),
    hc_audit_sink_batches_total: sinks.flatMap(([sink, { batches, failures }]) => [
      { attributes: { sink, result: 'taken' }, value: batches },
      { attributes: { sink, result: 'failed' }, value: failures },
    ]),
    hc_audit_dead_total: bySink('dead'),
  }
}

const NO_ATTRIBUTES: AuditSample['attributes'] = Object.freeze({})

function plain(value: number | null): readonly AuditSample[] {
  return value === null ? [] : [{ attributes: NO_ATTRIBUTES, value }]
}

function byName(attribute: string, counts: Readonly<Record<string, number>>): readonly AuditSample[] {
  return Object.entries(counts).map(([name, value]) => ({ attributes: { [attribute]: name }, value }))
}
