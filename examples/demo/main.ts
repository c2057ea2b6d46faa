import { fork, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAuth, memoryKeyStore, type Auth, type KeyRecord, type KeyStore } from '@healthcloud/auth'
import { readJournal } from '@healthcloud/auth/audit'
import { createClient, type DemoClient } from './client.ts'
import { createPrinter } from './printer.ts'
import { startServers, type DemoServer } from './servers.ts'

/**
 * `npm run demo`: one auth before Express, Koa and Fastify, live and over TLS, with a real issuer in a process of its own.
 * Everything is on loopback, and in a folder that is removed at the end. With `--json` the facts alone are printed.
 */
const print = createPrinter(process.argv.includes('--json'))

const directory = await mkdtemp(path.join(tmpdir(), 'hc-demo-'))
const clientSecret = randomBytes(32).toString('base64url')
let movedMs = 0
let storeDown = false

const memory = memoryKeyStore()
const store: KeyStore = {
  ...memory,
  find: (lookup, context) =>
    storeDown ? Promise.reject(new Error('the demo pulled the plug')) : memory.find(lookup, context),
}
const issuer = await startIssuer()
const auth = createAuth({
  environment: 'live',
  keys: { store },
  tokens: { issuer: issuer.url, audience: 'https://partner.example', jwks: `${issuer.url}/jwks` },
  audit: { directory, pseudonymKeys: [{ id: 'k1', secret: randomBytes(32).toString('base64') }] },
  service: { name: 'demo' },
  clock: { now: () => Date.now() + movedMs, monotonicMs: () => performance.now() + movedMs },
})
await auth.ready()
const { servers, ca } = await startServers(auth)
const client = createClient(ca)

try {
  const keys = await createKeys(auth)
  const token = await issueToken()
  await showCalls({ ...keys, token })
  await showRotation(keys.reader)
  await showOutages(keys.reader, token)
  await showLoad(keys.reader, token)
  await showJournal()
} finally {
  client.close()
  await Promise.all(servers.map((server) => server.close()))
  await auth.close()
  issuer.process.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
}
print.end()

async function startIssuer(): Promise<{ url: string; process: ChildProcess }> {
  const child = fork(fileURLToPath(new URL('./issuer.js', import.meta.url)), {
    env: { ...process.env, DEMO_CLIENT_SECRET: clientSecret },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { url: string }).url))
    child.once('exit', () => reject(new Error('the issuer did not start')))
  })
  return { url, process: child }
}

async function createKeys({ keys }: Auth): Promise<{ reader: string; narrow: string }> {
  const base = { organizationId: 'org_demo', environment: 'live', by: 'demo' } as const
  const reader = await keys.create({ ...base, name: 'reader', scopes: ['read:patients', 'read:observations'] })
  const narrow = await keys.create({ ...base, name: 'agents only', scopes: ['exec:agents'] })
  print.line(`A key, shown this once: ${reader.key.slice(0, 15)}… (from now on ${reader.record.hint})`)
  return { reader: reader.key, narrow: narrow.key }
}

async function issueToken(): Promise<string> {
  const response = await fetch(`${issuer.url}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`partner:${clientSecret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'read:patients' }),
  })
  const { access_token: accessToken } = (await response.json()) as { access_token: string }
  return accessToken
}

/** The same calls on three frameworks, with identical answers. */
async function showCalls({ reader, narrow, token }: { reader: string; narrow: string; token: string }): Promise<void> {
  print.title('The same calls on three frameworks')
  const calls: readonly [string, string, string | undefined][] = [
    ['a key with the scope', '/v1/patients/123', reader],
    ['the same key, now cached', '/v1/patients/123', reader],
    ['a token of the issuer', '/v1/patients/123', token],
    ['a key without the scope', '/v1/patients/123', narrow],
    ['no credential', '/v1/patients/123', undefined],
    ['a key with a typo', '/v1/patients/123', `${reader.slice(0, -1)}0`],
    ['a FHIR search of one patient', '/fhir/Patient/123/Observation', reader],
    ['a path that does not exist', '/v1/nowhere', reader],
  ]
  for (const [what, url, credential] of calls) {
    const answers = await Promise.all(servers.map(({ port }) => client.get(port, url, credential)))
    const [first] = answers
    const identical = answers.every((each) => withoutId(each.body) === withoutId(first?.body ?? ''))
    print.row([what, String(first?.status ?? 0), first?.code ?? '', identical ? 'identical' : 'DIFFERENT'])
    print.fact('calls', { what, statuses: answers.map(({ status }) => status), code: first?.code ?? null, identical })
  }
}

function withoutId(body: string): string {
  return body.replace(/"requestId":"[^"]*"/, '')
}

/** A rotated key works until its deadline, from the cache too; then the clock is moved. */
async function showRotation(reader: string): Promise<void> {
  print.title('A rotated key lives on for 24 hours')
  const key = `hc_live_sk_${randomBytes(24).toString('hex').slice(0, 16)}`
  await store.insert(rotatedRecord(key, new Date(Date.now() + 86_400_000)))
  const before = await everywhere('/v1/patients/123', key)
  movedMs = 86_400_000
  const after = await everywhere('/v1/patients/123', key)
  print.row(['before the deadline', before.join(' ')])
  print.row(['24 hours later', after.join(' ')])
  print.fact('rotation', { before, after })
  movedMs = 0
  await everywhere('/v1/patients/123', reader)
}

function rotatedRecord(key: string, validUntil: Date): KeyRecord {
  return {
    id: 'key_rotated',
    organizationId: 'org_demo',
    environment: 'live',
    name: 'rotated',
    scopes: ['read:patients'],
    hint: `hc_live_sk_…${key.slice(-4)}`,
    digest: `sha256:${createHash('sha256').update(key).digest('base64url')}`,
    allowedCidrs: [],
    createdAt: new Date(),
    createdBy: 'demo',
    expiresAt: null,
    rotatedAt: new Date(),
    validUntil,
    replacedBy: 'key_next',
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
  }
}

/** The issuer is killed and the store goes down: who is known goes on, nobody unknown passes. */
async function showOutages(reader: string, token: string): Promise<void> {
  print.title('Issuer killed, key store down')
  issuer.process.kill('SIGKILL')
  storeDown = true
  const unknown = `hc_live_sk_${randomBytes(24).toString('hex').slice(0, 16)}`
  const facts = {
    token: await everywhere('/v1/patients/123', token),
    cachedKey: await everywhere('/v1/patients/123', reader),
    unknownKey: await everywhere('/v1/patients/123', unknown),
  }
  storeDown = false
  print.row(['the token, its issuer dead', facts.token.join(' ')])
  print.row(['the cached key', facts.cachedKey.join(' ')])
  print.row(['a key that is not cached', facts.unknownKey.join(' ')])
  print.fact('outages', facts)
}

async function everywhere(url: string, credential: string): Promise<number[]> {
  const answers = await Promise.all(servers.map(({ port }) => client.get(port, url, credential)))
  return answers.map(({ status }) => status)
}

async function showLoad(reader: string, token: string): Promise<void> {
  print.title('Under load: live, over TLS, every call in the journal, client on the same machine')
  for (const server of servers) {
    for (const [kind, credential] of [
      ['key', reader],
      ['token', token],
    ] as const) {
      const figures = await load(client, server, credential)
      print.row([
        `${server.framework}, ${kind}`,
        `${figures.perSecond} calls/s`,
        `p50 ${figures.p50} ms`,
        `p99 ${figures.p99} ms`,
      ])
      print.fact('load', { framework: server.framework, kind, ...figures })
    }
  }
}

async function load(through: DemoClient, { port }: DemoServer, credential: string) {
  const times: number[] = []
  const end = performance.now() + (process.argv.includes('--short') ? 100 : 1000)
  const started = performance.now()
  const worker = async () => {
    while (performance.now() < end) times.push((await through.get(port, '/v1/patients/123', credential)).milliseconds)
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  times.sort((a, b) => a - b)
  const at = (share: number) => Number((times[Math.floor(times.length * share)] ?? 0).toFixed(1))
  return {
    calls: times.length,
    perSecond: Math.round(times.length / ((performance.now() - started) / 1000)),
    p50: at(0.5),
    p99: at(0.99),
  }
}

/** What the compliance people get: one event a call, none with a credential, a path or a name in it. */
async function showJournal(): Promise<void> {
  print.title('The audit journal')
  await auth.audit.flush()
  const outcomes: Record<string, number> = {}
  let total = 0
  let sample: unknown = null
  for await (const event of readJournal(directory)) {
    if (event.kind !== 'access') continue
    total += 1
    const what = event.reason === null ? event.outcome : `${event.outcome}: ${event.reason}`
    outcomes[what] = (outcomes[what] ?? 0) + 1
    if (event.phi?.patients.length === 1) sample = event
  }
  for (const [what, count] of Object.entries(outcomes).toSorted(([a], [b]) => a.localeCompare(b)))
    print.row([what, String(count)])
  print.line(`One of ${total}: ${JSON.stringify(sample)}`)
  print.fact('journal', { events: total, calls: client.calls(), outcomes })
}
