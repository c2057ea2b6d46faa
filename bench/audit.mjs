// What the audit costs on Fastify: the same server, without audit, with it, and with one line of pino a call in its place.
import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import autocannon from 'autocannon'
import { KEY } from './credentials.mjs'
import { checkRefusal, LIVE_KEY, load, pin, start } from './http.mjs'
import { shuffled, summary } from './rounds.mjs'

const ROWS = [
  { name: 'without audit', guard: 'test', credential: () => KEY },
  { name: 'written: intent, event, chain', guard: 'live', credential: () => LIVE_KEY },
  { name: 'synced: the same, on the disk first', guard: 'synced', credential: () => LIVE_KEY },
  { name: 'one line of pino, synchronous', guard: 'pino', credential: () => KEY },
]

export async function auditCost({ seconds, rounds, warmup }) {
  pin(process.pid, 1)
  const contestants = []
  for (const row of ROWS) contestants.push({ ...row, ...(await start('fastify', row, 0)) })
  try {
    for (const each of contestants) {
      await checkRefusal(each)
      await load(each, warmup)
    }
    const cost = new Map(ROWS.map(({ name }) => [name, []]))
    for (let round = 0; round < rounds; round += 1) {
      for (const each of shuffled(contestants)) cost.get(each.name).push(await load(each, seconds))
    }
    const [bare, ...others] = ROWS.map(({ name }) => name)
    const rows = others.map((name) => [name, added(cost.get(name), cost.get(bare))])
    const synced = contestants.find(({ guard }) => guard === 'synced')
    return {
      bare: summary(cost.get(bare)).min,
      rows: Object.fromEntries(rows),
      throughput: await eventsPerSecond(synced, Math.max(2, seconds)),
      raw: await rawLimit(),
    }
  } finally {
    for (const { child } of contestants) child.disconnect()
  }
}

function added(list, bare) {
  const differences = list.map((each, round) => each - bare[round])
  return { cpu: summary(list).min, added: summary(list).min - summary(bare).min, median: summary(differences).median }
}

/** Calls a second at 64 at a time; each is an intent and an event. */
async function eventsPerSecond({ url, authorization }, seconds) {
  const { requests } = await autocannon({ url, connections: 64, duration: seconds, headers: { authorization } })
  return requests.average
}

const flush = promisify(fdatasync)

/** What the disk takes: groups of 64 lines of 700 bytes, each group written and forced to it before the next. */
async function rawLimit() {
  const directory = mkdtempSync(join(tmpdir(), 'hc-bench-raw-'))
  const file = openSync(join(directory, 'raw.jsonl'), 'a')
  const group = Buffer.alloc(64 * 700, 120)
  const times = []
  for (let at = 0; at < 400; at += 1) {
    const from = performance.now()
    writeSync(file, group)
    await flush(file)
    times.push(performance.now() - from)
  }
  closeSync(file)
  rmSync(directory, { recursive: true, force: true })
  const { min, median } = summary(times)
  return { minMs: min, medianMs: median, linesPerSecond: (64 * 1000) / median }
}
