// What the audit costs on Fastify: the same server, without audit, with it, and with one line of pino a call in its place.
import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import autocannon from 'autocannon'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { KEY, record } from './credentials.mjs'
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
      overHttp: await callsPerSecond(synced, Math.max(2, seconds)),
      events: await eventsPerSecond(rounds),
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

/** Guarded calls over HTTP, 64 at a time; each is an intent and an event. */
async function callsPerSecond({ url, authorization }, seconds) {
  const { requests } = await autocannon({ url, connections: 64, duration: seconds, headers: { authorization } })
  return requests.average
}

/** `auth.verify`, 64 calls at a time in this process: each resolves once its event is on the disk. The best round of a second. */
async function eventsPerSecond(rounds) {
  const directory = mkdtempSync(join(tmpdir(), 'hc-bench-'))
  const auth = createAuth({
    environment: 'live',
    keys: { store: memoryKeyStore([{ ...record(LIVE_KEY), environment: 'live', createdAt: new Date(0) }]) },
    transport: { https: 'off' },
    audit: {
      directory,
      durability: 'synced',
      pseudonymKeys: [{ id: 'k1', secret: Buffer.alloc(32, 1).toString('base64') }],
    },
  })
  const context = { operation: 'bench', scopes: ['read:patients'], ip: '203.0.113.7', secure: true }
  const caller = async (until) => {
    let events = 0
    for (; performance.now() < until; events += 1) {
      const verdict = await auth.verify(LIVE_KEY, context)
      if (!verdict.ok) throw new Error(verdict.code)
    }
    return events
  }
  const perSecond = []
  for (let round = 0; round < rounds; round += 1) {
    const from = performance.now()
    const events = await Promise.all(Array.from({ length: 64 }, () => caller(from + 1000)))
    perSecond.push((events.reduce((all, each) => all + each) * 1000) / (performance.now() - from))
  }
  await auth.close()
  rmSync(directory, { recursive: true, force: true })
  return { best: summary(perSecond).max, median: summary(perSecond).median }
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
