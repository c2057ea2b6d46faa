// `npm run prove:engines [-- --quick] [-- --rounds=20] [-- --only=postgres|redis|ioredis]`: a PostgreSQL and a Redis of its
// own are killed, hung and restarted under steady calls. Cached callers are never refused, a good key is never a 401, a bad one
// never passes; the store is back within two seconds of its engine, and nothing is left behind.
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAuth } from '@healthcloud/auth'
import { conclude, createFindings, markdown, quantile, readFlags, sorted } from './prove/command.mjs'
import { importHelpers } from './prove/compiled.mjs'
import { startCalls } from './prove/engine-calls.mjs'
import { createCases } from './prove/engine-cases.mjs'

const flags = readFlags({ rounds: 20, only: 'all', quick: false, verbose: false })
const rounds = flags.quick ? 2 : flags.rounds
const RECOVERY_MS = 2000
const REACH_MS = 1000
const WARM_KEYS = 20
const COLD_KEYS = 80
const LOOK_EVERY_MS = 60
const MOST_LOOKS = 20
/** Of an outage, in milliseconds. Hung for more than five seconds the feed is lost by its heartbeat. */
const LENGTHS = { kill: [300, 3000], hang: [500, 7000], restart: [0, 0] }

const FAULTS = {
  kill: async ({ engine }, downMs) => {
    await engine.kill()
    await sleep(downMs)
    await engine.start()
  },
  hang: async ({ engine }, downMs) => {
    engine.hang()
    await sleep(downMs)
    engine.resume()
  },
  restart: async ({ engine, shutDown }) => {
    await shutDown(engine)
    // Its process has ended; this is for the helper, which starts none beside one that runs.
    await engine.kill()
    await engine.start()
  },
}

const findings = createFindings()
const { modules, out } = await importHelpers('postgres-engine', 'redis-engine')
rmSync(out, { recursive: true, force: true })
const cases = createCases(Object.assign({}, ...modules)).filter(
  ({ name }) => flags.only === 'all' || name === flags.only,
)
if (cases.length === 0) throw new Error('--only: one of postgres, redis, ioredis')
console.log(`Engines under steady calls: ${rounds} rounds each of kill, hang and restart, Node ${process.version}.`)
for (const each of cases) await prove(each)
conclude(findings, 'prove:engines')

async function prove(each) {
  const engine = await each.start()
  const [ours, theirs] = await Promise.all([each.connect(engine, 'ours'), each.connect(engine, 'theirs')])
  const options = { environment: 'test', transport: { https: 'off' }, failures: { max: 1_000_000 } }
  // Short, so that every outage outlasts it and what is cached is stale.
  const auth = createAuth({ ...options, keys: { store: ours.store, cacheSeconds: 1, staleIfErrorSeconds: 60 } })
  const admin = createAuth({ ...options, keys: { store: theirs.store } })
  const keys = { warm: [], cold: [], revoked: [] }
  const context = { ip: null, secure: null, operation: 'prove.warm' }
  try {
    await Promise.all([auth.ready(), admin.ready()])
    keys.warm = (await make(admin, WARM_KEYS)).map(({ key }) => key)
    for (const key of keys.warm) await auth.verify(key, context)
    const calls = startCalls({ auth, keys, findings, name: each.name })
    await sleep(1500)
    const world = { ...each, engine, ours, theirs, auth, admin, keys, calls, context }
    const rows = []
    const baseline = await left(world)
    for (let at = 0; at < rounds; at += 1) {
      for (const kind of Object.keys(LENGTHS)) rows.push(await round(world, { kind, at, baseline }))
    }
    await calls.pause()
    report(each.name, rows, { baseline, counts: calls.counts })
    await Promise.all([auth.close(), admin.close()])
    await Promise.all([ours.close(), theirs.close()])
    await sleep(200)
    const after = await each.onServer(engine, 'ours')
    if (after !== 0) findings.violation(`${each.name}: connections after everything was closed`, String(after))
  } finally {
    await engine.stop()
  }
}

async function make(admin, count) {
  const facts = { organizationId: 'org_1', environment: 'test', name: 'proof', scopes: ['read:patients'], by: 'prove' }
  return Promise.all(Array.from({ length: count }, () => admin.keys.create(facts)))
}

async function round(world, { kind, at, baseline }) {
  const { name, auth, calls, keys, admin, context } = world
  const fresh = await make(admin, COLD_KEYS - keys.cold.length)
  keys.cold.push(...fresh.map(({ key }) => key))
  const [victim] = await make(admin, 1)
  if (!(await auth.verify(victim.key, context)).ok) findings.violation(`${name}: a new key was refused`, kind)
  calls.takeSlowest()

  const [least, most] = LENGTHS[kind]
  const downMs = Math.round(least + Math.random() * (most - least))
  calls.beginOutage(kind)
  await FAULTS[kind](world, downMs)
  const back = performance.now()
  calls.endOutage(back)

  const recovery = await within(RECOVERY_MS * 5, calls.coldPasses(back)).then((time) => time - back)
  if (!(recovery <= RECOVERY_MS))
    findings.violation(`${name}: ${kind}: look-ups were not back in 2 s`, `${recovery} ms`)
  const feed = await within(RECOVERY_MS * 5, feedIsUp(auth)).then((time) => time - back)
  if (!(feed <= RECOVERY_MS)) findings.violation(`${name}: ${kind}: the feed was not back in 2 s`, `${feed} ms`)
  const reach = await revocationReach(world, victim)
  if (!(reach <= REACH_MS)) findings.violation(`${name}: ${kind}: a revocation did not arrive`, `${reach} ms`)
  keys.revoked.push(victim.key)
  if (keys.revoked.length > 20) keys.revoked.shift()
  const slowest = calls.takeSlowest()
  await sleep(Math.max(0, RECOVERY_MS - (performance.now() - back)))
  const row = { kind, at, downMs, recovery, feed, reach, slowest, ...(await left(world, baseline)) }
  if (flags.verbose) console.log(JSON.stringify(row))
  return row
}

/** Infinity where it has not happened by then. */
async function within(ms, work) {
  const late = sleep(ms, Number.POSITIVE_INFINITY, { ref: false })
  return Promise.race([work, late])
}

async function feedIsUp(auth) {
  for (let count = 0; count < 2000; count += 1) {
    if (auth.health().keys.watching === true) return performance.now()
    await sleep(5)
  }
  return Number.POSITIVE_INFINITY
}

/** Milliseconds until a key that is cached, and was revoked by another instance, is refused. */
async function revocationReach({ name, admin, auth, context }, { key, record }) {
  try {
    await retried(() => admin.keys.revoke(record.id, { by: 'prove', reason: 'proof' }))
  } catch (error) {
    findings.violation(`${name}: a revocation failed after the engine's return`, error.message)
    return Number.NaN
  }
  const start = performance.now()
  while (performance.now() - start < 5000) {
    const verdict = await auth.verify(key, context)
    if (!verdict.ok && verdict.status === 401) return performance.now() - start
    await sleep(5)
  }
  return Number.POSITIVE_INFINITY
}

/** The other instance may find its own connections broken once. */
async function retried(work) {
  for (let count = 1; ; count += 1) {
    try {
      return await work()
    } catch (error) {
      if (count === 5) throw error
      await sleep(100)
    }
  }
}

/**
 * What is there once all is quiet: connections on both sides, listeners, sockets and timers of this process. The store's own
 * work (a heartbeat, last uses) may be under way at a first look; what is left behind is still there at the last one.
 */
async function left(world, baseline) {
  const { name, calls } = world
  await calls.pause()
  let [looks, look] = [0, null]
  do {
    await sleep(LOOK_EVERY_MS)
    look = await lookAtRest(world)
    looks += 1
  } while (isLeftBehind(look, baseline) && looks < MOST_LOOKS)
  calls.resume()
  if (isLeftBehind(look, baseline)) findings.violation(`${name}: something is left behind`, { ...look, baseline })
  return look
}

async function lookAtRest({ engine, ours, theirs, onServer }) {
  const server = await onServer(engine, 'ours')
  const resources = process.getActiveResourcesInfo()
  const count = (type) => resources.filter((each) => each === type).length
  const [own, others] = [ours.counts(), theirs.counts()]
  const timers = count('Timeout') - own.idle - others.idle
  const expectedSockets = own.connections + others.connections
  return { ...own, server, timers, sockets: count('TCPSocketWrap'), expectedSockets }
}

function isLeftBehind(look, baseline = look) {
  const grown = ['listeners', 'listenersOfClients', 'timers'].some((name) => look[name] > baseline[name])
  const isWhole = look.server === look.connections && look.sockets === look.expectedSockets
  return grown || !isWhole || look.connections > look.most || look.taken !== 1 || look.waiting !== 0
}

function report(name, rows, { baseline, counts }) {
  const figures = (values) => {
    const inOrder = sorted(values)
    return [0, 0.5, 1].map((share) => quantile(inOrder, share).toFixed(0)).join(' / ')
  }
  const columns = [
    'downMs',
    'recovery',
    'feed',
    'reach',
    'slowest',
    'connections',
    'server',
    'listeners',
    'sockets',
    'timers',
  ]
  console.log(
    `\n${name}: calls: ${counts.warm} cached, ${counts.cold} not cached (${counts.refused} of them 503), ${counts.bad} bad`,
  )
  console.log('min / median / max; milliseconds from the return of the engine')
  const head = [
    'fault',
    'engine away',
    'look-up back',
    'feed back',
    'then revocation reach',
    'longest cached call',
    'connections, client',
    '… server',
    'listeners',
    'sockets',
    'timers, without those of idle connections',
  ]
  const cells = (kind) => {
    const own = rows.filter((row) => row.kind === kind)
    return [`${kind}, ${rounds} ×`].concat(columns.map((column) => figures(own.map((row) => row[column]))))
  }
  for (const line of markdown(head, Object.keys(LENGTHS).map(cells))) console.log(line)
  console.log(
    `before the first round: ${baseline.connections} connections, ${baseline.listeners} listeners, ` +
      `${baseline.sockets} sockets, ${baseline.timers} timers`,
  )
}
