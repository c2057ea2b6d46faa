import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'
import { recordOf } from '../keys/parts.ts'
import { hcAuth, words, type Env } from './hc-auth.ts'

let folder: string
let env: Env
let issuer: Server
let jwks: string

beforeAll(async () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const body = JSON.stringify({
    keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'a', alg: 'RS256', use: 'sig' }],
  })
  issuer = createServer((request, response) => {
    response.writeHead(request.url === '/jwks' ? 200 : 500, { 'content-type': 'application/json' }).end(body)
  }).listen(0, '127.0.0.1')
  await once(issuer, 'listening')
  jwks = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks`
})

afterAll(() => void issuer.close())

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hc-cli-'))
  env = { HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL: 'sqlite:keys.db' }
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

const doctor = (more: Env = {}, line = 'doctor') => hcAuth(words(line), { env: { ...env, ...more }, cwd: folder })
const secret = (id: string) => `${id}:${Buffer.alloc(32, 7).toString('base64')}`
const live = (): Env => ({
  HEALTHCLOUD_ENVIRONMENT: 'live',
  HEALTHCLOUD_AUDIT_DIR: join(folder, 'audit'),
  HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: secret('k1'),
})
const tokens = (url = jwks): Env => ({
  HEALTHCLOUD_ISSUER: 'https://issuer.example',
  HEALTHCLOUD_AUDIENCE: 'https://us.example',
  HEALTHCLOUD_JWKS_URL: url,
})

interface Shown {
  readonly name: string
  readonly status: string
  readonly message: string
  readonly remedy: string | null
}

async function look(more: Env): Promise<{ code: number; checks: Record<string, string>; all: readonly Shown[] }> {
  const { code, stdout, stderr } = await doctor(more, 'doctor --json')
  expect(stderr).toBe('')
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Shown[] }
  expect(ok).toBe(code === 0)
  return { code, checks: Object.fromEntries(checks.map(({ name, status }) => [name, status])), all: checks }
}

const makeStore = () => hcAuth(words('keys create --org o --name n --scope exec:agents'), { env, cwd: folder })

test('says for each check what to do, on 80 columns, and changes nothing', async () => {
  const { code, stdout, stderr } = await doctor()
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toBe(`ok       configuration  environment test, takes API keys
warning  pepper         none is set: whoever can write to the store can plant a
                        key
                        → Set HEALTHCLOUD_KEY_PEPPER to <id>:<base64 of 32
                        random bytes>, with ,sha256 behind it as long as keys
                        made without it are in use.
warning  key store      SQLite: there is no such file yet
                        → Correct the path in HEALTHCLOUD_KEY_STORE_URL, or make
                        the first key: hc-auth keys create
skipped  key set        no access tokens are configured
skipped  journal        a test server keeps none
skipped  rotation       no keys to look at
`)
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  expect(readdirSync(folder)).toEqual([])
})

test('everything is there', async () => {
  await makeStore()
  const { code, checks } = await look({ ...live(), ...tokens(), HEALTHCLOUD_KEY_PEPPER: secret('p1') })
  expect({ code, ...checks, journal: undefined }).toEqual({
    code: 0,
    configuration: 'ok',
    pepper: 'ok',
    'key store': 'ok',
    'key set': 'ok',
    journal: undefined,
    rotation: 'ok',
  })
  // A warning where this machine has little room.
  expect(['ok', 'warning']).toContain(checks['journal'])
  expect(readdirSync(folder).toSorted()).not.toContain('audit')
})

type Row = readonly [what: string, env: () => Env, code: number, name: string, status: string, message: string]

const ROWS: readonly Row[] = [
  [
    'a pepper, and keys without one',
    () => ({ HEALTHCLOUD_KEY_PEPPER: `${secret('p1')},sha256` }),
    0,
    'pepper',
    'warning',
    'keys without a pepper count as well (p1, sha256)',
  ],
  [
    'several peppers',
    () => ({ HEALTHCLOUD_KEY_PEPPER: `${secret('p2')},${secret('p1')}` }),
    0,
    'pepper',
    'ok',
    'new keys get p2; looked up: p2, p1',
  ],
  [
    'a key set that is not there',
    () => tokens('http://127.0.0.1:1/jwks'),
    4,
    'key set',
    'failed',
    'no usable key set could be loaded',
  ],
  ['a key set that is', () => tokens(), 0, 'key set', 'ok', '1 usable key at HEALTHCLOUD_JWKS_URL'],
  [
    'access tokens alone',
    () => ({ ...tokens(), HEALTHCLOUD_KEY_STORE_URL: '' }),
    0,
    'key store',
    'skipped',
    'HEALTHCLOUD_KEY_STORE_URL is not set',
  ],
  [
    'nothing at all',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: '' }),
    3,
    'configuration',
    'failed',
    'keys: neither `keys` nor `tokens` is configured, so no caller could ever pass. Give `keys: { store }`, `tokens: { issuer, audience, jwks }`, or both. It is read from HEALTHCLOUD_KEY_STORE_URL.',
  ],
  [
    'half of the tokens',
    () => ({ ...tokens(), HEALTHCLOUD_ISSUER: '' }),
    3,
    'configuration',
    'failed',
    'HEALTHCLOUD_ISSUER: is not set. Set HEALTHCLOUD_ISSUER, HEALTHCLOUD_AUDIENCE, HEALTHCLOUD_JWKS_URL together, or none of them.',
  ],
  [
    'a journal that cannot be written',
    () => ({ ...live(), HEALTHCLOUD_AUDIT_DIR: '/dev/null/x' }),
    1,
    'journal',
    'failed',
    'HEALTHCLOUD_AUDIT_DIR cannot be written (ENOTDIR)',
  ],
  [
    'a live server without pseudonym keys',
    () => ({ ...live(), HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: '' }),
    3,
    'configuration',
    'failed',
    'audit.pseudonymKeys: is required. Give `[{ id, secret }]`, the secret being base64 of at least 32 random bytes. It is read from HEALTHCLOUD_AUDIT_PSEUDONYM_KEY.',
  ],
  [
    'a store that is not there',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'sqlite:/nowhere/keys.db' }),
    0,
    'key store',
    'warning',
    'SQLite: there is no such file yet',
  ],
  [
    'a store that is none',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: `sqlite:${folder}` }),
    3,
    'key store',
    'failed',
    'SQLite: sqliteKeyStore.path: names no file. Give the path of a file. It is read from HEALTHCLOUD_KEY_STORE_URL.',
  ],
  [
    'a driver that is not installed',
    () => ({ HEALTHCLOUD_KEY_STORE_URL: 'postgres://127.0.0.1:1/x' }),
    3,
    'key store',
    'failed',
    'HEALTHCLOUD_KEY_STORE_URL: names a postgres store, and the package pg is not installed here. Run this in your project, or there: npm install pg',
  ],
]

test.each(ROWS)('%s', async (_, more, code, name, status, message) => {
  await makeStore()
  const found = await look(more())
  expect(found.code).toBe(code)
  expect(found.all.find((each) => each.name === name)).toMatchObject({ status, message })
})

test('one mistake hides no other', async () => {
  mkdirSync(join(folder, 'file.db'))
  const more = { ...tokens('http://127.0.0.1:1/jwks'), ...live(), HEALTHCLOUD_AUDIT_DIR: '/dev/null/x' }
  const { code, checks } = await look({ ...more, HEALTHCLOUD_KEY_STORE_URL: 'sqlite:file.db' })
  expect(code).toBe(3)
  expect(checks).toMatchObject({ configuration: 'ok', 'key store': 'failed', 'key set': 'failed', journal: 'failed' })
})

test('keys that are due are counted', async () => {
  const store = sqliteKeyStore(join(folder, 'keys.db'))
  for (const index of [1, 2]) await store.insert(recordOf(`hc_test_${index}`, { createdAt: new Date(0) }))
  await store.close?.()
  const { all } = await look({})
  expect(all.at(-1)).toEqual({
    name: 'rotation',
    status: 'warning',
    message: '2 active keys are older than 90 days',
    remedy: 'List them with hc-auth keys due, and rotate them.',
  })
})

test('no secret is in what it says', async () => {
  writeFileSync(join(folder, 'pepper'), 'p1:tooshort')
  const canary = 'CaNaRySeCrEt0123456789'
  const variables: Env[] = [
    { HEALTHCLOUD_KEY_STORE_URL: `postgres://u:${canary}@127.0.0.1:1/x` },
    { HEALTHCLOUD_KEY_STORE_URL: `http://u:${canary}@127.0.0.1:1/x` },
    { HEALTHCLOUD_KEY_PEPPER: canary },
    { HEALTHCLOUD_KEY_PEPPER: `p1:${canary}` },
    { ...live(), HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${canary}` },
    { HEALTHCLOUD_AUDIT_SIGNING_KEY: canary },
    { HEALTHCLOUD_API_KEY: canary },
    { HEALTHCLOUD_ENVIRONMENT: canary },
    { ...tokens(`https://u:${canary}@issuer.example/jwks`) },
    { HEALTHCLOUD_CANARY: canary },
  ]
  for (const each of variables) {
    const ran = [await doctor(each), await doctor(each, 'doctor --json'), await doctor(each, 'keys list --org o')]
    expect(JSON.stringify(ran)).not.toContain(canary)
  }
})
