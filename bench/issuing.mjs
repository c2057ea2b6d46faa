// The token endpoint over HTTP: CPU time that an exchange costs beyond the bare server, beside one raw RSA signature.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import { AUDIENCE, ISSUER, KEY, record, signing } from './credentials.mjs'
import { shuffled, summary } from './rounds.mjs'

const SERVER = fileURLToPath(new URL('./issuing-server.mjs', import.meta.url))
const KINDS = ['bare', 'signing', 'test', 'live']
const LIVE_KEY = KEY.replace('hc_test_', 'hc_live_')
const SCOPES = ['read:patients', 'exec:agents']
const body = JSON.stringify({ scope: SCOPES })

/**
 * Of each framework: microseconds of a bare request, of a signature, and what is added by one signature in the bare server, by
 * an exchange on a test server and by one on a live server. Rounds are interleaved; the minimums are compared, and beside them the medians of what each round gives.
 */
export async function issuing({ seconds, rounds, warmup, frameworks }) {
  const results = {}
  for (const framework of frameworks) results[framework] = await measure(framework, { seconds, rounds, warmup })
  return results
}

async function measure(framework, { seconds, rounds, warmup }) {
  const contestants = []
  try {
    for (const kind of KINDS) contestants.push(await start(framework, kind))
    for (const each of contestants) {
      await checkAnswer(each)
      await load(each, warmup)
      await signature(each)
    }
    const cost = { bare: [], signing: [], test: [], live: [], signature: [] }
    for (let round = 0; round < rounds; round += 1) {
      for (const each of shuffled(contestants)) {
        cost[each.kind].push(await load(each, seconds))
        if (each.kind === 'test') cost.signature.push(await signature(each))
      }
    }
    return { bare: summary(cost.bare).min, signature: summary(cost.signature).min, ...addedBy(cost) }
  } finally {
    for (const { child } of contestants) child.disconnect()
  }
}

function addedBy({ bare, signature: raw, ...kinds }) {
  const compared = Object.entries(kinds).map(([kind, list]) => {
    const added = summary(list).min - summary(bare).min
    const ratios = list.map((each, round) => (each - bare[round]) / raw[round])
    return [kind, { added, ratio: added / summary(raw).min, medianRatio: summary(ratios).median }]
  })
  return Object.fromEntries(compared)
}

async function start(framework, kind) {
  const live = kind === 'live'
  const key = live ? LIVE_KEY : KEY
  const settings = {
    issuer: ISSUER,
    audience: AUDIENCE,
    signingKey: { ...signing.privateKey.export({ format: 'jwk' }), kid: 'bench-1' },
    record: { ...record(key, SCOPES), environment: live ? 'live' : 'test' },
  }
  const child = fork(SERVER, [framework, kind], {
    execArgv: ['--no-flush-bytecode'],
    env: { ...process.env, NODE_ENV: 'production', BENCH: JSON.stringify(settings) },
  })
  const [{ port }] = await once(child, 'message')
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  return { kind, child, url: `http://127.0.0.1:${port}/v1/auth/token`, headers }
}

/** CPU microseconds of the server for each request of one slice. */
async function load({ kind, child, url, headers }, seconds) {
  const before = await cpuOf(child)
  const settings = { url, method: 'POST', headers, body, connections: 20, duration: seconds }
  const { '2xx': good, non2xx, errors } = await autocannon(settings)
  const after = await cpuOf(child)
  if (non2xx > 0 || errors > 0 || good === 0) throw new Error(`${kind}: ${non2xx} refused, ${errors} errors`)
  return (after.user + after.system - before.user - before.system) / good
}

async function cpuOf(child) {
  child.send('cpu')
  const [{ cpu }] = await once(child, 'message')
  return cpu
}

async function signature({ child }) {
  child.send('sign')
  const [{ signature: cost }] = await once(child, 'message')
  return cost
}

/** An endpoint that mints nothing, or for everybody, would be fast; and the bare one must send as much. */
async function checkAnswer({ kind, url, headers }) {
  const response = await fetch(url, { method: 'POST', headers, body })
  const { access_token: token } = await response.json()
  if (response.status !== 200 || Math.abs(token.length - 760) > 100)
    throw new Error(`${kind} answers ${response.status} with ${token?.length} characters`)
  if (kind === 'bare' || kind === 'signing') return
  const bad = await fetch(url, { method: 'POST', headers: { ...headers, authorization: 'Bearer hc_test_sk_No' }, body })
  if (bad.status !== 401) throw new Error(`${kind} answers ${bad.status} to a bad key`)
}
