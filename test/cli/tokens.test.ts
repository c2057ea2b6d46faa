import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPrivateKey } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readJournal } from '../../src/audit/index.ts'
import { createAuth, fromEnv } from '../../src/index.ts'
import type { Auth, AuditEvent } from '../../src/index.ts'
import { tokenEndpoint } from '../../src/server/index.ts'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'
import { refuse, startExchangeIssuer, type ExchangeIssuer, type Misbehaviour } from '../exchange-key/exchange-issuer.ts'
import { serveHandler } from '../server/web-server.ts'
import { hcAuth, words, type Env, type Ran, type Setting } from './hc-auth.ts'

const KEY = 'hc_test_sk_AbC12xYz9kLmNpQr'
const OTHER = 'hc_test_sk_AbC12xYz9kLmNpQs'
const LINE = 'token --scope read:patients,exec:agents'

let folder: string
let issuer: ExchangeIssuer
let env: Env
let signingKey: string

beforeAll(async () => {
  issuer = await startExchangeIssuer()
  issuer.grant(KEY, ['read:patients', 'exec:agents'])
  signingKey = (await hcAuth(words('token keygen'), { env: {} })).stdout.trim()
})

afterAll(() => issuer.close())

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hc-cli-'))
  env = { HEALTHCLOUD_API_KEY: KEY, HEALTHCLOUD_TOKEN_URL: issuer.url.href }
})

afterEach(() => {
  issuer.become(null)
  rmSync(folder, { recursive: true, force: true })
})

function hc(line: string, more: Partial<Setting> = {}): Promise<Ran> {
  return hcAuth(words(line), { env, cwd: folder, ...more })
}

const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

describe('token', () => {
  test('prints the token alone; all else is on standard error', async () => {
    const { code, stdout, stderr } = await hc(LINE)
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/) as unknown,
      stderr: expect.stringMatching(
        /^A token for read:patients, exec:agents, until \d{4}-\d\d-\d\dT[\d:.]+Z\.\n$/,
      ) as unknown,
    })
    expect(issuer.asked.at(-1)?.body).toBe('{"scope":["read:patients","exec:agents"]}')
  })

  test('--json: one document, and nothing beside it', async () => {
    const { code, stdout, stderr } = await hc(`${LINE} --json`)
    const { accessToken, expiresAt, ...rest } = JSON.parse(stdout) as Record<string, string>
    expect({ code, stderr, rest }).toEqual({ code: 0, stderr: '', rest: { scopes: ['read:patients', 'exec:agents'] } })
    expect(accessToken).toMatch(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/)
    const left = Date.parse(expiresAt ?? '') - Date.now()
    expect(left).toBeGreaterThan(3_500_000)
    expect(left).toBeLessThanOrEqual(3_600_000)
  })

  test('takes the key from standard input, and --url before the variable', async () => {
    const more = { input: `${KEY}\n`, env: { HEALTHCLOUD_TOKEN_URL: 'https://127.0.0.1:1/' } }
    expect((await hc(`token exchange --url ${issuer.url.href} --scope read:patients`, more)).code).toBe(0)
  })

  test('does not ask for the configuration of a server', async () => {
    const more = { HEALTHCLOUD_ENVIRONMENT: 'prod', HEALTHCLOUD_KEY_STORE_URL: 'mysql:' }
    expect((await hc(LINE, { env: { ...env, ...more } })).code).toBe(0)
  })

  test('a token that could not be written is no success', async () => {
    expect(await hc(LINE, { brokenOutput: 'EPIPE' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nobody has the token. It ends by itself.') as unknown,
    })
  })

  test('Ctrl-C ends the wait', async () => {
    issuer.become(() => undefined)
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 100)
    expect(await hc(LINE, { signal: controller.signal })).toEqual({
      code: 130,
      stdout: '',
      stderr: 'hc-auth: Interrupted.\n',
    })
  })
})

type Mistake = readonly [what: string, line: string, setting: () => Partial<Setting>, code: number, text: string]

const MISTAKES: readonly Mistake[] = [
  ['no scope', 'token', () => ({}), 2, 'Required option --scope <scope> not specified.'],
  ['another word', 'token keygne', () => ({}), 2, 'Unknown command keygne. Did you mean keygen?'],
  ['a secret word', `${LINE} s3cr3t-Pa55`, () => ({}), 2, 'Unknown command (not shown). See hc-auth --help.'],
  ['an option of another', 'token revok --jti x', () => ({}), 2, 'Unknown option --jti.'],
  ['an empty scope', 'token --scope ,', () => ({}), 2, '--scope: names no scope. Give scopes such as read:patients.'],
  ['a scope twice', `${LINE},exec:agents`, () => ({}), 2, '--scope (number 3): is there twice.'],
  ['no scope at all', "token --scope 'a b'", () => ({}), 2, '--scope (number 1): is no scope.'],
  ['no URL', LINE, () => ({ env: { HEALTHCLOUD_API_KEY: KEY } }), 2, 'There is no token endpoint. Give --url https://'],
  ['no key', LINE, () => ({ env: { ...env, HEALTHCLOUD_API_KEY: '' } }), 2, 'There is no API key to exchange. Give it'],
  [
    'two keys',
    LINE,
    () => ({ input: OTHER }),
    2,
    'There are two API keys, on standard input and in HEALTHCLOUD_API_KEY. Give one of them.',
  ],
  [
    'what is no key',
    LINE,
    () => ({ env: { ...env, HEALTHCLOUD_API_KEY: 'Bearer s3cr3t' } }),
    2,
    'Standard input holds',
  ],
  [
    'a key in an argument',
    `token --scope read:patients --url https://x.example/?key=${KEY}`,
    () => ({}),
    2,
    'A secret must not be an argument',
  ],
  ['a URL without TLS', `${LINE} --url http://issuer.example/`, () => ({}), 2, '--url: is not an https URL.'],
  [
    'a URL with a password',
    `${LINE} --url https://u:s3cr3t@issuer.example/`,
    () => ({}),
    2,
    '--url: holds a user name or password. Leave it out; the issuer is given the API key.',
  ],
  [
    'a variable that is no URL',
    LINE,
    () => ({ env: { ...env, HEALTHCLOUD_TOKEN_URL: 's3cr3t' } }),
    3,
    'HEALTHCLOUD_TOKEN_URL: is not an https URL. Give the https URL of the token endpoint.',
  ],
  ['keygen of 1024 bits', 'token keygen --bits 1024', () => ({}), 2, 'Option --bits <count> argument (not shown) is'],
  ['a word too many', 'token keygen now', () => ({}), 2, 'Too many arguments'],
  ['no jti', 'token revoke', () => ({}), 2, 'Required option --jti <id> not specified.'],
]

test.each(MISTAKES)('a mistake: %s', async (_, line, setting, exitCode, text) => {
  const asked = issuer.asked.length
  const { code, stdout, stderr } = await hc(line, setting())
  expect({ code, stdout, stderr: stderr.slice(0, text.length + 9) }).toEqual({
    code: exitCode,
    stdout: '',
    stderr: `hc-auth: ${text}`,
  })
  expect(stderr).not.toMatch(/s3cr3t|AbC12xYz9kLmNpQ|\bat .*:\d+:\d+/)
  expect(issuer.asked.length).toBe(asked)
})

const answering =
  (status: number, headers: Record<string, string> = {}): Misbehaviour =>
  (response) =>
    void response.writeHead(status, headers).end('{}')

const ANSWERS: readonly (readonly [what: string, become: Misbehaviour, code: number, text: RegExp])[] = [
  [
    'a key that is not good',
    (response) => refuse(response, 401, 'UNAUTHORIZED'),
    1,
    /refused \(401, UNAUTHORIZED, request req_abc123xyz\)\. Check the key: /,
  ],
  [
    'a scope that is not held',
    (response) => refuse(response, 400, 'INVALID_SCOPE'),
    1,
    /refused \(400, .*Check --scope: /,
  ],
  ['an address that is not allowed', (response) => refuse(response, 403, 'IP_NOT_ALLOWED'), 1, /refused \(403, /],
  ['another path', (response) => refuse(response, 404, 'NOT_FOUND'), 3, /refused \(404, .*Check its URL\./],
  ['an outage', (response) => refuse(response, 503, 'AUTH_UNAVAILABLE'), 4, /cannot answer now \(503, /],
  ['too many calls', answering(429), 4, /cannot answer now \(429\)/],
  ['a redirect', answering(302, { location: 'https://elsewhere.example/' }), 3, /Redirects are not followed: /],
  ['something else', answering(200, { 'content-type': 'text/html' }), 3, /something else than application\/json/],
  [
    'a connection that breaks',
    (response) => void response.socket?.destroy(),
    4,
    /Nothing was decided; ask again later\./,
  ],
]

test.each(ANSWERS)('the issuer answers with %s', async (_, become, exitCode, text) => {
  issuer.become(become)
  const { code, stdout, stderr } = await hc(LINE)
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' })
  expect(stderr).toMatch(text)
  expect(stderr).toMatch(/^hc-auth: The token endpoint at 127\.0\.0\.1:\d+ /)
  expect(stderr).not.toContain('`')
  expect(stderr).not.toContain(KEY)
})

test('nobody listens', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  expect((await hc(`${LINE} --url http://127.0.0.1:${port}/v1/auth/token`)).code).toBe(4)
})

test('an issuer that repeats the key is not repeated', async () => {
  issuer.become((response, request) => {
    const sent = String(request.headers.authorization)
    response.writeHead(401, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { code: sent, message: sent, requestId: KEY } }))
  })
  const ran = [await hc(LINE), await hc(`${LINE} --json`)]
  expect(ran.map(({ code }) => code)).toEqual([1, 1])
  expect(JSON.stringify(ran)).not.toContain('AbC12xYz9kLmNpQr')
})

describe('token keygen', () => {
  test.each([2048, 3072])('prints a private JWK of %i bits alone, once; its kid is on standard error', async (bits) => {
    const { code, stdout, stderr } = await hc(`token keygen --bits ${bits}`)
    const jwk = JSON.parse(stdout) as { kid: string; n: string }
    expect(jwk).toMatchObject({ kty: 'RSA', alg: 'RS256', use: 'sig', e: 'AQAB', d: expect.any(String) as unknown })
    expect(Buffer.from(jwk.n, 'base64url').length).toBe(bits / 8)
    expect({ code, lines: stdout.split('\n').length }).toEqual({ code: 0, lines: 2 })
    expect(stderr).toBe(
      `A private RSA key of ${bits} bits, kid ${jwk.kid}.\nThis is the key, this once and never again: keep it secret.\n`,
    )
  })

  test('--pem', async () => {
    const { code, stdout } = await hc('token keygen --pem')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^-----BEGIN PRIVATE KEY-----\n[^]+\n-----END PRIVATE KEY-----\n$/)
    expect(createPrivateKey(stdout).asymmetricKeyDetails?.modulusLength).toBe(2048)
  })

  test.each([
    ['--json', 'jwk'],
    ['--json --pem', 'pem'],
  ])('%s: one document with %s', async (options, form) => {
    const { stdout, stderr } = await hc(`token keygen ${options}`)
    expect(Object.keys(JSON.parse(stdout) as object)).toEqual(['kid', 'bits', form])
    expect(stderr).toBe('')
  })

  test('a key that could not be written is no success', async () => {
    const { code, stderr } = await hc('token keygen', { brokenOutput: 'EPIPE' })
    expect({ code, hint: stderr.includes('nobody has the key. Make another.') }).toEqual({ code: 1, hint: true })
  })
})

describe('token revoke', () => {
  const server = (): Env => ({
    HEALTHCLOUD_ENVIRONMENT: 'live',
    HEALTHCLOUD_KEY_STORE_URL: `sqlite:${join(folder, 'keys.db')}`,
    HEALTHCLOUD_AUDIT_DIR: join(folder, 'audit'),
    HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
    HEALTHCLOUD_SIGNING_KEY: signingKey,
    HEALTHCLOUD_ISSUER: 'https://issuer.example',
    HEALTHCLOUD_AUDIENCE: 'https://us.example',
  })

  /** An issuer as this environment configures it, and a token of it, both got by the command line. */
  async function minted(): Promise<{ auth: Auth; token: string; jti: string }> {
    const made = await hc('keys create --org org_1 --name n --scope read:patients', { env: server() })
    const auth = createAuth(fromEnv(server()))
    const web = await serveHandler(tokenEndpoint(auth))
    const setting = { input: made.stdout, env: {} }
    const { stdout, stderr } = await hc(`token --url ${web.url}v1/auth/token --scope read:patients`, setting)
    await web.close()
    expect(stderr).toMatch(/^A token for read:patients, until /)
    return { auth, token: stdout.trim(), jti: String(claimsOf(stdout)['jti']) }
  }

  const reasonOf = async (auth: Auth, token: string) => {
    const verdict = await auth.verify(token, { ip: '203.0.113.7', secure: true, operation: 'test' })
    return verdict.ok ? 'good' : verdict.reason
  }

  test('is heard of by a running server within a second, and audited', async () => {
    const { auth, token, jti } = await minted()
    expect(await reasonOf(auth, token)).toBe('good')
    const ran = await hc(`token revoke --jti ${jti} --by anna`, { env: server() })
    const start = performance.now()
    expect(ran).toEqual({ code: 0, stdout: '', stderr: `Revoked the token ${jti}.\n` })
    await expect.poll(() => reasonOf(auth, token), { timeout: 2000, interval: 20 }).toBe('jwt_revoked')
    expect(performance.now() - start).toBeLessThan(1500)
    await auth.close()
    const events: AuditEvent[] = []
    for await (const event of readJournal(join(folder, 'audit'))) events.push(event)
    expect(events.find(({ name }) => name === 'token.exchange')).toMatchObject({
      kind: 'auth',
      actor: { kind: 'api-key', org: 'org_1', jti },
    })
    expect(events.find(({ name }) => name === 'token.revoke')).toMatchObject({
      kind: 'admin',
      outcome: 'success',
      actor: { kind: 'none', jti, by: 'anna' },
      service: { name: 'hc-auth' },
    })
    const journal = JSON.stringify(events)
    expect([token, signingKey].filter((secret) => journal.includes(secret))).toEqual([])
  })

  test('is remembered for the longest that any server takes a token', async () => {
    await minted().then(({ auth }) => auth.close())
    await hc('token revoke --jti tok_1', { env: server() })
    const known = await hc('token revoke --jti tok_2 --expires 1h --json', { env: server() })
    const { revocation } = JSON.parse(known.stdout) as { revocation: { jti: string; expiresAt: string } }
    const store = sqliteKeyStore(join(folder, 'keys.db'))
    const held = new Map(
      (await store.revokedTokens?.())?.map(({ tokenId, expiresAt }) => [tokenId, expiresAt.getTime()]),
    )
    await store.close?.()
    expect((held.get('tok_1') ?? 0) - Date.now()).toBeGreaterThan(86_400_000)
    expect((held.get('tok_2') ?? 0) - Date.parse(revocation.expiresAt)).toBe(60_000)
    expect({ code: known.code, stderr: known.stderr, jti: revocation.jti }).toEqual({
      code: 0,
      stderr: '',
      jti: 'tok_2',
    })
  })

  test.each([
    ['token revoke --jti tok_1 --expires 2020-01-01', 2, '--expires: is past: such a token has ended by itself.'],
    ['token revoke --jti tok_1 --expires soon', 2, '--expires: expected a date'],
    [`token revoke --jti ${'x'.repeat(257)}`, 2, '--jti: expected 1 to 256 characters'],
    ["token revoke --jti tok_1 --by 'a b'", 2, '--by: expected [A-Za-z0-9._@:+-]{1,128}.'],
    ['token revoke --jti eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln', 2, 'A secret must not be an argument'],
  ])('a mistake: %s', async (line, exitCode, text) => {
    await hc('keys create --org org_1 --name n --scope read:patients', { env: server() })
    const { code, stdout, stderr } = await hc(line, { env: server() })
    expect({ code, stdout, stderr: stderr.slice(9, text.length + 9) }).toEqual({
      code: exitCode,
      stdout: '',
      stderr: text,
    })
    expect(stderr).not.toContain('eyJ')
  })

  test('nothing is revoked where there is no store, or no journal', async () => {
    expect(await hc('token revoke --jti tok_1', { env: server() })).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('There is no key store at the path') as unknown,
    })
    await hc('keys create --org org_1 --name n --scope read:patients', { env: server() })
    const blind = { ...server(), HEALTHCLOUD_AUDIT_DIR: '/dev/null/x' }
    expect((await hc('token revoke --jti tok_1', { env: blind })).code).toBe(3)
    const store = sqliteKeyStore(join(folder, 'keys.db'))
    expect(await store.revokedTokens?.()).toEqual([])
    await store.close?.()
  })

  test('no part of the signing key is in what is said of it', async () => {
    const secrets = ['CaNaRySeCrEt0123456789', signingKey.replace('"n"', '"x"'), `[${signingKey},${signingKey}]`]
    for (const HEALTHCLOUD_SIGNING_KEY of secrets) {
      writeFileSync(join(folder, 'key'), HEALTHCLOUD_SIGNING_KEY)
      const file = { HEALTHCLOUD_SIGNING_KEY: '', HEALTHCLOUD_SIGNING_KEY_FILE: join(folder, 'key') }
      const ran: Ran[] = []
      for (const more of [{ HEALTHCLOUD_SIGNING_KEY }, file]) {
        for (const line of ['doctor', 'doctor --json']) ran.push(await hc(line, { env: { ...server(), ...more } }))
      }
      const said = JSON.stringify(ran)
      expect(ran.map(({ code }) => code)).toEqual([3, 3, 3, 3])
      expect(said).toContain('HEALTHCLOUD_SIGNING_KEY')
      const parts = [HEALTHCLOUD_SIGNING_KEY, ...(HEALTHCLOUD_SIGNING_KEY.match(/[\w-]{20,}/g) ?? [])]
      expect(parts.filter((part) => said.includes(part))).toEqual([])
    }
    expect(readdirSync(folder)).not.toContain('keys.db')
  })
})

describe('doctor of a server that mints tokens', () => {
  const server = (more: Env): Env => ({
    HEALTHCLOUD_ENVIRONMENT: 'test',
    HEALTHCLOUD_KEY_STORE_URL: `sqlite:${join(folder, 'keys.db')}`,
    HEALTHCLOUD_SIGNING_KEY: signingKey,
    HEALTHCLOUD_ISSUER: 'https://issuer.example',
    HEALTHCLOUD_AUDIENCE: 'https://us.example',
    ...more,
  })
  const look = async (more: Env) => {
    const { stdout } = await hc('doctor --json', { env: server(more) })
    const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; message: string }[] }
    return (name: string) => checks.find((each) => each.name === name)
  }

  test('says which key signs', async () => {
    const found = await look({})
    const { kid } = JSON.parse(signingKey) as { kid: string }
    expect(found('configuration')?.message).toBe(
      'environment test, takes API keys and access tokens, mints access tokens',
    )
    expect(found('signing key')).toMatchObject({ status: 'ok', message: `${kid} signs` })
    expect(found('key set')).toMatchObject({ status: 'ok', message: '1 usable key of HEALTHCLOUD_SIGNING_KEY' })
  })

  test('warns of a successor that comes before verifiers can have read it', async () => {
    const next = (await hc('token keygen')).stdout
    const list = (seconds: number) => {
      const from = new Date(Date.now() + seconds * 1000).toISOString()
      return { HEALTHCLOUD_SIGNING_KEY: `[${signingKey}, { "key": ${next}, "from": "${from}" }]` }
    }
    expect((await look(list(60)))('signing key')?.status).toBe('warning')
    const far = await look(list(7200))
    expect(far('signing key')?.status).toBe('ok')
    expect(far('signing key')?.message).toContain((JSON.parse(next) as { kid: string }).kid)
    expect(far('key set')?.message).toBe('2 usable keys of HEALTHCLOUD_SIGNING_KEY')
  })
})
