import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditLine, AuditSink } from '../../../src/audit/sink.ts'
import { readJournal } from '../../../src/audit/index.ts'
import { thisProcess } from '../../../src/audit/journal/owner.ts'
import { createAuth, memoryKeyStore, type Auth } from '../../../src/index.ts'
import { writtenJournal } from '../written-journal.ts'

let directory = ''
const auths: Auth[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-caretaker-'))
})
afterEach(async () => {
  await Promise.all(auths.splice(0).map((auth) => auth.close()))
  rmSync(directory, { recursive: true })
})

/** A live server, or the command line, on the directory. */
function server(sinks: readonly AuditSink[]): Auth {
  const auth = createAuth({
    environment: 'live',
    keys: { store: memoryKeyStore(), cacheEntries: 100 },
    audit: { directory, pseudonymKeys: [{ id: 'k1', secret: Buffer.alloc(32, 7).toString('base64') }], sinks },
  })
  auths.push(auth)
  return auth
}

function sink(isUp: () => boolean = () => true) {
  const taken: AuditLine[] = []
  const store: AuditSink = {
    name: 'store',
    acks: true,
    write: async (batch) => {
      if (!isUp()) throw new Error('down')
      taken.push(...batch)
    },
  }
  return { taken, store }
}

/** The journal of a process that was killed with calls open. */
function killed(writer: string, calls: number): void {
  const written = writtenJournal({ directory, writer })
  for (let call = 0; call < calls; call += 1) written.record({ id: written.intend(), requestId: `${writer}-${call}` })
  written.intend({ requestId: `${writer}-open` })
  written.journal.close()
  writeFileSync(join(directory, writer, 'owner-1'), JSON.stringify({ ...thisProcess(), pid: 2 ** 30 }))
}

async function journalled(): Promise<string[]> {
  const ids: string[] = []
  for await (const event of readJournal(directory)) ids.push(event.id)
  return ids.toSorted()
}

describe('every event that is in the directory reaches the sinks', () => {
  test('also of a process that was killed, and that one without sinks has ended', async () => {
    killed('w1', 20)
    const command = server([])
    await command.ready()
    await command.keys.create({
      environment: 'live',
      organizationId: 'org_1',
      name: 'a key',
      scopes: ['read:patients'],
      by: 'operator',
    })
    await command.close()
    const { taken, store } = sink()
    await server([store]).ready()
    await expect.poll(async () => taken.map(({ event }) => event.id).toSorted()).toEqual(await journalled())
    expect(taken.map(({ event }) => event.name)).toContain('key.create')
    expect(taken.filter(({ event }) => event.outcome === 'interrupted')).toHaveLength(1)
  })

  test('once each, although several processes look at the same time', async () => {
    for (const writer of ['w1', 'w2', 'w3']) killed(writer, 10)
    const { taken, store } = sink()
    await Promise.all([server([store]), server([store]), server([store])].map((each) => each.ready()))
    await expect.poll(() => taken.length).toBeGreaterThanOrEqual(3 * 12 + 3)
    await Promise.all(auths.splice(0).map((each) => each.close()))
    expect(taken.map(({ event }) => event.id).toSorted()).toEqual(await journalled())
  })
})

test('health tells how far a sink is behind, over all journals, and for how long', async () => {
  killed('w1', 20)
  let up = false
  const { store } = sink(() => up)
  const auth = server([store])
  await auth.ready()
  const lag = () => auth.health().audit.sinks['store']
  // Twenty calls, one that was interrupted, what says so, and the own start.
  await expect.poll(() => lag()?.lagEvents).toBe(23)
  await expect.poll(() => lag()?.lagSeconds).toBeGreaterThan(0.2)
  expect(lag()).toMatchObject({ failing: true, dead: 0, batches: 0 })
  up = true
  await expect.poll(lag, { timeout: 5000 }).toMatchObject({ lagEvents: 0, lagSeconds: 0, failing: false })
})
