// The guard over HTTP: CPU time that a server spends on a request, less that of the bare server in the same round.
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { AUDIENCE, ISSUER, jwk, KEY, publicPem, record, token } from './credentials.mjs'
import { shuffled, summary } from './rounds.mjs'

const SERVER = fileURLToPath(new URL('./server.mjs', import.meta.url))
/** These take live keys. */
const LIVE_GUARDS = new Set(['live', 'synced'])
export const LIVE_KEY = KEY.replace('hc_test_', 'hc_live_')

/** Guard and credential of each row, and the bare server that is sent the same. */
const ROWS = [
  { name: 'bare, JWT', guard: 'bare', credential: () => token('user_1') },
  { name: 'bare, API key', guard: 'bare', credential: () => KEY },
  { name: 'ours, API key', guard: 'test', credential: () => KEY, bare: 'bare, API key' },
  { name: 'ours, JWT', guard: 'test', credential: () => token('user_1'), bare: 'bare, JWT' },
  { name: 'ours, live with journal, API key', guard: 'live', credential: () => LIVE_KEY, bare: 'bare, API key' },
  { name: 'peer, JWT', guard: 'peer', credential: () => token('user_1'), bare: 'bare, JWT' },
]

const PEERS = { express: 'express-oauth2-jwt-bearer', koa: 'koa-jwt', fastify: '@fastify/jwt' }

export async function overHttp({ seconds, rounds, warmup, frameworks }) {
  const pinned = pin(process.pid, 1)
  const jwks = http.createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys: [jwk] }))
  })
  jwks.listen(0, '127.0.0.1')
  await once(jwks, 'listening')
  const results = {}
  for (const framework of frameworks) {
    results[framework] = await measure(framework, { seconds, rounds, warmup, jwksPort: jwks.address().port })
  }
  jwks.close()
  return { results, pinned, peers: PEERS }
}

async function measure(framework, { seconds, rounds, warmup, jwksPort }) {
  const contestants = []
  for (const row of ROWS) contestants.push({ ...row, ...(await start(framework, row, jwksPort)) })
  try {
    for (const each of contestants) {
      await checkRefusal(each)
      await load(each, warmup)
    }
    const cost = new Map(ROWS.map(({ name }) => [name, []]))
    for (let round = 0; round < rounds; round += 1) {
      for (const each of shuffled(contestants)) cost.get(each.name).push(await load(each, seconds))
    }
    return Object.fromEntries(ROWS.map(({ name, bare }) => [name, compared(cost.get(name), cost.get(bare ?? name))]))
  } finally {
    for (const { child } of contestants) child.disconnect()
  }
}

/** Noise adds and never takes away: the minimums say most. Beside them, the median of the differences round by round. */
function compared(list, bare) {
  const added = list.map((each, round) => each - bare[round])
  return { cpu: summary(list).min, added: summary(list).min - summary(bare).min, median: summary(added).median }
}

export async function start(framework, { guard, credential }, jwksPort) {
  const records = [record(KEY), { ...record(LIVE_KEY), id: 'key_live' }]
  const child = fork(SERVER, [framework, guard], {
    execArgv: ['--no-flush-bytecode'],
    env: {
      ...process.env,
      NODE_ENV: 'production',
      BENCH: JSON.stringify({
        issuer: ISSUER,
        audience: AUDIENCE,
        jwk,
        publicPem,
        jwksPort,
        records: [records[LIVE_GUARDS.has(guard) ? 1 : 0]],
      }),
    },
  })
  const [{ port }] = await once(child, 'message')
  pin(child.pid, 0)
  return { child, url: `http://127.0.0.1:${port}/v1/patients/123`, authorization: `Bearer ${credential()}` }
}

/** CPU microseconds of the server for each request of one slice. */
export async function load({ name, child, url, authorization }, seconds) {
  const before = await cpuOf(child)
  const {
    '2xx': good,
    non2xx,
    errors,
  } = await autocannon({ url, connections: 50, duration: seconds, headers: { authorization } })
  const after = await cpuOf(child)
  if (non2xx > 0 || errors > 0 || good === 0) throw new Error(`${name}: ${non2xx} refused, ${errors} errors`)
  return (after.user + after.system - before.user - before.system) / good
}

async function cpuOf(child) {
  child.send('cpu')
  const [{ cpu }] = await once(child, 'message')
  return cpu
}

/** A guard that lets everybody through would be fast. */
export async function checkRefusal({ name, guard, url, authorization }) {
  if (guard === 'bare') return
  const bad = authorization.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'))
  const { status } = await fetch(url, { headers: { authorization: bad } })
  if (status !== 401) throw new Error(`${name} answers ${status} to a bad credential`)
}

/** Server on one core, load on another, where the machine lets us say so. */
export function pin(pid, core) {
  try {
    execFileSync('taskset', ['-a', '-c', '-p', String(core), String(pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
