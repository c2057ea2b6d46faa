import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCheckpointSigner } from '../../../src/audit/chain/checkpoint.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { readJournal } from '../../../src/audit/index.ts'
import { thisProcess } from '../../../src/audit/journal/owner.ts'
import { verifyJournal } from '../../../src/audit/journal/verify.ts'
import { createAdoption, type OrphanSettings } from '../../../src/audit/caretaker/orphans.ts'
import type { AuditLine } from '../../../src/audit/sink.ts'
import { systemDraft } from '../../../src/audit/chain/system-draft.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { writtenJournal } from '../written-journal.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hc-auth-orphans-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

const { privateKey, publicKey } = generateKeyPairSync('ed25519')

function adoption(change: Partial<OrphanSettings> = {}) {
  return createAdoption({
    directory,
    writer: 'w9',
    environment: 'live',
    service: { name: 'records', version: null, instance: 'host:2' },
    clock: systemClock,
    signer: null,
    sinks: [],
    ...change,
  })
}

/** The process that wrote the folder is gone. */
function orphan(writer = 'w1'): void {
  writeFileSync(join(directory, writer, 'owner-1'), JSON.stringify({ ...thisProcess(), pid: 2 ** 30 }))
}

async function look(change: Partial<OrphanSettings> = {}) {
  const delivered: AuditLine[] = []
  const orphans = await adoption(change).look((line) => {
    delivered.push(line)
  })
  return { delivered, orphans }
}

async function events(): Promise<AuditEvent[]> {
  const all: AuditEvent[] = []
  for await (const event of readJournal(directory)) all.push(event)
  return all
}

const outcomes = (list: readonly AuditEvent[]) => list.map(({ name, outcome, requestId }) => [name, outcome, requestId])

describe('the journal of a process that is gone', () => {
  test('gets an event for each call that was let in and has none, in the chain of that journal', async () => {
    const written = writtenJournal({ directory })
    written.record({ id: written.intend({ requestId: 'req_1' }), requestId: 'req_1' })
    const open = [written.intend({ requestId: 'req_2' }), written.intend({ requestId: 'req_3' })]
    written.record({ id: written.intend({ requestId: 'req_4' }), requestId: 'req_4' })
    orphan()
    const { delivered, orphans } = await look()
    expect(orphans.map(({ writer }) => writer)).toEqual(['w1'])
    const all = await events()
    expect(outcomes(all)).toEqual([
      ['request', 'success', 'req_1'],
      ['request', 'success', 'req_4'],
      ['request', 'interrupted', 'req_2'],
      ['request', 'interrupted', 'req_3'],
      ['audit.recovered', 'success', null],
    ])
    expect(all.slice(2, 4).map(({ id }) => id)).toEqual(open)
    expect(all[2]).toMatchObject({
      reason: 'process_interrupted',
      actor: { org: 'org_1', keyId: 'key_1' },
      http: { method: 'GET', route: '/v1/patients/:id', status: null },
      phi: { patients: ['pt_k1_0123456789abcdefghijkl'] },
      writer: 'w1',
      seq: 3,
    })
    expect(all[4]).toMatchObject({ count: 2, service: { instance: 'host:2' } })
    expect(delivered.map(({ event }) => event.seq)).toEqual([3, 4, 5])
    expect(await verifyJournal(directory)).toMatchObject({ ok: true, events: 5, findings: [] })
  })

  test('tells of a call with two guards what the later one added, once', async () => {
    const written = writtenJournal({ directory })
    const id = written.intend({ http: { method: 'GET', route: '*', query: [] } })
    written.intend({ scopes: { granted: [], required: ['read:observations'] } }, id)
    orphan()
    await look()
    const [interrupted] = await events()
    expect(interrupted).toMatchObject({
      id,
      http: { route: '/v1/patients/:id' },
      scopes: { required: ['read:observations'] },
    })
    expect(await events()).toHaveLength(2)
  })

  test('is cut where its process died in the middle of a line', async () => {
    const written = writtenJournal({ directory })
    written.record({ requestId: 'req_1' })
    appendFileSync(join(directory, 'w1', '00000001.jsonl'), '{"v":1,"intent":"0193')
    orphan()
    expect(await verifyJournal(directory)).toMatchObject({ ok: true, tornTail: true })
    await look()
    expect(outcomes(await events()).map(([name]) => name)).toEqual(['request', 'audit.recovered'])
    expect(await verifyJournal(directory)).toMatchObject({ ok: true, tornTail: false })
  })

  test('is signed at its new end', async () => {
    writtenJournal({ directory }).intend()
    orphan()
    await look({ signer: createCheckpointSigner(privateKey) })
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    expect(await verifyJournal(directory, { publicKeys: [pem] })).toMatchObject({ ok: true, unanchored: 0 })
  })

  test('that was closed in good order stays as it is', async () => {
    const written = writtenJournal({ directory })
    written.record()
    written.record(systemDraft('audit.stopped', 0))
    orphan()
    const before = readFileSync(join(directory, 'w1', '00000001.jsonl'), 'utf8')
    const { delivered, orphans } = await look()
    expect([delivered, orphans.length]).toEqual([[], 1])
    expect(readFileSync(join(directory, 'w1', '00000001.jsonl'), 'utf8')).toBe(before)
  })

  test('may have nothing in it, or be no journal at all', async () => {
    writtenJournal({ directory }).journal.close()
    orphan()
    const { orphans } = await look()
    expect(orphans).toHaveLength(1)
    orphans[0]?.owner.release()
    expect(readdirSync(join(directory, 'w1'))).toEqual(['00000001.jsonl'])
  })

  test('is ended by one process only', async () => {
    const written = writtenJournal({ directory })
    for (let call = 0; call < 20; call += 1) written.intend()
    orphan()
    const rounds = await Promise.all([look(), look({ writer: 'w8' }), look({ writer: 'w7' })])
    expect(rounds.flatMap(({ orphans }) => orphans)).toHaveLength(1)
    expect(await events()).toHaveLength(21)
  })

  test('is left alone while its process lives, and where nobody owns it', async () => {
    writtenJournal({ directory }).intend()
    expect((await look()).orphans).toEqual([])
    writeFileSync(join(directory, 'w1', 'owner-1'), JSON.stringify(thisProcess()))
    expect((await look()).orphans).toEqual([])
  })

  test.each([
    [/"actor":\{[^}]*\}/, '"actor":null'],
    [/"kind":"api-key"/, '"kind":"api\\"key"'],
    [/"org":"org_1"/, '"org":5'],
    [/"granted":\[[^\]]*\]/, '"granted":{"length":4000000000}'],
    [/"patients":\[[^\]]*\]/, '"patients":{"length":4000000000}'],
    [/"patients":\[[^\]]*\]/, '"patients":5'],
    [/"query":\[[^\]]*\]/, '"query":[null,"a"]'],
    [/"bulk":false/, '"bulk":"no"'],
    [/"attribution":"route"/, '"attribution":7'],
  ])('whose intent was changed by somebody (%s to %s) counts the call, and verification finds it', async (from, to) => {
    const written = writtenJournal({ directory })
    const id = written.intend()
    written.record({ requestId: 'req_2' })
    const path = join(directory, 'w1', '00000001.jsonl')
    const text = readFileSync(path, 'utf8')
    expect(text).toMatch(from)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
    orphan()
    const { delivered } = await look()
    const names = (await events()).map(({ name }) => name)
    expect([names[0], names.at(-1)]).toEqual(['request', 'audit.recovered'])
    expect(names).toHaveLength(3)
    expect(delivered.map(({ event }) => event.name)).toEqual(names.slice(1))
    expect(id).toHaveLength(36)
    expect((await verifyJournal(directory)).findings).not.toEqual([])
  })
})
