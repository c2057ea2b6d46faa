import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { afterEach, describe, expect, test } from 'vitest'
import { AUDIT_METRICS, createAuditMetrics, type AuditState } from '../src/audit/recorder/metrics.ts'
import { meterFrom, type TelemetryMeter } from '../src/telemetry.ts'

let exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
let provider: MeterProvider | null = null
afterEach(async () => {
  await provider?.shutdown()
  provider = null
})

function realMeter(): TelemetryMeter {
  exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  provider = new MeterProvider({ readers: [reader] })
  return provider.getMeter('healthcloud')
}

interface Exported {
  readonly type: string
  readonly unit: string
  readonly points: readonly { readonly attributes: unknown; readonly value: unknown }[]
}

/** What the exporter of the SDK gets, by name. */
async function collect(): Promise<Readonly<Record<string, Exported>>> {
  exporter.reset()
  await provider?.forceFlush()
  const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
  return Object.fromEntries(
    metrics.map((metric) => [
      metric.descriptor.name,
      {
        type: DataPointType[metric.dataPointType] + ('isMonotonic' in metric && metric.isMonotonic ? ' monotonic' : ''),
        unit: metric.descriptor.unit,
        points: metric.dataPoints.map(({ attributes, value }) => ({ attributes, value })),
      },
    ]),
  )
}

const STATE: AuditState = {
  sinks: {
    postgres: { lagEvents: 7, lagSeconds: 1.5, batches: 4, failures: 2, dead: 1 },
    nats: { lagEvents: 0, lagSeconds: 0, batches: 9, failures: 0, dead: 0 },
  },
  unattributed: { '/v1/x': 3 },
  gaps: 9,
  freeBytes: 1024,
  checkpointAgeSeconds: 4,
}

describe('a meter of OpenTelemetry', () => {
  test('gets every figure of the audit, counters as monotonic sums, with its unit', async () => {
    const metrics = createAuditMetrics()
    metrics.event({ kind: 'access', name: 'request', outcome: 'success', reason: null })
    meterFrom(realMeter(), () => metrics.snapshot(STATE))
    const exported = await collect()
    expect(Object.keys(exported).toSorted()).toEqual(Object.keys(AUDIT_METRICS).toSorted())
    for (const [name, { type, unit }] of Object.entries(AUDIT_METRICS)) {
      const expected = { type: type === 'counter' ? 'SUM monotonic' : 'GAUGE', unit }
      expect({ name, type: exported[name]?.type, unit: exported[name]?.unit }).toEqual({ name, ...expected })
    }
  })

  test('gets the lag of each sink under its name, and the figures of now at each collection', async () => {
    const metrics = createAuditMetrics()
    let state = STATE
    let reads = 0
    meterFrom(realMeter(), () => {
      reads += 1
      return metrics.snapshot(state)
    })
    expect((await collect())['hc_audit_sink_lag_events']?.points).toEqual([
      { attributes: { sink: 'postgres' }, value: 7 },
      { attributes: { sink: 'nats' }, value: 0 },
    ])
    const postgres = { lagEvents: 2, lagSeconds: 0.5, batches: 5, failures: 2, dead: 1 }
    state = { ...STATE, sinks: { ...STATE.sinks, postgres } }
    metrics.event({ kind: 'auth', name: 'verify', outcome: 'denied', reason: 'key_unknown' })
    const exported = await collect()
    expect(exported['hc_audit_sink_lag_seconds']?.points).toEqual([
      { attributes: { sink: 'postgres' }, value: 0.5 },
      { attributes: { sink: 'nats' }, value: 0 },
    ])
    expect(exported['hc_audit_events_total']?.points).toEqual([
      { attributes: { kind: 'auth', outcome: 'denied' }, value: 1 },
    ])
    expect(reads).toBe(2)
  })

  test('gets nothing of a gauge that cannot be told', async () => {
    const metrics = createAuditMetrics()
    meterFrom(realMeter(), () => metrics.snapshot({ ...STATE, freeBytes: null }))
    const exported = await collect()
    expect(exported['hc_audit_free_bytes']?.points ?? []).toEqual([])
    expect(exported['hc_audit_degraded']?.points).toEqual([{ attributes: {}, value: 0 }])
  })

  test('is read no more after the end', async () => {
    let reads = 0
    const end = meterFrom(realMeter(), () => {
      reads += 1
      return createAuditMetrics().snapshot(STATE)
    })
    await collect()
    end()
    await collect()
    expect(reads).toBe(1)
  })
})
