import { generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { AuthOptions, KeyStore } from '../../src/index.ts'
import { ConfigError, createAuth, memoryKeyStore } from '../../src/index.ts'
import { parseOptions } from '../../src/options/parse-options.ts'
import { JWK } from '../http/world.ts'

const rsa = (modulusLength = 2048) => generateKeyPairSync('rsa', { modulusLength }).privateKey.export({ format: 'jwk' })
const [SIGNING, OTHER, WEAK] = [rsa(), rsa(), rsa(1024)]
const store = memoryKeyStore()
const SECRET = Buffer.alloc(32, 9).toString('base64')
/** Stands in every row that has a value of its own: an error must not repeat it. */
const CANARY = 'cAnArYpEpPeR0123456789'
/** As an address is written. */
const HEX_CANARY = 'c0ffee00c0ffee00'
const tokens = { issuer: 'https://issuer.example', audience: 'https://us.example', jwks: { keys: [JWK] } }
const live = {
  environment: 'live',
  keys: { store },
  audit: { directory: '/nowhere/at/all', pseudonymKeys: [{ id: 'k1', secret: SECRET }] },
}
const liveWith = (audit: object) => ({ ...live, audit: { ...live.audit, ...audit } })
const test0 = { environment: 'test', keys: { store } }
const withTokens = (more: object) => ({ environment: 'test', tokens: { ...tokens, ...more } })

const ed25519 = generateKeyPairSync('ed25519')
const AUDIT_KEY = {
  pem: ed25519.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  jwk: ed25519.privateKey.export({ format: 'jwk' }),
  public: ed25519.publicKey.export({ format: 'jwk' }),
}
const SIEM = { name: 'siem', acks: true, write: async () => undefined }

type Row = readonly [what: string, options: unknown, code: ConfigError['code'], option: string]

const issuing = { issuer: tokens.issuer, audience: tokens.audience, signingKeys: [SIGNING] }
const withIssuing = (more: object) => ({ ...test0, issuing: { ...issuing, ...more } })
const { jwks: _jwks, ...ownTokens } = tokens
const withOwnTokens = (more: object) => ({ ...withIssuing({}), tokens: { ...ownTokens, ...more } })
const FROM = new Date('2030-01-01')
const publicOf = ({ n, e, kty }: typeof SIGNING) => ({ n, e, kty })

const ISSUING_ROWS: readonly Row[] = [
  ['an issuer alone', { ...test0, issuing: { issuer: CANARY } }, 'CONFIG_MISSING', 'issuing.audience'],
  ['issuing without signing keys', withIssuing({ signingKeys: undefined }), 'CONFIG_MISSING', 'issuing.signingKeys'],
  ['no signing key', withIssuing({ signingKeys: [] }), 'CONFIG_INVALID', 'issuing.signingKeys'],
  ['a misspelt option of issuing', withIssuing({ lifetime: CANARY }), 'CONFIG_UNKNOWN_OPTION', 'issuing.lifetime'],
  ['a token of two hours', withIssuing({ lifetimeSeconds: 7200 }), 'CONFIG_INVALID', 'issuing.lifetimeSeconds'],
  ['a token of nothing', withIssuing({ lifetimeSeconds: 0 }), 'CONFIG_INVALID', 'issuing.lifetimeSeconds'],
  ['a token of half a second', withIssuing({ lifetimeSeconds: 0.5 }), 'CONFIG_INVALID', 'issuing.lifetimeSeconds'],
  ['a signing key that is any text', withIssuing({ signingKeys: [CANARY] }), 'CONFIG_INVALID', 'issuing.signingKeys.0'],
  [
    'a PEM that is none',
    withIssuing({ signingKeys: [`-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----`] }),
    'CONFIG_INVALID',
    'issuing.signingKeys.0',
  ],
  [
    'a public key, behind a good one',
    withIssuing({ signingKeys: [SIGNING, publicOf(OTHER)] }),
    'CONFIG_INVALID',
    'issuing.signingKeys.1',
  ],
  ['a weak key', withIssuing({ signingKeys: [WEAK] }), 'CONFIG_INVALID', 'issuing.signingKeys.0'],
  [
    'a weak key with an instant',
    withIssuing({ signingKeys: [{ key: WEAK, from: FROM }] }),
    'CONFIG_INVALID',
    'issuing.signingKeys.0.key',
  ],
  [
    'an instant that is a text',
    withIssuing({ signingKeys: [{ key: SIGNING, from: CANARY }] }),
    'CONFIG_INVALID',
    'issuing.signingKeys.0.from',
  ],
  [
    'a key in brackets without its instant',
    withIssuing({ signingKeys: [{ key: SIGNING }] }),
    'CONFIG_MISSING',
    'issuing.signingKeys.0.from',
  ],
  [
    'two keys from the beginning',
    withIssuing({ signingKeys: [SIGNING, OTHER] }),
    'CONFIG_CONFLICT',
    'issuing.signingKeys.1',
  ],
  [
    'one key twice',
    withIssuing({ signingKeys: [SIGNING, { key: SIGNING, from: FROM }] }),
    'CONFIG_CONFLICT',
    'issuing.signingKeys.1',
  ],
  [
    'one kid twice',
    withIssuing({
      signingKeys: [
        { ...SIGNING, kid: 'a' },
        { key: { ...OTHER, kid: 'a' }, from: FROM },
      ],
    }),
    'CONFIG_CONFLICT',
    'issuing.signingKeys.1',
  ],
  [
    'one instant twice',
    withIssuing({
      signingKeys: [
        { key: SIGNING, from: FROM },
        { key: OTHER, from: FROM },
      ],
    }),
    'CONFIG_CONFLICT',
    'issuing.signingKeys.1.from',
  ],
  ['issuing without keys', { environment: 'test', tokens, issuing }, 'CONFIG_MISSING', 'keys'],
  ['tokens without key set and without issuing', { ...test0, tokens: ownTokens }, 'CONFIG_MISSING', 'tokens.jwks'],
  ['own tokens of another issuer', withOwnTokens({ issuer: CANARY }), 'CONFIG_CONFLICT', 'tokens.issuer'],
  ['own tokens for another audience', withOwnTokens({ audience: [CANARY] }), 'CONFIG_CONFLICT', 'tokens.audience'],
  [
    'own tokens that live too long',
    withOwnTokens({ maxLifetimeSeconds: 600 }),
    'CONFIG_CONFLICT',
    'tokens.maxLifetimeSeconds',
  ],
  ['own tokens of another algorithm', withOwnTokens({ algorithms: ['ES256'] }), 'CONFIG_CONFLICT', 'tokens.algorithms'],
  ['own tokens of another type', withOwnTokens({ types: ['JWT'] }), 'CONFIG_CONFLICT', 'tokens.types'],
  [
    'own tokens with another claim',
    withOwnTokens({ claims: { scope: CANARY } }),
    'CONFIG_CONFLICT',
    'tokens.claims.scope',
  ],
]

const ROWS: readonly Row[] = [
  ['no options', undefined, 'CONFIG_MISSING', 'options'],
  ['options that are no object', CANARY, 'CONFIG_INVALID', 'options'],
  ['no environment', { keys: { store } }, 'CONFIG_MISSING', 'environment'],
  ['an environment that does not exist', { environment: CANARY, keys: { store } }, 'CONFIG_INVALID', 'environment'],
  ['neither keys nor tokens', { environment: 'test' }, 'CONFIG_MISSING', 'keys'],
  ['a misspelt option', { ...test0, tokns: CANARY }, 'CONFIG_UNKNOWN_OPTION', 'tokns'],
  [
    'a misspelt option of keys',
    { environment: 'test', keys: { store, peper: CANARY } },
    'CONFIG_UNKNOWN_OPTION',
    'keys.peper',
  ],
  ['a misspelt option of audit', { ...test0, audit: { dir: CANARY } }, 'CONFIG_UNKNOWN_OPTION', 'audit.dir'],
  [
    'a misspelt claim',
    withTokens({ claims: { organisation: CANARY } }),
    'CONFIG_UNKNOWN_OPTION',
    'tokens.claims.organisation',
  ],
  ['keys without a store', { environment: 'test', keys: {} }, 'CONFIG_MISSING', 'keys.store'],
  ['a store that is none', { environment: 'test', keys: { store: { find: CANARY } } }, 'CONFIG_INVALID', 'keys.store'],
  [
    'a store without can',
    { environment: 'test', keys: { store: { ...store, can: undefined } } },
    'CONFIG_INVALID',
    'keys.store',
  ],
  ['a short pepper', { environment: 'test', keys: { store, pepper: CANARY } }, 'CONFIG_INVALID', 'keys.pepper'],
  [
    'a pepper that is no base64',
    { environment: 'test', keys: { store, pepper: `${CANARY}-_${'x'.repeat(40)}` } },
    'CONFIG_INVALID',
    'keys.pepper',
  ],
  ['an empty pepper list', { environment: 'test', keys: { store, pepper: [] } }, 'CONFIG_INVALID', 'keys.pepper'],
  [
    'a short pepper in a list',
    { environment: 'test', keys: { store, pepper: [{ id: 'p1', secret: CANARY }] } },
    'CONFIG_INVALID',
    'keys.pepper.0.secret',
  ],
  [
    'a pepper id with other characters',
    { environment: 'test', keys: { store, pepper: [{ id: `${CANARY}:`, secret: SECRET }] } },
    'CONFIG_INVALID',
    'keys.pepper.0.id',
  ],
  [
    'a pepper that is called sha256',
    { environment: 'test', keys: { store, pepper: [{ id: 'sha256', secret: SECRET }] } },
    'CONFIG_INVALID',
    'keys.pepper.0.id',
  ],
  [
    'a pepper id twice',
    {
      environment: 'test',
      keys: {
        store,
        pepper: [
          { id: 'p1', secret: SECRET },
          { id: 'p1', secret: SECRET },
        ],
      },
    },
    'CONFIG_CONFLICT',
    'keys.pepper.1.id',
  ],
  [
    'sha256 before the end of the peppers',
    { environment: 'test', keys: { store, pepper: ['sha256', { id: 'p1', secret: SECRET }] } },
    'CONFIG_INVALID',
    'keys.pepper',
  ],
  [
    'a cache time that is no number',
    { environment: 'test', keys: { store, cacheSeconds: CANARY } },
    'CONFIG_INVALID',
    'keys.cacheSeconds',
  ],
  [
    'a negative cache time',
    { environment: 'test', keys: { store, cacheSeconds: -1 } },
    'CONFIG_INVALID',
    'keys.cacheSeconds',
  ],
  [
    'a cache time without end',
    { environment: 'test', keys: { store, cacheSeconds: Number.POSITIVE_INFINITY } },
    'CONFIG_INVALID',
    'keys.cacheSeconds',
  ],
  [
    'a deadline that is not a number',
    { environment: 'test', keys: { store, timeoutMs: Number.NaN } },
    'CONFIG_INVALID',
    'keys.timeoutMs',
  ],
  [
    'half a cache entry',
    { environment: 'test', keys: { store, cacheEntries: 1.5 } },
    'CONFIG_INVALID',
    'keys.cacheEntries',
  ],
  [
    'tokens without issuer',
    { environment: 'test', tokens: { ...tokens, issuer: undefined } },
    'CONFIG_MISSING',
    'tokens.issuer',
  ],
  [
    'tokens without audience',
    { environment: 'test', tokens: { ...tokens, audience: undefined } },
    'CONFIG_MISSING',
    'tokens.audience',
  ],
  ['tokens for nobody', withTokens({ audience: [] }), 'CONFIG_INVALID', 'tokens.audience'],
  [
    'tokens without key set',
    { environment: 'test', tokens: { ...tokens, jwks: undefined } },
    'CONFIG_MISSING',
    'tokens.jwks',
  ],
  ['a key set over plain http', withTokens({ jwks: `http://${CANARY}.example/jwks` }), 'CONFIG_INVALID', 'tokens.jwks'],
  ['a key set that is no URL', withTokens({ jwks: CANARY }), 'CONFIG_INVALID', 'tokens.jwks'],
  ['a key set in a file', withTokens({ jwks: `file:///${CANARY}` }), 'CONFIG_INVALID', 'tokens.jwks'],
  [
    'a key set URL with a password',
    withTokens({ jwks: `https://user:${CANARY}@issuer.example/jwks` }),
    'CONFIG_INVALID',
    'tokens.jwks',
  ],
  ['an empty key set', withTokens({ jwks: { keys: [] } }), 'CONFIG_INVALID', 'tokens.jwks.keys'],
  [
    'a key set without usable key',
    withTokens({ jwks: { keys: [{ kty: 'oct', k: CANARY }] } }),
    'CONFIG_INVALID',
    'tokens.jwks',
  ],
  ['algorithm HS256', withTokens({ algorithms: ['HS256'] }), 'CONFIG_INVALID', 'tokens.algorithms.0'],
  ['algorithm none', withTokens({ algorithms: ['RS256', 'none'] }), 'CONFIG_INVALID', 'tokens.algorithms.1'],
  ['no algorithm', withTokens({ algorithms: [] }), 'CONFIG_INVALID', 'tokens.algorithms'],
  ['no type', withTokens({ types: [] }), 'CONFIG_INVALID', 'tokens.types'],
  [
    'a tolerance of hours',
    withTokens({ clockToleranceSeconds: 7200 }),
    'CONFIG_INVALID',
    'tokens.clockToleranceSeconds',
  ],
  ['a lifetime of nothing', withTokens({ maxLifetimeSeconds: 0 }), 'CONFIG_INVALID', 'tokens.maxLifetimeSeconds'],
  [
    'a check of issuing keys without keys',
    withTokens({ issuingKeyCheck: 'always' }),
    'CONFIG_CONFLICT',
    'tokens.issuingKeyCheck',
  ],
  [
    'a check of issuing keys with a store that cannot get',
    {
      environment: 'test',
      tokens: { ...tokens, issuingKeyCheck: 'named' },
      keys: { store: { ...store, can: { ...store.can, get: false } } },
    },
    'CONFIG_CONFLICT',
    'tokens.issuingKeyCheck',
  ],
  [
    'a check of issuing keys of another kind',
    withTokens({ issuingKeyCheck: CANARY }),
    'CONFIG_INVALID',
    'tokens.issuingKeyCheck',
  ],
  ['a fetch that is no function', withTokens({ fetch: CANARY }), 'CONFIG_INVALID', 'tokens.fetch'],
  [
    'a documented scope declared anew',
    { ...test0, scopes: { 'read:patients': { description: 'x', level: 'Standard' } } },
    'CONFIG_CONFLICT',
    'scopes.read:patients',
  ],
  [
    'a scope with a level that does not exist',
    { ...test0, scopes: { 'read:labs': { description: 'x', level: CANARY } } },
    'CONFIG_INVALID',
    'scopes.read:labs.level',
  ],
  [
    'a scope with a space',
    { ...test0, scopes: { 'read labs': { description: 'x', level: 'Standard' } } },
    'CONFIG_INVALID',
    'scopes.read labs',
  ],
  [
    'https that is switched off by false',
    { ...test0, transport: { https: false } },
    'CONFIG_INVALID',
    'transport.https',
  ],
  [
    'trusting all proxies',
    { ...test0, transport: { trustedProxies: true } },
    'CONFIG_INVALID',
    'transport.trustedProxies',
  ],
  ['half a proxy', { ...test0, transport: { trustedProxies: 0.5 } }, 'CONFIG_INVALID', 'transport.trustedProxies'],
  [
    'a trusted proxy that is no CIDR block',
    { ...test0, transport: { trustedProxies: ['10.0.0.0/8', CANARY] } },
    'CONFIG_INVALID',
    'transport.trustedProxies',
  ],
  [
    'a trusted block with host bits',
    { ...test0, transport: { trustedProxies: ['10.0.0.1/8'] } },
    'CONFIG_INVALID',
    'transport.trustedProxies',
  ],
  ['no failed attempts at all', { ...test0, failures: { max: 0 } }, 'CONFIG_INVALID', 'failures.max'],
  [
    'a limiter that is none',
    { ...test0, failures: { limiter: { limit: CANARY } } },
    'CONFIG_INVALID',
    'failures.limiter',
  ],
  [
    'a live server without journal',
    { environment: 'live', keys: { store }, audit: { pseudonymKeys: [{ id: 'k1', secret: SECRET }] } },
    'CONFIG_MISSING',
    'audit.directory',
  ],
  [
    'a live server without pseudonym keys',
    { environment: 'live', keys: { store }, audit: { directory: `/${CANARY}` } },
    'CONFIG_MISSING',
    'audit.pseudonymKeys',
  ],
  [
    'a live server without audit options',
    { environment: 'live', keys: { store } },
    'CONFIG_MISSING',
    'audit.directory',
  ],
  ['no pseudonym key in the list', liveWith({ pseudonymKeys: [] }), 'CONFIG_INVALID', 'audit.pseudonymKeys'],
  [
    'a short pseudonym key',
    liveWith({ pseudonymKeys: [{ id: 'k1', secret: CANARY }] }),
    'CONFIG_INVALID',
    'audit.pseudonymKeys.0.secret',
  ],
  [
    'a pseudonym key without id',
    liveWith({ pseudonymKeys: [{ secret: SECRET }] }),
    'CONFIG_MISSING',
    'audit.pseudonymKeys.0.id',
  ],
  [
    'a pseudonym key id twice',
    liveWith({
      pseudonymKeys: [
        { id: 'k1', secret: SECRET },
        { id: 'k1', secret: SECRET },
      ],
    }),
    'CONFIG_CONFLICT',
    'audit.pseudonymKeys.1.id',
  ],
  ['a durability that does not exist', liveWith({ durability: CANARY }), 'CONFIG_INVALID', 'audit.durability'],
  ...ISSUING_ROWS,
  ['a tracer', { ...test0, telemetry: { tracer: CANARY } }, 'CONFIG_UNSUPPORTED', 'telemetry.tracer'],
  ['a meter that is none', { ...test0, telemetry: { meter: CANARY } }, 'CONFIG_INVALID', 'telemetry.meter'],
  ...['signingKey', 'retentionDays', 'localDays', 'refusalsPerSecond', 'reserveBytes'].map((name): Row => [
    `audit.${name}`,
    liveWith({ [name]: CANARY }),
    'CONFIG_INVALID',
    `audit.${name}`,
  ]),
  [
    'an audit signing key that is public',
    liveWith({ signingKey: AUDIT_KEY.public }),
    'CONFIG_INVALID',
    'audit.signingKey',
  ],
  ['an audit signing key of RSA', liveWith({ signingKey: SIGNING }), 'CONFIG_INVALID', 'audit.signingKey'],
  ['less than six years on a live server', liveWith({ retentionDays: 365 }), 'CONFIG_CONFLICT', 'audit.retentionDays'],
  ['more days on this disk than anywhere', liveWith({ localDays: 2193 }), 'CONFIG_CONFLICT', 'audit.localDays'],
  ['fewer days on this disk, and no sink', liveWith({ localDays: 30 }), 'CONFIG_CONFLICT', 'audit.localDays'],
  [
    'fewer days on this disk, and a sink that does not keep',
    liveWith({ localDays: 30, sinks: [{ ...SIEM, required: true }] }),
    'CONFIG_CONFLICT',
    'audit.localDays',
  ],
  ['two sinks of one name', liveWith({ sinks: [SIEM, { ...SIEM }] }), 'CONFIG_CONFLICT', 'audit.sinks.1'],
  ['a sink whose name is a path', liveWith({ sinks: [{ ...SIEM, name: '../x' }] }), 'CONFIG_CONFLICT', 'audit.sinks.0'],
  [
    'a required sink that does not acknowledge',
    liveWith({ sinks: [{ ...SIEM, acks: false, required: true }] }),
    'CONFIG_CONFLICT',
    'audit.sinks.0',
  ],
  [
    'a sink without a name',
    liveWith({ sinks: [{ acks: true, write: SIEM.write }] }),
    'CONFIG_INVALID',
    'audit.sinks.0',
  ],
  ['no refusals at all', liveWith({ refusalsPerSecond: 0 }), 'CONFIG_INVALID', 'audit.refusalsPerSecond'],
  ['a reserve below nothing', liveWith({ reserveBytes: -1 }), 'CONFIG_INVALID', 'audit.reserveBytes'],
  ['signingKey in the wrong place', { ...test0, signingKey: CANARY }, 'CONFIG_UNKNOWN_OPTION', 'signingKey'],
  ['issuing in the wrong place', liveWith({ issuing: CANARY }), 'CONFIG_UNKNOWN_OPTION', 'audit.issuing'],
  [
    'an onRotationDue that is no function',
    { environment: 'test', keys: { store, onRotationDue: CANARY } },
    'CONFIG_INVALID',
    'keys.onRotationDue',
  ],
  [
    'a hexadecimal secret as trusted proxy',
    { ...test0, transport: { trustedProxies: [HEX_CANARY] } },
    'CONFIG_INVALID',
    'transport.trustedProxies',
  ],
  ['a failure mode that does not exist', liveWith({ onFailure: CANARY }), 'CONFIG_INVALID', 'audit.onFailure'],
  ['a sink that is none', liveWith({ sinks: [{ send: CANARY }] }), 'CONFIG_INVALID', 'audit.sinks.0'],
  [
    'a query name with a space',
    liveWith({ queryNames: ['_count', `${CANARY} x`] }),
    'CONFIG_INVALID',
    'audit.queryNames.1',
  ],
  ['an onEvent that is no function', liveWith({ onEvent: CANARY }), 'CONFIG_INVALID', 'audit.onEvent'],
  ['a service name with a space', { ...test0, service: { name: `${CANARY} x` } }, 'CONFIG_INVALID', 'service.name'],
  ['a clock without hands', { ...test0, clock: { now: () => 0 } }, 'CONFIG_INVALID', 'clock'],
  ['a page that is no URL', { ...test0, docsUrl: CANARY }, 'CONFIG_INVALID', 'docsUrl'],
  ['a page that is a script', { ...test0, docsUrl: `javascript:${CANARY}` }, 'CONFIG_INVALID', 'docsUrl'],
]

/** What `createAuth` throws at once, on this line of the caller. */
function mistake(options: unknown): ConfigError {
  try {
    createAuth(options as AuthOptions)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('createAuth took it')
}

test('the table has at least 30 rows with names of their own', () => {
  expect(new Set(ROWS.map(([what]) => what)).size).toBe(ROWS.length)
  expect(ROWS.length).toBeGreaterThanOrEqual(30)
})

describe('a mistake in the options is found at start:', () => {
  test.each(ROWS)('%s', (_what, options, code, option) => {
    const error = mistake(options)
    expect([error.name, error.code, error.option, error.docsUrl]).toEqual([
      'ConfigError',
      code,
      option,
      'https://healthcloud.ai/docs/api/authentication',
    ])
    expect(error.remedy).toMatch(/^[A-Z`].{5,}\.$/)
    expect(error.message.startsWith(`${option}: `)).toBe(true)
    expect(error.message.endsWith(error.remedy)).toBe(true)
  })

  test.each(ROWS)('%s: its error does not hold the value', (_what, options) => {
    const error = mistake(options)
    const shown = [
      error.message,
      error.remedy,
      error.option,
      inspect(error, { depth: 10, showHidden: true }),
      JSON.stringify(error),
      error.stack ?? '',
      inspect(error.cause, { depth: 10 }),
    ].join('\n')
    expect(shown).not.toContain(CANARY)
    expect(shown).not.toContain(HEX_CANARY)
    expect(shown).not.toContain(SECRET)
  })
})

describe('good options', () => {
  test('are filled in with the documented defaults', () => {
    expect(parseOptions({ environment: 'test', keys: { store }, tokens })).toMatchObject({
      environment: 'test',
      keys: { cacheSeconds: 30, missCacheSeconds: 5, staleIfErrorSeconds: 60, cacheEntries: 100_000, timeoutMs: 250 },
      tokens: {
        algorithms: ['RS256'],
        types: ['at+jwt', 'JWT'],
        clockToleranceSeconds: 30,
        maxLifetimeSeconds: 3600,
        claims: { organization: 'org', environment: 'env', scope: 'scope', issuingKey: 'client_id' },
        jwksCooldownSeconds: 5,
        jwksMaxAgeSeconds: 600,
        jwksMaxStaleSeconds: 86_400,
        jwksTimeoutMs: 3000,
      },
      scopes: {},
      transport: { https: 'required', trustedProxies: 0 },
      failures: { max: 100, windowSeconds: 60 },
      audit: {
        durability: 'written',
        onFailure: 'deny',
        sinks: [],
        queryNames: [],
        retentionDays: 2192,
        refusalsPerSecond: 200,
        reserveBytes: 67_108_864,
      },
      service: { name: 'unnamed' },
      docsUrl: 'https://healthcloud.ai/docs/api/authentication',
    })
  })

  test.each<readonly [string, unknown]>([
    ['a test server with keys alone', test0],
    ['a test server with tokens alone', withTokens({})],
    ['a live server', live],
    ['durability synced', liveWith({ durability: 'synced' })],
    ['an audit signing key as PEM', liveWith({ signingKey: AUDIT_KEY.pem })],
    ['an audit signing key as JWK', liveWith({ signingKey: AUDIT_KEY.jwk })],
    ['less than six years on a test server', { ...test0, audit: { retentionDays: 30 } }],
    [
      'fewer days on this disk with a sink that keeps the rest',
      liveWith({ localDays: 30, sinks: [{ ...SIEM, required: true, retains: true }] }),
    ],
    [
      'optional options given as undefined',
      { ...test0, tokens: undefined, audit: undefined, transport: { https: undefined }, scopes: undefined },
    ],
    ['a pepper', { environment: 'test', keys: { store, pepper: SECRET } }],
    [
      'a pepper list that ends with sha256',
      { environment: 'test', keys: { store, pepper: [{ id: 'p1', secret: SECRET }, 'sha256'] } },
    ],
    ['a pepper without padding', { environment: 'test', keys: { store, pepper: SECRET.replaceAll('=', '') } }],
    ['a key set on this machine', withTokens({ jwks: 'http://127.0.0.1:9/jwks' })],
    ['a key set as URL object', withTokens({ jwks: new URL('https://issuer.example/jwks') })],
    ['trusted CIDR blocks', { ...test0, transport: { trustedProxies: ['10.0.0.0/8', 'fd00::/8'] } }],
    [
      'a store that is an instance of a class',
      {
        environment: 'test',
        keys: {
          store: new (class {
            inner = store
            name = 'own'
            can = store.can
            find = store.find
            get = store.get
            insert = store.insert
            replace = store.replace
            update = store.update
            list = store.list
          })(),
        },
      },
    ],
    ['options without prototype', Object.assign(Object.create(null), test0)],
  ])('%s', (_what, options) => {
    expect(createAuth(options as AuthOptions).health().environment).toMatch(/^(live|test)$/)
  })

  test('are copied: what becomes of the object later changes nothing', () => {
    const transport = { https: 'required', trustedProxies: ['10.0.0.0/8'] }
    const parsed = parseOptions({ ...test0, transport })
    transport.https = 'off'
    transport.trustedProxies.push('0.0.0.0/0')
    expect(parsed.transport).toEqual({ https: 'required', trustedProxies: ['10.0.0.0/8'] })
  })

  test.each([
    [undefined, undefined, 250],
    [2000, undefined, 2000],
    [2000, 100, 100],
    [undefined, 3000, 3000],
    [0, undefined, 250],
    [Number.NaN, undefined, 250],
    [60_000, undefined, 250],
  ])('a look-up in a store that says %s, keys.timeoutMs %s, has a deadline of %s ms', (own, timeoutMs, deadline) => {
    const keys = { store: own === undefined ? store : { ...store, timeoutMs: own }, timeoutMs }
    expect(parseOptions({ environment: 'test', keys }).keys?.timeoutMs).toBe(deadline)
  })

  test('are frozen, foreign objects apart', () => {
    const limiter = { consume: async () => undefined }
    const onRotationDue = () => undefined
    const own: KeyStore = { ...store }
    const parsed = parseOptions({
      ...live,
      keys: { store: own, pepper: [{ id: 'p1', secret: SECRET }], onRotationDue },
      tokens,
      transport: { trustedProxies: ['10.0.0.0/8'] },
      failures: { limiter },
    })
    expect(thawed(parsed, 'options')).toEqual([])
    expect([own, limiter, onRotationDue].map((each) => Object.isFrozen(each))).toEqual([false, false, false])
    expect(parsed.keys?.onRotationDue).toBe(onRotationDue)
  })

  test('keep the foreign objects that they are given', () => {
    const own: KeyStore = { ...store }
    expect(parseOptions({ environment: 'test', keys: { store: own } }).keys?.store).toBe(own)
  })
})

/** Paths of what could still be changed; bytes and functions cannot be frozen. */
function thawed(value: unknown, path: string): readonly string[] {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return []
  const foreign = ['.store', '.limiter', '.clock', '.sinks'].some((end) => path.endsWith(end))
  if (foreign) return []
  const inside = Object.entries(value).flatMap(([name, member]) => thawed(member, `${path}.${name}`))
  return Object.isFrozen(value) ? inside : [path, ...inside]
}
