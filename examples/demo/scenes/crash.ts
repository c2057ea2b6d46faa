import { setTimeout as delay } from 'node:timers/promises'
import { readJournal } from '@healthcloud/auth/audit'
import { startChild } from '../children.ts'
import { milliseconds, PATIENT, type Stage } from '../stage.ts'
import type { Credentials } from './credentials.ts'
import { startLoad } from './load.ts'

/** A live server is killed in the middle of calls. What became of those nobody knows: the next start writes that down. */
export async function showCrash(stage: Stage, { reader }: Credentials): Promise<void> {
  const { print, client, settings, closing } = stage
  print.title('A live server killed (kill -9) while its handlers wait for a database, and started again')
  const before = new Set(client.answered)
  const server = await startChild('server', settings)
  closing.push(server.kill)
  const load = startLoad(client, { ports: [server.port], credential: reader, width: 16 })
  await delay(milliseconds(800))
  await server.ask({ hang: true })
  await delay(milliseconds(250))
  await server.kill()
  const { calls, brokenOff } = await load.end()
  const next = await startChild('server', settings)
  closing.push(next.kill)
  const { status } = await client.get(next.port, PATIENT, reader)
  await next.ask({ close: true })
  const answered = [...client.answered].filter((id) => !before.has(id))
  const facts = { answered: calls, brokenOff, next: status, ...(await accountsFor(settings.journal, answered)) }
  print.row(['calls answered', String(calls), `broken off ${brokenOff}`])
  print.row([
    'interrupted calls in the journal',
    String(facts.interrupted),
    `caller and patient known of ${facts.named}`,
  ])
  print.row(['answered calls without an event', String(facts.withoutEvent)])
  print.fact('crash', facts)
}

async function accountsFor(journal: string, answered: readonly string[]) {
  const missing = new Set(answered)
  let [interrupted, named] = [0, 0]
  for await (const { kind, requestId, outcome, actor, phi } of readJournal(journal)) {
    if (kind === 'access' && requestId !== null) missing.delete(requestId)
    if (outcome !== 'interrupted') continue
    interrupted += 1
    if (actor.keyId !== null && phi?.patients.length === 1) named += 1
  }
  return { interrupted, named, withoutEvent: missing.size }
}
