// Steady calls of `prove-engines.mjs`, each judged at once.
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const TICK_MS = 10
/** Of ticks, between two calls by a key that no cache has. */
const COLD_EVERY = 5
const RECOVERY_MS = 2000
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const context = { ip: '127.0.0.1', secure: null, operation: 'prove.engines' }

/** Well-formed, and issued by nobody. */
export function unknownKey() {
  const body = [...randomBytes(30)].map((byte) => BASE62[byte % 62]).join('')
  const text = `hc_test_sk_${body}`
  let [check, rest] = ['', crc32Of(text)]
  for (let at = 0; at < 6; at += 1) {
    check = BASE62[rest % 62] + check
    rest = Math.floor(rest / 62)
  }
  return text + check
}

function crc32Of(text) {
  return crc32(text)
}

/**
 * `warm`: good keys that are cached; `cold`: good ones that nobody has used yet, taken from the end; `revoked`: keys that
 * were once good and cached. `outage.from` and `outage.to` bound the time in which the store may be out of reach.
 */
export function startCalls({ auth, keys, findings, name }) {
  const outage = { from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY, kind: '' }
  const counts = { warm: 0, cold: 0, bad: 0, refused: 0 }
  const under = new Set()
  let passed = null
  let slowest = 0
  let ticks = 0
  let fault = false

  const isExcused = (startedAt) => fault || startedAt < outage.to + RECOVERY_MS
  const found = (what, { status, reason }) =>
    findings.violation(`${name}: ${what}`, `${outage.kind}: ${status} ${reason}`)
  const warm = async () => {
    const start = performance.now()
    counts.warm += 1
    const verdict = await auth.verify(keys.warm[counts.warm % keys.warm.length], context)
    slowest = Math.max(slowest, performance.now() - start)
    if (!verdict.ok) found('a cached caller was refused', verdict)
  }
  const cold = async () => {
    const key = keys.cold.at(-1)
    if (key === undefined) return
    const start = performance.now()
    counts.cold += 1
    const verdict = await auth.verify(key, context)
    if (verdict.ok) {
      if (keys.cold.at(-1) === key) keys.cold.pop()
      passed?.(start)
    } else if (verdict.status !== 503) found('a good key was not answered with 503', verdict)
    else if (!isExcused(start)) found('503 while the engine was well', verdict)
    else counts.refused += 1
  }
  const bad = async () => {
    counts.bad += 1
    const key = counts.bad % 2 === 0 ? unknownKey() : keys.revoked[counts.bad % keys.revoked.length]
    const verdict = await auth.verify(key ?? unknownKey(), context)
    if (verdict.ok) found('a bad key passed', { status: 200, reason: key })
    else if (verdict.status !== 401 && verdict.status !== 503) found('a bad key was answered otherwise', verdict)
  }
  const run = (call) => {
    const done = call().finally(() => under.delete(done))
    under.add(done)
  }
  const tick = () => {
    ticks += 1
    run(warm)
    run(warm)
    run(bad)
    if (ticks % COLD_EVERY === 0) run(cold)
  }
  let timer = setInterval(tick, TICK_MS)

  return {
    counts,
    /** Longest wait of a cached caller since the last time. */
    takeSlowest: () => {
      const [last] = [slowest]
      slowest = 0
      return last
    },
    beginOutage: (kind) => {
      fault = true
      Object.assign(outage, { from: performance.now(), kind })
    },
    endOutage: (at) => {
      fault = false
      outage.to = at
    },
    /** When a call by a cold key began after `at` that passed. */
    coldPasses: (at) =>
      new Promise((resolve) => {
        passed = (start) => {
          if (start < at) return
          passed = null
          resolve(performance.now())
        }
      }),
    pause: async () => {
      clearInterval(timer)
      await Promise.all(under)
    },
    resume: () => {
      timer = setInterval(tick, TICK_MS)
    },
  }
}
