import { AUDIT_METRICS, type AuditMetricName, type AuditSnapshot } from './audit/recorder/metrics.ts'

/** As much of a `Meter` of `@opentelemetry/api` (1.x) as is used. The caller hands it in: nothing of OpenTelemetry is imported. */
export interface TelemetryMeter {
  createObservableCounter(name: string, options?: InstrumentOptions): object
  createObservableGauge(name: string, options?: InstrumentOptions): object
  addBatchObservableCallback(callback: (result: ObservedFigures) => void, instruments: object[]): void
  removeBatchObservableCallback(callback: (result: ObservedFigures) => void, instruments: object[]): void
}

/** `MetricOptions` of `@opentelemetry/api`; `unit` is UCUM's. */
export interface InstrumentOptions {
  readonly unit?: string
  readonly description?: string
}

/** `BatchObservableResult` of `@opentelemetry/api`. */
export interface ObservedFigures {
  observe(instrument: object, value: number, attributes?: Record<string, string>): void
}

/**
 * Registers every figure of the audit as an observable instrument, named as in `AUDIT_METRICS`. `read` is called once for
 * each collection, so that all figures are of one moment. Returns how to end it; instruments cannot be taken back.
 */
export function meterFrom(meter: TelemetryMeter, read: () => AuditSnapshot): () => void {
  const instruments = new Map(NAMES.map((name) => [name, instrumentOf(meter, name)]))
  const all = [...instruments.values()]
  const observe = (result: ObservedFigures): void => {
    const snapshot = read()
    for (const [name, instrument] of instruments) {
      for (const { value, attributes } of snapshot[name]) result.observe(instrument, value, { ...attributes })
    }
  }
  meter.addBatchObservableCallback(observe, all)
  return () => meter.removeBatchObservableCallback(observe, all)
}

const NAMES = Object.keys(AUDIT_METRICS) as AuditMetricName[]

function instrumentOf(meter: TelemetryMeter, name: AuditMetricName): object {
  const { type, unit, description } = AUDIT_METRICS[name]
  return type === 'counter'
    ? meter.createObservableCounter(name, { unit, description })
    : meter.createObservableGauge(name, { unit, description })
}
