// `npm run prove:reach [-- --quick] [-- --only=redis]`: how long a revocation by one process takes to reach another that has
// the key cached, as a histogram a store: the milliseconds from the moment when `revoke()` has resolved in process A until
// process B refuses the key, looked at every 5 ms.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createAuth } from '@healthcloud/auth'
import {
  conclude,
  createFindings,
  histogram,
  machineMs,
  pastLocks,
  quantile,
  readFlags,
  sorted,
} from './prove/command.mjs'
import { newPlace, openStore, removePlace } from './prove/stores.mjs'

const flags = readFlags({ revocations: 500, quick: false, only: 'all' })
const count = flags.quick ? 60 : flags.revocations
const FEED_LIMIT_MS = 1000
/** Of the question to the store that follows the end of the cache time, and of the 5 ms between two looks. */
const SLACK_MS = 250
const CACHE_SECONDS_WITHOUT_FEED = 2
/** So long that only the feed can end an entry. */
const CACHE_SECONDS_WITH_FEED = 3600
const BOUNDS = {
  fast: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
  slow: [50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000],
  none: [250, 500, 750, 1000, 1250, 1500, 1750, 2000, 2250],
}
const CASES = [
  { name: 'postgres', kind: 'postgres', feed: true, bounds: BOUNDS.fast },
  { name: 'redis', kind: 'redis', feed: true, bounds: BOUNDS.fast },
  { name: 'sqlite', kind: 'sqlite', feed: true, bounds: BOUNDS.slow },
  { name: 'nofeed', kind: 'sqlite', feed: false, bounds: BOUNDS.none },
]

const findings = createFindings()
const chosen = CASES.filter(({ name }) => flags.only === 'all' || name === flags.only)
if (chosen.length === 0) throw new Error(`--only: one of ${CASES.map(({ name }) => name).join(', ')}`)
console.log(`Revocation reach: ${count} revocations a store, 2 processes, Node ${process.version}.`)
for (const each of chosen) await prove(each)
conclude(findings, 'prove:reach')

async function prove({ name, kind, feed, bounds }) {
  const place = newPlace(kind)
  const cacheSeconds = feed ? CACHE_SECONDS_WITH_FEED : CACHE_SECONDS_WITHOUT_FEED
  const opened = await openStore(place)
  const auth = createAuth({ environment: 'test', keys: { store: opened.store }, transport: { https: 'off' } })
  await auth.ready()
  const server = startServer({ place, feed, cacheSeconds })
  try {
    await server.next('ready')
    const limit = feed ? FEED_LIMIT_MS : cacheSeconds * 1000 + SLACK_MS
    const lives = await runLives({ auth, server, limit, leadMs: feed ? 200 : cacheSeconds * 1000 })
    server.child.send({ end: true })
    const { watching, late } = await server.next('watching')
    if (watching !== (feed ? true : null))
      findings.violation(`${name}: the feed is not up at the end`, String(watching))
    report({ name, feed, cacheSeconds, limit, bounds, lives, late })
  } finally {
    server.child.kill()
    await auth.close()
    await opened.close()
    await removePlace(place)
  }
}

function startServer(settings) {
  const child = fork(fileURLToPath(new URL('./prove/reach-server.mjs', import.meta.url)), [], {
    env: { ...process.env, PROVE: JSON.stringify(settings) },
  })
  const refusals = new Map()
  child.on('message', (message) => {
    if (message.refused) refusals.get(message.refused)?.(message)
  })
  const next = async (member) => {
    for (;;) {
      const [message] = await once(child, 'message', { signal: AbortSignal.timeout(60_000) })
      if (Object.hasOwn(message, member)) return message
    }
  }
  const refusal = (id) => new Promise((resolve) => void refusals.set(id, resolve))
  return { child, next, refusal }
}

/** Keys are revoked one after another, and several are being watched at any time. */
async function runLives({ auth, server, limit, leadMs }) {
  const keys = []
  for (let at = 0; at < count; at += 1) {
    const facts = { organizationId: 'org_1', environment: 'test', name: `key ${at}`, scopes: ['read:patients'] }
    const { key, record } = await auth.keys.create({ ...facts, by: 'prove' })
    keys.push({ key, id: record.id })
  }
  const warmed = server.next('warmed')
  server.child.send({ warm: keys })
  const { warmed: wrong } = await warmed
  for (const id of wrong) findings.violation('a good key is not served from the cache', id)
  const lives = []
  for (const each of keys) {
    const failed = (error) => findings.violation('a revocation failed', error.message)
    lives.push(live(each, { auth, server, limit, leadMs }).catch(failed))
    await sleep(20 + Math.random() * 20)
  }
  return (await Promise.all(lives)).filter((each) => each !== undefined)
}

async function live({ key, id }, { auth, server, limit, leadMs }) {
  const refused = server.refusal(id)
  server.child.send({ watch: { key, id } })
  await sleep(10 + Math.random() * leadMs)
  const askedAt = machineMs()
  let again = 0
  await pastLocks(
    () => auth.keys.revoke(id, { by: 'prove', reason: 'proof' }),
    () => void (again += 1),
  )
  const revokedAt = machineMs()
  const timeout = sleep(limit + 10_000, null, { ref: false })
  const refusal = await Promise.race([refused, timeout])
  if (refusal === null) return { id, reach: Number.POSITIVE_INFINITY, reason: 'never', early: false, again }
  // What is refused before `revoke()` has resolved, but after it was called, is refused at once.
  if (refusal.at < askedAt) findings.violation('a good key was refused', refusal)
  return { id, reach: Math.max(0, refusal.at - revokedAt), early: refusal.at < revokedAt, again, ...refusal }
}

function report({ name, feed, cacheSeconds, limit, bounds, lives, late }) {
  const reaches = sorted(lives.map(({ reach }) => reach))
  for (const { reach, id } of lives) {
    if (!(reach <= limit)) findings.violation(`${name}: reach beyond ${limit} ms`, `${id}: ${reach} ms`)
  }
  for (const { status, reason } of lives) {
    if (reason !== 'never' && (status !== 401 || reason !== 'key_revoked'))
      findings.violation(`${name}: refused as ${status} ${reason}`)
  }
  const figures = [0.5, 0.99, 1].map((share) => quantile(reaches, share).toFixed(1))
  console.log(`\n${name}: ${feed ? 'with feed' : `without feed, cacheSeconds ${cacheSeconds}`}; limit ${limit} ms`)
  for (const line of histogram(reaches, bounds)) console.log(line)
  console.log(
    `  p50 ${figures[0]} ms, p99 ${figures[1]} ms, max ${figures[2]} ms; ${lives.length} revocations, ` +
      `${lives.filter(({ early }) => early).length} refused before revoke() had resolved; ` +
      `${lives.reduce((sum, { again }) => sum + again, 0)} times a lock was held and revoke() was called again; ` +
      `process B was late by at most ${late.toFixed(0)} ms`,
  )
}
