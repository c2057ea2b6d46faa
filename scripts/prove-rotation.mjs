// `npm run prove:rotation [-- --quick] [-- --store=postgres|redis|sqlite] [-- --seconds=300] [-- --rotations=1000]`:
// rotation under load. Two servers share one store; a third process rotates keys while old and new ones are used over HTTP.
// No call by a key that is valid may be refused, none by a key past its deadline may pass. Then the clock of the servers is
// moved to the last millisecond of the 24 hours and one further, with the key cached and with it not cached.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './prove/children.mjs'
import { conclude, createFindings, pastLocks, quantile, readFlags, sorted } from './prove/command.mjs'
import { createCaller } from './prove/rotation-load.mjs'
import { createChains, expected, newKey } from './prove/rotation-keys.mjs'
import { proveDeadlines } from './prove/rotation-deadlines.mjs'
import { newPlace, removePlace } from './prove/stores.mjs'

const flags = readFlags({ store: 'postgres', seconds: 300, rotations: 1000, rate: 500, quick: false })
const { seconds, rotations } = flags.quick ? { seconds: 20, rotations: 60 } : flags
const CHAINS = 100
const CACHE_SECONDS = 30
const DAY_SECONDS = 86_400
/** Mostly short, so that many deadlines fall into the run; the documented day; and none at all. */
const GRACES = [1, 2, 3, DAY_SECONDS, 1, 2, 3, DAY_SECONDS, 2, 0]
/** Of every key on every server, one call after another: two cold servers would begin with a backlog. */
const WARM_UP_ROUNDS = 5
/** The longest short grace, and time for calls after it. */
const TAIL_MS = 4500
/** The default `timeoutMs` of a look-up. */
const SLOW_MS = 250

const findings = createFindings()
/** Of this process, which sends the calls: what it adds to the latencies. */
const delay = monitorEventLoopDelay({ resolution: 5 })
const place = newPlace(flags.store)
const children = []
const caller = createCaller()
try {
  await main()
} finally {
  caller.close()
  await Promise.all(children.map(({ end }) => end()))
  await removePlace(place)
}
conclude(findings, 'prove:rotation')

async function main() {
  const start = (file) => {
    const child = startChild(file, { place, cacheSeconds: CACHE_SECONDS })
    children.push(child)
    return child
  }
  const rotator = start('./rotation-rotator.mjs')
  await rotator.next('ready')
  const servers = ['./rotation-server.mjs', './rotation-server.mjs'].map(start)
  const ports = await Promise.all(servers.map(async ({ next }) => (await next('port')).port))
  const first = []
  for (let at = 0; at < CHAINS; at += 1) {
    first.push(newKey(await rotator.call({ action: 'create', name: `chain ${at}` })))
  }
  const chains = createChains(first)
  const tally = createTally()
  console.log(
    `Rotation under load: ${flags.store}, 2 servers (Fastify), ${flags.rate} calls a second, ${rotations} rotations in ` +
      `${seconds} s, Node ${process.version}.`,
  )
  await warmUp({ ports, keys: first, tally })
  tally.begin()
  delay.enable()
  const until = Date.now() + seconds * 1000 + TAIL_MS
  const [made] = await Promise.all([rotate(rotator, chains), load({ ports, chains, tally, until })])
  const facts = await Promise.all(servers.map(({ ask }) => ask({ facts: true }, 'facts')))
  report(tally, made, facts)
  const dayOld = chains.all().filter(({ graceSeconds, validUntil }) => graceSeconds === DAY_SECONDS && validUntil)
  for (const line of await proveDeadlines({ servers, ports, keys: dayOld, caller, findings })) console.log(line)
}

async function warmUp({ ports, keys, tally }) {
  const one = async (port) => {
    for (let count = 0; count < WARM_UP_ROUNDS; count += 1) {
      for (const key of keys) await callOnce(port, key, tally)
    }
  }
  await Promise.all(ports.map(one))
}

async function rotate(rotator, chains) {
  const everyMs = (seconds * 1000) / rotations
  const begin = performance.now()
  const under = []
  const made = { done: 0, again: 0, errors: 0 }
  for (let at = 0; at < rotations; at += 1) {
    await sleep(Math.max(0, begin + at * everyMs - performance.now()))
    under.push(rotateOne(rotator, chains, { graceSeconds: GRACES[at % GRACES.length], made }))
  }
  await Promise.all(under)
  return made
}

async function rotateOne(rotator, chains, { graceSeconds, made }) {
  const chain = chains.takeForRotation()
  const old = chain.at(-1)
  Object.assign(old, { rotatingSince: Date.now(), graceSeconds })
  try {
    const request = { action: 'rotate', id: old.id, graceSeconds }
    const { validUntil, ...fresh } = await pastLocks(
      () => rotator.call(request),
      () => void (made.again += 1),
    )
    old.validUntil = validUntil
    chains.rotated(chain, newKey(fresh))
    made.done += 1
  } catch (error) {
    // What became of it is not known, so that it tells nothing any more; the others go on.
    made.errors += 1
    findings.violation('a rotation failed', error.message)
  }
}

/** Calls at a fixed rate, whether or not the ones before are answered. */
async function load({ ports, chains, tally, until }) {
  const TICK_MS = 10
  const begin = performance.now()
  const under = new Set()
  let sent = 0
  while (Date.now() < until) {
    const due = Math.floor(((performance.now() - begin) / 1000) * flags.rate)
    for (; sent < due; sent += 1) {
      const call = callOnce(ports[sent % ports.length], chains.forCall(), tally).finally(() => under.delete(call))
      under.add(call)
    }
    await sleep(TICK_MS)
  }
  await Promise.all(under)
}

async function callOnce(port, key, tally) {
  const { status, ms, sentAt, answeredAt } = await caller.call(port, key.key)
  const must = expected(key, sentAt, answeredAt)
  tally.note({ status, ms, must, sentAt })
  const left = key.validUntil === null ? 'not rotated' : `${key.validUntil - sentAt} ms before its deadline when sent`
  const detail = `${status}, ${left}, grace ${key.graceSeconds} s, answered after ${ms.toFixed(1)} ms, sent at ${tally.secondOf(sentAt)} s`
  if (must === 'pass' && status !== 200) findings.violation('a call by a valid key was refused', detail)
  if (must === 'refusal' && status !== 401) {
    findings.violation(status === 200 ? 'a key passed after its deadline' : 'an ended key was not a 401', detail)
  }
  if (status !== 200 && status !== 401) findings.violation('an answer that is neither 200 nor 401', detail)
}

function createTally() {
  const statuses = new Map()
  const musts = new Map()
  const times = []
  const slow = new Map()
  let begunAt = Number.NaN
  /** Of the load; NaN in the warm-up. */
  const secondOf = (at) => Math.floor((at - begunAt) / 1000)
  const add = (map, name) => map.set(name, (map.get(name) ?? 0) + 1)
  return {
    statuses,
    musts,
    times,
    begin: () => {
      begunAt = Date.now()
    },
    slow,
    secondOf,
    note: ({ status, ms, must, sentAt }) => {
      if (ms > SLOW_MS) add(slow, `${secondOf(sentAt)} s`)
      add(statuses, status)
      add(musts, must)
      if (!Number.isNaN(begunAt)) times.push(ms)
    },
  }
}

function report({ statuses, musts, times, slow }, made, facts) {
  const list = (map) => [...map].map(([name, value]) => `${name}: ${value}`).join(', ')
  const reasons = new Map()
  for (const { facts: fact } of facts) {
    for (const [name, value] of Object.entries(fact.reasons)) reasons.set(name, (reasons.get(name) ?? 0) + value)
    if (fact.health.watching !== true) findings.violation('the feed is not up at the end')
  }
  const inOrder = sorted(times)
  const ms = (share) => `${quantile(inOrder, share).toFixed(1)} ms`
  const calls = [...musts.values()].reduce((sum, value) => sum + value, 0)
  console.log(
    `  rotations: ${made.done} done, ${made.errors} failed; ${made.again} times a lock was held, and it was tried again`,
  )
  console.log(`  calls: ${calls}; by status: ${list(statuses)}`)
  console.log(`  had to be: ${list(musts)} (either: the deadline, or the reach of an end at once, fell between)`)
  console.log(`  refused, by reason (servers' events): ${list(reasons) || 'none'}`)
  console.log(`  latency: p50 ${ms(0.5)}, p99 ${ms(0.99)}, max ${ms(1)}`)
  const findTimes = sorted(facts.flatMap(({ facts: fact }) => fact.findTimes))
  const find = (share) => `${quantile(findTimes, share).toFixed(1)} ms`
  console.log(`  look-ups of the store: ${findTimes.length}; p50 ${find(0.5)}, p99 ${find(0.99)}, max ${find(1)}`)
  console.log(`  slow calls (over ${SLOW_MS} ms), by second: ${list(slow) || 'none'}`)
  const late = ({ p99Ms, maxMs }) => `p99 ${p99Ms.toFixed(0)} ms, max ${maxMs.toFixed(0)} ms`
  console.log(
    `  event loops were late by: caller ${late({ p99Ms: delay.percentile(99) / 1e6, maxMs: delay.max / 1e6 })}`,
  )
  for (const { facts: fact } of facts) console.log(`    server ${late(fact)}`)
  if (made.done + made.errors !== rotations) findings.violation('not all rotations were made')
}
