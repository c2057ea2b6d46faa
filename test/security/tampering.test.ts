import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Principal } from '../../src/index.ts'
import { FRAMEWORKS, serve, type Handled, type RunningServer, type SuiteRoute } from '../http/frameworks.ts'
import { send, type Answered } from '../http/send.ts'
import { createWorld, type World } from '../http/world.ts'

const FOREIGN = { kind: 'api-key', organizationId: 'org_evil', scopes: { has: () => true }, keyId: 'key_evil' }

/** What this test's handler does to whatever it can reach. Set anew for each test; the handler itself never changes. */
let attack: (handled: Handled) => void
/** What the handler saw after its attack. */
let seen: { errors: string[]; principal: unknown }
/** What runs before the guards. */
let plant: (host: object) => void
let handled: number

const handle: SuiteRoute['handle'] = (each) => {
  handled += 1
  const { principal } = each
  try {
    attack(each)
  } catch (error) {
    seen.errors.push(error instanceof TypeError ? 'TypeError' : String(error))
  }
  seen.principal = principal === undefined ? null : JSON.parse(JSON.stringify(principal))
  return { body: { org: each.principalOf()?.organizationId ?? null } }
}
const before: SuiteRoute['before'] = (host) => plant(host)

const ROUTES: readonly SuiteRoute[] = [
  { path: '/v1/me', guards: [(g) => g.authenticate()], handle, before },
  { path: '/v1/optional', guards: [(g) => g.authenticate({ optional: true })], handle, before },
  { path: '/v1/patients/:id', guards: [(g) => g.requireScope('read:patients')], handle, before },
  { path: '/v1/admin', guards: [(g) => g.requireScope('admin:org')], handle, before },
  { path: '/v1/any-admin', guards: [(g) => g.requireAnyScope(['admin:org', 'admin:billing'])], handle, before },
  { path: '/orgs/:org/x', guards: [(g) => g.requireOrganization(({ params }) => params['org'])], handle, before },
  {
    path: '/v1/two',
    guards: [(g) => g.requireScope('read:patients'), (g) => g.requireScope('admin:org')],
    handle,
    before,
  },
]

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('%s', (_name, framework) => {
  let world: World
  let server: RunningServer

  beforeAll(async () => {
    world = await createWorld()
    server = await serve(framework, [world.auth], { routes: ROUTES })
  })

  afterAll(async () => {
    await server.close()
    await world.close()
  })

  beforeEach(() => {
    attack = () => undefined
    plant = () => undefined
    seen = { errors: [], principal: null }
    handled = 0
  })

  const ask = (
    path: string,
    key: string | null,
    headers: readonly (readonly [string, string])[] = [],
  ): Promise<Answered> =>
    send(server.url, {
      path,
      headers: [...(key === null ? [] : ([['Authorization', `Bearer ${world.keys[key]}`]] as const)), ...headers],
    })
  const facts = ({ status, body }: Answered) => [
    status,
    (JSON.parse(body) as { error?: { code: string } }).error?.code ?? body,
  ]

  /** The decisions that must stand after any attack, each by a key of its own. */
  async function checkDecisions() {
    attack = () => undefined
    plant = () => undefined
    expect(facts(await ask('/v1/patients/1', 'good'))).toEqual([200, '{"org":"org_1"}'])
    expect(facts(await ask('/v1/admin', 'good'))).toEqual([403, 'INSUFFICIENT_SCOPE'])
    expect(facts(await ask('/v1/any-admin', 'good'))).toEqual([403, 'INSUFFICIENT_SCOPE'])
    expect(facts(await ask('/v1/two', 'good'))).toEqual([403, 'INSUFFICIENT_SCOPE'])
    expect(facts(await ask('/v1/patients/1', 'none'))).toEqual([403, 'INSUFFICIENT_SCOPE'])
    expect(facts(await ask('/orgs/org_2/x', 'good'))).toEqual([403, 'ORGANIZATION_MISMATCH'])
    expect(facts(await ask('/orgs/org_1/x', 'good'))).toEqual([200, '{"org":"org_1"}'])
    expect(facts(await ask('/v1/me', 'elsewhere'))).toEqual([403, 'IP_NOT_ALLOWED'])
    expect(facts(await ask('/v1/me', 'rotatedOut'))).toEqual([401, 'UNAUTHORIZED'])
    expect(facts(await ask('/v1/me', 'expired'))).toEqual([401, 'UNAUTHORIZED'])
    expect(facts(await ask('/v1/me', null))).toEqual([401, 'UNAUTHORIZED'])
  }

  describe('a foreign principal that was set before the guard', () => {
    test.each<readonly [string, (host: object) => void]>([
      ['by assignment', (host) => void Object.assign(host, { principal: FOREIGN })],
      [
        'by defineProperty, writable',
        (host) =>
          void Object.defineProperty(host, 'principal', {
            value: FOREIGN,
            writable: true,
            configurable: true,
            enumerable: true,
          }),
      ],
      [
        'by a getter',
        (host) =>
          void Object.defineProperty(host, 'principal', {
            get: () => FOREIGN,
            set(_value: unknown) {},
            configurable: true,
          }),
      ],
      [
        'with an audit handle',
        (host) => void Object.assign(host, { principal: FOREIGN, audit: { touch: () => undefined } }),
      ],
    ])('%s is never trusted', async (_what, set) => {
      plant = set
      expect(facts(await ask('/v1/me', null))).toEqual([401, 'UNAUTHORIZED'])
      expect(facts(await ask('/v1/admin', 'good'))).toEqual([403, 'INSUFFICIENT_SCOPE'])
      expect(handled).toBe(0)
      expect(facts(await ask('/v1/me', 'good'))).toEqual([200, '{"org":"org_1"}'])
      expect(seen.principal).toMatchObject({ organizationId: 'org_1', keyId: 'key_good' })
      attack = ({ principalOf, principal }) => {
        seen.errors.push(JSON.stringify([principalOf(), principal === undefined || principal === null]))
      }
      expect(facts(await ask('/v1/optional', null))).toEqual([200, '{"org":null}'])
      expect(seen.errors).toEqual(['[null,true]'])
      await checkDecisions()
    })

    test.each<readonly [string, (host: object) => void]>([
      [
        'a principal that cannot be redefined',
        (host) => void Object.defineProperty(host, 'principal', { value: FOREIGN, configurable: false }),
      ],
      [
        'a getter that cannot be redefined',
        (host) => void Object.defineProperty(host, 'principal', { get: () => FOREIGN, configurable: false }),
      ],
      [
        'an audit handle that cannot be redefined',
        (host) => void Object.defineProperty(host, 'audit', { value: {}, configurable: false }),
      ],
    ])('%s: 500 PRINCIPAL_CONFLICT, and the handler does not run', async (_what, set) => {
      plant = set
      const answer = await ask('/v1/me', 'good', [['X-Request-Id', 'conflict-1']])
      expect([answer.status, answer.body]).toEqual([
        500,
        '{"error":{"code":"PRINCIPAL_CONFLICT","message":"Another part of this server owns the principal of the request.","requestId":"conflict-1","docsUrl":"https://healthcloud.ai/docs/api/authentication"}}',
      ])
      expect([answer.headers['content-type'], answer.headers['cache-control'], answer.headers['x-request-id']]).toEqual(
        ['application/json; charset=utf-8', 'no-store', 'conflict-1'],
      )
      expect(handled).toBe(0)
      // A caller who is refused anyway is told that, and not about the server.
      expect(facts(await ask('/v1/me', null))).toEqual([401, 'UNAUTHORIZED'])
      const event = (await world.flushed()).findLast(({ requestId }) => requestId === 'conflict-1')
      expect(event).toMatchObject({
        outcome: 'error',
        reason: 'handler_error',
        http: { status: 500 },
        actor: { keyId: 'key_good' },
      })
      await checkDecisions()
    })

    // Express and Fastify hold the principal on the request, which Node itself cannot serve once it is frozen.
    const others = framework.name.startsWith('Koa') ? [Object.freeze, Object.seal, Object.preventExtensions] : []
    test.each(others.map((shut) => [shut.name, shut] as const))(
      '%s of the state: 500 PRINCIPAL_CONFLICT',
      async (_what, shut) => {
        plant = (host) => void shut(host)
        expect(facts(await ask('/v1/me', 'good'))).toEqual([500, 'PRINCIPAL_CONFLICT'])
        expect(facts(await ask('/v1/me', null))).toEqual([401, 'UNAUTHORIZED'])
        expect(handled).toBe(0)
        await checkDecisions()
      },
    )
  })

  describe('what a handler does to the principal changes nothing:', () => {
    const strict = (name: string, change: (principal: Principal, handled: Handled) => unknown) =>
      [name, change, ['TypeError']] as const
    const quiet = (name: string, change: (principal: Principal, handled: Handled) => unknown) =>
      [name, change, []] as const

    test.each([
      strict('Set.prototype.add on the scopes', ({ scopes }) =>
        Reflect.apply(Set.prototype.add, scopes, ['admin:org']),
      ),
      strict('Set.prototype.clear on the scopes', ({ scopes }) => Reflect.apply(Set.prototype.clear, scopes, [])),
      strict('Map.prototype.set on the scopes', ({ scopes }) =>
        Reflect.apply(Map.prototype.set, scopes, ['admin:org', true]),
      ),
      strict('Array.prototype.push on the scopes', ({ scopes }) =>
        Reflect.apply(Array.prototype.push, scopes, ['admin:org']),
      ),
      quiet('push on a list that the scopes gave', ({ scopes }) => scopes.toJSON().push('admin:org')),
      strict('another has', ({ scopes }) => Object.assign(scopes, { has: () => true })),
      strict('defineProperty on the scopes', ({ scopes }) =>
        Object.defineProperty(scopes, 'has', { value: () => true }),
      ),
      strict('setPrototypeOf on the scopes', ({ scopes }) => Object.setPrototypeOf(scopes, Set.prototype)),
      quiet('Reflect.setPrototypeOf on the scopes', ({ scopes }) =>
        Reflect.setPrototypeOf(scopes, { has: () => true }),
      ),
      quiet('setTime on the expiry', ({ expiresAt }) => expiresAt?.setTime(8.64e15)),
      quiet('setTime on the rotation deadline', ({ rotation }) => rotation?.validUntil.setTime(8.64e15)),
      quiet('setTime in the past', (principal) => [
        principal.expiresAt?.setTime(0),
        principal.rotation?.validUntil.setTime(0),
      ]),
      strict('assignment', (principal) => Object.assign(principal, { organizationId: 'org_2' })),
      strict('defineProperty', (principal) => Object.defineProperty(principal, 'organizationId', { value: 'org_2' })),
      strict('setPrototypeOf', (principal) => Object.setPrototypeOf(principal, { admin: true })),
      quiet('Reflect.setPrototypeOf', (principal) => Reflect.setPrototypeOf(principal, { admin: true })),
      quiet('deletion', (principal) => Reflect.deleteProperty(principal, 'organizationId')),
      strict(
        'deletion in strict code',
        (principal) => delete (principal as { organizationId?: string }).organizationId,
      ),
      strict('assignment to the framework’s property', (_principal, { host }) =>
        Object.assign(host, { principal: FOREIGN }),
      ),
      strict('assignment to the audit handle', (_principal, { host }) => Object.assign(host, { audit: {} })),
      quiet('redefinition of the framework’s property', (_principal, { host }) =>
        Object.defineProperty(host, 'principal', { value: FOREIGN }),
      ),
      quiet('headers of the request', (_principal, { request }) =>
        Object.assign(request.headers, {
          authorization: `Bearer ${world.keys['all']}`,
          'x-forwarded-for': '203.0.113.1',
        }),
      ),
      quiet('raw headers of the request', (_principal, { request }) =>
        request.rawHeaders.splice(0, request.rawHeaders.length, 'Authorization', `Bearer ${world.keys['all']}`),
      ),
      quiet('url and method of the request', (_principal, { request }) =>
        Object.assign(request, { method: 'POST', url: '/v1/admin' }),
      ),
    ])('%s', async (_what, change, errors) => {
      attack = (each) => void change(each.principal, each)
      for (const key of ['good', 'grace']) {
        const answer = await ask('/v1/patients/1', key)
        expect([answer.status, seen.errors]).toEqual([200, errors])
        expect(seen.principal).toMatchObject({
          organizationId: 'org_1',
          keyId: `key_${key}`,
          scopes: ['read:patients'],
        })
        // By the guards of the route, which read nothing that the handler could reach.
        expect(answer.body).toBe('{"org":"org_1"}')
        seen = { errors: [], principal: null }
        attack = (each) => void change(each.principal, each)
      }
      await checkDecisions()
    })

    test('params: the organization guard of the next request reads its own', async () => {
      attack = ({ params }) => void Reflect.set(params, 'org', 'org_2')
      expect(facts(await ask('/orgs/org_1/x', 'good'))).toEqual([200, '{"org":"org_1"}'])
      await checkDecisions()
    })

    test('expiry: a key that is about to expire expires, whatever was done to the date it gave', async () => {
      let nowMs = Date.now()
      const clock = { now: () => nowMs, monotonicMs: () => performance.now() }
      const own = await createWorld({ clock })
      const ending = await own.auth.keys.create({
        organizationId: 'org_1',
        environment: 'live',
        name: 'ending',
        scopes: ['read:patients'],
        expiresAt: new Date(nowMs + 60_000),
        by: 'tests',
      })
      const live = await serve(framework, [own.auth], { routes: ROUTES })
      attack = ({ principal }) => void principal.expiresAt?.setTime(8.64e15)
      const call = () =>
        send(live.url, { path: '/v1/patients/1', headers: [['Authorization', `Bearer ${ending.key}`]] })
      expect((await call()).status).toBe(200)
      nowMs += 59_999
      expect((await call()).status).toBe(200)
      nowMs += 1
      expect((await call()).status).toBe(401)
      await live.close()
      await own.close()
    })
  })

  test('a foreign principal between two guards is not read by the second', async () => {
    const own = await createWorld()
    const live = await serve(framework, [own.auth], {
      routes: [
        {
          path: '/v1/between',
          guards: [
            (g) => g.requireScope('read:patients'),
            (g) =>
              g.requireOrganization(({ headers, params, query }) => {
                Object.assign(headers, { authorization: `Bearer ${own.keys['other']}` })
                try {
                  Reflect.set(params, 'org', 'org_2')
                  Reflect.set(query, 'org', 'org_2')
                } catch {
                  return 'org_2'
                }
                return 'org_1'
              }),
            (g) => g.requireScope('admin:org'),
          ],
          handle: () => ({ body: {} }),
        },
      ],
    })
    const answer = await send(live.url, {
      path: '/v1/between',
      headers: [['Authorization', `Bearer ${own.keys['good']}`]],
    })
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([
      403,
      'Bearer realm="healthcloud", error="insufficient_scope", scope="read:patients admin:org"',
    ])
    await live.close()
    await own.close()
  })

  describe('a request header has no effect when it is called', () => {
    test.each([
      'principal',
      'X-Principal',
      'X-HC-Principal',
      'X-HealthCloud-Principal',
      'Authorization-Override',
      'Proxy-Authorization',
      'X-Authorization',
      'X-Api-Key',
      'X-HTTP-Method-Override',
      'X-Method-Override',
      'X-Original-URL',
      'X-Rewrite-URL',
      'X-Middleware-Subrequest',
      'X-Original-Method',
      'X-Forwarded-User',
      'X-Org',
      'X-Scopes',
      'Cookie',
      '__proto__',
      'constructor',
      'prototype',
      'hasOwnProperty',
      'toJSON',
      'audit',
      'scope',
      'identity',
    ])('%s', async (name) => {
      for (const value of [JSON.stringify(FOREIGN), `Bearer ${world.keys['all']}`, '/v1/public']) {
        const header = [[name, value]] as const
        expect(facts(await ask('/v1/admin', null, header))).toEqual([401, 'UNAUTHORIZED'])
        expect(facts(await ask('/v1/admin', 'good', header))).toEqual([403, 'INSUFFICIENT_SCOPE'])
      }
      expect(facts(await ask('/v1/me', 'good', [[name, 'x']]))).toEqual([200, '{"org":"org_1"}'])
    })
  })
})
