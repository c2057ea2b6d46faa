import type { AuditEvent, AuditHttp, AuditOutcome } from '../../audit/event.ts'
import type { AuditLine } from '../../audit/sink.ts'
import { attribute, attributesOf, intValue, textValue } from './attributes.ts'

/** opentelemetry.proto.logs.v1.SeverityNumber, and its short name: what is conspicuous, and what has gone wrong. */
const SEVERITIES: Readonly<Record<AuditOutcome, readonly [number: number, text: string]>> = Object.freeze({
  success: [9, 'INFO'],
  denied: [13, 'WARN'],
  aborted: [13, 'WARN'],
  error: [17, 'ERROR'],
  interrupted: [17, 'ERROR'],
})

/** The methods of RFC 9110 and RFC 5789, which the semantic conventions know; any other is `_OTHER`. */
const METHODS: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'TRACE',
])

const OURS = 'healthcloud.audit'
/** What the record, its resource or a stable attribute says already. */
const SAID: ReadonlySet<string> = new Set(['id', 'time', 'recorded', 'service', 'http', 'client'])
const DOUBLES: ReadonlySet<string> = new Set([`${OURS}.duration_ms`])

/**
 * One event as an `opentelemetry.proto.logs.v1.LogRecord` in JSON: its name, time and severity, attributes of the stable
 * semantic conventions, everything else as `healthcloud.audit.*`, and the journal's line as its body.
 * @throws for a line that is no event of this version, although it is JSON.
 */
export function logRecordOf({ event, text }: AuditLine): string {
  const [number, severity] = SEVERITIES[event.outcome]
  return (
    `{"timeUnixNano":"${nanoseconds(event.time)}","observedTimeUnixNano":"${nanoseconds(event.recorded)}",` +
    `"severityNumber":${number},"severityText":"${severity}","eventName":${JSON.stringify(`${OURS}.${event.kind}`)},` +
    `"body":${textValue(text)},"attributes":[${recordAttributes(event).join(',')}]}`
  )
}

/** Milliseconds are all that an event has, and more than a number holds in nanoseconds. */
function nanoseconds(instant: string): string {
  const ms = Date.parse(instant)
  if (!(ms > 0)) throw new TypeError('No event has this time.')
  return `${ms}000000`
}

function recordAttributes(event: AuditEvent): readonly string[] {
  const { client, http, reason } = event
  const others = Object.fromEntries(Object.entries(event).filter(([name]) => !SAID.has(name)))
  const rest = { ...others, client: { via: client.via }, http: http && { query: http.query, bytes: http.bytes } }
  return [
    attribute('log.record.uid', textValue(event.id)),
    ...(http === null ? [] : httpAttributes(http)),
    ...(client.ip === null ? [] : [attribute('client.address', textValue(client.ip))]),
    ...(reason === null ? [] : [attribute('error.type', textValue(reason))]),
    ...attributesOf(OURS, rest, DOUBLES),
  ]
}

/** A method that the conventions do not know keeps its name beside; a route that cannot be told is left out. */
function httpAttributes({ method, route, status }: AuditHttp): readonly string[] {
  const known = METHODS.has(method)
  return [
    attribute('http.request.method', textValue(known ? method : '_OTHER')),
    ...(known ? [] : [attribute('http.request.method_original', textValue(method))]),
    ...(route === '*' ? [] : [attribute('http.route', textValue(route))]),
    ...(status === null ? [] : [attribute('http.response.status_code', intValue(status))]),
  ]
}
