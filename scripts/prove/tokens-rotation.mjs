// Rotation of signing keys under load, for `prove-tokens-life.mjs`. Every clock runs fast, and alike.
import { generateKeyPair } from 'node:crypto'
import http from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startChild } from './children.mjs'
import { machineMs, quantile, sorted } from './command.mjs'
import { createCaller } from './rotation-load.mjs'
import { fastClock } from './tokens-clock.mjs'

const SPEED = 200
const MINUTE = 60_000
const LIFETIME_SECONDS = 3600
/** Of a verifier, beyond `exp`. */
const TOLERANCE_SECONDS = 30
const MAX_AGE_SECONDS = 300
/** A new key signs so long after it was deployed: what a verifier may be late, and the time between two instances. */
const AHEAD_MS = MAX_AGE_SECONDS * 1000 + 2 * MINUTE
const EVERY_MS = 15 * MINUTE
const TICK_MS = 20
const COMMON = { issuer: 'https://issuer.example', audience: 'https://partner.example', maxAgeSeconds: MAX_AGE_SECONDS }

/** Of this process, which sends the calls: what it adds to the latencies. */
const delay = monitorEventLoopDelay({ resolution: 5 })

/** `seconds` of the machine. Resolves to the lines of the summary. */
export async function proveRotation({ seconds, findings }) {
  const keys = await makeKeys(Math.ceil((seconds * 1000 * SPEED) / EVERY_MS) + 2)
  const time = { startedAt: machineMs(), wall: Date.now(), speed: SPEED }
  const clock = fastClock(time)
  const issuer = startChild('./tokens-issuer.mjs', { ...COMMON, time, first: keys[0] })
  let verifier = null
  const caller = createCaller()
  const exchanger = createExchanger()
  try {
    const { port, key } = await issuer.next('port')
    const jwks = `http://127.0.0.1:${port}/.well-known/jwks.json`
    verifier = startChild('./tokens-verifier.mjs', { ...COMMON, time, jwks })
    const { port: guarded } = await verifier.next('port')
    const world = { issuer, verifier, clock, keys, findings, seconds }
    const calls = createCalls(world, {
      exchange: () => exchanger.exchange(port, key),
      call: (token) => caller.call(guarded, token),
    })
    return await run(world, calls)
  } finally {
    caller.close()
    exchanger.close()
    await verifier?.end()
    await issuer.end()
  }
}

async function run(world, calls) {
  const { issuer, verifier, clock, seconds, findings } = world
  const startedAt = clock.now()
  delay.enable()
  const timer = setInterval(() => calls.tick(), TICK_MS)
  const known = [{ key: world.keys[0], from: null }]
  const end = startedAt + seconds * 1000 * SPEED
  for (let at = 1; clock.now() + EVERY_MS < end; at += 1) {
    await rotate(world, known, world.keys[at])
    await sleep(Math.max(0, startedAt + at * EVERY_MS - clock.now()) / SPEED)
  }
  await sleep(Math.max(0, end - clock.now()) / SPEED)
  clearInterval(timer)
  await calls.settled()
  delay.disable()
  const counts = await issuer.call({ action: 'counts' })
  const { facts } = await verifier.ask({ facts: true }, 'facts')
  const control = await proveControl(world, calls, known)
  if (!control) findings.violation('rotation: the control, a key that signs at once, was not noticed')
  return summary({ world, calls, known, counts, facts, startedAt })
}

/** One instance after the other, a minute of the fast clock apart. */
async function rotate({ issuer, clock }, known, key) {
  known.push({ key, from: clock.now() + AHEAD_MS })
  for (const at of [0, 1]) {
    await issuer.call({ action: 'deploy', at, keys: known })
    await sleep(MINUTE / SPEED)
  }
}

/** A key that signs from its deployment on must be refused by a verifier that keeps its set: else nothing was proven. */
async function proveControl({ issuer, clock, keys }, calls, known) {
  const hasty = [...known, { key: keys.at(-1), from: clock.now() }]
  for (const at of [0, 1]) await issuer.call({ action: 'deploy', at, keys: hasty })
  for (let count = 0; count < 20; count += 1) if ((await calls.once()) === 401) return true
  return false
}

function createCalls({ clock, findings }, { exchange, call }) {
  const pool = []
  const under = new Set()
  const kids = new Set()
  const tally = { good: 0, refused: 0, past: 0, between: 0, mostAged: 0, ms: [] }

  const mint = async () => {
    const { status, token } = await exchange()
    if (status !== 200) return findings.violation('rotation: an exchange failed', String(status))
    const [header, payload] = token.split('.', 2).map((each) => JSON.parse(Buffer.from(each, 'base64url').toString()))
    kids.add(header.kid)
    const entry = { token, kid: header.kid, issuedAt: payload.iat * 1000, expiresAt: payload.exp * 1000 }
    pool.push(entry)
    return entry
  }
  const use = async (entry) => {
    const sentAt = clock.now()
    const { status, ms } = await call(entry.token)
    const answeredAt = clock.now()
    if (sentAt >= entry.expiresAt + TOLERANCE_SECONDS * 1000) {
      tally.past += 1
      if (status !== 401) findings.violation('rotation: a token past its end passed', String(status))
    } else if (answeredAt >= entry.expiresAt) tally.between += 1
    else {
      tally.good += 1
      tally.ms.push(ms)
      tally.mostAged = Math.max(tally.mostAged, sentAt - entry.issuedAt)
      if (status === 200) return status
      tally.refused += 1
      findings.violation('rotation: a good token was refused', { status, kid: entry.kid, age: sentAt - entry.issuedAt })
    }
    return status
  }
  const start = (work) => {
    const done = work().finally(() => under.delete(done))
    under.add(done)
  }
  const oldest = () => {
    const now = clock.now()
    while (pool.length > 0 && pool[0].expiresAt + 2 * MINUTE < now) pool.shift()
    return pool[0]
  }
  return {
    tally,
    kids,
    /** A new token at once; one of any age; the oldest. */
    tick: () => {
      start(async () => {
        const entry = await mint()
        if (entry !== undefined) await use(entry)
      })
      const old = oldest()
      if (old === undefined) return
      start(() => use(old))
      start(() => use(pool[Math.floor(Math.random() * pool.length)]))
    },
    /** The answer to a new token. */
    once: async () => (await call((await exchange()).token)).status,
    settled: () => Promise.all(under),
  }
}

function summary({ world, calls, known, counts, facts, startedAt }) {
  const { tally, kids } = calls
  const hours = (world.clock.now() - startedAt) / (60 * MINUTE)
  const retired = known.slice(1).filter(({ from }) => from + (LIFETIME_SECONDS + 60) * 1000 < world.clock.now()).length
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(sorted(tally.ms), share).toFixed(1))
  return [
    `Signing key rotation under load: 2 issuer instances, 1 verifier with a key set of ${MAX_AGE_SECONDS} s and no earlier`,
    `question; clocks ${SPEED} × as fast, ${hours.toFixed(1)} hours; a new key every ${EVERY_MS / MINUTE} minutes, deployed one instance`,
    `after the other ${AHEAD_MS / MINUTE} minutes before it signs.`,
    `  ${known.length - 1} rotations, ${kids.size} keys have signed, ${retired} are retired and gone; ${counts.keySets} reads of the key set`,
    `  ${counts.exchanges} exchanges; ${tally.good} calls by good tokens, up to ${(tally.mostAged / MINUTE).toFixed(1)} minutes old: ` +
      `${tally.refused} refused`,
    `  ${tally.past} calls by tokens past their end: all refused unless reported; ${tally.between} fell on the end itself`,
    `  p50 ${p50} ms, p99 ${p99} ms, max ${max} ms; this process was late by at most ${(delay.max / 1e6).toFixed(0)} ms; reasons of refusals: ${JSON.stringify(facts.reasons)}`,
    '  control: a key that signs from its deployment on is refused by the same verifier',
  ]
}

async function makeKeys(count) {
  const make = promisify(generateKeyPair)
  const keys = []
  for (let at = 0; at < count; at += 1) {
    const { privateKey } = await make('rsa', { modulusLength: 2048 })
    keys.push(privateKey.export({ format: 'jwk' }))
  }
  return keys
}

/** The documented request, over sockets that are kept alive. */
function createExchanger() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
  const body = '{"scope":["read:patients"]}'
  const exchange = (port, key) =>
    new Promise((resolve) => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
      const options = { host: '127.0.0.1', port, path: '/v1/auth/token', method: 'POST', agent, headers }
      const request = http.request(options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk) => void (text += chunk))
        response.once('end', () => {
          const { statusCode: status } = response
          resolve({ status, token: status === 200 ? JSON.parse(text).access_token : '' })
        })
      })
      request.once('error', (error) => resolve({ status: error.code ?? 'error', token: '' }))
      request.end(body)
    })
  return { exchange, close: () => agent.destroy() }
}
