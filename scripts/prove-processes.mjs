// `npm run prove:processes [-- --seconds=20] [-- --width=8] [-- --open=1000]`: four processes on one journal folder under
// load. One is killed and its place is taken by two at once; the receiver of their events is killed and started again; one is
// ended by SIGTERM with 1,000 calls open while that receiver is down. Afterwards: every answered call has exactly one event
// over all writers, an orphan was ended once, every writer verifies, and what the receiver has acknowledged is the journal's
// events, line by line, in the order of each writer.
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifyJournal } from '@healthcloud/auth/audit'
import { conclude, createFindings, readFlags } from './prove/command.mjs'
import { journalKey } from './prove/journal-keys.mjs'
import { startLoad } from './prove/journal-load.mjs'
import { callAll } from './prove/processes-calls.mjs'
import { startHeard } from './prove/processes-child.mjs'
import { compareLines, readWriters } from './prove/processes-lines.mjs'

const flags = readFlags({ seconds: 20, width: 8, open: 1000, quick: false })
const seconds = flags.quick ? 6 : flags.seconds
const PROCESSES = ['a', 'b', 'c', 'd']
/** What `auth.close()` promises; how late a timer can be on a busy machine; what the end of a process costs beyond it. */
const CLOSE_MS = 10_000
const LATE_MS = 250
const EXIT_MS = 1000
/** Of calls that are open at SIGTERM: most end in time, some never. */
const SLOW_MS = [3000, 5000]
const ENDLESS = 20
const ENDLESS_MS = 60_000
const DELIVERY_MS = 60_000

const findings = createFindings()
const keys = generateKeyPairSync('ed25519')
const signingKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' })
const publicKey = keys.publicKey.export({ type: 'spki', format: 'pem' })
const folder = mkdtempSync(join(tmpdir(), 'hc-auth-processes-'))
const directory = join(folder, 'journal')
const received = join(folder, 'received.jsonl')
const said = join(folder, 'said.txt')
mkdirSync(directory, { mode: 0o700 })
const running = new Set()
const calls = { answered: new Set(), refused: [], broken: 0 }
console.log(`Four processes on one journal for ${seconds} s, Node ${process.version}.`)
try {
  await prove()
  conclude(findings, 'prove:processes')
} finally {
  for (const each of running) await each.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}

async function prove() {
  let receiver = await startReceiver(0)
  const { port } = receiver
  const start = (name) => startServer(name, `http://127.0.0.1:${port}/events`)
  const servers = new Map()
  for (const each of await Promise.all(PROCESSES.map(start))) servers.set(each.name, each)

  await sleep(seconds * 250)
  const killed = servers.get('a')
  await killed.kill('SIGKILL')
  await ended(killed)
  // Two at once want to end what it has left.
  for (const each of await Promise.all(['a2', 'e'].map(start))) servers.set(each.name, each)
  servers.delete('a')

  await sleep(seconds * 250)
  await receiver.kill('SIGKILL')
  await sleep(1500)
  receiver = await startReceiver(port)

  await sleep(seconds * 250)
  await receiver.kill('SIGKILL')
  const down = await stopWithOpenCalls(servers.get('b'))
  servers.delete('b')
  receiver = await startReceiver(port)
  const heir = await start('b2')
  servers.set('b2', heir)

  await sleep(seconds * 250)
  const closes = await Promise.all([...servers.values()].map(stop))
  // Whoever comes last finds what is left over, and has it taken.
  const last = await start('z')
  await last.load.stop()
  await allTaken(last)
  const lastClose = await stop(last)
  await receiver.kill('SIGKILL')
  await check({ killed, down, closes: [...closes, lastClose] })
}

async function startReceiver(port) {
  const child = startHeard('./processes-receiver.mjs', { path: received, port }, said)
  running.add(child)
  const { port: bound } = await child.next('port')
  return { ...child, port: bound }
}

async function startServer(name, sinkUrl) {
  const child = startHeard('./processes-server.mjs', { directory, signingKey, sinkUrl, name }, said)
  running.add(child)
  const { port } = await child.next('port')
  return { ...child, name, port, load: startLoad({ port, key: journalKey, width: flags.width, prefix: name }) }
}

/** Notes how its calls ended. */
async function ended({ load }) {
  await load.stop()
  note(load.ended)
}

function note({ answered, refused, broken }) {
  for (const id of answered) calls.answered.add(id)
  calls.refused.push(...refused)
  calls.broken += broken.length
}

/** Ends its load first: a server that is closing refuses what comes. */
async function stop(server) {
  await ended(server)
  const answer = server.next('closedMs')
  server.child.kill('SIGTERM')
  const { closedMs } = await answer
  await server.gone
  return closedMs
}

/** SIGTERM while calls are open and the receiver is down. */
async function stopWithOpenCalls(server) {
  await ended(server)
  const slow = Array.from({ length: flags.open - ENDLESS }, (_, at) => ({
    id: `slow-${at}`,
    ms: Math.round(SLOW_MS[0] + Math.random() * (SLOW_MS[1] - SLOW_MS[0])),
  }))
  const endless = Array.from({ length: ENDLESS }, (_, at) => ({ id: `endless-${at}`, ms: ENDLESS_MS }))
  const { port } = server
  const results = callAll({ port, key: journalKey, list: [...slow, ...endless] })
  while ((await server.ask({ open: true }, 'open')).open < flags.open) await sleep(20)
  const { health } = await server.ask({ health: true }, 'health')
  const startedMs = performance.now()
  const closing = server.next('closedMs')
  server.child.kill('SIGTERM')
  const { closedMs } = await closing
  const { atMs, code } = await server.gone
  const outcome = await results
  note(outcome)
  return { tookMs: atMs - startedMs, closedMs, code, outcome, lagEvents: health.sinks.http.lagEvents }
}

/** Everything that stands in the journals of processes that are gone is with the receiver. */
async function allTaken(last) {
  const startedMs = performance.now()
  for (;;) {
    const { events } = readWriters(directory)
    const taken = new Set(readFileSync(received, 'utf8').split('\n').filter(Boolean)).size
    const { health } = await last.ask({ health: true }, 'health')
    if (taken >= events.size && health.sinks.http.lagEvents === 0) return
    if (performance.now() - startedMs > DELIVERY_MS) return
    await sleep(200)
  }
}

async function check({ killed, down, closes }) {
  const { writers, events } = readWriters(directory)
  checkCalls(events)
  checkStop(down, writers)
  checkOrphans(killed, writers)
  const verdict = await verifyJournal(directory, { publicKeys: [publicKey] })
  if (!verdict.ok || verdict.tornTail) findings.violation('a journal does not verify', verdict.findings[0])
  if (verdict.unanchored > 0) findings.violation('lines behind the last checkpoint', verdict.unanchored)
  const compared = compareLines({ writers, received: readFileSync(received, 'utf8'), findings })
  for (const ms of closes)
    if (ms > CLOSE_MS + LATE_MS) findings.violation('close() took longer than its deadline', `${ms.toFixed(0)} ms`)
  if (compared.again === 0) findings.violation('no answer of the receiver was lost, so nothing was proved')
  const heard = readFileSync(said, 'utf8')
  if (heard !== '') findings.violation('a process has said something', heard.slice(0, 500))
  report({ writers, events, down, closes, verdict, compared })
}

/** Over all writers. */
function checkCalls(events) {
  const seen = new Map()
  for (const { kind, requestId } of events.values())
    if (kind === 'access') seen.set(requestId, (seen.get(requestId) ?? 0) + 1)
  for (const id of calls.answered)
    if (seen.get(id) !== 1) findings.violation(`an answered call with ${seen.get(id) ?? 0} events`, id)
  for (const [id, count] of seen) if (count !== 1) findings.violation('a call with several events', `${id}: ${count}`)
  if (calls.refused.length > 0) findings.violation('a good call was refused', calls.refused[0])
}

function checkStop({ tookMs, closedMs, code, outcome, lagEvents }, writers) {
  if (code !== 0 || tookMs > CLOSE_MS + EXIT_MS)
    findings.violation('SIGTERM: not gone in time', `${tookMs.toFixed(0)} ms, code ${code}`)
  if (closedMs > CLOSE_MS + LATE_MS) findings.violation('SIGTERM: close() took too long', `${closedMs.toFixed(0)} ms`)
  if (outcome.answered.length !== flags.open - ENDLESS)
    findings.violation('SIGTERM: open calls that were not answered', JSON.stringify(countsOf(outcome)))
  if (outcome.broken.length !== ENDLESS) findings.violation('SIGTERM: endless calls', JSON.stringify(countsOf(outcome)))
  if (lagEvents === 0) findings.violation('SIGTERM: the receiver was not behind, so nothing was proved')
  const events = writers.flatMap((each) => each.events)
  for (const id of outcome.broken) {
    const own = events.filter(({ requestId }) => requestId === id)
    if (own.length !== 1 || own[0].outcome !== 'interrupted')
      findings.violation('SIGTERM: a call that outlived its process is not interrupted', `${id}: ${own.length} events`)
  }
}

function countsOf({ answered, refused, broken }) {
  return { answered: answered.length, refused: refused.length, broken: broken.length }
}

function checkOrphans(killed, writers) {
  for (const { writer, events, openIntents, owners } of writers) {
    const of = (name) => events.filter((each) => each.name === name).length
    const [started, stopped, recovered] = ['audit.started', 'audit.stopped', 'audit.recovered'].map(of)
    const isKilled = events[0].service.instance === killed.name
    if (started !== 1) findings.violation('a writer that has not begun once', `${writer}: ${started}`)
    if (isKilled && (recovered !== 1 || stopped !== 0))
      findings.violation('the orphan was not ended once', `${recovered} × recovered, ${stopped} × stopped`)
    if (isKilled && !events.some(({ outcome }) => outcome === 'interrupted'))
      findings.violation('nothing was interrupted by the kill, so nothing was proved')
    if (!isKilled && stopped !== 1) findings.violation('a writer was not closed', `${writer}: ${stopped} × stopped`)
    if (openIntents.length > 0)
      findings.violation('intents without an event', `${events[0].service.instance}: ${openIntents.length}`)
    if (owners.length > 0)
      findings.violation('a finished journal that still has an owner', `${writer}: ${owners.join(' ')}`)
  }
}

function report({ writers, events, down, closes, verdict, compared }) {
  const interrupted = [...events.values()].filter(({ outcome }) => outcome === 'interrupted').length
  console.log(
    `${calls.answered.size} calls answered, ${calls.broken} broken off, ${calls.refused.length} refused; ` +
      `${writers.length} writers, ${events.size} events, ${interrupted} interrupted, chain ${verdict.ok ? 'verifies' : 'DOES NOT VERIFY'}.`,
  )
  console.log(
    `SIGTERM with ${flags.open} open calls, the receiver down and ${down.lagEvents} events behind: close() took ${down.closedMs.toFixed(0)} ms, ` +
      `the process was gone after ${down.tookMs.toFixed(0)} ms, ${JSON.stringify(countsOf(down.outcome))}; other closes at most ${Math.max(...closes).toFixed(0)} ms.`,
  )
  console.log(
    `Receiver: ${compared.lines} lines acknowledged, ${compared.again} of them again; ${compared.same} of ${events.size} events exact and in order.`,
  )
}
