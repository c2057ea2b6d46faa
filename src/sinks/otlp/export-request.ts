import type { AuditLine } from '../../audit/sink.ts'
import { anyValue, attribute, textValue } from './attributes.ts'
import { logRecordOf } from './log-record.ts'

/** A log record, and the resource that it comes from, both as JSON. */
export interface ExportItem {
  /** Of the event. */
  readonly id: string
  readonly resource: string
  readonly record: string
}

export type ResourceAttributes = ReadonlyMap<string, string | number | boolean>

/** `null`: the line is no event of this version, although it is JSON: somebody has changed the journal. */
export function exportItem(line: AuditLine, extra: ResourceAttributes): ExportItem | null {
  try {
    return { id: line.event.id, resource: resourceOf(line, extra), record: logRecordOf(line) }
  } catch {
    return null
  }
}

/** opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest: one `resourceLogs` for each run of one resource, in order. */
export function exportRequest(items: readonly ExportItem[]): string {
  const runs: { readonly resource: string; readonly records: string[] }[] = []
  for (const { resource, record } of items) {
    const run = runs.at(-1)
    if (run?.resource === resource) run.records.push(record)
    else runs.push({ resource, records: [record] })
  }
  const texts = runs.map(
    ({ resource, records }) =>
      `{"resource":${resource},"scopeLogs":[{"scope":{"name":"@healthcloud/auth"},"logRecords":[${records.join(',')}]}]}`,
  )
  return `{"resourceLogs":[${texts.join(',')}]}`
}

function resourceOf({ event: { service } }: AuditLine, extra: ResourceAttributes): string {
  const attributes = [
    attribute('service.name', textValue(service.name)),
    ...(service.version === null ? [] : [attribute('service.version', textValue(service.version))]),
    attribute('service.instance.id', textValue(service.instance)),
    ...[...extra].map(([name, value]) => attribute(name, anyValue(value))),
  ]
  return `{"attributes":[${attributes.join(',')}]}`
}
