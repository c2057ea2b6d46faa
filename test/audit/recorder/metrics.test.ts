import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, test } from 'vitest'
import { AUDIT_METRICS, createAuditMetrics, type AuditState } from '../../../src/audit/recorder/metrics.ts'
import { draft, memoryRecorder, refusal } from '../../fixtures/audit.ts'

const NAME = 'healthcloud.audit'
let listeners: ((message: unknown) => void)[] = []
afterEach(() => {
  for (const each of listeners) unsubscribe(NAME, each)
  listeners = []
})

function listen(): unknown[] {
  const heard: unknown[] = []
  const listener = (message: unknown): void => void heard.push(message)
  listeners.push(listener)
  subscribe(NAME, listener)
  return heard
}

function state(change: Partial<AuditState> = {}): AuditState {
  return { sinks: {}, unattributed: {}, gaps: 0, freeBytes: null, checkpointAgeSeconds: null, ...change }
}

const EVENT = { kind: 'access', name: 'request', outcome: 'success', reason: null } as const

describe('a snapshot', () => {
  test('of a new process names every metric, and none that cannot be told has a figure', () => {
    const snapshot = createAuditMetrics().snapshot(state())
    expect(Object.keys(snapshot).toSorted()).toEqual(Object.keys(AUDIT_METRICS).toSorted())
    const silent = Object.entries(snapshot).flatMap(([name, samples]) => (samples.length === 0 ? [name] : []))
    expect(silent.toSorted()).toEqual([
      'hc_audit_checkpoint_age_seconds',
      'hc_audit_dead_total',
      'hc_audit_events_total',
      'hc_audit_free_bytes',
      'hc_audit_sink_batches_total',
      'hc_audit_sink_lag_events',
      'hc_audit_sink_lag_seconds',
      'hc_audit_unattributed_total',
    ])
    expect(Object.values(snapshot).flatMap((samples) => samples.filter(({ value }) => value !== 0))).toEqual([])
  })

  test('tells what was counted', () => {
    const metrics = createAuditMetrics()
    metrics.event(EVENT)
    metrics.event(EVENT)
    metrics.event({ kind: 'auth', name: 'verify', outcome: 'denied', reason: 'key_unknown' })
    for (const kind of ['access', 'auth'] as const) {
      metrics.event({ kind, name: 'request', outcome: 'interrupted', reason: 'process_interrupted' })
    }
    for (const seconds of [0.25, 1, 0.5]) metrics.appended(seconds)
    metrics.flushed(2)
    metrics.failed('fsync')
    metrics.failed('fsync')
    metrics.refused()
    metrics.degraded()
    const snapshot = metrics.snapshot(state())
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot)
    expect(snapshot.hc_audit_events_total).toEqual([
      { attributes: { kind: 'access', outcome: 'success' }, value: 2 },
      { attributes: { kind: 'access', outcome: 'interrupted' }, value: 1 },
      { attributes: { kind: 'auth', outcome: 'denied' }, value: 1 },
      { attributes: { kind: 'auth', outcome: 'interrupted' }, value: 1 },
    ])
    const figures = Object.entries(snapshot).flatMap(([name, samples]) =>
      samples.flatMap(({ attributes, value }) =>
        Object.keys(attributes).length === 0 && value !== 0 ? [[name, value]] : [],
      ),
    )
    expect(Object.fromEntries(figures)).toEqual({
      hc_audit_append_seconds_sum: 1.75,
      hc_audit_append_seconds_count: 3,
      hc_audit_append_seconds_max: 1,
      hc_audit_fsync_seconds_sum: 2,
      hc_audit_fsync_seconds_count: 1,
      hc_audit_fsync_seconds_max: 2,
      hc_audit_denied_unavailable_total: 1,
      hc_audit_degraded: 1,
      hc_audit_interrupted_total: 2,
    })
    expect(snapshot.hc_audit_failures_total).toContainEqual({ attributes: { stage: 'fsync' }, value: 2 })
    metrics.recovered()
    expect(metrics.snapshot(state()).hc_audit_degraded).toEqual([{ attributes: {}, value: 0 }])
    expect(snapshot.hc_audit_degraded).toEqual([{ attributes: {}, value: 1 }])
  })

  test('tells what others have counted: sinks by name, routes by template', () => {
    const snapshot = createAuditMetrics().snapshot({
      sinks: { postgres: { lagEvents: 7, lagSeconds: 1.5, batches: 4, failures: 2, dead: 1 } },
      unattributed: { '/v1/x': 3, __proto__x: 1 },
      gaps: 9,
      freeBytes: 1024,
      checkpointAgeSeconds: 0,
    })
    const sink = 'postgres'
    expect(snapshot).toMatchObject({
      hc_audit_sink_lag_events: [{ attributes: { sink }, value: 7 }],
      hc_audit_sink_lag_seconds: [{ attributes: { sink }, value: 1.5 }],
      hc_audit_sink_batches_total: [
        { attributes: { sink, result: 'taken' }, value: 4 },
        { attributes: { sink, result: 'failed' }, value: 2 },
      ],
      hc_audit_dead_total: [{ attributes: { sink }, value: 1 }],
      hc_audit_unattributed_total: [
        { attributes: { route: '/v1/x' }, value: 3 },
        { attributes: { route: '__proto__x' }, value: 1 },
      ],
      hc_audit_gaps_total: [{ attributes: {}, value: 9 }],
      hc_audit_free_bytes: [{ attributes: {}, value: 1024 }],
      hc_audit_checkpoint_age_seconds: [{ attributes: {}, value: 0 }],
    })
  })

  test('of one process says nothing of another', () => {
    const [one, other] = [createAuditMetrics(), createAuditMetrics()]
    one.event(EVENT)
    expect(other.snapshot(state()).hc_audit_events_total).toEqual([])
  })
})

describe('who listens to the channel', () => {
  test('hears of events, outages, gaps and dead letters, in frozen messages', () => {
    const metrics = createAuditMetrics()
    const heard = listen()
    metrics.event({ kind: 'auth', name: 'verify', outcome: 'denied', reason: 'key_unknown' })
    metrics.degraded()
    metrics.lost(3)
    metrics.recovered()
    metrics.deadLetters('postgres', 2)
    expect(heard).toEqual([
      { type: 'event', kind: 'auth', name: 'verify', outcome: 'denied', reason: 'key_unknown' },
      { type: 'degraded' },
      { type: 'gap', count: 3 },
      { type: 'recovered' },
      { type: 'dead-letter', sink: 'postgres', count: 2 },
    ])
    expect(heard.every((each) => Object.isFrozen(each))).toBe(true)
  })

  test('hears of one outage once', () => {
    const metrics = createAuditMetrics()
    const heard = listen()
    metrics.recovered()
    for (let each = 0; each < 3; each += 1) metrics.degraded()
    for (let each = 0; each < 3; each += 1) metrics.recovered()
    metrics.degraded()
    expect(heard).toEqual([{ type: 'degraded' }, { type: 'recovered' }, { type: 'degraded' }])
  })

  test('hears nothing of a caller: of a whole event only four members', () => {
    const metrics = createAuditMetrics()
    const { recorder, events } = memoryRecorder()
    recorder.record(draft())
    recorder.record(refusal())
    const heard = listen()
    for (const each of events) metrics.event(each)
    expect(
      heard.map((each) =>
        Object.keys(each as object)
          .toSorted()
          .join(' '),
      ),
    ).toEqual(['kind name outcome reason type', 'kind name outcome reason type'])
  })
})

test('without listeners no message is made: the members that it alone would need are not read', () => {
  const metrics = createAuditMetrics()
  const read: string[] = []
  const watched = {
    kind: 'access',
    outcome: 'success',
    get name() {
      read.push('name')
      return 'request' as const
    },
    get reason() {
      read.push('reason')
      return null
    },
  } as const
  expect(channel(NAME).hasSubscribers).toBe(false)
  metrics.event(watched)
  expect(read).toEqual([])
  const heard = listen()
  metrics.event(watched)
  expect(read).toEqual(['name', 'reason'])
  expect(heard).toHaveLength(1)
  expect(metrics.snapshot(state()).hc_audit_events_total).toMatchObject([{ value: 2 }])
})
