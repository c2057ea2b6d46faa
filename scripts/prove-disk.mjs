// `npm run prove:disk [-- --seconds=5] [-- --only=full|start|flood]`: a live server whose journal is on a volume of 256 KiB.
// full: under load until nothing fits any more. Live calls are then 503 AUDIT_UNAVAILABLE, no call is answered 2xx without its
// event, no line is torn, a test server beside it serves on; with room it recovers by itself. start: it is started while the
// volume is full. flood: refusals alone, thousands a second, never take the room that is reserved for good calls; all are
// accounted for. Mounts a tmpfs, so it needs root.
import { createHash, generateKeyPairSync } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { verifyJournal } from '@healthcloud/auth/audit'
import { conclude, createFindings, readFlags } from './prove/command.mjs'
import { startCalls, startFlood } from './prove/disk-calls.mjs'
import { gapsIn, readFolder, refusalsIn, sum } from './prove/disk-journal.mjs'
import { mountVolume } from './prove/disk-volume.mjs'
import { journalKey, journalRecord } from './prove/journal-keys.mjs'
import { startHeard } from './prove/processes-child.mjs'

const flags = readFlags({ seconds: 5, only: 'all' })
const KIB = 1024
const VOLUME = 256 * KIB
const LARGE = 64 * KIB * KIB
const RECOVERY_MS = 2000
/** Pages beside the lines: the owner's mark, a cursor and the one that replaces it, and what the last line leaves of its own. */
const BESIDE = 4 * 4096
/** Of refusals that are events of their own, and of groups that are counted together, in a second. */
const SINGLE = 200
/** Places, and for each reason one group of all further places. */
const GROUPS = 1000 + 10
const ISSUER = 'https://issuer.example'
const AUDIENCE = 'https://partner.example'
const TEST_KEY = 'hc_test_sk_AbC12xYz9kLmNpQr'

const findings = createFindings()
const journalPair = generateKeyPairSync('ed25519')
const tokenPair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const jwk = { ...tokenPair.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }
const settings = {
  signingKey: journalPair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [jwk] } },
  testRecord: {
    ...journalRecord,
    environment: 'test',
    hint: 'hc_test_sk_…NpQr',
    digest: `sha256:${createHash('sha256').update(TEST_KEY).digest('base64url')}`,
  },
}
const publicKey = journalPair.publicKey.export({ type: 'spki', format: 'pem' })
const PARTS = { full: proveFull, start: proveStart, flood: proveFlood }
if (flags.only !== 'all' && !Object.hasOwn(PARTS, flags.only)) throw new Error('--only: full, start or flood')
console.log(`A journal on ${VOLUME / KIB} KiB, Node ${process.version}.`)
for (const [name, prove] of Object.entries(PARTS)) if (flags.only === 'all' || flags.only === name) await prove()
conclude(findings, 'prove:disk')

/** A volume and a server on it; both go when `work` is done. */
async function onVolume({ bytes = VOLUME, reserveBytes = 0, ballast = 0 }, work) {
  const volume = mountVolume(bytes)
  const output = join(tmpdir(), `hc-auth-disk-${process.pid}.txt`)
  let server = null
  try {
    if (ballast > 0) volume.load(ballast)
    server = startHeard('./disk-server.mjs', { ...settings, directory: volume.journal, reserveBytes }, output)
    const { ports, unready } = await server.next('ports')
    await work({ volume, server, ports, unready, said: () => readFileSync(output, 'utf8') })
  } finally {
    await server?.kill('SIGKILL')
    volume.unmount()
    rmSync(output, { force: true })
  }
}

/** Live calls by how they ended, each judged at once. */
function createJudge(name) {
  const calls = { good: [], refused: 0, firstGoodMs: Number.POSITIVE_INFINITY }
  const judge = ({ id, status, retryAfter, body }) => {
    if (status === 200) {
      calls.good.push(id)
      calls.firstGoodMs = Math.min(calls.firstGoodMs, performance.now())
      return
    }
    calls.refused += 1
    if (status !== 503 || retryAfter !== '1' || !body.includes('"AUDIT_UNAVAILABLE"'))
      findings.violation(`${name}: a live call was answered otherwise`, `${status} ${retryAfter} ${body.slice(0, 100)}`)
  }
  return { calls, judge }
}

async function proveFull() {
  await onVolume({ ballast: 96 * KIB }, async ({ volume, server, ports, said }) => {
    const beside = { calls: 0 }
    const stopTest = startCalls({
      port: ports.test,
      key: TEST_KEY,
      width: 1,
      everyMs: 10,
      prefix: 't',
      judge: testJudge,
    })
    function testJudge({ status }) {
      beside.calls += 1
      if (status !== 200) findings.violation('full: the test server beside it does not serve', status)
    }
    const { calls, judge } = createJudge('full')
    const start = (prefix) => startCalls({ port: ports.live, key: journalKey, width: 16, prefix, judge })

    const stopFirst = start('one')
    await until(() => calls.refused >= 500)
    await sleep(1200)
    await stopFirst()
    await checkOutage({ volume, server })
    const served = calls.good.length
    volume.lighten()
    const aloneMs = await recovery(server, performance.now())

    const stopSecond = start('two')
    const before = calls.refused
    await until(() => calls.refused >= before + 500)
    calls.firstGoodMs = Number.POSITIVE_INFINITY
    const enlargedMs = performance.now()
    volume.enlarge(LARGE)
    await until(() => calls.firstGoodMs < Number.POSITIVE_INFINITY)
    const underLoadMs = calls.firstGoodMs - enlargedMs
    await sleep(1000)
    await stopSecond()
    await stopTest()
    for (const [what, ms] of Object.entries({ alone: aloneMs, 'under load': underLoadMs }))
      if (ms > RECOVERY_MS)
        findings.violation(`full: not back within ${RECOVERY_MS} ms (${what})`, `${ms.toFixed(0)} ms`)
    console.log(
      `full: ${served} calls fitted, then 503; back after ${aloneMs.toFixed(0)} ms by itself and ${underLoadMs.toFixed(0)} ms under load; ` +
        `${beside.calls} calls of the test server beside it, all 200.`,
    )
    await checkFull({ volume, server, calls, said: said() })
  })
}

/** Nothing fits, and nobody calls. */
async function checkOutage({ volume, server }) {
  const { health } = await server.ask({ health: true }, 'health')
  if (!health.degraded || health.audit.journal.writable)
    findings.violation('full: the health does not say so', health.audit)
  const { torn, events } = readFolder(volume.journal)
  if (torn.length > 0) findings.violation('full: a torn line', torn[0])
  if (events.length === 0) findings.violation('full: nothing was written, so nothing was proved')
}

async function recovery(server, fromMs) {
  for (;;) {
    const { health } = await server.ask({ health: true }, 'health')
    if (health.audit.journal.writable || performance.now() - fromMs > 10_000) return performance.now() - fromMs
    await sleep(20)
  }
}

async function checkFull({ volume, server, calls, said }) {
  const { taken, health } = await server.ask({ end: true }, 'taken')
  const { events, torn } = readFolder(volume.journal)
  if (torn.length > 0) findings.violation('full: a torn line at the end', torn[0])
  const seen = countBy(events.filter(({ kind }) => kind === 'access'))
  for (const id of calls.good)
    if (seen.get(id) !== 1) findings.violation(`full: a 2xx with ${seen.get(id) ?? 0} events`, id)
  const unavailable = sum(events.filter(({ reason, name }) => reason === 'audit_unavailable' && name === 'request'))
  const gaps = gapsIn(events)
  if (unavailable + gaps !== calls.refused || health.audit.gaps !== gaps)
    findings.violation('full: refused calls that nothing tells of', { refused: calls.refused, unavailable, gaps })
  const warnings = { HC_AUTH_JOURNAL: 0, HC_AUTH_DISK_SPACE: 0 }
  for (const code of Object.keys(warnings)) {
    warnings[code] = said.split(`[${code}]`).length - 1
    if (warnings[code] === 0) findings.violation('full: standard error does not warn', code)
  }
  checkTaken('full', events, taken)
  await checkChain('full', volume)
  console.log(
    `full: ${calls.good.length} calls 200, each with one event; ${calls.refused} calls 503 = ${unavailable} events + ${gaps} in gaps; ` +
      `${events.length} events, all with the sink; warnings ${JSON.stringify(warnings)}.`,
  )
}

/** At least once, whatever happened to the cursor. */
function checkTaken(name, events, taken) {
  const had = new Map(taken)
  for (const { id } of events) if (!had.has(id)) findings.violation(`${name}: an event that the sink does not have`, id)
  if (had.size !== events.length) findings.violation(`${name}: the sink has others`, `${had.size} of ${events.length}`)
}

async function checkChain(name, { journal }) {
  const verdict = await verifyJournal(journal, { publicKeys: [publicKey] })
  if (!verdict.ok || verdict.tornTail) findings.violation(`${name}: the journal does not verify`, verdict.findings[0])
  if (verdict.unanchored > 0) findings.violation(`${name}: lines behind the last checkpoint`, verdict.unanchored)
}

async function proveStart() {
  await onVolume({ ballast: VOLUME }, async ({ volume, server, ports, unready }) => {
    const { calls, judge } = createJudge('start')
    if (unready !== 'JOURNAL_NOT_WRITABLE') findings.violation('start: ready() did not refuse', String(unready))
    const stop = startCalls({ port: ports.live, key: journalKey, width: 2, everyMs: 20, prefix: 's', judge })
    await until(() => calls.refused >= 50)
    if (calls.good.length > 0) findings.violation('start: served without a journal', calls.good[0])
    const fromMs = performance.now()
    volume.lighten()
    await until(() => calls.good.length > 0 || performance.now() - fromMs > 10_000)
    const ms = calls.firstGoodMs - fromMs
    if (ms > RECOVERY_MS)
      findings.violation('start: a server that began on a full volume does not come back', `${ms} ms`)
    await sleep(500)
    await stop()
    const { taken } = await server.ask({ end: true }, 'taken')
    const { events } = readFolder(volume.journal)
    if (calls.good.length > 0) {
      checkTaken('start', events, taken)
      await checkChain('start', volume)
    }
    const gaps = gapsIn(events)
    const refused =
      sum(refusalsIn(events)) +
      sum(events.filter(({ reason, name }) => reason === 'audit_unavailable' && name === 'request'))
    if (calls.good.length > 0 && gaps + refused !== calls.refused)
      findings.violation('start: refused calls that nothing tells of', { refused: calls.refused, gaps })
    console.log(
      `start: refused ${calls.refused} calls, ready again ${ms.toFixed(0)} ms after there was room; ${calls.good.length} calls 200.`,
    )
  })
}

async function proveFlood() {
  await flood({ name: 'flood of 256 KiB', bytes: VOLUME })
  await flood({ name: 'flood of 64 MiB', bytes: LARGE })
}

/** Half of the volume is reserved: the other half is all that refusals may have. */
async function flood({ name, bytes }) {
  const reserveBytes = bytes / 2
  await onVolume({ bytes, reserveBytes }, async ({ volume, server, ports }) => {
    const { calls, judge } = createJudge(name)
    const stopGood = startCalls({ port: ports.live, key: journalKey, width: 1, everyMs: 200, prefix: 'g', judge })
    const startedMs = performance.now()
    const stopFlood = startFlood({ port: ports.live, connections: 16, issuer: ISSUER, audience: AUDIENCE })
    let least = volume.free()
    const watch = setInterval(() => {
      least = Math.min(least, volume.free())
    }, 20)
    await sleep(flags.seconds * 1000)
    const statuses = await stopFlood()
    const seconds = (performance.now() - startedMs) / 1000
    await sleep(2000)
    clearInterval(watch)
    await stopGood()
    const { health } = await server.ask({ health: true }, 'health')
    const { taken } = await server.ask({ end: true }, 'taken')
    await check({ name, volume, reserveBytes, calls, statuses, seconds, least, health, taken })
  })
}

async function check({ name, volume, reserveBytes, calls, statuses, seconds, least, taken }) {
  const { events, intents } = readFolder(volume.journal)
  const refused = Object.values(statuses).reduce((total, each) => total + each, 0)
  if (statuses['200'] !== undefined) findings.violation(`${name}: a bad call passed`, statuses['200'])
  if (calls.refused > 0)
    findings.violation(`${name}: a good call was refused`, `${calls.refused} of ${calls.good.length + calls.refused}`)
  const folded = refusalsIn(events)
  const gaps = gapsIn(events)
  if (sum(folded) + gaps !== refused)
    findings.violation(`${name}: refusals that nothing tells of`, { refused, counted: sum(folded), gaps })
  const groups = folded.filter(({ count }) => count > 1).length
  const singles = folded.length - groups
  // A group can hold one call, and then cannot be told from an event of its own.
  const most = (SINGLE + GROUPS) * (Math.ceil(seconds) + 2)
  if (singles + groups > most)
    findings.violation(`${name}: more lines than the budget`, `${singles + groups} of ${most}`)
  const bytes = folded.reduce((total, each) => total + each.bytes, 0)
  const good = events.reduce((total, each) => total + each.bytes, 0) - bytes + JSON.stringify(intents).length
  if (least + good + BESIDE < reserveBytes || bytes > reserveBytes)
    findings.violation(
      `${name}: refusals have taken what was reserved`,
      `${least} bytes free at least, ${bytes} of refusals, ${good} of good calls, ${reserveBytes} reserved`,
    )
  checkTaken(name, events, taken)
  await checkChain(name, volume)
  console.log(
    `${name}: ${refused} refusals, ${(refused / seconds).toFixed(0)} a second, ${JSON.stringify(statuses)} = ${sum(folded)} in ${folded.length} events + ${gaps} in gaps; ` +
      `${bytes} bytes; at least ${least} of ${reserveBytes} reserved bytes free; ${calls.good.length} good calls 200.`,
  )
}

function countBy(events) {
  const counts = new Map()
  for (const { requestId } of events) counts.set(requestId, (counts.get(requestId) ?? 0) + 1)
  return counts
}

async function until(isTrue) {
  const signal = AbortSignal.timeout(60_000)
  while (!isTrue()) await sleep(5, undefined, { signal })
}
