import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterEach, describe, expect, test } from 'vitest'
import {
  createAuth,
  KeyError,
  memoryKeyStore,
  StoreCapabilityError,
  type Auth,
  type KeyStore,
} from '../../src/index.ts'
import { introspectionEndpoint, tokenEndpoint } from '../../src/server/index.ts'
import { sqliteKeyStore } from '../../src/stores/sqlite.ts'
import { createServerWorld, exchange, KEYS, records, send, START, tokenOf, type ServerWorld } from './server-world.ts'

const worlds: ServerWorld[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})
function open(store: KeyStore): ServerWorld {
  const world = createServerWorld({ store })
  worlds.push(world)
  return world
}

const verify = async ({ auth }: ServerWorld, token: string) => {
  const verdict = await auth.verify(token, { ip: null, secure: null, operation: 'x' })
  return verdict.ok ? 'accepted' : verdict.reason
}
const mint = ({ auth }: ServerWorld) => tokenOf(exchange(tokenEndpoint(auth), ['exec:agents']))
const idOf = (token: string) => String(decodeJwt(token).jti)
const withoutFeed = (store: KeyStore): KeyStore => ({ ...store, can: { ...store.can, watch: false } })

describe('a token that is revoked by its jti', () => {
  test('is refused here at once and on the other instance as soon as the feed tells, cached or not; others go on', async () => {
    const store = memoryKeyStore(records())
    const [one, two] = [open(store), open(store)]
    await Promise.all([one.auth.ready(), two.auth.ready()])
    const [token, unseen, other] = [await mint(one), await mint(one), await mint(one)]
    for (const world of [one, two])
      for (const each of [token, other]) expect(await verify(world, each)).toBe('accepted')
    await one.auth.tokens.revoke({ jti: idOf(token), by: 'ops@example' })
    await one.auth.tokens.revoke({ jti: idOf(unseen), expiresAt: new Date(START + 3_600_000), by: 'ops@example' })
    for (const world of [one, two]) {
      expect(await verify(world, token)).toBe('jwt_revoked')
      expect(await verify(world, unseen)).toBe('jwt_revoked')
      expect(await verify(world, other)).toBe('accepted')
    }
  })

  test('over one SQLite file: within the second of its feed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hc-auth-revoked-'))
    const file = join(folder, 'keys.db')
    const [mine, theirs] = [sqliteKeyStore(file), sqliteKeyStore(file)]
    for (const record of records()) await mine.insert(record)
    const [one, two] = [open(mine), open(theirs)]
    await Promise.all([one.auth.ready(), two.auth.ready()])
    const token = await mint(one)
    expect(await verify(two, token)).toBe('accepted')
    await one.auth.tokens.revoke({ jti: idOf(token), by: 'ops' })
    await expect.poll(() => verify(two, token), { interval: 20, timeout: 1500 }).toBe('jwt_revoked')
    const three = open(sqliteKeyStore(file))
    expect(await verify(three, token)).toBe('jwt_revoked')
    for (const world of worlds.splice(0)) await world.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('without feed: within cacheSeconds', async () => {
    const store = withoutFeed(memoryKeyStore(records()))
    const [one, two] = [open(store), open(store)]
    const token = await mint(one)
    expect([await verify(one, token), await verify(two, token)]).toEqual(['accepted', 'accepted'])
    await one.auth.tokens.revoke({ jti: idOf(token), by: 'ops' })
    expect([await verify(one, token), await verify(two, token)]).toEqual(['jwt_revoked', 'accepted'])
    two.clock.advance(30_000)
    // Reread in the background: the first to notice does not wait.
    await verify(two, token)
    await expect.poll(() => verify(two, token)).toBe('jwt_revoked')
  })

  test('is known to an instance that starts later, until its last moment', async () => {
    const store = memoryKeyStore(records())
    const one = open(store)
    const token = await mint(one)
    await one.auth.tokens.revoke({ jti: idOf(token), expiresAt: new Date(START + 3_600_000), by: 'ops' })
    const two = open(store)
    expect(await verify(two, token)).toBe('jwt_revoked')
    two.clock.advance(3_629_000)
    expect(await verify(two, token)).toBe('jwt_revoked')
    const three = open(store)
    three.clock.advance(3_629_000)
    expect(await verify(three, token)).toBe('jwt_revoked')
  })

  test('however long the caller says: it is kept for as long as a token can be good', async () => {
    const written: number[] = []
    const revokeToken = async ({ expiresAt }: { expiresAt: Date }) => void written.push(expiresAt.getTime())
    const { auth } = open({ ...memoryKeyStore(records()), revokeToken })
    await auth.tokens.revoke({ jti: 'a', expiresAt: new Date('9999-12-31'), by: 'ops' })
    await auth.tokens.revoke({ jti: 'b', by: 'ops' })
    await auth.tokens.revoke({ jti: 'c', expiresAt: new Date(START + 600_000), by: 'ops' })
    // One hour, and the tolerance of 30 seconds at both ends.
    expect(written).toEqual([START + 3_660_000, START + 3_660_000, START + 630_000])
  })

  test('is not active for introspection', async () => {
    const world = open(memoryKeyStore(records()))
    const token = await mint(world)
    await world.auth.tokens.revoke({ jti: idOf(token), by: 'ops' })
    const response = await send(introspectionEndpoint(world.auth), {
      key: KEYS.bare,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=${token}`,
    })
    expect(await response.json()).toEqual({ active: false })
  })

  test('is one admin event with the name of whoever asked', async () => {
    const world = open(memoryKeyStore(records()))
    await world.auth.tokens.revoke({ jti: 'tok_1', by: 'ops@example' })
    expect(await world.events()).toMatchObject([
      {
        kind: 'admin',
        name: 'token.revoke',
        outcome: 'success',
        action: 'U',
        actor: { kind: 'none', jti: 'tok_1', by: 'ops@example', keyId: null },
        target: null,
      },
    ])
  })
})

describe('a revoked key', () => {
  test('takes its tokens with it, on every instance', async () => {
    const store = memoryKeyStore(records())
    const [one, two] = [open(store), open(store)]
    const token = await mint(one)
    expect([await verify(one, token), await verify(two, token)]).toEqual(['accepted', 'accepted'])
    await one.auth.keys.revoke('key_good', { by: 'ops', reason: 'leaked' })
    expect([await verify(one, token), await verify(two, token)]).toEqual(['jwt_issuing_key', 'jwt_issuing_key'])
    expect((await exchange(tokenEndpoint(two.auth), ['exec:agents'])).status).toBe(401)
  })
})

describe('a store whose list cannot be read', () => {
  test('tokens with a jti are 503, never a pass and never 401; keys go on', async () => {
    const memory = memoryKeyStore(records())
    let answers: KeyStore['revokedTokens'] = memory.revokedTokens
    const store: KeyStore = withoutFeed({ ...memory, revokedTokens: async () => (await answers?.()) ?? [] })
    const world = open(store)
    const token = await mint(world)
    expect(await verify(world, token)).toBe('accepted')
    const broken: readonly (() => Promise<never>)[] = [
      () => Promise.reject(new Error('down')),
      () => Promise.resolve([{ tokenId: 5, expiresAt: new Date() }]) as unknown as Promise<never>,
      () => Promise.resolve({ length: 0 }) as unknown as Promise<never>,
    ]
    for (const each of broken) {
      answers = each
      world.clock.advance(91_000)
      expect(await verify(world, token)).toBe('store_unavailable')
      expect(await verify(world, KEYS.good)).toBe('accepted')
    }
    answers = memory.revokedTokens
    world.clock.advance(1000)
    expect(await verify(world, token)).toBe('accepted')
  })

  test('ready says so', async () => {
    const store: KeyStore = { ...memoryKeyStore(records()), revokedTokens: () => Promise.reject(new Error('down')) }
    await expect(open(store).auth.ready()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
  })
})

describe('auth.tokens.revoke', () => {
  const asked = (auth: Auth, request: unknown) => auth.tokens.revoke(request as Parameters<Auth['tokens']['revoke']>[0])

  test.each<readonly [what: string, request: unknown, member: string]>([
    ['nothing', undefined, 'request'],
    ['no jti', { by: 'ops' }, 'jti'],
    ['an empty jti', { jti: '', by: 'ops' }, 'jti'],
    ['an endless jti', { jti: 'x'.repeat(257), by: 'ops' }, 'jti'],
    ['the token in place of its jti', { jti: 'eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJ4In0.c2ln', by: 'ops' }, 'jti'],
    ['a key in place of a jti', { jti: KEYS.good, by: 'ops' }, 'jti'],
    ['nobody', { jti: 'x' }, 'by'],
    ['somebody with a space', { jti: 'x', by: 'a b' }, 'by'],
    ['an expiry that is a text', { jti: 'x', by: 'ops', expiresAt: '2026-03-18' }, 'expiresAt'],
    ['an expiry that is none', { jti: 'x', by: 'ops', expiresAt: new Date(Number.NaN) }, 'expiresAt'],
    ['a misspelt member', { jti: 'x', by: 'ops', expires: new Date() }, 'expires'],
    ['inherited members', Object.create({ jti: 'x', by: 'ops' }), 'jti'],
  ])('%s: a KeyError that names the member and repeats nothing', async (_what, request, member) => {
    const store = memoryKeyStore(records())
    const world = open(store)
    const error: unknown = await asked(world.auth, request).catch((each: unknown) => each)
    expect(error).toBeInstanceOf(KeyError)
    expect(error).toMatchObject({ code: 'KEY_INVALID', member })
    expect(String(error)).not.toMatch(/hc_live|eyJ/)
    expect([await store.revokedTokens?.(), await world.events()]).toEqual([[], []])
  })

  test('a store that holds no revocations: StoreCapabilityError, and tokens are taken as they are', async () => {
    const memory = memoryKeyStore(records())
    const { revokeToken: _revoke, revokedTokens: _revoked, ...store } = memory
    const stores: readonly KeyStore[] = [{ ...memory, can: { ...memory.can, revocations: false } }, store]
    for (const each of stores) {
      const world = open(each)
      await expect(asked(world.auth, { jti: 'x', by: 'ops' })).rejects.toBeInstanceOf(StoreCapabilityError)
      expect(await verify(world, await mint(world))).toBe('accepted')
    }
  })

  test('without keys: StoreCapabilityError', async () => {
    const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
    await auth.tokens.revoke({ jti: 'x', by: 'ops' })
    await auth.close()
    const none = createAuth({
      environment: 'test',
      tokens: { issuer: 'i', audience: 'a', jwks: 'https://issuer.example/jwks' },
    })
    await expect(none.tokens.revoke({ jti: 'x', by: 'ops' })).rejects.toBeInstanceOf(StoreCapabilityError)
    await none.close()
  })

  test("an outage is the store's own error, and the event says that nobody knows whether it was done", async () => {
    const failure = new Error('down')
    const world = open({ ...memoryKeyStore(records()), revokeToken: () => Promise.reject(failure) })
    await expect(asked(world.auth, { jti: 'x', by: 'ops' })).rejects.toBe(failure)
    expect(await world.events()).toMatchObject([
      { name: 'token.revoke', outcome: 'error', reason: 'store_unavailable', actor: { jti: 'x', by: 'ops' } },
    ])
  })
})
