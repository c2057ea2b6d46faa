import { randomBytes } from 'node:crypto'
import type { DemoAnswer } from '../client.ts'
import { everywhere, PATIENT, statusesOf, type Stage } from '../stage.ts'
import { waitFor } from './wait-for.ts'

/** A key that was issued elsewhere and moved in is rotated; then the clock is moved to its last second, and past it. */
export async function showRotation(stage: Stage): Promise<void> {
  const { clock } = stage
  const old = await moveIn(stage)
  clock.hold()
  const from = { now: clock.now(), monotonicMs: clock.monotonicMs() }
  const fresh = await rotate(stage, old)
  stage.print.title('The clock of the three servers is moved (options.clock, held meanwhile)')
  const keys = { old: old.key, fresh }
  clock.advance(86_399_000)
  await showAt(stage, keys, { what: '24 h − 1 s later', from })
  clock.advance(1000)
  await showAt(stage, keys, { what: '24 h later', from })
  clock.release()
}

/** In the documented form, 16 characters behind the prefix, and cached by all three before it is rotated. */
async function moveIn({ servers: [express] }: Stage): Promise<{ id: string; key: string }> {
  const key = `hc_live_sk_${randomBytes(8).toString('hex')}`
  const { record } = await express.auth.keys.import({
    key,
    organizationId: 'org_demo',
    name: 'intake service',
    scopes: ['read:patients'],
    by: 'console:anna',
  })
  return { id: record.id, key }
}

async function rotate(stage: Stage, { id, key }: { id: string; key: string }): Promise<string> {
  const { print, servers } = stage
  const [, koa] = servers
  print.title('A key rotated on Koa: the old one lives on for 24 hours, everywhere')
  const before = await everywhere(stage, PATIENT, key)
  const since = performance.now()
  const { key: fresh } = await koa.auth.keys.rotate(id, { by: 'cron:rotation' })
  const waited = await Promise.all(
    servers.map((server) => waitFor(stage, { server, key, since }, ({ expires }) => expires !== null)),
  )
  const after = { old: waited.map(({ answer }) => answer), fresh: await everywhere(stage, PATIENT, fresh) }
  const validUntil = (await koa.auth.keys.get(id))?.validUntil?.toUTCString() ?? null
  const milliseconds = waited.map((each) => each.milliseconds)
  print.row(['the key before', statusesOf(before).join(' ')])
  print.row(['the old key', statusesOf(after.old).join(' '), `HealthCloud-Key-Expires: ${after.old[0]?.expires}`])
  print.row(['the new key', statusesOf(after.fresh).join(' ')])
  for (const [index, { framework }] of servers.entries())
    print.row([`${framework} knows after`, `${milliseconds[index]} ms`])
  print.fact('rotation', {
    on: koa.framework,
    before: facts(before),
    old: facts(after.old),
    fresh: facts(after.fresh),
    validUntil,
    milliseconds,
  })
  return fresh
}

function facts(answers: readonly DemoAnswer[]) {
  return { statuses: statusesOf(answers), expires: answers.map(({ expires }) => expires) }
}

interface Moment {
  readonly what: string
  /** What the clock showed when the key was rotated. */
  readonly from: { readonly now: number; readonly monotonicMs: number }
}

async function showAt(stage: Stage, keys: { old: string; fresh: string }, { what, from }: Moment): Promise<void> {
  const { print, clock } = stage
  const moved = { now: clock.now() - from.now, monotonicMs: Math.round(clock.monotonicMs() - from.monotonicMs) }
  const old = await everywhere(stage, PATIENT, keys.old)
  const fresh = statusesOf(await everywhere(stage, PATIENT, keys.fresh))
  print.row([what, `now() +${moved.now} ms, monotonicMs() +${moved.monotonicMs} ms`])
  print.row(['  the old key', statusesOf(old).join(' '), old[0]?.code ?? ''])
  print.row(['  the new key', fresh.join(' ')])
  print.fact('clock', { what, moved, old: statusesOf(old), codes: old.map(({ code }) => code), fresh })
}
