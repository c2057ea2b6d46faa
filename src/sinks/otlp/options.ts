import { isPlainObject, readOwnOptions, type OwnOptions } from '../../lib/own-options.ts'
import { readReceiver, RECEIVER_OPTIONS, type ReceiverSettings } from '../../lib/receiver-options.ts'

/** Which OTLP/HTTP receiver gets audit events as log records, and as whom. */
export interface OtlpSinkOptions {
  /** The whole URL, such as `https://collector.example/v1/logs`; https, or http on loopback. */
  readonly url: string | URL
  /** Sent with each request, such as `authorization`. Kept out of every error. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Name of the sink in `auth.health()`, and of its cursor: `[a-z0-9-]{1,64}`. Default `otlp`. */
  readonly name?: string | undefined
  /** Segments stay on this disk until the receiver has their events. Default `false`. */
  readonly required?: boolean | undefined
  /** The receiver keeps what it has taken for `retentionDays`. Default `false`. */
  readonly retains?: boolean | undefined
  /** Deadline of one request in milliseconds, at most 60,000. Default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Default: Node's own. One of yours can add what is only known later, such as a token that expires. */
  readonly fetch?: typeof fetch | undefined
  /**
   * More attributes of the resource, such as `deployment.environment.name`. `service.name`, `service.version` and
   * `service.instance.id` are those of the event.
   */
  readonly resource?: Readonly<Record<string, string | number | boolean>> | undefined
}

export interface OtlpSettings extends ReceiverSettings {
  readonly resource: ReadonlyMap<string, string | number | boolean>
}

/** @throws {TypeError} for the first mistake; it names the option and the remedy, never the value. */
export function readOptions(options: OtlpSinkOptions): OtlpSettings {
  const own = readOwnOptions('otlpSink', options, [...RECEIVER_OPTIONS, 'resource'])
  return Object.freeze({ ...readReceiver(own, 'otlp'), resource: readResource(own) })
}

const OF_THE_EVENT: ReadonlySet<string> = new Set(['service.name', 'service.version', 'service.instance.id'])

function readResource(own: OwnOptions): OtlpSettings['resource'] {
  const value = own.get('resource') ?? {}
  const remedy = 'Give an object of attribute names and texts, numbers or booleans.'
  if (!isPlainObject(value)) throw own.mistake('resource', 'is no plain object.', remedy)
  const attributes = new Map<string, string | number | boolean>()
  for (const [name, attribute] of Object.entries(value)) {
    if (name === '' || name.length > 256) throw own.mistake('resource', 'has a name of no use.', remedy)
    if (OF_THE_EVENT.has(name)) {
      throw own.mistake('resource', `has ${name}, which each event brings.`, 'Give it to createAuth, as `service`.')
    }
    if (!isAttribute(attribute)) throw own.mistake('resource', 'has a value that is no attribute.', remedy)
    attributes.set(name, attribute)
  }
  return attributes
}

function isAttribute(value: unknown): value is string | number | boolean {
  if (typeof value === 'string') return value.length <= 4096
  return typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
}
