import { isStreamNotFound } from './failure.ts'
import type { NatsJetStream, NatsManager, NatsSinkSettings } from './options.ts'

/** The stream that is written to, as it was found. */
export interface Stream {
  readonly name: string
  readonly manager: NatsManager
}

export async function findStream(client: NatsJetStream, { stream, subject }: NatsSinkSettings): Promise<Stream> {
  const manager = await client.jetstreamManager(false)
  try {
    const name = stream === '' ? await manager.streams.find(`${subject}.any`) : stream
    const { config } = await manager.streams.info(name)
    const problem = problemOf(config)
    if (problem !== null) throw new Error(`the stream ${name} ${problem}`)
    return { name, manager }
  } catch (error) {
    throw isStreamNotFound(error) ? new Error(howToMake(stream, subject)) : error
  }
}

/** What would make a message vanish that was stored, or its acknowledgement. */
function problemOf(config: { retention: string; max_msgs_per_subject: number; no_ack?: boolean | undefined }) {
  if (config.retention !== 'limits')
    return `deletes what its consumers have taken (retention "${config.retention}"). It must be "limits".`
  if (config.max_msgs_per_subject > 0)
    return `keeps ${config.max_msgs_per_subject} messages of a subject and deletes the others. It must keep all (-1).`
  return config.no_ack === true ? 'acknowledges nothing (no_ack). It must acknowledge.' : null
}

function howToMake(stream: string, subject: string): string {
  const missing = stream === '' ? `no stream takes ${subject}.>` : `there is no stream ${stream}`
  return (
    `${missing}. Make one: nats stream add ${stream || 'HC_AUDIT'} --subjects '${subject}.>' --storage file --replicas 3 ` +
    '--retention limits --discard new --defaults'
  )
}
