// `npm run prove:journal [-- --runs=200] [-- --quick] [-- --only=synced]`: a server under 64 calls at a time is killed with
// SIGKILL at a random moment, again and again; each next process ends the journal of the one before. Afterwards: every call that was answered 2xx
// has exactly one event, and so has every intent, whether its call was answered or broken off; calls that were open are
// `interrupted`, no event stands twice, and the chain verifies.
import { once } from 'node:events'
import { generateKeyPairSync, randomInt } from 'node:crypto'
import { createReadStream, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { readJournal, verifyJournal } from '@healthcloud/auth/audit'
import { startChild } from './prove/children.mjs'
import { conclude, createFindings, readFlags } from './prove/command.mjs'
import { journalKey, journalKeys } from './prove/journal-keys.mjs'
import { startLoad } from './prove/journal-load.mjs'

const flags = readFlags({ runs: 200, width: 64, quick: false, only: 'all' })
const runs = flags.quick ? 10 : flags.runs
const LEVELS = ['written', 'synced'].filter((level) => flags.only === 'all' || level === flags.only)
if (LEVELS.length === 0) throw new Error('--only: written or synced')
/** From the first call on. */
const KILL_AFTER_MS = [20, 600]

const findings = createFindings()
const keys = generateKeyPairSync('ed25519')
const signingKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' })
const publicKey = keys.publicKey.export({ type: 'spki', format: 'pem' })
console.log(`kill -9 under ${flags.width} calls at a time: ${runs} runs a level, Node ${process.version}.`)
for (const durability of LEVELS) await prove(durability)
conclude(findings, 'prove:journal')

async function prove(durability) {
  const directory = mkdtempSync(join(tmpdir(), 'hc-auth-journal-'))
  const calls = { answered: new Set(), refused: 0, broken: new Set() }
  const readyMs = []
  try {
    for (let run = 0; run < runs; run += 1) {
      const server = startChild('./journal-server.mjs', { directory, durability, signingKey })
      const ready = await server.next('port')
      readyMs.push(ready.readyMs)
      const load = startLoad({ port: ready.port, key: journalKey, width: flags.width, prefix: `r${run}` })
      await sleep(randomInt(...KILL_AFTER_MS))
      server.child.kill('SIGKILL')
      await Promise.all([once(server.child, 'exit'), load.stop()])
      for (const id of load.ended.answered) calls.answered.add(id)
      calls.refused += load.ended.refused.length
      for (const id of load.ended.broken) calls.broken.add(id)
    }
    await endLast(directory)
    await check({ directory, durability, calls, slowestMs: Math.max(...readyMs) })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** One more process that serves nobody ends the journal of the last one that was killed. */
async function endLast(directory) {
  const auth = createAuth({
    environment: 'live',
    keys: { store: memoryKeyStore() },
    audit: { directory, signingKey, ...journalKeys, reserveBytes: 0 },
  })
  await auth.ready()
  await auth.close()
}

async function check({ directory, durability, calls, slowestMs }) {
  const seen = new Map()
  const ids = new Set()
  const outcomes = {}
  let events = 0
  for await (const event of readJournal(directory)) {
    events += 1
    if (ids.has(event.id)) findings.violation(`${durability}: an event id twice`, event.id)
    ids.add(event.id)
    if (event.kind !== 'access') continue
    outcomes[event.outcome] = (outcomes[event.outcome] ?? 0) + 1
    seen.set(event.requestId, (seen.get(event.requestId) ?? 0) + 1)
  }
  for (const id of calls.answered) {
    const times = seen.get(id) ?? 0
    if (times !== 1) findings.violation(`${durability}: an answered call with ${times} events`, id)
  }
  const brokenWithIntent = await checkIntents({ directory, durability, broken: calls.broken, seen })
  const verdict = await verifyJournal(directory, { publicKeys: [publicKey] })
  if (!verdict.ok || verdict.tornTail)
    findings.violation(`${durability}: the journal does not verify`, verdict.findings[0])
  if (verdict.unanchored > 0) findings.violation(`${durability}: lines behind the last checkpoint`, verdict.unanchored)
  if (calls.refused > 0) findings.violation(`${durability}: a good call was refused`, calls.refused)
  if ((outcomes.interrupted ?? 0) === 0)
    findings.violation(`${durability}: nothing was interrupted, so nothing was proved`)
  console.log(
    `${durability}: ${calls.answered.size} calls answered, ${calls.broken.size} broken off ` +
      `(${brokenWithIntent} of them with an intent); ${events} events ` +
      `(${Object.entries(outcomes)
        .map(([outcome, count]) => `${count} ${outcome}`)
        .join(', ')}), 0 duplicates among ${ids.size} ids, ` +
      `chain ${verdict.ok ? 'verifies' : 'DOES NOT VERIFY'}; slowest ready() ${slowestMs.toFixed(0)} ms`,
  )
}

/**
 * The raw lines, without our reader: each intent has exactly one event under its id, and so has each call that was broken off and got
 * as far as an intent, under its request id. Gives how many of these there were.
 */
async function checkIntents({ directory, durability, broken, seen }) {
  const intents = new Map()
  const events = new Map()
  for (const name of readdirSync(directory, { recursive: true }).filter((each) => each.endsWith('.jsonl'))) {
    for await (const text of createInterface({ input: createReadStream(join(directory, name)) })) {
      const line = JSON.parse(text)
      if (line.intent !== undefined) intents.set(line.intent, line.requestId)
      else events.set(line.id, (events.get(line.id) ?? 0) + 1)
    }
  }
  let brokenWithIntent = 0
  for (const [id, requestId] of intents) {
    const times = events.get(id) ?? 0
    if (times !== 1) findings.violation(`${durability}: an intent with ${times} events`, id)
    if (!broken.has(requestId)) continue
    brokenWithIntent += 1
    if (seen.get(requestId) !== 1)
      findings.violation(
        `${durability}: a call that was broken off, with ${seen.get(requestId) ?? 0} events`,
        requestId,
      )
  }
  if (brokenWithIntent === 0)
    findings.violation(`${durability}: no intent of a call that was broken off, so nothing was proved`)
  return brokenWithIntent
}
