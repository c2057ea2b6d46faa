// `npm run prove:canary [-- --requests=1000] [-- --seed=1]`: requests full of secrets on every framework. Keys, patients'
// names, numbers, dates of birth and addresses stand in headers, queries, paths, bodies, errors, claims and answers; what comes
// out of the journal, every sink, listeners, figures, exports and the process itself must hold none of them: raw, in base64,
// hex or URL form, reversed, nor eight characters of a key. A name that may be shown must be found everywhere.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportsOf, filesOf, openReceivers } from './prove/canary-receivers.mjs'
import { createSearch, formsOf } from './prove/canary-search.mjs'
import { CONTROL, makeKeys, makeTexts, PREFIX, randomFrom, tokenOf } from './prove/canary-secrets.mjs'
import { controlShot, createShots, fire, sureShots } from './prove/canary-shots.mjs'
import { conclude, createFindings, readFlags } from './prove/command.mjs'
import { startHeard } from './prove/processes-child.mjs'

const flags = readFlags({ requests: 1000, seed: 20_261_124 })
/** Only figures and what nobody calls an event: the name that may be shown is not among them. */
const WITHOUT_EVENTS = new Set([
  'health',
  'metrics',
  'diagnostics_channel',
  'thrown',
  'other files',
  'other files while it ran',
  'hc-auth audit query',
  'hc-auth audit summary',
])
const PARALLEL = 8
/** Characters of a key that are too many. */
const WINDOW = 8

const findings = createFindings()
const random = randomFrom(flags.seed)
const keys = makeKeys(random)
const texts = makeTexts(random)
const tokenPair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const claims = { name: texts.given, email: texts.claim, birthdate: texts.dob, principal: texts.principal }
const tokens = {
  good: tokenOf(tokenPair.privateKey, claims),
  expired: tokenOf(tokenPair.privateKey, { ...claims, iat: 1, exp: 2 }),
}
const signingKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
const pseudonymSecret = randomBytes(32).toString('base64')
const { search, count } = createSearch({ keys, texts, tokens, pseudonymSecret, signingKey: signingKey.split('\n')[1] })
const folder = mkdtempSync(join(tmpdir(), 'hc-auth-canary-'))
const [directory, places, said] = ['journal', 'places', 'said.txt'].map((name) => join(folder, name))
mkdirSync(places)
const receivers = await openReceivers(texts.receiverText)
let server = null
let whileItRan = ''
console.log(`${flags.requests} requests, seed ${flags.seed}, Node ${process.version}.`)
try {
  proveSearch()
  const statuses = await prove()
  await check(statuses)
  conclude(findings, 'prove:canary')
} finally {
  await server?.kill('SIGKILL')
  await receivers.close()
  rmSync(folder, { recursive: true, force: true })
}

/** A search that finds nothing anywhere proves nothing: each form of each secret is found where it is planted. */
function proveSearch() {
  const around = 'q'.repeat(1000)
  let planted = 0
  const secrets = [...Object.values(texts), ...Object.values(keys).map((key) => key.slice(-2 * WINDOW, -WINDOW))]
  for (const secret of secrets)
    for (const [form, text] of Object.entries(formsOf(secret))) {
      planted += 1
      if (search(`${around}${text}${around}`).length === 0)
        findings.violation('the search misses a planted secret', form)
    }
  for (const key of Object.values(keys))
    for (let at = PREFIX.length; at + WINDOW <= key.length; at += 1) {
      planted += 1
      if (search(around + key.slice(at, at + WINDOW) + around).length === 0)
        findings.violation('the search misses eight characters of a key', String(at))
    }
  if (search(around + PREFIX + around).length > 0) findings.violation('the search finds what is not there')
  console.log(`Search: ${count} secrets; ${planted} planted one by one, all in their forms, each found.`)
}

async function prove() {
  const jwk = { ...tokenPair.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }
  const settings = { directory, places, keys, texts, jwk, signingKey, pseudonymSecret, ...receivers.settings }
  server = startHeard('./canary-server.mjs', settings, said)
  const { ports } = await server.next('ports')
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL })
  const names = Object.keys(ports)
  const next = createShots({ random, keys, texts, tokens })
  const shots = Array.from({ length: flags.requests }, (_, at) => ({ name: names[at % names.length], shot: next() }))
  for (const name of names)
    for (const shot of [...sureShots({ keys, texts, tokens }), controlShot(keys)]) shots.push({ name, shot })
  const statuses = {}
  const worker = async () => {
    for (let each = shots.pop(); each !== undefined; each = shots.pop()) {
      const answer = await fire({ port: ports[each.name], agent, shot: each.shot })
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1
      look(each, answer)
      if (shots.length % 250 === 0) await server.ask({ health: true }, 'health')
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
  agent.destroy()
  whileItRan = textOf(filesOf(directory).filter((each) => !isSegment(each)))
  if (!whileItRan.includes('owner-1')) findings.violation('no file names the owner, so nothing was proved of it')
  const { lag } = await server.ask({ end: true }, 'ended')
  if (lag.length > 0) findings.violation('a sink that does not have all', lag)
  await server.gone
  return statuses
}

/** Our own answers are one more way out; those of handlers and hosts are theirs. */
function look({ name, shot }, { headers, body }) {
  const text = body.startsWith('{"error":{"code":"') ? `${headers}\n${body}` : headers
  for (const { canary, form } of search(text))
    findings.violation(`answers of ${name}: ${canary} (${form})`, `${shot.method} ${shot.path.slice(0, 60)}`)
}

async function check(statuses) {
  const journal = filesOf(directory)
  const dead = journal.filter(({ name }) => name.startsWith('dead-'))
  if (dead.length === 0) findings.violation('no dead letters, so nothing was proved of them')
  const contents = {
    journal: textOf(journal.filter(isSegment)),
    'other files': textOf(journal.filter((each) => !isSegment(each))),
    'other files while it ran': whileItRan,
    ...Object.fromEntries(filesOf(places).map(({ name, text: each }) => [name.replace('.txt', ''), each])),
    ...(await receivers.contents()),
    ...exportsOf(directory, findings),
    'standard output and error': readFileSync(said, 'utf8'),
  }
  for (const [place, all] of Object.entries(contents)) checkPlace(place, all)
  checkVariety(journal.filter(isSegment))
  const sizes = Object.entries(contents).map(([place, all]) => `${place} ${(all.length / 1024).toFixed(0)}`)
  console.log(`Places searched, KiB: ${sizes.join(', ')}.`)
  console.log(
    `Other files of the journal: ${journal
      .filter((each) => !isSegment(each))
      .map(({ name }) => name)
      .join(' ')}`,
  )
  console.log(`Answers: ${JSON.stringify(statuses)}`)
}

function isSegment({ name }) {
  return /^\d{8}\.jsonl$/.test(name)
}

function textOf(files) {
  return files.map(({ name, text }) => `${name}\n${text}`).join('\n')
}

function checkPlace(place, all) {
  if (all === '') findings.violation('a place that holds nothing, so nothing was proved', place)
  for (const { canary, form } of search(all)) findings.violation(`${place}: ${canary} (${form})`)
  if (WITHOUT_EVENTS.has(place)) return
  if (!all.includes(CONTROL)) findings.violation('a place without the name that may be shown', place)
}

/** The calls were of all kinds. */
function checkVariety(segments) {
  const events = segments
    .flatMap(({ text }) => text.split('\n').filter(Boolean))
    .map((text) => JSON.parse(text))
    .filter(({ kind }) => kind === 'access')
  const reasons = new Set(events.map(({ reason }) => reason))
  const wanted = ['scheme_unsupported', 'key_malformed', 'key_unknown', 'key_revoked', 'jwt_expired', 'jwt_signature']
  for (const reason of [...wanted, 'handler_error', 'organization_mismatch', 'store_unavailable', 'not_found', null])
    if (!reasons.has(reason)) findings.violation('a kind of call that did not occur', String(reason))
  const patients = events.filter(({ phi }) => (phi?.patients.length ?? 0) > 0).length
  if (patients === 0) findings.violation('no event names a patient, so nothing was proved of pseudonyms')
  console.log(`${events.length} access events, ${reasons.size} reasons, ${patients} with patients' pseudonyms.`)
}
