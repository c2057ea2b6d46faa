import { setTimeout as delay } from 'node:timers/promises'
import { milliseconds, type Stage } from '../stage.ts'
import type { Credentials } from './credentials.ts'
import { startLoad } from './load.ts'

/** How long the receiver may take to catch up. */
const GIVE_UP_MS = 15_000

/** The log receiver is killed under load and comes back: no call waits for it, and no event is lost to it. */
export async function showSink(stage: Stage, { reader }: Credentials): Promise<void> {
  const { print, client, servers, receiver } = stage
  print.title('The log receiver killed (kill -9) under load: it has kept a batch, and dies before it can answer')
  const load = startLoad(client, { ports: servers.map(({ port }) => port), credential: reader, width: 4 })
  await delay(milliseconds(500))
  const unanswered = await receiver.killBeforeAnswer()
  await delay(milliseconds(1000))
  const waiting = lagOf(stage)
  await receiver.restart()
  await delay(milliseconds(500))
  const { calls, refused, brokenOff, p99 } = await load.end()
  const since = performance.now()
  while (lagOf(stage) > 0 && performance.now() - since < GIVE_UP_MS) await delay(10)
  const caughtUpMs = Math.round(performance.now() - since)
  const facts = { calls, refused, brokenOff, unanswered, waiting, repeats: await receiver.repeats(), lag: lagOf(stage) }
  print.row(['calls meanwhile', String(calls), `refused ${refused + brokenOff}`, `p99 ${p99} ms`])
  print.row(['events waiting in the journal', String(waiting)])
  print.row(['after its restart, came again', String(facts.repeats), 'known by their id'])
  print.row(['caught up after the load', `${caughtUpMs} ms`, `still waiting ${facts.lag}`])
  print.fact('sink', facts)
}

/** Events that the three servers have in their journals, and the receiver has not. */
function lagOf({ servers }: Stage): number {
  const lags = servers.flatMap(({ auth }) => Object.values(auth.health().audit.sinks).map(({ lagEvents }) => lagEvents))
  return lags.reduce((sum, lag) => sum + lag, 0)
}
