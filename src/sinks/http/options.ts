import { readOwnOptions } from '../../lib/own-options.ts'
import { readReceiver, RECEIVER_OPTIONS, type ReceiverSettings } from '../../lib/receiver-options.ts'

/** Where audit events are posted, and as whom. */
export interface HttpSinkOptions {
  /** https, or http on loopback. */
  readonly url: string | URL
  /** Sent with each request, such as `authorization`. Kept out of every error. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Name of the sink in `auth.health()`, and of its cursor: `[a-z0-9-]{1,64}`. Default `http`. */
  readonly name?: string | undefined
  /** Segments stay on this disk until the receiver has their events. Default `false`. */
  readonly required?: boolean | undefined
  /** The receiver keeps what it has taken for `retentionDays`. Default `false`. */
  readonly retains?: boolean | undefined
  /** Deadline of one request in milliseconds, at most 60,000. Default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Default: Node's own. One of yours can add what is only known later, such as a token that expires. */
  readonly fetch?: typeof fetch | undefined
}

/** @throws {TypeError} for the first mistake; it names the option and the remedy, never the value. */
export function readOptions(options: HttpSinkOptions): ReceiverSettings {
  return readReceiver(readOwnOptions('httpSink', options, RECEIVER_OPTIONS), 'http')
}
