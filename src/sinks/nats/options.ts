import { ENGINE_OPTIONS, readEngineOptions, readText, type EngineSettings } from '../../lib/engine-options.ts'
import { readOwnOptions } from '../../lib/own-options.ts'

/** What the sink needs of JetStream: `jetstream(connection)` of `@nats-io/jetstream` fits. */
export interface NatsJetStream {
  publish(subject: string, payload: string, options: NatsPublishOptions): Promise<NatsAck>
  jetstreamManager(checkApi?: boolean): Promise<NatsManager>
}

/** What the sink gives with a message, as `publish` of JetStream takes it; `timeout` in milliseconds. */
export interface NatsPublishOptions {
  /** Sent as `Nats-Msg-Id`. */
  msgID: string
  timeout: number
  expect: { streamName?: string; lastSubjectSequence?: number; lastMsgID?: string }
}

/** `PubAck` of JetStream: where the message is. */
export interface NatsAck {
  /** Of the message in its stream. */
  readonly seq: number
  /** The stream has had a message with this id a moment ago, and has stored nothing. */
  readonly duplicate: boolean
}

/** What the sink needs of the manager of JetStream. */
export interface NatsManager {
  readonly streams: {
    find(subject: string): Promise<string>
    info(stream: string): Promise<{ readonly config: NatsStreamConfig }>
    getMessage(stream: string, query: { last_by_subj: string }): Promise<NatsStoredMessage | null>
  }
}

/** What the sink checks of a stream: whether it keeps what it acknowledges, and acknowledges at all. */
export interface NatsStreamConfig {
  readonly retention: string
  readonly max_msgs_per_subject: number
  readonly no_ack?: boolean | undefined
}

/** A message as the stream has it. */
export interface NatsStoredMessage {
  readonly seq: number
  readonly data: Uint8Array
}

/** Of `natsSink`; every one has a default. */
export interface NatsSinkOptions {
  /** Name of the sink in `auth.health()`, and of its cursor. Default `nats`. */
  readonly name?: string | undefined
  /** Default: the one stream that takes the subject. It is never made here. */
  readonly stream?: string | undefined
  /** Events go to `<subject>.<writer>`. Default `hc.audit`. */
  readonly subject?: string | undefined
  /** Segments of the journal stay on this machine until the stream has their events. Default `false`. */
  readonly required?: boolean | undefined
  /** The stream keeps events for `retentionDays`: local segments may go earlier (`localDays`). Default `false`. */
  readonly retains?: boolean | undefined
  /** For a batch as a whole; milliseconds, at most 60,000. Default 10,000. */
  readonly timeoutMs?: number | undefined
}

export interface NatsSinkSettings extends EngineSettings {
  /** Empty: whichever takes the subject. */
  readonly stream: string
  readonly subject: string
}

const STREAM = {
  fallback: '',
  form: /^[A-Za-z0-9_-]{0,255}$/,
  remedy: 'Give the name of a stream: letters, digits, `_` and `-`.',
}
const SUBJECT = {
  fallback: 'hc.audit',
  form: /^(?=.{1,128}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
  remedy: 'Give words of letters, digits, `_` and `-` with dots between them, at most 128 characters.',
}

/** @throws {TypeError} where it is no client of JetStream. */
export function readClient(client: NatsJetStream): NatsJetStream {
  const given: unknown = client
  const has = (name: string) => typeof Reflect.get(Object(given), name) === 'function'
  if (has('publish') && has('jetstreamManager')) return client
  throw new TypeError('natsSink takes a client of JetStream: hand in jetstream(connection) of @nats-io/jetstream.')
}

/** @throws {TypeError} for the first mistake; it names the option and the remedy. */
export function readOptions(options: NatsSinkOptions): NatsSinkSettings {
  const own = readOwnOptions('natsSink', options, [...ENGINE_OPTIONS, 'stream', 'subject'])
  return Object.freeze({
    ...readEngineOptions(own, 'nats'),
    stream: readText(own, 'stream', STREAM),
    subject: readText(own, 'subject', SUBJECT),
  })
}
