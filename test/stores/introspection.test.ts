import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { generate } from 'selfsigned'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError, createAuth, NotReadyError, StoreCapabilityError } from '../../src/index.ts'
import { introspectionKeyStore, type IntrospectionOptions } from '../../src/stores/introspection.ts'
import { FRAMEWORKS } from '../http/frameworks.ts'
import { openWorld, type OutageWorld } from '../http/outage-world.ts'
import { settled } from '../http/raw-client.ts'
import { DAY, newKey, outcome as outcomeOf, polluted, recordOf, START, verifierOf } from '../keys/parts.ts'
import { searchFor } from '../security/search.ts'
import {
  answerWith,
  startIntrospectionServer,
  type Description,
  type IntrospectionServer,
  type Misbehaviour,
} from './introspection-server.ts'

const NOW = START / 1000
const iso = (ms: number) => new Date(ms).toISOString()

let server: IntrospectionServer
let count = 0

beforeAll(async () => {
  server = await startIntrospectionServer()
})
afterAll(() => server.close())
afterEach(() => server.become(null))

const storeOf = (more: Partial<IntrospectionOptions> = {}) =>
  introspectionKeyStore({ url: server.url, clientCredential: server.clientCredential, ...more })

/** What our endpoint says about a good key; `undefined` takes a member out. */
function descriptionOf(more: Description = {}): Description {
  count += 1
  return {
    org: 'org_1',
    env: 'live',
    key_id: `key_i${count}`,
    scope: 'read:patients',
    allowed_cidrs: [],
    valid_until: null,
    exp: null,
    iat: NOW - 86_400,
    ...more,
  }
}

/** A new key that the endpoint describes so. */
function known(more: Description = {}): string {
  const key = newKey()
  server.describe(key, descriptionOf(more))
  return key
}

const good = () => JSON.stringify({ active: true, ...descriptionOf() })

const DESCRIPTIONS: readonly (readonly [what: string, more: Description, outcome: string])[] = [
  ['all that there is', {}, '200 null'],
  ['neither exp nor iat', { exp: undefined, iat: undefined }, '200 null'],
  ['iat null', { iat: null }, '200 null'],
  ['exp in a second', { exp: NOW + 1 }, '200 null'],
  ['exp now', { exp: NOW }, '401 key_expired'],
  ['exp long ago', { exp: 0 }, '401 key_expired'],
  ['valid_until tomorrow', { valid_until: iso(START + DAY) }, '200 null'],
  ['valid_until tomorrow as NumericDate', { valid_until: NOW + 86_400 }, '200 null'],
  ['valid_until in a millisecond', { valid_until: iso(START + 1) }, '200 null'],
  ['valid_until now', { valid_until: iso(START) }, '401 key_rotated_out'],
  ['valid_until now as NumericDate', { valid_until: NOW }, '401 key_rotated_out'],
  ['more scopes, some of them unknown', { scope: 'exec:agents x:y read:patients' }, '200 null'],
  ['another scope', { scope: 'read:observations' }, '403 scope_missing'],
  ['no scope at all', { scope: '' }, '403 scope_missing'],
  ['blocks with the caller in one', { allowed_cidrs: ['10.0.0.0/8', '127.0.0.0/8'] }, '200 null'],
  ['blocks without the caller', { allowed_cidrs: ['203.0.113.0/24'] }, '403 ip_not_allowed'],
  ['members that mean nothing here', { sub: 7, iss: [], nbf: 'x', username: null, constructor: 1 }, '200 null'],
  ['members of a record', { revokedAt: iso(0), digest: 'x', id: 'key_other', expiresAt: iso(0) }, '200 null'],
  ['token_type Bearer', { token_type: 'Bearer' }, '200 null'],
  ['token_type bearer', { token_type: 'bearer' }, '200 null'],
  ['token_type DPoP', { token_type: 'DPoP' }, '503 store_invalid_record'],
  ['token_type that is no text', { token_type: ['Bearer'] }, '503 store_invalid_record'],
  ['the other environment', { env: 'test' }, '503 store_invalid_record'],
  ['an environment in capitals', { env: 'LIVE' }, '503 store_invalid_record'],
  ['no environment', { env: undefined }, '503 store_invalid_record'],
  ['no organization', { org: undefined }, '503 store_invalid_record'],
  ['an empty organization', { org: '' }, '503 store_invalid_record'],
  ['an organization that is a number', { org: 1 }, '503 store_invalid_record'],
  ['no key id', { key_id: undefined }, '503 store_invalid_record'],
  ['a key id null', { key_id: null }, '503 store_invalid_record'],
  ['a key id of another form', { key_id: 'k1' }, '503 store_invalid_record'],
  ['no scope member', { scope: undefined }, '503 store_invalid_record'],
  ['scopes as a list', { scope: ['read:patients'] }, '503 store_invalid_record'],
  ['scopes with two spaces between', { scope: 'read:patients  exec:agents' }, '503 store_invalid_record'],
  ['scopes with a space before', { scope: ' read:patients' }, '503 store_invalid_record'],
  ['scopes with a tab between', { scope: 'read:patients\texec:agents' }, '503 store_invalid_record'],
  ['no allowed_cidrs', { allowed_cidrs: undefined }, '503 store_invalid_record'],
  ['allowed_cidrs null', { allowed_cidrs: null }, '503 store_invalid_record'],
  ['allowed_cidrs as text', { allowed_cidrs: '127.0.0.0/8' }, '503 store_invalid_record'],
  ['allowed_cidrs with a number', { allowed_cidrs: [127] }, '503 store_invalid_record'],
  ['allowed_cidrs with no block', { allowed_cidrs: ['everywhere'] }, '503 store_invalid_record'],
  ['no valid_until', { valid_until: undefined }, '503 store_invalid_record'],
  ['valid_until true', { valid_until: true }, '503 store_invalid_record'],
  ['valid_until as words', { valid_until: 'tomorrow' }, '503 store_invalid_record'],
  ['valid_until in local time', { valid_until: '2030-01-01T00:00:00' }, '503 store_invalid_record'],
  ['valid_until on a day that is none', { valid_until: '2030-02-30T00:00:00Z' }, '503 store_invalid_record'],
  ['valid_until in milliseconds', { valid_until: START + DAY }, '503 store_invalid_record'],
  ['exp in milliseconds', { exp: START + DAY }, '503 store_invalid_record'],
  ['exp as text', { exp: iso(START + DAY) }, '503 store_invalid_record'],
  ['exp with a fraction', { exp: NOW + 0.5 }, '503 store_invalid_record'],
  ['exp before 1970', { exp: -1 }, '503 store_invalid_record'],
  ['exp false', { exp: false }, '503 store_invalid_record'],
  ['iat as text', { iat: 'yesterday' }, '503 store_invalid_record'],
]

const answers = (body: () => unknown): Misbehaviour => {
  return (response) => answerWith(response, body())
}
const withStatus = (status: number): Misbehaviour => {
  return (response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(good())
}
const withType = (type: string | null): Misbehaviour => {
  return (response) => void response.writeHead(200, type === null ? {} : { 'content-type': type }).end(good())
}
const redirects = (status: number): Misbehaviour => {
  return (response, request) => {
    if (request.url === '/elsewhere') answerWith(response, good())
    else response.writeHead(status, { location: '/elsewhere' }).end()
  }
}
const reset: Misbehaviour = (response) => void response.socket?.destroy()
/** Asked twice: the connection could have been an old one. */
const resets: ReadonlySet<Misbehaviour> = new Set([reset])
const json = (response: ServerResponse, more: Record<string, string> = {}) =>
  response.writeHead(200, { 'content-type': 'application/json', ...more })

/** A good answer in exactly so many bytes. */
const paddedTo = (size: number) => (): string => {
  const text = good()
  return text + ' '.repeat(size - text.length)
}

/** Made before anybody waits for it. */
const BOMB = gzipSync(good() + ' '.repeat(16_777_216))

/** Writes until nobody listens any more. */
function endless(response: ServerResponse): void {
  json(response)
  const more = () => {
    if (!response.closed && response.write(' '.repeat(16_384))) setImmediate(more)
  }
  response.on('drain', more)
  more()
}

function drip(response: ServerResponse): void {
  json(response).write('{')
  const timer = setInterval(() => response.write(' '), 20)
  response.on('close', () => clearInterval(timer))
}

/** Everything that is no answer of an introspection endpoint; `good` is in it wherever it can be. */
const OUTAGES: readonly (readonly [what: string, misbehaviour: Misbehaviour])[] = [
  ...[201, 202, 203, 400, 401, 403, 404, 405, 409, 429, 500, 502, 503].map(
    (status) => [`answers ${status} with a good body`, withStatus(status)] as const,
  ),
  ['answers 204', (response) => response.writeHead(204).end()],
  ...[301, 302, 303, 307, 308].map((status) => [`redirects with ${status}`, redirects(status)] as const),
  ['answers as text/html', withType('text/html')],
  ['answers as text/json', withType('text/json')],
  ['answers as application/jsonx', withType('application/jsonx')],
  ['answers as application/token-introspection+jwt', withType('application/token-introspection+jwt')],
  ['answers as nothing', withType(null)],
  ['answers with nothing', answers(() => '')],
  ['answers with half of it', answers(() => good().slice(0, -1))],
  ['answers with something behind it', answers(() => `${good()}x`)],
  ['answers with a list', answers(() => `[${good()}]`)],
  ['answers with null', answers(() => 'null')],
  ['answers with false', answers(() => 'false')],
  ['answers with text', answers(() => JSON.stringify(good()))],
  ['answers with a page', answers(() => '<!doctype html><title>Sign in</title>')],
  ['says first active and then not', answers(() => good().replace('{', '{"active":false,'))],
  ['names two organizations', answers(() => good().replace('{', '{"org":"org_2",'))],
  ['names one member twice, once escaped', answers(() => good().replace('{', String.raw`{"\u006frg":"org_2",`))],
  ['names a member twice below', answers(() => good().replace('{', '{"x":[{"a":1,"a":2}],'))],
  ['nests without end', answers(() => good().replace('{', `{"x":${'['.repeat(30_000)}${']'.repeat(30_000)},`))],
  [
    'answers with no UTF-8',
    (response) => json(response).end(Buffer.from(good().replace('org_1', 'org_\xff'), 'latin1')),
  ],
  ['answers with 65,537 bytes', answers(paddedTo(65_537))],
  ['answers with 16 MiB in 16 KiB of gzip', (response) => json(response, { 'content-encoding': 'gzip' }).end(BOMB)],
  ['claims a gzip that is none', (response) => json(response, { 'content-encoding': 'gzip' }).end(good())],
  ['never stops answering', endless],
  ['drops the connection', reset],
  [
    'stops in the middle',
    (response) => void json(response, { 'content-length': '1000' }).write('{', () => response.destroy()),
  ],
  ['never answers', () => undefined],
  ['answers with headers and then nothing', (response) => json(response).flushHeaders()],
  ['answers one byte at a time', drip],
]

/** JSON objects that an endpoint never sends. */
const LIES: readonly (readonly [what: string, body: () => unknown])[] = [
  ['an empty object', () => '{}'],
  ['active left out', () => descriptionOf()],
  ['active as text', () => ({ ...descriptionOf(), active: 'true' })],
  ['active 1', () => ({ ...descriptionOf(), active: 1 })],
  ['active null', () => ({ ...descriptionOf(), active: null })],
  ['active in capitals', () => ({ ...descriptionOf(), Active: true })],
  ['active alone', () => ({ active: true })],
  ['all of it behind __proto__', () => `{"__proto__":${good()}}`],
  ['all but active behind __proto__', () => `{"active":true,"__proto__":${good()}}`],
  ['all of it one level deeper', () => `{"data":${good()}}`],
]

/** Long enough for a machine that is busy with other suites. */
const TIMEOUT_MS = 1000

const GUARDED = FRAMEWORKS.filter(({ name }) => name === 'Express 5' || name.startsWith('Fastify'))

test('the guards of two frameworks are asked', () => expect(GUARDED).toHaveLength(2))

describe.each(GUARDED.map((framework) => [framework.name, framework] as const))('a guard of %s', (_name, framework) => {
  let world: OutageWorld

  beforeAll(async () => {
    world = await openWorld(framework, { keys: { store: storeOf(), timeoutMs: TIMEOUT_MS } })
    await world.auth.ready()
  })
  afterAll(() => world.close())

  test.each(DESCRIPTIONS)('answers to an active key with %s', async (_what, more, expected) => {
    const handled = world.handled()
    expect(await world.outcome(known(more))).toBe(expected)
    expect(world.handled() - handled).toBe(expected.startsWith('200') ? 1 : 0)
  })

  test('answers 401 to an inactive key, whatever else is said of it', async () => {
    server.become(answers(() => ({ ...descriptionOf(), active: false })))
    expect(await world.outcome(newKey())).toBe('401 key_unknown')
    server.become(answers(() => '{"active":false}'))
    expect(await world.outcome(newKey())).toBe('401 key_unknown')
  })

  test.each(OUTAGES)('is 503 while the endpoint %s', async (_what, misbehaviour) => {
    const key = known()
    const [handled, asked] = [world.handled(), server.asked.length]
    server.become(misbehaviour)
    const called = await world.call(key)
    expect(called).toMatchObject({ status: 503, code: 'AUTH_UNAVAILABLE', retryAfter: '1' })
    expect(called.ms).toBeLessThan(TIMEOUT_MS + 1500)
    expect(await world.eventOf(called)).toMatchObject({ reason: 'store_unavailable', actor: { org: null } })
    expect([world.handled() - handled, server.asked.length - asked]).toEqual([0, resets.has(misbehaviour) ? 2 : 1])
    server.become(null)
    expect(await world.outcome(key)).toBe('200 null')
  })

  test.each(LIES)('is 503 when the endpoint answers with %s', async (_what, body) => {
    const key = known()
    server.become(answers(body))
    expect(await world.outcome(key)).toBe('503 store_invalid_record')
    server.become(null)
    expect(await world.outcome(key)).toBe('200 null')
  })

  test('serves known callers for 90 seconds while the endpoint is down, and nobody else', async () => {
    const key = known()
    expect(await world.outcome(key)).toBe('200 null')
    server.become(reset)
    world.clock.advance(29_999)
    const before = server.asked.length
    expect([await world.outcome(key), server.asked.length - before]).toEqual(['200 null', 0])
    world.clock.advance(60_000)
    expect(await world.outcome(key)).toBe('200 null')
    expect(server.asked.length).toBeGreaterThan(before)
    expect(await world.outcome(known())).toBe('503 store_unavailable')
    world.clock.advance(1)
    expect(await world.outcome(key)).toBe('503 store_unavailable')
    server.become(null)
    expect(await world.outcome(key)).toBe('200 null')
  })

  test('does not serve on for long whom the endpoint contradicts', async () => {
    const key = known()
    expect(await world.outcome(key)).toBe('200 null')
    world.clock.advance(90_000)
    server.become(answers(() => '{"active":true}'))
    expect(await world.outcome(key)).toBe('503 store_invalid_record')
    server.become(null)
    server.forget(key)
    expect(await world.outcome(key)).toBe('401 key_unknown')
  })

  test('asks again after the cache time alone, and so finds a revocation by then', async () => {
    const key = known()
    expect(await world.outcome(key)).toBe('200 null')
    server.forget(key)
    world.clock.advance(29_999)
    expect(await world.outcome(key)).toBe('200 null')
    world.clock.advance(1)
    expect(await world.outcome(key)).toBe('401 key_unknown')
  })

  test('holds an expiry and a rotation deadline from the cache, and announces the deadline', async () => {
    const end = Math.ceil(world.clock.now() / 1000) + 10
    const [expiring, rotated] = [known({ exp: end }), known({ valid_until: iso(end * 1000) })]
    expect(await world.outcome(expiring)).toBe('200 null')
    expect((await world.call(rotated)).headers['healthcloud-key-expires']).toBe(new Date(end * 1000).toUTCString())
    const before = server.asked.length
    world.clock.advance(end * 1000 - world.clock.now() - 1)
    expect([await world.outcome(expiring), await world.outcome(rotated)]).toEqual(['200 null', '200 null'])
    world.clock.advance(1)
    expect([await world.outcome(expiring), await world.outcome(rotated)]).toEqual([
      '401 key_expired',
      '401 key_rotated_out',
    ])
    expect(server.asked.length).toBe(before)
  })

  test('never asks about a key of the other environment', async () => {
    const key = newKey('test')
    server.describe(key, descriptionOf())
    const before = server.asked.length
    expect(await world.outcome(key)).toBe('401 environment_mismatch')
    expect(server.asked.length).toBe(before)
  })

  test('names in the event whom the endpoint named', async () => {
    const called = await world.call(known({ org: 'org_9', key_id: `key_named${count}`, scope: 'read:patients x:y' }))
    expect(await world.eventOf(called)).toMatchObject({
      actor: { kind: 'api-key', org: 'org_9', keyId: `key_named${count - 1}` },
      scopes: { granted: ['read:patients'] },
    })
  })
})

describe('the endpoint is asked', () => {
  test('as RFC 7662 section 2.1 says, with our credential, and with the key in the body alone', async () => {
    const key = known()
    await find(key)
    const { method, headers, body } = server.asked.at(-1) ?? { method: '', headers: {}, body: '' }
    expect([method, body]).toEqual(['POST', `token=${key}&token_type_hint=access_token`])
    expect(headers).toMatchObject({
      accept: 'application/json',
      authorization: `Bearer ${server.clientCredential}`,
      'content-type': 'application/x-www-form-urlencoded',
    })
    expect(JSON.stringify(headers)).not.toContain(key)
  })

  test('once for 1,000 callers with one key at the same time', async () => {
    const [framework] = GUARDED
    if (framework === undefined) throw new Error('no framework')
    const world = await openWorld(framework, { keys: { store: storeOf(), timeoutMs: 15_000 } })
    try {
      const key = known()
      const waiting: (() => void)[] = []
      server.become((response) => void waiting.push(() => answerWith(response, good())))
      const before = server.asked.length
      const statuses = world.burst(
        Array.from({ length: 1000 }, () => key),
        100,
      )
      await settled(() => world.arrived() === 1000 && waiting.length > 0)
      for (const release of waiting) release()
      expect(await statuses).toEqual({ '200': 1000 })
      expect(server.asked.length - before).toBe(1)
    } finally {
      await world.close()
    }
  })

  test('over connections that are kept, one after the other', async () => {
    const own = await startIntrospectionServer()
    try {
      const store = introspectionKeyStore({ url: own.url, clientCredential: own.clientCredential })
      for (let each = 0; each < 20; each += 1)
        await store.find(lookUp(newKey()), { signal: new AbortController().signal })
      // A connection that is just about to be free again may cost a second one.
      expect(own.asked.length).toBe(20)
      expect(own.connections()).toBeLessThan(4)
    } finally {
      await own.close()
    }
  })

  test('once more where a connection that was kept is found closed', async () => {
    const key = known()
    await find(key)
    let resetOnce = 0
    server.become((response) => {
      resetOnce += 1
      if (resetOnce === 1) response.socket?.destroy()
      else answerWith(response, good())
    })
    expect(await find(key)).toMatchObject({ organizationId: 'org_1' })
    expect(resetOnce).toBe(2)
  })

  test('only if its certificate is good', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }])
    const own = await startIntrospectionServer({ key, cert })
    try {
      const store = introspectionKeyStore({ url: own.url, clientCredential: own.clientCredential })
      await expect(store.find(lookUp(newKey()), { signal: new AbortController().signal })).rejects.toThrow(
        /could not be reached \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
      )
      expect(own.asked).toEqual([])
    } finally {
      await own.close()
    }
  })
})

const lookUp = (key: string, digests: readonly string[] = [recordOf(key).digest]) => ({ digests, reveal: () => key })

/** Asked without any verifier in between. */
const find = (key: string, more: Partial<IntrospectionOptions> = {}) =>
  storeOf(more).find(lookUp(key), { signal: new AbortController().signal })

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  )

describe('the record', () => {
  test('is filed under the first digest that was asked for', async () => {
    const key = known()
    const digests = [`pepper2:${'A'.repeat(43)}`, recordOf(key).digest]
    const { signal } = new AbortController()
    expect(await storeOf().find(lookUp(key, digests), { signal })).toMatchObject({ digest: digests[0] })
  })

  test('holds what was said, and of the rest nothing', async () => {
    const said = descriptionOf({ exp: NOW + 60, valid_until: iso(START + 1500), scope: 'read:patients x:y' })
    const key = newKey()
    server.describe(key, said)
    const record = await find(key)
    expect(record).toEqual({
      id: said['key_id'],
      organizationId: 'org_1',
      environment: 'live',
      name: '',
      scopes: ['read:patients', 'x:y'],
      hint: '',
      digest: recordOf(key).digest,
      allowedCidrs: [],
      createdAt: new Date(START - DAY),
      createdBy: '',
      expiresAt: new Date(START + 60_000),
      rotatedAt: null,
      validUntil: new Date(START + 1500),
      replacedBy: null,
      revokedAt: null,
      revokedReason: null,
      lastUsedAt: null,
    })
    expect(JSON.stringify(record)).not.toContain(key)
  })

  test('comes of 65,536 bytes, and of gzip, as of any other', async () => {
    server.become(answers(paddedTo(65_536)))
    expect(await find(newKey())).toMatchObject({ organizationId: 'org_1' })
    server.become((response) => json(response, { 'content-encoding': 'gzip' }).end(gzipSync(good())))
    expect(await find(newKey())).toMatchObject({ organizationId: 'org_1' })
  })

  test('of any JSON with members of these names is whole, or none', async () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom(true, false, null, '', 'live', 'key_1', NOW, []))
    const names = ['active', 'org', 'env', 'key_id', 'scope', 'allowed_cidrs', 'valid_until', 'exp', '__proto__']
    const object = fc.dictionary(fc.constantFrom(...names), value)
    await fc.assert(
      fc.asyncProperty(fc.oneof(object, fc.jsonValue()), async (answer) => {
        const body = JSON.stringify(answer)
        const headers = { 'content-type': 'application/json' }
        const verifier = verifierOf(storeOf({ fetch: async () => new Response(body, { headers }) }))
        const found = await verifier.verify(newKey(), null)
        await verifier.close()
        const own = new Map<string, unknown>(
          typeof answer === 'object' && answer !== null ? Object.entries(answer) : [],
        )
        if (found.ok) {
          const { organizationId, environment, keyId } = found
          expect([true, organizationId, environment, keyId]).toEqual(
            ['active', 'org', 'env', 'key_id'].map((name) => own.get(name)),
          )
        } else if (found.reason === 'key_unknown') expect(own.get('active')).toBe(false)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a deadline', () => {
  test('ends a request that hangs, and its connection', async () => {
    let closed = 0
    server.become((response) => void response.on('close', () => (closed += 1)))
    const started = performance.now()
    const signal = AbortSignal.timeout(100)
    const error = await thrownBy(storeOf().find(lookUp(newKey()), { signal }))
    expect(error).toMatchObject({ message: expect.stringContaining('did not answer in time') as unknown })
    expect(performance.now() - started).toBeLessThan(1000)
    await settled(() => closed === 1)
  })

  test('of its own, given as timeoutMs, ends it earlier', async () => {
    server.become(() => undefined)
    const started = performance.now()
    await expect(find(newKey(), { timeoutMs: 100 })).rejects.toThrow('did not answer in time')
    expect(performance.now() - started).toBeLessThan(1000)
  })

  test('that is over already sends nothing', async () => {
    const before = server.asked.length
    await expect(storeOf().find(lookUp(newKey()), { signal: AbortSignal.abort() })).rejects.toThrow('in time')
    expect(server.asked.length).toBe(before)
  })

  test('holds for a fetch that does not listen to it', async () => {
    const deaf = () => new Promise<never>(() => undefined)
    await expect(find(newKey(), { fetch: deaf, timeoutMs: 50 })).rejects.toThrow('did not answer in time')
  })

  test('that suits a request over the network is told to whoever asks', () => {
    expect([storeOf().timeoutMs, storeOf({ timeoutMs: 500 }).timeoutMs]).toEqual([2000, 500])
  })

  test('is two seconds where nobody says otherwise, and then a 503', async () => {
    const [framework] = GUARDED
    if (framework === undefined) throw new Error('no framework')
    const world = await openWorld(framework, { keys: { store: storeOf() } })
    try {
      server.become((response) => void setTimeout(() => answerWith(response, good()), 1000))
      expect((await world.call(newKey())).status).toBe(200)
      server.become(() => undefined)
      const called = await world.call(newKey())
      expect(called.status).toBe(503)
      expect(called.ms).toBeGreaterThanOrEqual(1900)
      expect(called.ms).toBeLessThan(4000)
      expect((await world.eventOf(called)).reason).toBe('store_unavailable')
    } finally {
      await world.close()
    }
  })
})

describe('ready()', () => {
  const ready = (more: Partial<IntrospectionOptions> = {}) =>
    Promise.resolve(storeOf(more).ready?.(AbortSignal.timeout(500)))

  test('asks about a key that nobody has, of the environment of the credential', async () => {
    await ready()
    const [first, second] = [server.asked.at(-1)?.body, (await ready(), server.asked.at(-1)?.body)]
    expect(first).toMatch(/^token=hc_live_sk_[0-9A-Za-z]{16}&/)
    expect(second).not.toBe(first)
    server.become(answers(() => ({ active: false })))
    await ready({ clientCredential: 'hc_test_sk_AbC12xYz9kLmNpQr' })
    expect(server.asked.at(-1)?.body).toMatch(/^token=hc_test_sk_/)
  })

  test.each(OUTAGES)('rejects where the endpoint %s', async (_what, misbehaviour) => {
    server.become(misbehaviour)
    await expect(ready()).rejects.toThrow(/^The introspection endpoint at 127\.0\.0\.1:\d+ /)
  })

  test.each<(typeof LIES)[number]>([['an unknown key active', good], ...LIES])(
    'rejects where the endpoint calls %s',
    async (_what, body) => {
      server.become(answers(body))
      await expect(ready()).rejects.toThrow('does not say that an unknown key is inactive')
    },
  )

  test('makes auth.ready() say that our credential is not taken', async () => {
    const auth = createAuth({ environment: 'test', keys: { store: storeOf({ clientCredential: 'wrong' }) } })
    const error = await thrownBy(auth.ready())
    expect(error).toBeInstanceOf(NotReadyError)
    expect(error).toMatchObject({
      code: 'STORE_UNREACHABLE',
      cause: { message: expect.stringContaining('answered 401: check clientCredential') as unknown },
    })
    await auth.close()
  })
})

describe('what it cannot do', () => {
  test('is said, and rejects with StoreCapabilityError', async () => {
    const store = storeOf()
    const record = recordOf(newKey())
    const { signal } = new AbortController()
    expect(store.can).toEqual({ write: false, watch: false, list: false, get: false, revocations: false })
    expect([store.watch, store.revokeToken, store.revokedTokens]).toEqual([undefined, undefined, undefined])
    for (const work of [
      () => store.get('key_1', { signal }),
      () => store.insert(record),
      () => store.replace(record, record),
      () => store.update(record.id, { name: 'x' }),
      () => store.list({}),
    ]) {
      await expect(work()).rejects.toBeInstanceOf(StoreCapabilityError)
    }
  })

  test('rejects through auth.keys, too', async () => {
    const auth = createAuth({ environment: 'test', keys: { store: storeOf() } })
    const request = { organizationId: 'org_1', name: 'x', scopes: ['read:patients'], by: 'tests' } as const
    await expect(auth.keys.create({ ...request, environment: 'test' })).rejects.toBeInstanceOf(StoreCapabilityError)
    await expect(auth.keys.get('key_1')).rejects.toBeInstanceOf(StoreCapabilityError)
    await expect(auth.keys.list({ organizationId: 'org_1' })).rejects.toBeInstanceOf(StoreCapabilityError)
    await auth.close()
  })

  test('leaves the keys that tokens were issued to unasked, unless that is asked for', async () => {
    const tokens = { issuer: 'https://issuer.example', audience: 'https://a.example', jwks: 'https://i.example/jwks' }
    const keys = { store: storeOf() }
    await createAuth({ environment: 'test', keys, tokens }).close()
    expect(() => createAuth({ environment: 'test', keys, tokens: { ...tokens, issuingKeyCheck: 'named' } })).toThrow(
      expect.objectContaining({ option: 'tokens.issuingKeyCheck' }) as Error,
    )
  })
})

describe('options', () => {
  const url = 'https://api.healthcloud.example/v1/auth/introspect'
  const clientCredential = 'hc_live_sk_AbC12xYz9kLmNpQr'

  test.each([
    ['no options', undefined, 'CONFIG_MISSING', 'introspectionKeyStore'],
    ['no url', { clientCredential }, 'CONFIG_MISSING', 'introspectionKeyStore.url'],
    ['an empty url', { url: '', clientCredential }, 'CONFIG_MISSING', 'introspectionKeyStore.url'],
    ['a path', { url: '/v1/auth/introspect', clientCredential }, 'CONFIG_INVALID', 'introspectionKeyStore.url'],
    ['plain http', { url: url.replace('s:', ':'), clientCredential }, 'CONFIG_INVALID', 'introspectionKeyStore.url'],
    ['a host named like loopback', { url: 'http://127.0.0.1.example', clientCredential }, 'CONFIG_INVALID', 'url'],
    ['a file', { url: 'file:///etc/passwd', clientCredential }, 'CONFIG_INVALID', 'introspectionKeyStore.url'],
    ['a user in the url', { url: url.replace('api', 'u:secret@api'), clientCredential }, 'CONFIG_INVALID', 'url'],
    ['no credential', { url }, 'CONFIG_MISSING', 'introspectionKeyStore.clientCredential'],
    ['an empty credential', { url, clientCredential: '' }, 'CONFIG_MISSING', 'clientCredential'],
    ['a credential with its scheme', { url, clientCredential: 'Bearer secret' }, 'CONFIG_INVALID', 'clientCredential'],
    ['a credential with a line end', { url, clientCredential: 'secret\n' }, 'CONFIG_INVALID', 'clientCredential'],
    ['a credential beyond ASCII', { url, clientCredential: 'secret\u00e9' }, 'CONFIG_INVALID', 'clientCredential'],
    ['a credential that is no text', { url, clientCredential: ['secret'] }, 'CONFIG_INVALID', 'clientCredential'],
    ['a fetch that is none', { url, clientCredential, fetch: 'secret' }, 'CONFIG_INVALID', 'fetch'],
    ['a deadline of nothing', { url, clientCredential, timeoutMs: 0 }, 'CONFIG_INVALID', 'timeoutMs'],
    ['a deadline that is no number', { url, clientCredential, timeoutMs: Number.NaN }, 'CONFIG_INVALID', 'timeoutMs'],
    ['a misspelt option', { url, clientCredential, timeoutMS: 5 }, 'CONFIG_UNKNOWN_OPTION', 'timeoutMS'],
    ['all of them inherited', Object.create({ url, clientCredential }), 'CONFIG_MISSING', 'url'],
  ])('with %s throw', (_what, options: unknown, code, option) => {
    let thrown: unknown = null
    try {
      introspectionKeyStore(options as IntrospectionOptions)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(ConfigError)
    expect(thrown).toMatchObject({ code, option: expect.stringMatching(new RegExp(`(^|\\.)${option}$`)) as unknown })
    expect(inspect(thrown)).not.toContain('secret')
  })

  test.each([
    ['http://localhost:1/x'],
    ['http://127.9.9.9/x'],
    ['http://[::1]:8080/x'],
    [new URL('https://h.example/x?tenant=1')],
  ])('take %s', (address) => {
    expect(introspectionKeyStore({ url: address, clientCredential }).name).toBe('introspection')
  })

  test('are read once: what is done to the URL later changes nothing', async () => {
    const mine = new URL(server.url)
    const store = introspectionKeyStore({ url: mine, clientCredential: server.clientCredential })
    mine.port = '1'
    const { signal } = new AbortController()
    expect(await store.find(lookUp(known()), { signal })).toMatchObject({ organizationId: 'org_1' })
  })
})

describe('a polluted prototype', () => {
  const members: Readonly<Record<string, unknown>> = {
    active: true,
    ...descriptionOf(),
    token_type: 'DPoP',
    url: 'https://evil.example',
    clientCredential: 'evil',
    fetch: () => Promise.reject(new Error('stolen')),
    redirect: 'follow',
    credentials: 'include',
    integrity: 'sha256-x',
    mode: 'same-origin',
    cache: 'only-if-cached',
    keepalive: true,
    referrer: 'https://evil.example',
    referrerPolicy: 'unsafe-url',
    duplex: 'full',
    window: 'x',
    priority: 'low',
    method: 'GET',
    headers: { authorization: 'Bearer evil' },
    fatal: false,
    once: false,
    passive: true,
  }

  test.each(Object.entries(members))('with %s changes no answer', async (name, value) => {
    const verifier = verifierOf(storeOf(), { timeoutMs: 5000 })
    const [goodKey, bareKey] = [known(), newKey()]
    server.describe(bareKey, {})
    const outcomes = await polluted({ [name]: value }, async () => [
      await outcomeOf(verifier, goodKey),
      await outcomeOf(verifier, bareKey),
      await outcomeOf(verifier, newKey()),
    ])
    server.become(redirects(307))
    const redirected = await polluted({ [name]: value }, () => outcomeOf(verifier, newKey()))
    await verifier.close()
    expect([...outcomes, redirected]).toEqual(['ok', 'store_invalid_record', 'key_unknown', 'store_unavailable'])
  })
})

describe('neither key nor credential', () => {
  const key = newKey()
  let search: ReturnType<typeof searchFor>
  beforeEach(() => {
    search = searchFor([
      { name: 'key', text: key },
      { name: 'credential', text: server.clientCredential },
    ])
  })

  const shown = (error: unknown): string =>
    [
      inspect(error, { depth: 10, showHidden: true }),
      JSON.stringify(error),
      ...(error instanceof Error ? [error.message, error.stack ?? '', inspect(error.cause, { depth: 10 })] : []),
    ].join('\n')

  const repeats: Misbehaviour = (response, request, body) => {
    const secrets = `${body} ${request.headers.authorization ?? ''}`
    response.writeHead(400, secrets, { 'content-type': 'application/json', location: `/${body}`, 'x-echo': secrets })
    response.end(JSON.stringify({ error: secrets }))
  }

  const leaks: typeof OUTAGES = [
    ['repeats them with 400', repeats],
    ['repeats them as JSON', (response, _request, body) => answerWith(response, `{"${body}`)],
    [
      'repeats them as its type',
      (response, request) =>
        json(response, { 'content-type': `text/${(request.headers.authorization ?? '').slice(7)}` }).end(),
    ],
  ]

  test.each([...OUTAGES, ...leaks])('is in an error where the endpoint %s', async (_what, misbehaviour) => {
    server.become(misbehaviour)
    const errors = [
      await thrownBy(find(key, { timeoutMs: 150 })),
      await thrownBy(Promise.resolve(storeOf().ready?.(AbortSignal.timeout(150)))),
    ]
    for (const error of errors) {
      expect(error).toBeInstanceOf(Error)
      expect(search(shown(error))).toEqual([])
    }
  })

  test.each<readonly [string, (sent: string) => Promise<Response>]>([
    ['rejects with them', (sent) => Promise.reject(new Error(sent))],
    ['rejects with them as cause', (sent) => Promise.reject(new Error('x', { cause: { code: sent, sent } }))],
    ['rejects with them as code', (sent) => Promise.reject(Object.assign(new Error('x'), { code: sent }))],
    [
      'breaks off with them',
      async (sent) => {
        const pull = (controller: ReadableStreamDefaultController) => controller.error(new Error(sent))
        return new Response(new ReadableStream({ pull }), { headers: { 'content-type': 'application/json' } })
      },
    ],
  ])('is in an error where a fetch that was handed in %s', async (_what, leaky) => {
    const fetch: typeof globalThis.fetch = (_url, init) => leaky(inspect(init, { depth: 10 }))
    const error = await thrownBy(find(key, { fetch }))
    expect(error).toBeInstanceOf(Error)
    expect(search(shown(error))).toEqual([])
  })

  test('is in what can be seen of the store, or of a lie', async () => {
    expect(search(shown(storeOf()))).toEqual([])
    server.become(answers(() => ({ active: true, org: 7 })))
    expect(search(shown(await find(key)))).toEqual([])
  })

  test('escapes the search itself', () => {
    const secret = server.clientCredential
    for (const text of [key, encodeURIComponent(secret), Buffer.from(`x${secret}`).toString('base64')]) {
      expect(search(text)).not.toEqual([])
    }
    expect(search(randomBytes(64).toString('hex'))).toEqual([])
  })
})
