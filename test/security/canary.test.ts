import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuthOptions, KeyStore } from '../../src/index.ts'
import { ConfigError, createAuth, KeyError, memoryKeyStore, NotReadyError } from '../../src/index.ts'
import { loggerSink } from '../../src/sinks/logger.ts'
import { checkOf } from '../../src/keys/format.ts'
import { FRAMEWORKS, serve, type RunningServer, type SuiteRoute } from '../http/frameworks.ts'
import { send, type Answered } from '../http/send.ts'
import { createWorld, recordOf, type World } from '../http/world.ts'
import { searchFor, windowsOf, type Canary } from './search.ts'

const RUNS = 210

function issuedKey(): string {
  const body = `hc_live_sk_${Array.from(randomBytes(30), (byte) => 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'[byte % 57] ?? 'x').join('')}`
  return body + checkOf(body)
}

const KEY = issuedKey()
const UNKNOWN_KEY = issuedKey()
/** Its look-up fails with an error that repeats it. */
const CURSED_KEY = issuedKey()
const REVOKED_KEY = issuedKey()
const partsOf = (key: string) => windowsOf(key.slice('hc_live_sk_'.length), 12)

const TEXTS = {
  patientName: 'Quirinus Zanzibar-Oyelaran',
  mrn: 'MRN-7734-QX-9912',
  pathId: 'path-id-5f0d9a77c2e1',
  queryValue: 'query-value-81c3d0aa',
  queryName: 'queryName91b7e2',
  bodyText: 'presents with chest pain since Tuesday',
  handlerError: 'cannot read chart of 1957-03-08',
  organizationError: 'organization look-up failed for ward 77-B',
  patientError: 'patient function failed for bed 12-C',
  storeError: 'redis://admin:pAsSwOrD9173@store.internal',
  listenerError: 'listener of the host failed on 44-X-02',
  sinkError: 'sink of the host failed on 55-Y-03',
  forwarded: 'junk-forwarded-6aa0b1',
  userAgent: 'CanaryBrowser-7d11e2',
  cookie: 'session-cookie-3b9c44',
  referer: 'https://portal.example/chart/90-KK-17',
  touched: 'touched-patient-20e4f6',
  basic: 'doctor:hunter2-91ad',
}

let canaries: readonly Canary[]
let search: ReturnType<typeof searchFor>

/** What came out, by where: searched when all is done. */
const outputs = new Map<string, string[]>()

function output(where: string, text: string): void {
  const known = outputs.get(where)
  if (known === undefined) outputs.set(where, [text])
  else known.push(text)
}

/** Everything of a value that anybody could print. */
function shown(value: unknown): string {
  const error =
    value instanceof Error
      ? [value.message, value.stack ?? '', inspect(value.cause, { depth: 10, showHidden: true })]
      : []
  return [inspect(value, { depth: 10, showHidden: true }), JSON.stringify(value), ...error].join('\n')
}

/** Both the streams and vitest's console, which does not pass through them. */
const undo: (() => void)[] = []

function listen(): void {
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = process[name]
    const original = stream.write
    stream.write = ((...args: Parameters<typeof original>) => {
      output(name, String(args[0]))
      return Reflect.apply(original, stream, args)
    }) as typeof original
    undo.push(() => {
      stream.write = original
    })
  }
  for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) {
    const original = console[name]
    console[name] = (...args: readonly unknown[]) =>
      output('console', args.map((each) => inspect(each, { depth: 10 })).join(' '))
    undo.push(() => {
      console[name] = original
    })
  }
  const onWarning = (warning: Error) => output('process warning', shown(warning))
  process.on('warning', onWarning)
  undo.push(() => void process.off('warning', onWarning))
}

const fails = (message: string) => (): never => {
  throw new Error(message)
}
const served = () => ({ body: { served: true } })

const ROUTES: readonly SuiteRoute[] = [
  { path: '/v1/patients/:id', guards: [(g) => g.requireScope('read:patients')], handle: served },
  { method: 'POST', path: '/v1/patients/:id', guards: [(g) => g.requireScope('write:patients')], handle: served },
  { path: '/v1/me/:id', guards: [(g) => g.authenticate()], handle: served },
  { path: '/v1/optional/:id', guards: [(g) => g.authenticate({ optional: true })], handle: served },
  { path: '/v1/failing/:id', guards: [(g) => g.authenticate()], handle: fails(TEXTS.handlerError) },
  { path: '/orgs/:id/x', guards: [(g) => g.requireOrganization(fails(TEXTS.organizationError))], handle: served },
  { path: '/orgs/:id/y', guards: [(g) => g.requireOrganization(({ params }) => params['id'])], handle: served },
  {
    path: '/v1/annotated/:id',
    guards: [(g) => g.requireScope('read:patients', { phi: { type: 'Patient', patient: fails(TEXTS.patientError) } })],
    handle: served,
  },
  {
    path: '/v1/charts/:id',
    guards: [
      (g) => g.requireScope('read:patients', { phi: { type: 'Patient', patient: ({ query }) => query['mrn'] } }),
    ],
    handle: served,
  },
  {
    path: '/v1/touching/:id',
    guards: [(g) => g.requireScope('read:patients')],
    handle: ({ audit, principal, host }) => {
      audit.touch(`Patient/${TEXTS.touched}`)
      for (const wrong of [
        () => audit.touch(`${TEXTS.patientName}!`),
        () => audit.purpose(TEXTS.mrn),
        () => audit.count(TEXTS.mrn as unknown as number),
        () => Object.assign(host, { principal: KEY }),
      ]) {
        try {
          wrong()
        } catch (error) {
          output('thrown in a handler', shown(error))
        }
      }
      output('principal', shown(principal))
      return served()
    },
  },
]

const PATHS = [...ROUTES.map(({ path }) => path), '/v1/nowhere/:id', '/:id', '/v1/patients/:id/%zz']

interface Shot {
  readonly method: string
  readonly path: string
  readonly id: string
  readonly query: readonly string[]
  readonly credential: readonly string[]
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string | null
}

/** A word that must come out nowhere, once as it is and once in the form that a URL needs. */
const secret = () => fc.constantFrom(KEY, UNKNOWN_KEY, TEXTS.patientName, TEXTS.mrn, TEXTS.pathId, tokenText)
let tokenText = ''

function shots(world: World): fc.Arbitrary<Shot> {
  tokenText = world.token()
  const bad = `${tokenText.slice(0, -8)}AAAAAAAA`
  const expired = world.token({ iat: 1, exp: 2, name: TEXTS.patientName })
  return fc.record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'POST', 'HEAD', 'PUT', 'OPTIONS'),
    path: fc.constantFrom(...PATHS),
    id: secret(),
    query: fc.uniqueArray(
      fc.constantFrom(
        `name=${encodeURIComponent(TEXTS.patientName)}`,
        `mrn=${TEXTS.mrn}`,
        `_count=${TEXTS.queryValue}`,
        `${TEXTS.queryName}=1`,
        `access_token=${KEY}`,
        `${KEY}=${KEY}`,
        `token=${tokenText}`,
      ),
    ),
    credential: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(KEY, tokenText).map((text) => [`Bearer ${text}`]) },
      fc.constantFrom(
        [],
        [`Bearer ${UNKNOWN_KEY}`],
        [`Bearer ${REVOKED_KEY}`],
        [`Bearer ${CURSED_KEY}`],
        [`Bearer ${KEY}x`],
        [`Bearer ${KEY.toUpperCase()}`],
        [`Bearer ${KEY} ${TEXTS.mrn}`],
        [`bearer   ${KEY}`],
        [`Bearer:${KEY}`],
        [`ApiKey ${KEY}`],
        [KEY],
        [`Basic ${Buffer.from(TEXTS.basic).toString('base64')}`],
        [`Bearer ${KEY}`, `Bearer ${tokenText}`],
        [`Bearer ${bad}`],
        [`Bearer ${expired}`],
        [`Bearer ${tokenText}.${TEXTS.pathId}`],
        [`Bearer ${KEY}${'x'.repeat(9000)}`],
      ),
    ),
    headers: fc.uniqueArray(
      fc.constantFrom<readonly [string, string]>(
        ['X-Forwarded-For', TEXTS.forwarded],
        ['X-Forwarded-For', `203.0.113.1, ${TEXTS.forwarded}, fe80::1%${TEXTS.forwarded}`],
        ['Forwarded', `for=${TEXTS.forwarded}`],
        ['User-Agent', TEXTS.userAgent],
        ['Cookie', `s=${TEXTS.cookie}; k=${KEY}`],
        ['Referer', TEXTS.referer],
        ['X-Request-Id', KEY],
        ['X-Request-Id', `a ${TEXTS.mrn}`],
        ['X-Request-Id', tokenText.slice(0, 64)],
        ['X-Request-Id', KEY.toUpperCase()],
        ['X-Patient', TEXTS.patientName],
        ['Traceparent', TEXTS.pathId],
      ),
      { selector: ([name]) => name, maxLength: 5 },
    ),
    body: fc.constantFrom(
      null,
      JSON.stringify({ note: TEXTS.bodyText, key: KEY, name: TEXTS.patientName }),
      `{"note":"${TEXTS.bodyText}`,
    ),
  })
}

/** One of every kind that the journal must show: chance alone would leave one out now and then. */
const SURE: readonly Shot[] = [
  shotOf('/v1/me/:id', `Basic ${Buffer.from(TEXTS.basic).toString('base64')}`),
  shotOf('/v1/me/:id', `Bearer ${KEY}x`),
  shotOf('/v1/failing/:id', `Bearer ${KEY}`),
  shotOf('/orgs/:id/y', `Bearer ${KEY}`),
  shotOf('/v1/nowhere/:id', `Bearer ${KEY}`),
]

function shotOf(path: string, credential: string): Shot {
  return { method: 'GET', path, id: TEXTS.pathId, query: [], credential: [credential], headers: [], body: null }
}

function requestOf({ method, path, id, query, credential, headers, body }: Shot): Parameters<typeof send>[1] {
  const target = `${path.replace(':id', encodeURIComponent(id))}${query.length === 0 ? '' : `?${query.join('&')}`}`
  const withBody = body !== null && (method === 'POST' || method === 'PUT')
  return {
    method,
    path: target,
    headers: [
      ...credential.map((value) => ['Authorization', value] as const),
      ...headers,
      ...(withBody ? ([['Content-Type', 'application/json']] as const) : []),
    ],
    ...(withBody ? { body } : {}),
  }
}

function cursed(store: KeyStore): KeyStore {
  return {
    ...store,
    find: async (lookup, context) => {
      if (lookup.reveal() === CURSED_KEY)
        throw new Error(`${TEXTS.storeError} lost ${lookup.reveal()}`, { cause: lookup.reveal() })
      return store.find(lookup, context)
    },
  }
}

function filesIn(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((each) => each.isFile())
    .map((each) => readFileSync(join(each.parentPath, each.name), 'utf8'))
}

/** The host's own answer to an error of its handler; what it says is not ours. */
function isHosts({ status, body }: Answered): boolean {
  return status >= 400 && !body.startsWith('{"error":{"code":"')
}

let sent = 0

beforeAll(() => {
  listen()
})

afterAll(() => {
  for (const each of undo) each()
})

describe.each(FRAMEWORKS.map((framework, index) => [framework.name, framework, index] as const))(
  '%s',
  (_name, framework, index) => {
    let world: World
    let server: RunningServer

    beforeAll(async () => {
      const lines = new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          output('pino', chunk.toString())
          done()
        },
      })
      const logger = {
        info: (entry: object, message: string) =>
          output('logger', `${inspect(entry, { depth: 10 })} ${JSON.stringify(entry)} ${message}`),
      }
      const records = [
        recordOf(KEY, 'key_canary', { scopes: ['read:patients', 'write:patients'] }),
        recordOf(REVOKED_KEY, 'key_canary_revoked', { revokedAt: new Date(0), revokedReason: 'leaked' }),
      ]
      world = await createWorld(
        {
          transport: { https: 'off', trustedProxies: index % 2 },
          audit: {
            sinks: [
              loggerSink(pino({ level: 'trace' }, lines), { name: 'pino' }),
              loggerSink(logger, { name: 'logger' }),
              { name: 'failing', acks: false, write: () => Promise.reject(new Error(TEXTS.sinkError)) },
            ],
            onEvent: (event) => {
              output('onEvent', shown(event))
              throw new Error(TEXTS.listenerError)
            },
          },
        },
        (store) => cursed({ ...store }),
      )
      for (const record of records) await world.store.insert(record)
      server = await serve(framework, [world.auth], { routes: ROUTES })
      const token = world.token()
      canaries = [
        { name: 'key', text: KEY, parts: partsOf(KEY) },
        { name: 'unknown key', text: UNKNOWN_KEY, parts: partsOf(UNKNOWN_KEY) },
        { name: 'cursed key', text: CURSED_KEY, parts: partsOf(CURSED_KEY) },
        { name: 'revoked key', text: REVOKED_KEY, parts: partsOf(REVOKED_KEY) },
        { name: 'token', text: token, parts: token.split('.').slice(1) },
        ...Object.entries(TEXTS).map(([name, text]) => ({ name, text })),
      ]
      search = searchFor(canaries)
    })

    afterAll(async () => {
      await server.close()
      await world.close()
    })

    test(`${RUNS} requests full of secrets: none comes out anywhere`, async () => {
      let hosts = 0
      await fc.assert(
        fc.asyncProperty(shots(world), async (shot) => {
          const answer = await send(server.url, requestOf(shot))
          sent += 1
          const text = `${inspect(answer.headers)}\n${answer.body}`
          expect(answer.status).not.toBe(0)
          if (isHosts(answer)) {
            hosts += 1
            return
          }
          expect(search(text)).toEqual([])
          expect(text).not.toMatch(/\bat .+:\d+|node_modules|\.(ts|js):\d|\/(work|tmp|home)\//)
        }),
        { numRuns: RUNS, examples: SURE.map((shot) => [shot]) },
      )
      // Most answers are ours or the handler's; those of the host are the failing route's and what its router answers itself.
      expect(hosts).toBeLessThan(RUNS / 2)
      await world.auth.audit.flush()
      output('health', shown(world.auth.health()))
      for (const text of filesIn(world.directory)) output('journal', text)

      for (const where of ['onEvent', 'pino', 'logger', 'journal', 'health', 'principal', 'thrown in a handler'])
        expect(outputs.get(where)?.length, where).toBeGreaterThan(0)
      for (const [where, texts] of outputs) expect([where, search(texts.join('\n'))]).toEqual([where, []])
      const health = world.auth.health().audit
      expect(health.listenerErrors).toBeGreaterThan(RUNS / 2)
      expect(health.sinkErrors['failing']).toBeGreaterThan(0)
      outputs.clear()
    }, 60_000)

    test('and the calls were of all kinds: each outcome and many reasons are in the journal', () => {
      const lines = filesIn(world.directory)
        .join('')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { reason: string | null; outcome: string })
        // Events alone: the folder holds intents and the mark of its owner, too.
        .filter((line) => 'outcome' in line)
      expect(new Set(lines.map(({ outcome }) => outcome))).toEqual(new Set(['success', 'denied', 'error']))
      const reasons = new Set(lines.map(({ reason }) => reason))
      for (const reason of [
        'scheme_unsupported',
        'key_malformed',
        'handler_error',
        'organization_mismatch',
        'not_found',
        null,
      ])
        expect(reasons).toContain(reason)
    })
  },
)

test('more than 1,000 requests were sent', () => {
  expect(sent).toBeGreaterThanOrEqual(1000)
})

describe('errors that are thrown at the host hold no secret:', () => {
  const SECRET = 'cAnArYsEcReT0123456789abcdef'
  const search2 = searchFor([
    { name: 'key', text: KEY, parts: partsOf(KEY) },
    { name: 'secret', text: SECRET },
    { name: 'store', text: TEXTS.storeError },
    { name: 'patient', text: TEXTS.patientName },
  ])
  const good = { organizationId: 'org_1', name: 'a key', scopes: [], by: 'tests', environment: 'live' }
  const admin = () => createAuth({ environment: 'test', keys: { store: memoryKeyStore() } }).keys

  test.each<readonly [string, () => Promise<unknown>, new (...args: never[]) => Error]>([
    ['a key as the name of a key', () => admin().create({ ...good, name: KEY } as never), KeyError],
    ['a key as organization', () => admin().create({ ...good, organizationId: KEY } as never), KeyError],
    ['a key as scope', () => admin().create({ ...good, scopes: [KEY] } as never), KeyError],
    ['a key as CIDR block', () => admin().create({ ...good, allowedCidrs: [KEY] } as never), KeyError],
    ['a key as environment', () => admin().create({ ...good, environment: KEY } as never), KeyError],
    ['a key as expiry', () => admin().create({ ...good, expiresAt: KEY } as never), KeyError],
    ['a key as the one who asks', () => admin().create({ ...good, by: KEY } as never), KeyError],
    ['a patient as the one who asks', () => admin().create({ ...good, by: TEXTS.patientName } as never), KeyError],
    ['a malformed key to import', () => admin().import({ ...good, key: `${KEY}x` }), KeyError],
    ['a key to import twice', () => twice(), KeyError],
    ['a key as the id to get', () => admin().get([KEY] as never), KeyError],
    ['a key as a page', () => admin().list({ organizationId: 'org_1', after: [KEY] } as never), KeyError],
    [
      'a secret as pepper',
      async () => createAuth({ environment: 'test', keys: { store: memoryKeyStore(), pepper: SECRET } }),
      ConfigError,
    ],
    [
      'a secret in a pepper list',
      async () =>
        createAuth({
          environment: 'test',
          keys: { store: memoryKeyStore(), pepper: [{ id: SECRET, secret: SECRET }] },
        }),
      ConfigError,
    ],
    [
      'a secret as the password of a key set',
      async () =>
        createAuth({
          environment: 'test',
          tokens: { issuer: 'i', audience: 'a', jwks: `https://u:${SECRET}@issuer.example/` },
        }),
      ConfigError,
    ],
    [
      'a secret as trusted proxy',
      async () =>
        createAuth({ environment: 'test', keys: { store: memoryKeyStore() }, transport: { trustedProxies: [SECRET] } }),
      ConfigError,
    ],
    [
      'a private key as key set',
      async () =>
        createAuth({
          environment: 'test',
          tokens: { issuer: 'i', audience: 'a', jwks: { keys: [{ kty: 'oct', k: SECRET }] } },
        }),
      ConfigError,
    ],
    [
      'a key set that answers with a secret',
      () =>
        unready({
          tokens: {
            issuer: 'i',
            audience: 'a',
            jwks: 'https://issuer.example/',
            fetch: async () => new Response(SECRET),
          },
        }),
      NotReadyError,
    ],
    [
      'a journal below a file',
      () =>
        unready({
          environment: 'live',
          keys: { store: memoryKeyStore() },
          audit: {
            directory: '/dev/null/x',
            pseudonymKeys: [{ id: 'k', secret: Buffer.from(SECRET.repeat(2)).toString('base64') }],
          },
        }),
      NotReadyError,
    ],
  ])('%s', async (_what, attempt, kind) => {
    const error = await attempt().then(
      () => null,
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(kind)
    expect(search2(shown(error))).toEqual([])
  })

  async function twice() {
    const keys = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } }).keys
    await keys.import({ ...good, key: KEY })
    return keys.import({ ...good, key: KEY })
  }

  function unready(options: Partial<AuthOptions>): Promise<void> {
    return createAuth({ environment: 'test', ...options }).ready()
  }

  test('a store that is down: what it says is in the cause alone, for the operator', async () => {
    const store = { ...memoryKeyStore(), ready: () => Promise.reject(new Error(TEXTS.storeError)) }
    const error = await createAuth({ environment: 'test', keys: { store } })
      .ready()
      .then(
        () => null,
        (reason: unknown) => reason as NotReadyError,
      )
    expect(error?.code).toBe('STORE_UNREACHABLE')
    expect(search2([error?.message, error?.remedy, error?.stack, JSON.stringify(error)].join('\n'))).toEqual([])
    expect(search2(inspect(error?.cause))).toContainEqual({ canary: 'store', form: 'plain' })
  })
})
