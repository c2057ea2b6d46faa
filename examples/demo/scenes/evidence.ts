import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readJournal, verifyJournal, type AuditEvent, type JournalVerdict } from '@healthcloud/auth/audit'
import { closeServers, type Stage } from '../stage.ts'

/** All is closed. Is what the receiver has what was written, and would a change be found? */
export async function showEvidence(stage: Stage): Promise<void> {
  const { print, servers, receiver, settings, publicKey } = stage
  await closeServers(servers)
  const received = await receiver.lines()
  const events = []
  for await (const event of readJournal(settings.journal)) events.push(event)
  showReceived(print, events, received)

  print.title('The journal verified, with the public key and the checkpoints that the receiver has')
  const publicKeys = [publicKey]
  const checkpoints = received.filter((line) => nameOf(line) === 'audit.checkpoint')
  const verdict = await verifyJournal(settings.journal, { publicKeys, checkpoints })
  print.row(['as it is', said(verdict), `${verdict.events} events`, `${checkpoints.length} checkpoints`])
  print.fact('verified', { ...verdict, checkpoints: checkpoints.length })

  const victim = victimOf(events)
  const copy = `${settings.journal}-copy`
  await cp(settings.journal, copy, { recursive: true })
  const flipped = await flipOneByte(copy, victim)
  const found = await verifyJournal(copy, { publicKeys, checkpoints })
  print.row(['one byte flipped in a copy', said(found), `it is in ${placeOf(flipped)}`])
  print.fact('flipped', { ...flipped, ok: found.ok, findings: found.findings })

  await rm(path.join(copy, victim.writer), { recursive: true })
  const blind = await verifyJournal(copy, { publicKeys })
  const missing = await verifyJournal(copy, { publicKeys, checkpoints })
  print.row(['a whole server removed from it', said(missing), `without the receiver: ${said(blind)}`])
  print.fact('removed', { writer: victim.writer, blind: blind.ok, ok: missing.ok, findings: missing.findings })
}

/** By id: how many of the journal's events the receiver has, and how often. */
function showReceived(print: Stage['print'], events: readonly AuditEvent[], received: readonly string[]): void {
  const ids = received.map((line) => (JSON.parse(line) as AuditEvent).id)
  const has = new Set(ids)
  const written = new Set(events.map(({ id }) => id))
  const facts = {
    events: events.length,
    received: ids.length,
    missing: [...written].filter((id) => !has.has(id)).length,
    twice: ids.length - has.size,
    unknown: [...has].filter((id) => !written.has(id)).length,
  }
  print.title('All closed: the journal and the log receiver compared, by event id')
  print.row(['events in the journal', String(facts.events)])
  print.row(['events at the receiver', String(facts.received), `missing ${facts.missing}`, `twice ${facts.twice}`])
  print.fact('received', facts)
}

interface Place {
  readonly writer: string
  readonly segment: number
  readonly line: number
}

/** A call in the middle that has seen one patient. */
function victimOf(events: readonly AuditEvent[]): AuditEvent {
  const calls = events.filter(({ outcome, phi }) => outcome === 'success' && phi?.patients.length === 1)
  const victim = calls[calls.length >> 1]
  if (victim === undefined) throw new Error('The journal has no call to change.')
  return victim
}

/** Somebody hides whose record it was: the last bit of the pseudonym's last character. */
async function flipOneByte(journal: string, { writer, id, phi }: AuditEvent): Promise<Place> {
  for (const name of await readdir(path.join(journal, writer))) {
    const file = path.join(journal, writer, name)
    const bytes = await readFile(file)
    const start = name.endsWith('.jsonl') ? bytes.indexOf(`{"v":1,"id":"${id}"`) : -1
    if (start === -1) continue
    const patient = phi?.patients[0] ?? ''
    const at = bytes.indexOf(patient, start) + patient.length - 1
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    await writeFile(file, bytes)
    const before = bytes.toString('latin1', 0, start).split('\n').length
    return { writer, segment: Number.parseInt(name, 10), line: before }
  }
  throw new Error('The event stands in no segment.')
}

function said({ ok, findings: [first, ...more] }: JournalVerdict): string {
  if (ok) return 'intact'
  return first === undefined
    ? 'NOT OK'
    : `${first.kind}: ${placeOf(first)}${more.length > 0 ? ` and ${more.length} more` : ''}`
}

function placeOf({ writer, segment, line }: Place): string {
  return `${writer}/${segment}:${line}`
}

function nameOf(line: string): string {
  return (JSON.parse(line) as AuditEvent).name
}
