import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError, createAuth, fromEnv, memoryKeyStore } from '../../src/index.ts'
import { readStoreUrl } from '../../src/options/store-url.ts'

const SECRET = Buffer.alloc(32, 9).toString('base64')
const OTHER = Buffer.alloc(32, 8).toString('base64')
const CANARY = 'cAnArYpEpPeR0123456789'
const store = memoryKeyStore()
const TOKENS = {
  HEALTHCLOUD_ISSUER: 'https://issuer.example',
  HEALTHCLOUD_AUDIENCE: 'https://us.example',
  HEALTHCLOUD_JWKS_URL: 'https://issuer.example/jwks',
}

const PRIVATE = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const JWK = PRIVATE.export({ format: 'jwk' })
const PEM = PRIVATE.export({ format: 'pem', type: 'pkcs8' }).toString().trim()
const OTHER_JWK = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
const MINTING = {
  HEALTHCLOUD_ENVIRONMENT: 'test',
  HEALTHCLOUD_ISSUER: 'https://issuer.example',
  HEALTHCLOUD_AUDIENCE: 'https://us.example',
}
const AUDIT_PEM = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const MINTED = { issuer: 'https://issuer.example', audience: ['https://us.example'] }

let folder: string
let file: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hc-env-'))
  file = join(folder, 'secret')
  writeFileSync(file, `p1:${SECRET}\n`)
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Env = Record<string, string | undefined>
type Good = readonly [what: string, env: () => Env, options: object]

const GOOD: readonly Good[] = [
  ['the environment alone', () => ({ HEALTHCLOUD_ENVIRONMENT: 'test' }), { environment: 'test', keys: { store } }],
  [
    'spaces and a newline around it',
    () => ({ HEALTHCLOUD_ENVIRONMENT: ' live\n' }),
    { environment: 'live', keys: { store } },
  ],
  [
    'tokens',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', ...TOKENS }),
    {
      environment: 'test',
      keys: { store },
      tokens: {
        issuer: 'https://issuer.example',
        audience: ['https://us.example'],
        jwks: 'https://issuer.example/jwks',
      },
    },
  ],
  [
    'several audiences',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', ...TOKENS, HEALTHCLOUD_AUDIENCE: 'a, b' }),
    {
      environment: 'test',
      keys: { store },
      tokens: { issuer: 'https://issuer.example', audience: ['a', 'b'], jwks: 'https://issuer.example/jwks' },
    },
  ],
  [
    'a pepper',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER: `p1:${SECRET}` }),
    { environment: 'test', keys: { store, pepper: [{ id: 'p1', secret: SECRET }] } },
  ],
  [
    'peppers, and unpeppered digests',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER: `p2:${OTHER}, p1:${SECRET},sha256` }),
    {
      environment: 'test',
      keys: { store, pepper: [{ id: 'p2', secret: OTHER }, { id: 'p1', secret: SECRET }, 'sha256'] },
    },
  ],
  [
    'a pepper in a file',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER_FILE: file }),
    { environment: 'test', keys: { store, pepper: [{ id: 'p1', secret: SECRET }] } },
  ],
  [
    'an audit journal',
    () => ({
      HEALTHCLOUD_ENVIRONMENT: 'live',
      HEALTHCLOUD_AUDIT_DIR: folder,
      HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${SECRET}`,
    }),
    {
      environment: 'live',
      keys: { store },
      audit: { directory: expect.any(String), pseudonymKeys: [{ id: 'k1', secret: SECRET }] },
    },
  ],
  [
    'a pseudonym key in a file',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'live', HEALTHCLOUD_AUDIT_PSEUDONYM_KEY_FILE: file }),
    { environment: 'live', keys: { store }, audit: { pseudonymKeys: [{ id: 'p1', secret: SECRET }] } },
  ],
  [
    'a key that signs checkpoints',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'live', HEALTHCLOUD_AUDIT_SIGNING_KEY_FILE: writtenFile(AUDIT_PEM) }),
    { environment: 'live', keys: { store }, audit: { signingKey: AUDIT_PEM.trimEnd() } },
  ],
  [
    'empty variables',
    () => ({
      HEALTHCLOUD_ENVIRONMENT: 'test',
      HEALTHCLOUD_ISSUER: '',
      HEALTHCLOUD_KEY_PEPPER: ' ',
      HEALTHCLOUD_KEY_PEPPER_FILE: undefined,
      HEALTHCLOUD_AUDIT_SIGNING_KEY: '',
      HEALTHCLOUD_AUDIT_DIRECTORY: '',
    }),
    { environment: 'test', keys: { store } },
  ],
  [
    'the URL of the store that was handed in',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL: `postgres://me:${CANARY}@host/keys` }),
    { environment: 'test', keys: { store } },
  ],
  [
    'what a client of HealthCloud keeps there, and variables of others',
    () => ({
      HEALTHCLOUD_ENVIRONMENT: 'test',
      HEALTHCLOUD_API_KEY: 'hc_test_sk_x',
      HEALTHCLOUD_TOKEN_URL: 'x',
      HEALTH: '1',
      HEALTHCLOUDS_X: '1',
    }),
    { environment: 'test', keys: { store } },
  ],
  [
    'what Kubernetes sets for services named healthcloud and healthcloud-api',
    () => ({
      HEALTHCLOUD_ENVIRONMENT: 'test',
      HEALTHCLOUD_SERVICE_HOST: '10.0.0.11',
      HEALTHCLOUD_SERVICE_PORT: '443',
      HEALTHCLOUD_SERVICE_PORT_HTTPS: '443',
      HEALTHCLOUD_PORT: 'tcp://10.0.0.11:443',
      HEALTHCLOUD_PORT_443_TCP: 'tcp://10.0.0.11:443',
      HEALTHCLOUD_PORT_443_TCP_PROTO: 'tcp',
      HEALTHCLOUD_PORT_443_TCP_PORT: '443',
      HEALTHCLOUD_PORT_443_TCP_ADDR: '10.0.0.11',
      HEALTHCLOUD_API_SERVICE_HOST: '10.0.0.12',
      HEALTHCLOUD_API_PORT_53_UDP_ADDR: '10.0.0.12',
    }),
    { environment: 'test', keys: { store } },
  ],
]

const signingKeys = (list: readonly unknown[]) => ({
  environment: 'test',
  keys: { store },
  tokens: MINTED,
  issuing: { ...MINTED, signingKeys: list },
})
const withKey = (text: string, more: Env = {}) => ({ ...MINTING, HEALTHCLOUD_SIGNING_KEY: text, ...more })
const writtenFile = (text: string): string => {
  const path = join(folder, randomUUID())
  writeFileSync(path, `${text}\n`)
  return path
}
const inFile = (text: string): Env => ({ ...MINTING, HEALTHCLOUD_SIGNING_KEY_FILE: writtenFile(text) })
const ROTATING = [JWK, { key: PEM, from: '2027-01-01T00:00:00+01:00' }, { key: OTHER_JWK, from: '2027-02-01T00:00Z' }]
const ROTATED = [
  JWK,
  { key: PEM, from: new Date('2026-12-31T23:00:00Z') },
  { key: OTHER_JWK, from: new Date('2027-02-01T00:00:00Z') },
]

const SIGNING: readonly Good[] = [
  ['a PEM', () => withKey(PEM), signingKeys([PEM])],
  ['a PEM on one line', () => withKey(PEM.replaceAll('\n', '\\n')), signingKeys([PEM])],
  ['a JWK', () => withKey(JSON.stringify(JWK)), signingKeys([JSON.stringify(JWK)])],
  ['a PEM in a file', () => inFile(PEM), signingKeys([PEM])],
  ['a JWK in a file', () => inFile(JSON.stringify(JWK, null, 2)), signingKeys([JSON.stringify(JWK, null, 2)])],
  ['a list', () => withKey(JSON.stringify(ROTATING)), signingKeys(ROTATED)],
  ['a list in a file', () => inFile(JSON.stringify(ROTATING, null, 2)), signingKeys(ROTATED)],
  [
    'a key set of others beside it',
    () => withKey(PEM, { HEALTHCLOUD_JWKS_URL: 'https://other.example/jwks', HEALTHCLOUD_AUDIENCE: 'a,b' }),
    {
      environment: 'test',
      keys: { store },
      tokens: { issuer: 'https://issuer.example', audience: ['a', 'b'], jwks: 'https://other.example/jwks' },
      issuing: { issuer: 'https://issuer.example', audience: ['a', 'b'], signingKeys: [PEM] },
    },
  ],
]

describe('signing keys from the environment:', () => {
  test.each(SIGNING)('%s', (_what, env, options) => {
    expect(fromEnv(env(), { store })).toEqual(options)
  })

  test.each([
    ['alone', PEM],
    ['with a successor', JSON.stringify([JWK, { key: OTHER_JWK, from: '2099-01-01T00:00:00Z' }])],
  ])('mint tokens that the same server takes: %s', async (_what, text) => {
    const auth = createAuth(fromEnv(withKey(text), { store: memoryKeyStore() }))
    const request = {
      organizationId: 'o',
      environment: 'test',
      name: 'n',
      scopes: ['read:patients'],
      by: 'me',
    } as const
    const { key } = await auth.keys.create(request)
    const minted = await auth.tokens.exchange({ key, scopes: ['read:patients'] })
    const token = minted.ok ? minted.accessToken : minted.reason
    expect(await auth.verify(token, { ip: null, secure: true, operation: 'test' })).toMatchObject({ ok: true })
    await auth.close()
  })

  test.each([
    ['no key', CANARY, ''],
    ['a PEM that is cut', PEM.slice(0, 400), ''],
    ['a public key', JSON.stringify({ ...JWK, d: undefined }), ''],
    ['a list that is cut', JSON.stringify(ROTATING).slice(0, -5), ''],
    ['an empty list', '[]', ''],
    ['a list with a text that is no key', JSON.stringify([JWK, CANARY]), 'number 2: '],
    ['a key without its from', JSON.stringify([{ key: JWK }]), 'number 1: '],
    ['a from without offset', JSON.stringify([{ key: JWK, from: '2027-01-01T00:00:00' }]), 'number 1: '],
    ['a from that is no day', JSON.stringify([{ key: JWK, from: '2027-02-30T00:00:00Z' }]), 'number 1: '],
    ['a from that is a number', JSON.stringify([{ key: JWK, from: 1_798_761_600 }]), 'number 1: '],
    ['another member', JSON.stringify([{ key: JWK, from: '2027-01-01T00:00Z', [CANARY]: 1 }]), 'number 1: '],
  ])('%s is refused, and the variable named', (_what, text, place) => {
    for (const env of [withKey(text), inFile(text)]) {
      const name = Object.keys(env).find((each) => each.includes('SIGNING')) ?? ''
      const error = mistake(env, { store })
      expectMistake(error, 'CONFIG_INVALID', name)
      expect(error.message.startsWith(`${name}: ${place}`)).toBe(true)
      const secrets = text.match(/[\w-]{30,}/g) ?? []
      expect(secrets.filter((secret) => inspect(error, { depth: 10, showHidden: true }).includes(secret))).toEqual([])
    }
  })

  test('what JSON inherits is no member', () => {
    expectMistake(
      mistake(withKey('[{"__proto__":{"key":"x"}}]'), { store }),
      'CONFIG_INVALID',
      'HEALTHCLOUD_SIGNING_KEY',
    )
  })

  test('need a store, an issuer and an audience', () => {
    const missing = (name: string) => mistake(withKey(PEM, { [name]: '' }), { store })
    expectMistake(missing('HEALTHCLOUD_ISSUER'), 'CONFIG_MISSING', 'HEALTHCLOUD_ISSUER')
    expectMistake(missing('HEALTHCLOUD_AUDIENCE'), 'CONFIG_MISSING', 'HEALTHCLOUD_AUDIENCE')
    expectMistake(mistake(withKey(PEM), {}), 'CONFIG_CONFLICT', 'HEALTHCLOUD_SIGNING_KEY')
    const both = { ...inFile(PEM), HEALTHCLOUD_SIGNING_KEY: PEM }
    expectMistake(mistake(both, { store }), 'CONFIG_CONFLICT', 'HEALTHCLOUD_SIGNING_KEY')
  })

  test('two that count from the beginning are refused by createAuth', () => {
    const options = fromEnv(withKey(JSON.stringify([JWK, OTHER_JWK])), { store })
    expect(() => createAuth(options)).toThrow(
      expect.objectContaining({ code: 'CONFIG_CONFLICT', option: 'issuing.signingKeys.1' }),
    )
  })
})

describe('options from the environment:', () => {
  test.each(GOOD)('%s', (_what, env, options) => {
    expect(fromEnv(env(), { store })).toEqual(options)
  })

  test('all that it gives for a live server is taken by createAuth', () => {
    const env = {
      HEALTHCLOUD_ENVIRONMENT: 'live',
      ...TOKENS,
      HEALTHCLOUD_KEY_PEPPER_FILE: file,
      HEALTHCLOUD_AUDIT_DIR: folder,
      HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: `k1:${SECRET}`,
    }
    expect(createAuth(fromEnv(env, { store })).health()).toMatchObject({
      environment: 'live',
      keys: { store: 'memory' },
      tokens: { source: 'remote' },
    })
  })

  test('without a store there are no keys', () => {
    expect(fromEnv({ HEALTHCLOUD_ENVIRONMENT: 'test' })).toEqual({ environment: 'test' })
  })

  test('are read from the process where no other is named', () => {
    const before = process.env['HEALTHCLOUD_ENVIRONMENT']
    try {
      process.env['HEALTHCLOUD_ENVIRONMENT'] = 'test'
      expect(fromEnv()).toEqual({ environment: 'test' })
    } finally {
      if (before === undefined) delete process.env['HEALTHCLOUD_ENVIRONMENT']
      else process.env['HEALTHCLOUD_ENVIRONMENT'] = before
    }
  })

  test('inherited variables do not count', () => {
    expect(() => fromEnv(Object.create({ HEALTHCLOUD_ENVIRONMENT: 'test' }) as Env)).toThrow(ConfigError)
  })
})

test('an inherited store is none', () => {
  expect(fromEnv({ HEALTHCLOUD_ENVIRONMENT: 'test' }, Object.create({ store }) as object)).toEqual({
    environment: 'test',
  })
})

type Bad = readonly [what: string, env: () => Env, code: ConfigError['code'], option: string]

const BAD: readonly Bad[] = [
  ['nothing at all', () => ({}), 'CONFIG_MISSING', 'HEALTHCLOUD_ENVIRONMENT'],
  [
    'an environment that does not exist',
    () => ({ HEALTHCLOUD_ENVIRONMENT: CANARY }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_ENVIRONMENT',
  ],
  [
    'an issuer alone',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_ISSUER: CANARY }),
    'CONFIG_MISSING',
    'HEALTHCLOUD_AUDIENCE',
  ],
  [
    'a key set without issuer',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', ...TOKENS, HEALTHCLOUD_ISSUER: undefined }),
    'CONFIG_MISSING',
    'HEALTHCLOUD_ISSUER',
  ],
  [
    'tokens without key set',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', ...TOKENS, HEALTHCLOUD_JWKS_URL: undefined }),
    'CONFIG_MISSING',
    'HEALTHCLOUD_JWKS_URL',
  ],
  [
    'a pepper without id',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER: `${CANARY}${SECRET}` }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_KEY_PEPPER',
  ],
  [
    'a pepper with two colons',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER: `p1:${CANARY}:${SECRET}` }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_KEY_PEPPER',
  ],
  [
    'a trailing comma',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER: `p1:${SECRET},` }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_KEY_PEPPER',
  ],
  [
    'sha256 as a pseudonym key',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_AUDIT_PSEUDONYM_KEY: 'sha256' }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_AUDIT_PSEUDONYM_KEY',
  ],
  [
    'a secret and its file',
    () => ({
      HEALTHCLOUD_ENVIRONMENT: 'test',
      HEALTHCLOUD_KEY_PEPPER: `p1:${SECRET}`,
      HEALTHCLOUD_KEY_PEPPER_FILE: file,
    }),
    'CONFIG_CONFLICT',
    'HEALTHCLOUD_KEY_PEPPER',
  ],
  [
    'a file that is not there',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER_FILE: join(folder, CANARY) }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_KEY_PEPPER_FILE',
  ],
  [
    'a file that is a folder',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER_FILE: folder }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_KEY_PEPPER_FILE',
  ],
  [
    'a file that is empty',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER_FILE: emptyFile() }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_KEY_PEPPER_FILE',
  ],
  ...[
    'HEALTHCLOUD_AUDIT_DIRECTORY',
    'HEALTHCLOUD_ENVIRONMENT_FILE',
    'HEALTHCLOUD_PEPPER',
    'HEALTHCLOUD_AUDIT_PSEUDONYM_KEYS',
    'HEALTHCLOUD_API_KEY_FILE',
    'HEALTHCLOUD_',
    'healthcloud_audit_dir',
  ].map((name): Bad => [
    `unknown ${name}`,
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', [name]: CANARY }),
    'CONFIG_UNKNOWN_OPTION',
    name,
  ]),
  ...['HEALTHCLOUD_AUDIT_SIGNING_KEY', 'HEALTHCLOUD_AUDIT_SIGNING_KEY_FILE'].map((name): Bad => [
    `${name} that is no key`,
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'live', [name]: name.endsWith('_FILE') ? writtenFile(CANARY) : CANARY }),
    'CONFIG_INVALID',
    name,
  ]),
]

/** Where no store is handed in. */
const BAD_WITHOUT_STORE: readonly Bad[] = [
  ...['postgres', 'postgresql', 'redis', 'rediss', 'REDIS'].map((scheme) =>
    badUrl(`${scheme}://me:${CANARY}@host/keys`, 'CONFIG_UNSUPPORTED'),
  ),
  ...[
    `mysql://me:${CANARY}@host/keys`,
    `https://me:${CANARY}@host/keys`,
    `postgres:${CANARY}`,
    `/var/lib/${CANARY}.db`,
    `${CANARY}.db`,
    'sqlite:',
    `sqlite://${CANARY}.db`,
    `sqlite://me:${CANARY}@host/keys`,
    `sqlite:////${CANARY}.db`,
    `sqlite:${CANARY}.db?mode=ro`,
    `sqlite:${CANARY}%20keys.db`,
  ].map((url) => badUrl(url, 'CONFIG_INVALID')),
  [
    'the URL of a store in a file',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL_FILE: file }),
    'CONFIG_INVALID',
    'HEALTHCLOUD_KEY_STORE_URL_FILE',
  ],
  [
    'the URL of a store, and a file of it',
    () => ({
      HEALTHCLOUD_ENVIRONMENT: 'test',
      HEALTHCLOUD_KEY_STORE_URL: 'sqlite:keys.db',
      HEALTHCLOUD_KEY_STORE_URL_FILE: file,
    }),
    'CONFIG_CONFLICT',
    'HEALTHCLOUD_KEY_STORE_URL',
  ],
  [
    'a pepper',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER: `p1:${SECRET}` }),
    'CONFIG_CONFLICT',
    'HEALTHCLOUD_KEY_PEPPER',
  ],
  [
    'a pepper in a file',
    () => ({ HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_PEPPER_FILE: file }),
    'CONFIG_CONFLICT',
    'HEALTHCLOUD_KEY_PEPPER_FILE',
  ],
]

function badUrl(url: string, code: ConfigError['code']): Bad {
  const env = { HEALTHCLOUD_ENVIRONMENT: 'test', HEALTHCLOUD_KEY_STORE_URL: url }
  return [`the store ${url}`, () => env, code, 'HEALTHCLOUD_KEY_STORE_URL']
}

function emptyFile(): string {
  const path = join(folder, 'empty')
  writeFileSync(path, '\n')
  return path
}

describe('the store that the environment names', () => {
  test.each([
    ['HEALTHCLOUD_KEY_STORE_URL', 'sqlite:'],
    ['HEALTHCLOUD_KEY_STORE_URL', 'sqlite://'],
    ['HEALTHCLOUD_KEY_STORE_URL', 'SQLite:'],
    ['HEALTHCLOUD_KEY_STORE_URL_FILE', 'sqlite:'],
  ])('by %s, written %s<path>, keeps keys in that file', async (variable, prefix) => {
    const path = join(folder, `${randomUUID()}.db`)
    const value = variable.endsWith('_FILE') ? join(folder, 'url') : `${prefix}${path}`
    writeFileSync(join(folder, 'url'), `${prefix}${path}\n`)
    const env = { HEALTHCLOUD_ENVIRONMENT: 'test', [variable]: value, HEALTHCLOUD_KEY_PEPPER: `p1:${SECRET}` }
    const auth = createAuth(fromEnv(env))
    expect(existsSync(path)).toBe(false)
    const request = {
      organizationId: 'org_1',
      environment: 'test',
      name: 'n',
      scopes: ['read:patients'],
      by: 'me',
    } as const
    const { key, record } = await auth.keys.create(request)
    expect(record.digest).toMatch(/^p1:/)
    await auth.close()
    const again = createAuth(fromEnv(env))
    const context = { ip: '127.0.0.1', secure: true, operation: 'test' }
    expect(await again.verify(key, context)).toMatchObject({ ok: true, principal: { keyId: record.id } })
    await again.close()
    expect(existsSync(path)).toBe(true)
  })

  test('is relative to where the process is', () => {
    expect(readStoreUrl('sqlite:keys.db')).toEqual({ kind: 'sqlite', path: 'keys.db' })
    expect(readStoreUrl('sqlite:./data/keys.db')).toEqual({ kind: 'sqlite', path: './data/keys.db' })
    expect(readStoreUrl('sqlite:///var/keys.db')).toEqual({ kind: 'sqlite', path: '/var/keys.db' })
    expect(readStoreUrl('sqlite::memory:')).toEqual({ kind: 'sqlite', path: ':memory:' })
  })
})

describe('a mistake in the environment:', () => {
  test.each(BAD)('%s', (_what, env, code, option) => {
    expectMistake(mistake(env(), { store }), code, option)
  })

  test.each(BAD_WITHOUT_STORE)('without a store, %s', (_what, env, code, option) => {
    expectMistake(mistake(env(), {}), code, option)
    expectMistake(mistake(env(), { store: undefined }), code, option)
  })

  test('the store itself in place of its part', () => {
    expectMistake(mistake({ HEALTHCLOUD_ENVIRONMENT: 'test' }, store), 'CONFIG_UNKNOWN_OPTION', 'name')
  })

  test('an inherited variable is none', () => {
    expect(
      fromEnv(Object.assign(Object.create({ HEALTHCLOUD_X: CANARY }) as Env, { HEALTHCLOUD_ENVIRONMENT: 'test' })),
    ).toEqual({ environment: 'test' })
  })
})

function expectMistake(error: ConfigError, code: ConfigError['code'], option: string): void {
  expect([error.code, error.option]).toEqual([code, option])
  expect(error.remedy).toMatch(/^[A-Z`].{5,}\.$/)
  const shown =
    inspect(error, { depth: 10, showHidden: true }) + JSON.stringify(error) + inspect(error.cause, { depth: 10 })
  expect(shown).not.toContain(CANARY)
  expect(shown).not.toContain(SECRET)
}

test('an empty audience in a list is refused by createAuth', () => {
  const options = fromEnv({ HEALTHCLOUD_ENVIRONMENT: 'test', ...TOKENS, HEALTHCLOUD_AUDIENCE: 'a,,b' })
  expect(() => createAuth(options)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', option: 'tokens.audience.1' }),
  )
})

function mistake(env: Env, parts: object): ConfigError {
  try {
    fromEnv(env, parts)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('fromEnv took it')
}
