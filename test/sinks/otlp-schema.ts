import root from '@opentelemetry/otlp-transformer/build/src/generated/root.js'

/** OpenTelemetry's own wire schema, as it was before `event_name` came in (opentelemetry-proto 1.5). */
interface MessageType {
  fromObject(object: object): object
  verify(message: object): string | null
  encode(message: object): { finish(): Uint8Array }
  decode(bytes: Uint8Array): object
  toObject(message: object, options: object): object
}

export interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

export interface LogRecord {
  readonly timeUnixNano: string
  readonly observedTimeUnixNano: string
  readonly severityNumber: number
  readonly severityText: string
  readonly eventName?: string
  readonly body: { readonly stringValue: string }
  readonly attributes: readonly Attribute[]
}

export interface ResourceLogs {
  readonly resource: { readonly attributes: readonly Attribute[] }
  readonly scopeLogs: readonly {
    readonly scope: { readonly name: string }
    readonly logRecords: readonly LogRecord[]
  }[]
}

export interface LogsRequest {
  readonly resourceLogs: readonly ResourceLogs[]
}

const { ExportLogsServiceRequest, ExportLogsServiceResponse } = (
  root as unknown as {
    opentelemetry: { proto: { collector: { logs: { v1: Readonly<Record<string, MessageType>> } } } }
  }
).opentelemetry.proto.collector.logs.v1 as {
  ExportLogsServiceRequest: MessageType
  ExportLogsServiceResponse: MessageType
}

/** What a receiver has of a JSON body after it was a protobuf message: members that the schema does not know are gone. */
export function throughProtobuf(body: string): LogsRequest {
  return through(ExportLogsServiceRequest, JSON.parse(body) as object) as LogsRequest
}

/** An answer as a receiver writes it, from numbers and texts. */
export function exportAnswer(rejectedLogRecords: number, errorMessage = ''): string {
  return JSON.stringify(through(ExportLogsServiceResponse, { partialSuccess: { rejectedLogRecords, errorMessage } }))
}

function through(type: MessageType, object: object): object {
  const message = type.fromObject(object)
  const wrong = type.verify(message)
  if (wrong !== null) throw new Error(wrong)
  const decoded = type.decode(type.encode(message).finish())
  return type.toObject(decoded, { longs: String, enums: Number, bytes: String })
}
