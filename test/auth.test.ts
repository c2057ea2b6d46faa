import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent, AuthOptions, KeyStore } from '../src/index.ts'
import { createAuth, memoryKeyStore, NotReadyError, OrganizationMismatch, StoreCapabilityError } from '../src/index.ts'
import { readJournal } from '../src/audit/index.ts'
import { FRAMEWORKS, serve, type SuiteRoute } from './http/frameworks.ts'
import { send } from './http/send.ts'
import { AUDIENCE, createWorld, ISSUER, JWK, key16, recordOf } from './http/world.ts'

const SECRET = Buffer.alloc(32, 7).toString('base64')
const ROUTES: readonly SuiteRoute[] = [
  { path: '/v1/me', guards: [(g) => g.authenticate()], handle: () => ({ body: { served: true } }) },
]

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hc-auth-life-'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A store that writes down which of its methods were called. */
function watched(store: KeyStore): { store: KeyStore; calls: string[] } {
  const calls: string[] = []
  const methods = ['find', 'get', 'insert', 'replace', 'update', 'list', 'watch', 'ready', 'close'] as const
  const wrapped: Record<string, unknown> = { ...store }
  for (const name of methods) {
    wrapped[name] = (...args: readonly unknown[]) => {
      calls.push(name)
      const method = store[name]
      return method === undefined ? Promise.resolve() : Reflect.apply(method, store, args)
    }
  }
  return { store: wrapped as unknown as KeyStore, calls }
}

function liveOptions(directory: string, more: Partial<AuthOptions> = {}): AuthOptions {
  return {
    environment: 'live',
    audit: { directory, pseudonymKeys: [{ id: 'k1', secret: SECRET }] },
    transport: { https: 'off' },
    ...more,
  }
}

describe('createAuth', () => {
  test('opens nothing: no folder, no look-up, no fetch, no handle, no timer; ready opens all of them', async () => {
    const directory = join(folder, 'lazy')
    const fetched: string[] = []
    const { store, calls } = watched(memoryKeyStore())
    const before = process.getActiveResourcesInfo()
    const auth = createAuth(
      liveOptions(directory, {
        keys: { store },
        tokens: {
          issuer: ISSUER,
          audience: AUDIENCE,
          jwks: 'https://issuer.example/jwks',
          fetch: async (input) => {
            fetched.push(new Request(input).url)
            return Response.json({ keys: [JWK] })
          },
        },
      }),
    )
    expect(process.getActiveResourcesInfo()).toEqual(before)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect([existsSync(directory), calls, fetched]).toEqual([false, [], []])

    await auth.ready()
    expect(existsSync(directory)).toBe(true)
    expect(calls.toSorted()).toEqual(['list', 'ready', 'watch'])
    expect(fetched).toEqual(['https://issuer.example/jwks'])
    await auth.close()
  })

  test('opens at first use, where nobody called ready', async () => {
    const directory = join(folder, 'first-use')
    const { store, calls } = watched(memoryKeyStore())
    const auth = createAuth(liveOptions(directory, { keys: { store } }))
    await auth.verify(key16(), { ip: null, secure: null, operation: 'x' })
    expect([existsSync(directory), calls.includes('find')]).toEqual([true, true])
    await auth.close()
  })

  test('gives an object that cannot be changed', () => {
    const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
    expect(() => Object.assign(auth, { verify: () => ({ ok: true }) })).toThrow(TypeError)
    expect(() => Object.assign(auth.audit, { flush: () => undefined })).toThrow(TypeError)
    expect(() => Object.assign(auth.keys, { get: () => null })).toThrow(TypeError)
  })

  test('without a store: auth.keys rejects with StoreCapabilityError', async () => {
    const auth = createAuth({
      environment: 'test',
      tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [JWK] } },
    })
    await expect(auth.keys.get('key_1')).rejects.toBeInstanceOf(StoreCapabilityError)
    await expect(auth.keys.list({ organizationId: 'org_1' })).rejects.toMatchObject({ code: 'STORE_CAPABILITY' })
    expect(auth.health().keys).toBeNull()
  })
})

describe('ready', () => {
  const SECRET_TEXT = 'redis://user:pAsSwOrD@host'
  const broken = (more: Partial<KeyStore>): KeyStore => ({ ...memoryKeyStore(), ...more })

  test.each<readonly [string, () => AuthOptions, string]>([
    [
      'a store that is down',
      () => ({ environment: 'test', keys: { store: broken({ ready: () => Promise.reject(new Error(SECRET_TEXT)) }) } }),
      'STORE_UNREACHABLE',
    ],
    [
      'a store without ready whose look-up fails',
      () => ({ environment: 'test', keys: { store: broken({ find: () => Promise.reject(new Error(SECRET_TEXT)) }) } }),
      'STORE_UNREACHABLE',
    ],
    [
      'a key set out of reach',
      () => ({
        environment: 'test',
        tokens: {
          issuer: ISSUER,
          audience: AUDIENCE,
          jwks: 'https://issuer.example/jwks',
          fetch: () => Promise.reject(new Error(SECRET_TEXT)),
        },
      }),
      'JWKS_UNREACHABLE',
    ],
    [
      'a key set without keys',
      () => ({
        environment: 'test',
        tokens: {
          issuer: ISSUER,
          audience: AUDIENCE,
          jwks: 'https://issuer.example/jwks',
          fetch: async () => Response.json({ keys: [] }),
        },
      }),
      'JWKS_UNREACHABLE',
    ],
    [
      'a journal that cannot be written',
      () => liveOptions('/dev/null/journal', { keys: { store: memoryKeyStore() } }),
      'JOURNAL_NOT_WRITABLE',
    ],
  ])('%s is named', async (_what, options, code) => {
    const auth = createAuth(options())
    const error = await auth.ready().then(
      () => null,
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(NotReadyError)
    expect(error).toMatchObject({
      name: 'NotReadyError',
      code,
      docsUrl: 'https://healthcloud.ai/docs/api/authentication',
    })
    expect((error as NotReadyError).remedy).toMatch(/^[A-Z].*\.$/)
    if (code !== 'STORE_UNREACHABLE') expect(auth.health().degraded).toBe(true)
    for (const shown of [inspect({ ...(error as object) }), String(error), JSON.stringify(error)])
      expect(shown).not.toContain('pAsSwOrD')
    await auth.close()
  })

  test('works the second time, once what was down is up', async () => {
    let up = false
    const auth = createAuth({
      environment: 'test',
      keys: { store: broken({ ready: () => (up ? Promise.resolve() : Promise.reject(new Error('down'))) }) },
    })
    await expect(auth.ready()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    up = true
    await auth.ready()
    await auth.close()
  })

  test('after close: CLOSED', async () => {
    const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
    await auth.close()
    await expect(auth.ready()).rejects.toMatchObject({ name: 'NotReadyError', code: 'CLOSED' })
  })
})

describe('health', () => {
  test('of a live server that is well', async () => {
    const world = await createWorld()
    await world.auth.ready()
    await world.auth.verify(world.keys['good'] ?? '', { ip: null, secure: null, operation: 'x' })
    expect(world.auth.health()).toEqual({
      degraded: false,
      closing: false,
      environment: 'live',
      keys: { store: 'memory', reachable: true, watching: true, cachedKeys: 1, rotationDue: 0 },
      tokens: { source: 'local', keys: 1, ageSeconds: null, degraded: false },
      audit: {
        journal: { directory: world.directory, writable: true, events: 2 },
        gaps: 0,
        listenerErrors: 0,
        sinkErrors: {},
        sinks: {},
        unattributed: {},
        metrics: expect.objectContaining({ hc_audit_gaps_total: [{ attributes: {}, value: 0 }] }),
      },
    })
    await world.close()
    expect(world.auth.health()).toMatchObject({ degraded: true, closing: true })
  })

  test('of a server that nobody has asked anything yet is not degraded', () => {
    const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
    expect(auth.health()).toMatchObject({ degraded: false, keys: { reachable: true, watching: null } })
  })

  test('of a server whose store was not there for ready() is degraded, until the store answers', async () => {
    let down = true
    const memory = memoryKeyStore()
    const store: KeyStore = {
      ...memory,
      ready: async () => {
        if (down) throw new Error('down')
      },
    }
    const auth = createAuth({ environment: 'test', keys: { store } })
    await expect(auth.ready()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    expect(auth.health()).toMatchObject({ degraded: true, keys: { reachable: false } })
    down = false
    await auth.ready()
    expect(auth.health()).toMatchObject({ degraded: false, keys: { reachable: true } })
    await auth.close()
  })

  test('of a test server names no journal', async () => {
    const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
    await auth.ready()
    expect(auth.health()).toMatchObject({
      degraded: false,
      environment: 'test',
      tokens: null,
      audit: { journal: null },
    })
  })

  test('counts what onEvent throws, which reaches nobody', async () => {
    const world = await createWorld({
      audit: {
        onEvent: () => {
          throw new Error('a listener')
        },
      },
    })
    expect(await world.auth.verify(world.keys['good'] ?? '', { ip: null, secure: null, operation: 'x' })).toMatchObject(
      { ok: true },
    )
    await world.auth.audit.flush()
    expect(world.auth.health().audit.listenerErrors).toBe(2)
    await world.close()
  })
})

describe('assertOrganization', () => {
  test('passes for the own organization and throws for any other', async () => {
    const world = await createWorld()
    const verdict = await world.auth.verify(world.keys['good'] ?? '', { ip: null, secure: null, operation: 'x' })
    if (!verdict.ok) throw new Error('refused')
    expect(world.auth.assertOrganization(verdict.principal, 'org_1')).toBeUndefined()
    for (const other of ['org_2', 'ORG_1', '', 'org_1 ', undefined, null, ['org_1'], Object('org_1')]) {
      expect(() => world.auth.assertOrganization(verdict.principal, other as string)).toThrow(OrganizationMismatch)
    }
    await world.close()
  })

  test('throws for no principal and no organization', async () => {
    const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore() } })
    for (const none of [undefined, null, {}, { organizationId: undefined }]) {
      expect(() => auth.assertOrganization(none as never, undefined as never)).toThrow(/organization|null|undefined/)
    }
  })

  test('the error carries its status and nothing of the caller', () => {
    const error = new OrganizationMismatch()
    expect({ ...error }).toEqual({
      name: 'OrganizationMismatch',
      code: 'ORGANIZATION_MISMATCH',
      status: 403,
      statusCode: 403,
      expose: true,
    })
    expect(inspect(error)).not.toContain('org_')
  })
})

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('%s', (_name, framework) => {
  const ask = (url: string, key: string) => send(url, { path: '/v1/me', headers: [['Authorization', `Bearer ${key}`]] })

  test('close lets an open call finish, answers the next with 503 closing, and the journal holds both ends', async () => {
    const world = await createWorld()
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let entered: () => void = () => undefined
    const inside = new Promise<void>((resolve) => {
      entered = resolve
    })
    const server = await serve(framework, [world.auth], {
      routes: [
        ...ROUTES,
        {
          path: '/v1/slow',
          guards: [(g) => g.authenticate()],
          handle: async () => {
            entered()
            await held
            return { body: { served: 'late' } }
          },
        },
      ],
    })
    const slow = send(server.url, { path: '/v1/slow', headers: [['Authorization', `Bearer ${world.keys['good']}`]] })
    await inside
    const closing = world.auth.close()
    const refused = await ask(server.url, world.keys['good'] ?? '')
    expect([refused.status, refused.headers['retry-after'], JSON.parse(refused.body)]).toEqual([
      503,
      '1',
      { error: expect.objectContaining({ code: 'AUTH_UNAVAILABLE', message: 'Temporarily unavailable.' }) },
    ])
    release()
    expect((await slow).body).toBe('{"served":"late"}')
    await closing
    const events: AuditEvent[] = []
    for await (const event of readJournal(world.directory)) events.push(event)
    expect(events.map(({ name, outcome, reason }) => [name, outcome, reason])).toEqual([
      ['audit.started', 'success', null],
      ['request', 'error', 'closing'],
      ['request', 'success', null],
      ['audit.stopped', 'success', null],
    ])
    await server.close()
    await world.close()
  })

  test('a journal that breaks refuses live calls with 503 AUDIT_UNAVAILABLE until it is whole again', async () => {
    const clock = { ms: 0, now: () => Date.now(), monotonicMs: () => clock.ms + performance.now() }
    const directory = join(folder, `broken-${framework.name.replace(' ', '-')}`)
    rmSync(directory, { recursive: true, force: true })
    // A file in the place of the folder.
    const world = await createWorld({ clock, audit: { directory: join(directory, 'journal') } })
    writeFileSync(directory, '')
    const server = await serve(framework, [world.auth], { routes: ROUTES })
    const key = world.keys['good'] ?? ''
    const down = await ask(server.url, key)
    expect([down.status, down.headers['retry-after'], JSON.parse(down.body)]).toEqual([
      503,
      '1',
      { error: expect.objectContaining({ code: 'AUDIT_UNAVAILABLE', message: 'Temporarily unavailable.' }) },
    ])
    expect(world.auth.health()).toMatchObject({ degraded: true, audit: { journal: { writable: false } } })
    // A refusal that cannot be audited keeps its own status, and counts as a gap.
    expect((await ask(server.url, world.keys['revoked'] ?? '')).status).toBe(401)
    rmSync(directory)
    clock.ms += 2000
    expect((await ask(server.url, key)).body).toBe('{"served":true}')
    expect(world.auth.health()).toMatchObject({ degraded: false, audit: { journal: { writable: true } } })
    expect(world.auth.health().audit.gaps).toBe(2)
    const events = await world.flushed()
    expect(events.map(({ outcome }) => outcome)).toEqual(['success'])
    expect(world.events.find(({ name }) => name === 'audit.gap')).toMatchObject({
      kind: 'system',
      count: 2,
      reason: 'audit_unavailable',
    })
    await server.close()
    await world.close()
  })

  test('onFailure allow: the call is served, its event is held and written once the journal is whole', async () => {
    const clock = { ms: 0, now: () => Date.now(), monotonicMs: () => clock.ms + performance.now() }
    const directory = join(folder, `allow-${framework.name.replace(' ', '-')}`)
    writeFileSync(directory, '')
    const world = await createWorld({ clock, audit: { directory: join(directory, 'journal'), onFailure: 'allow' } })
    const server = await serve(framework, [world.auth], { routes: ROUTES })
    const answer = await ask(server.url, world.keys['good'] ?? '')
    expect([answer.status, answer.body]).toEqual([200, '{"served":true}'])
    expect(world.events).toEqual([])
    expect(world.auth.health()).toMatchObject({ degraded: true, audit: { journal: { writable: false } } })
    rmSync(directory)
    clock.ms += 2000
    await world.auth.ready()
    expect(await world.flushed()).toMatchObject([{ name: 'request', outcome: 'success', actor: { keyId: 'key_good' } }])
    await server.close()
    await world.close()
  })
})

describe('a journal whose directory is deleted while it is open', () => {
  const context = { ip: null, secure: null, operation: 'x' }

  test('is made anew within a second, and the call that found it gone is in it', async () => {
    const clock = { ms: 0, now: () => Date.now(), monotonicMs: () => clock.ms + performance.now() }
    const world = await createWorld({ clock })
    const key = world.keys['good'] ?? ''
    expect(await world.auth.verify(key, context)).toMatchObject({ ok: true })
    rmSync(world.directory, { recursive: true, force: true })
    clock.ms += 1000
    // Held, and written as soon as there is a journal again.
    await world.auth.verify(key, { ...context, operation: 'held' })
    clock.ms += 1000
    expect(await world.auth.verify(key, { ...context, operation: 'after' })).toMatchObject({ ok: true })
    await world.auth.audit.flush()
    const operations: (string | null)[] = []
    for await (const event of readJournal(world.directory)) operations.push(event.operation)
    expect(operations).toEqual(['held', 'after'])
    expect(world.auth.health()).toMatchObject({ degraded: false, audit: { journal: { writable: true } } })
    await world.close()
  })

  test('and whose place is taken: 503 until it is free again', async () => {
    const clock = { ms: 0, now: () => Date.now(), monotonicMs: () => clock.ms + performance.now() }
    const world = await createWorld({ clock })
    const key = world.keys['good'] ?? ''
    await world.auth.ready()
    rmSync(world.directory, { recursive: true, force: true })
    writeFileSync(world.directory, '')
    clock.ms += 1000
    await world.auth.verify(key, context)
    expect(await world.auth.verify(key, context)).toMatchObject({ ok: false, status: 503, reason: 'audit_unavailable' })
    rmSync(world.directory)
    clock.ms += 1000
    expect(await world.auth.verify(key, context)).toMatchObject({ ok: true })
    await world.close()
  })
})

test('a test server keeps no journal, whatever directory it is given', async () => {
  const directory = join(folder, 'unused')
  const text = key16('test')
  const events: AuditEvent[] = []
  const auth = createAuth({
    environment: 'test',
    keys: { store: memoryKeyStore([recordOf(text, 'key_1')]) },
    audit: { directory, onEvent: (event) => void events.push(event) },
  })
  await auth.ready()
  await auth.verify(text, { ip: null, secure: null, operation: 'x' })
  expect(existsSync(directory)).toBe(false)
  expect(events).toMatchObject([{ name: 'verify', env: 'test', outcome: 'success' }])
  await auth.close()
})

test('a key set server is asked once by ready and by all calls after it', async () => {
  let asked = 0
  const issuer = http.createServer((_request, response) => {
    asked += 1
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys: [JWK] }))
  })
  await new Promise<void>((resolve) => {
    issuer.listen(0, '127.0.0.1', resolve)
  })
  const { port } = issuer.address() as AddressInfo
  const world = await createWorld({
    tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: `http://127.0.0.1:${port}/jwks` },
  })
  expect(asked).toBe(0)
  await world.auth.ready()
  for (let n = 0; n < 5; n += 1) {
    expect(
      await world.auth.verify(world.token({ jti: `t${n}` }), { ip: null, secure: null, operation: 'x' }),
    ).toMatchObject({ ok: true })
  }
  expect(asked).toBe(1)
  expect(readdirSync(world.directory)).toHaveLength(1)
  await world.close()
  issuer.closeAllConnections()
  await new Promise((resolve) => {
    issuer.close(resolve)
  })
})
