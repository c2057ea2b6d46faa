import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memoryKeyStore, type Environment, type KeyRecord } from '../../src/index.ts'
import { introspectionKeyStore } from '../../src/stores/introspection.ts'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'
import { DAY, manualClock, newKey, recordOf } from '../keys/parts.ts'
import { compileIssuer, type CompiledIssuer, type IssuerProcess } from './issuer-process.ts'
import { createServerWorld, type ServerWorld } from './server-world.ts'

/** The issuer has a clock of its own: the machine's. */
const NOW = Date.now()
const at = (ms: number) => new Date(NOW + ms)
const scopes = ['read:patients', 'write:observations', 'exec:agents']

const KEYS = {
  partner: newKey(),
  good: newKey(),
  fenced: newKey(),
  rotated: newKey(),
  ending: newKey(),
  bare: newKey(),
  leaked: newKey(),
  unseen: newKey(),
  unknown: newKey(),
  foreign: newKey(),
  test: newKey('test'),
  testPartner: newKey('test'),
}

const kept = (key: string, more: Partial<KeyRecord>) => recordOf(key, { createdAt: at(-DAY), ...more })

const KEPT: readonly KeyRecord[] = [
  kept(KEYS.partner, { id: 'key_partner', scopes: [] }),
  kept(KEYS.good, { id: 'key_good', scopes, expiresAt: null }),
  kept(KEYS.fenced, { id: 'key_fenced', scopes, allowedCidrs: ['203.0.113.0/24', '2001:db8::/32'] }),
  kept(KEYS.rotated, {
    id: 'key_rotated',
    scopes,
    rotatedAt: at(-DAY),
    replacedBy: 'key_good',
    validUntil: at(600_123),
  }),
  kept(KEYS.ending, { id: 'key_ending', scopes, expiresAt: new Date(Math.ceil(NOW / 1000) * 1000 + 900_000) }),
  kept(KEYS.bare, { id: 'key_bare', scopes: [] }),
  kept(KEYS.leaked, { id: 'key_leaked', scopes }),
  kept(KEYS.unseen, { id: 'key_unseen', scopes }),
  kept(KEYS.foreign, { id: 'key_foreign', scopes, organizationId: 'org_2' }),
  kept(KEYS.test, { id: 'key_test', scopes }),
  kept(KEYS.testPartner, { id: 'key_testPartner', scopes: [] }),
]

const cleanups: (() => unknown)[] = []
let compiled: CompiledIssuer

beforeAll(async () => {
  compiled = await compileIssuer()
}, 60_000)
afterAll(async () => {
  for (const clean of cleanups.toReversed()) await clean()
  await compiled.close()
})

async function issuerOf(environment: Environment): Promise<IssuerProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'hc-auth-issuer-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'keys.db')
  const store = sqliteKeyStore(file)
  for (const record of KEPT) if (record.environment === environment) await store.insert(record)
  await store.close?.()
  const issuer = await compiled.start({ file, directory: join(folder, 'audit'), environment })
  cleanups.push(() => issuer.kill())
  return issuer
}

interface Partner extends ServerWorld {
  /** What a caller with this key comes to: the principal, or status and reason. */
  verify(key: string, ip?: string | null): Promise<unknown>
  /** So many milliseconds later. */
  later(ms: number): void
}

const CACHE_MS = 30_000
const STALE_MS = 60_000

function partnerOf(
  { url }: IssuerProcess,
  clientCredential = KEYS.partner,
  environment: Environment = 'live',
): Partner {
  const clock = manualClock()
  clock.setWall(NOW)
  const store = introspectionKeyStore({ url, clientCredential })
  const world = createServerWorld({
    environment,
    clock,
    keys: {
      store,
      cacheEntries: 1000,
      cacheSeconds: CACHE_MS / 1000,
      staleIfErrorSeconds: STALE_MS / 1000,
      timeoutMs: 700,
    },
    store,
    tokens: undefined,
    issuing: undefined,
    failures: { max: 1000 },
  })
  cleanups.push(() => world.close())
  const verify = async (key: string, ip: string | null = null) => {
    const verdict = await world.auth.verify(key, { ip, secure: null, operation: 'x' })
    return verdict.ok ? verdict.principal : `${verdict.status} ${verdict.reason}`
  }
  return { ...world, verify, later: (ms) => clock.advance(ms) }
}

describe('introspectionKeyStore against introspectionEndpoint in another process', () => {
  let issuer: IssuerProcess
  let partner: Partner

  beforeAll(async () => {
    issuer = await issuerOf('live')
    partner = partnerOf(issuer)
    await partner.auth.ready()
  })

  test.each(['good', 'fenced', 'rotated', 'ending', 'bare'] as const)(
    'the key "%s" is the principal that it is where it is kept',
    async (name) => {
      const clock = manualClock()
      clock.setWall(NOW)
      const home = createServerWorld({ clock, store: memoryKeyStore(KEPT), tokens: undefined, issuing: undefined })
      const verdict = await home.auth.verify(KEYS[name], { ip: '203.0.113.9', secure: null, operation: 'x' })
      await home.close()
      if (!verdict.ok) throw new Error(verdict.reason)
      const asked = await partner.verify(KEYS[name], '203.0.113.9')
      expect(JSON.parse(JSON.stringify(asked))).toEqual(JSON.parse(JSON.stringify(verdict.principal)))
      expect(asked).toMatchObject({ keyId: `key_${name}`, organizationId: 'org_1', environment: 'live' })
      expect([...(asked as typeof verdict.principal).scopes]).toEqual(name === 'bare' ? [] : scopes)
    },
  )

  test('the allowlist holds here as it does there', async () => {
    expect(await partner.verify(KEYS.fenced, '203.0.113.255')).toMatchObject({ keyId: 'key_fenced' })
    expect(await partner.verify(KEYS.fenced, '2001:db8::1')).toMatchObject({ keyId: 'key_fenced' })
    for (const ip of ['203.0.114.0', '2001:db9::1', null])
      expect(await partner.verify(KEYS.fenced, ip)).toBe('403 ip_not_allowed')
  })

  test('a rotated key works until its deadline, to the millisecond', async () => {
    const own = partnerOf(issuer)
    expect(await own.verify(KEYS.rotated)).toMatchObject({ rotation: { validUntil: at(600_123) } })
    own.clock.setWall(NOW + 600_122)
    expect(await own.verify(KEYS.rotated)).toMatchObject({ keyId: 'key_rotated' })
    own.clock.setWall(NOW + 600_123)
    expect(await own.verify(KEYS.rotated)).toBe('401 key_rotated_out')
  })

  test.each(['unknown', 'foreign'] as const)(
    'a key that the issuer does not tell us of is refused: %s',
    async (name) => {
      expect(await partner.verify(KEYS[name])).toBe('401 key_unknown')
    },
  )

  test('a key that is revoked at the issuer is refused once the cache time is over', async () => {
    expect(await partner.verify(KEYS.leaked)).toMatchObject({ keyId: 'key_leaked' })
    await issuer.revoke('key_leaked')
    partner.later(CACHE_MS - 1)
    expect(await partner.verify(KEYS.leaked)).toMatchObject({ keyId: 'key_leaked' })
    partner.later(1)
    expect(await partner.verify(KEYS.leaked)).toBe('401 key_unknown')
    // Nobody who asks for the first time ever sees it.
    expect(await partnerOf(issuer).verify(KEYS.leaked)).toBe('401 key_unknown')
  })

  test.each([
    ['is gone', (each: IssuerProcess) => each.kill(), (each: IssuerProcess) => each.restart()],
    ['stands still', async (each: IssuerProcess) => each.hang(), async (each: IssuerProcess) => each.resume()],
  ])(
    'an issuer that %s is an outage, never a refusal; when it is back, all is as before',
    async (_what, stop, start) => {
      expect(await partner.verify(KEYS.good)).toMatchObject({ keyId: 'key_good' })
      await partner.events()
      await stop(issuer)
      const strangers = await Promise.all([KEYS.unseen, newKey()].map((key) => partner.verify(key)))
      expect(strangers).toEqual(['503 store_unavailable', '503 store_unavailable'])
      partner.later(CACHE_MS + STALE_MS - 1)
      expect(await partner.verify(KEYS.good)).toMatchObject({ keyId: 'key_good' })
      partner.later(1)
      expect(await partner.verify(KEYS.good)).toBe('503 store_unavailable')
      expect((await partner.events()).map(({ outcome, reason }) => [outcome, reason])).toEqual([
        ['error', 'store_unavailable'],
        ['error', 'store_unavailable'],
        ['success', null],
        ['error', 'store_unavailable'],
      ])
      await start(issuer)
      expect(await partner.verify(KEYS.good)).toMatchObject({ keyId: 'key_good' })
      expect(await partnerOf(issuer).verify(KEYS.unseen)).toMatchObject({ keyId: 'key_unseen' })
      // What was revoked before stays so.
      expect(await partner.verify(KEYS.leaked)).toBe('401 key_unknown')
      await partner.auth.ready()
    },
  )

  test('a partner is not ready without his issuer', async () => {
    await issuer.kill()
    const own = partnerOf(issuer)
    await expect(own.auth.ready()).rejects.toMatchObject({ name: 'NotReadyError' })
    await issuer.restart()
    await own.auth.ready()
  })
})

describe('live and test', () => {
  let live: IssuerProcess
  let issuer: IssuerProcess

  beforeAll(async () => {
    ;[live, issuer] = await Promise.all([issuerOf('live'), issuerOf('test')])
  })

  test('a test server takes the keys of an issuer of its environment', async () => {
    const partner = partnerOf(issuer, KEYS.testPartner, 'test')
    await partner.auth.ready()
    expect(await partner.verify(KEYS.test)).toMatchObject({ keyId: 'key_test', environment: 'test' })
    expect(await partner.verify(KEYS.good)).toBe('401 environment_mismatch')
  })

  test('a live server refuses a test key by itself: no issuer is asked', async () => {
    const partner = partnerOf(live)
    await live.kill()
    expect(await partner.verify(KEYS.test)).toBe('401 environment_mismatch')
    expect(await partner.verify(KEYS.good)).toBe('503 store_unavailable')
    await live.restart()
  })

  test.each<[string, Environment, 'live' | 'test', string]>([
    ['a live server that asks a test issuer', 'live', 'test', KEYS.partner],
    ['a test server that asks a live issuer', 'test', 'live', KEYS.testPartner],
    ['a live server with a test credential', 'live', 'live', KEYS.testPartner],
  ])('%s is in an outage, and says so when it starts', async (_what, environment, asked, credential) => {
    const partner = partnerOf(asked === 'live' ? live : issuer, credential, environment)
    const [own, other] = environment === 'live' ? [KEYS.good, KEYS.test] : [KEYS.test, KEYS.good]
    expect(await partner.verify(own)).toBe('503 store_unavailable')
    expect(await partner.verify(other)).toBe('401 environment_mismatch')
    await expect(partner.auth.ready()).rejects.toMatchObject({ name: 'NotReadyError' })
  })

  test('a live server with the credential of a test issuer lets in nobody', async () => {
    const partner = partnerOf(issuer, KEYS.testPartner)
    expect(await partner.verify(KEYS.good)).toBe('401 key_unknown')
    expect(await partner.verify(KEYS.test)).toBe('401 environment_mismatch')
  })
})
