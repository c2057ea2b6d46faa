import { Agent, type RequestListener } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/index.ts'
import {
  FRAMEWORKS,
  serve,
  type Framework,
  type RunningServer,
  type SuiteGuards,
  type SuiteRoute,
} from '../http/frameworks.ts'
import { send } from '../http/send.ts'
import { createWorld, signToken, type World } from '../http/world.ts'

const FOREIGN = {
  ok: true,
  kind: 'api-key',
  organizationId: 'org_1',
  scopes: new Set(['admin:org', 'read:patients']),
  keyId: 'key_evil',
}

/** Names that our objects, descriptors, claims and options have, each with values that would open or break something. */
const POLLUTIONS: readonly (readonly [name: string, ...values: readonly unknown[]])[] = [
  ['optional', true],
  ['scopes', FOREIGN.scopes, []],
  ['ok', true, false],
  ['allowlist', null, { holds: () => true }],
  ['allowedCidrs', []],
  ['identity', FOREIGN],
  ['principal', FOREIGN],
  ['secure', true, null],
  ['encrypted', true],
  ['kind', 'api-key', 'none', 'pass'],
  ['reason', 'not_found', null],
  ['denial', null],
  ['phi', false],
  ['environment', 'test', 'live'],
  ['https', 'off'],
  ['trustedProxies', 8],
  ['hops', 8],
  ['transport', { https: 'off' }],
  ['failures', { max: 1 }],
  ['max', 1],
  ['limiter', { consume: () => Promise.reject(Object('no')) }],
  ['clock', { now: () => 0, monotonicMs: () => 0 }],
  ['alg', 'RS256', 'none'],
  ['kid', 'k1'],
  ['typ', 'at+jwt'],
  ['crit', ['exp']],
  ['exp', 99_999_999_999],
  ['iat', 1],
  ['nbf', 99_999_999_999],
  ['aud', 'https://partner.example'],
  ['iss', 'https://issuer.example'],
  ['sub', 'user_1'],
  ['jti', 't'],
  ['client_id', 'key_revoked', 'key_good'],
  ['org', 'org_1'],
  ['env', 'live', 'test'],
  ['scope', 'admin:org'],
  ['keys', null],
  ['tokens', null],
  ['organization', () => 'org_1'],
  ['organizationId', 'org_1'],
  ['required', []],
  ['missing', []],
  ['value', 'x'],
  ['get', () => FOREIGN],
  ['set', () => undefined],
  ['writable', true],
  ['configurable', false],
  ['enumerable', false],
  ['revokedAt', null],
  ['expiresAt', null],
  ['validUntil', null],
  ['graceEnds', 0],
  ['audit', { onFailure: 'allow' }],
  ['onFailure', 'allow'],
  ['issuingKeyCheck', 'never', 'always'],
  ['pepper', 'x'],
  ['service', { name: 'evil' }],
  ['docsUrl', 'https://evil.example'],
  ['handlerDone', true],
  ['anonymous', true],
  ['catchAll', true],
  ['type', 'Patient'],
  ['patient', () => '1'],
  ['action', 'R'],
  ['queryNames', ['name']],
  ['digest', 'sha256:x'],
  ['status', 200, {}],
  ['files', {}],
  ['newId', () => 'x'],
  ['store', null],
  ['fetch', () => Promise.reject(new Error('no'))],
  ['ttl', 1],
  ['maxSize', 1],
  ['dispose', () => undefined],
  ['signal', null],
  ['retryAfterSeconds', 5],
  ['challenge', 'Basic'],
  ['actor', { organizationId: 'org_2', keyId: null, subject: null, tokenId: null }],
  ['code', 'OK'],
  ['authorization', 'Bearer hc_live_sk_AbC12xYz9kLmNpQr'],
]

interface Pollution {
  readonly name: string
  readonly value: unknown
}

const ROOT: object = Object.getPrototypeOf({}) as object
const clean = new Set(Object.getOwnPropertyNames(ROOT))

/** Null prototype: with `get` polluted an ordinary descriptor would not do. */
function pollute({ name, value }: Pollution): void {
  Object.defineProperty(
    ROOT,
    name,
    Object.assign(Object.create(null), { value, configurable: true, writable: true, enumerable: true }),
  )
}

function restore(): void {
  for (const name of Object.getOwnPropertyNames(ROOT)) if (!clean.has(name)) Reflect.deleteProperty(ROOT, name)
}

function polluted<T>(pollution: Pollution | null, work: () => T): T {
  if (pollution !== null) pollute(pollution)
  try {
    return work()
  } finally {
    restore()
  }
}

/** In force while guards are built, from before the first guard to the handler, and while the event is built. */
let current: Pollution | null = null

const before = (): void => {
  if (current !== null) pollute(current)
}
const handle: SuiteRoute['handle'] = ({ principalOf }) => {
  restore()
  const principal = principalOf()
  return {
    body: {
      org: principal === null ? null : principal.organizationId,
      admin: principal === null ? null : principal.scopes.has('admin:org'),
    },
  }
}
const built = (guard: (guards: SuiteGuards) => unknown) => (guards: SuiteGuards) =>
  polluted(current, () => guard(guards))

const ROUTES: readonly SuiteRoute[] = [
  { path: '/v1/me', guards: [built((g) => g.authenticate())], before, handle },
  { path: '/v1/options', guards: [built((g) => g.authenticate({}))], before, handle },
  { path: '/v1/optional', guards: [built((g) => g.authenticate({ optional: true }))], before, handle },
  { path: '/v1/patients/:id', guards: [built((g) => g.requireScope('read:patients'))], before, handle },
  { path: '/v1/admin', guards: [built((g) => g.requireScope('admin:org', {}))], before, handle },
  { path: '/v1/any', guards: [built((g) => g.requireAnyScope(['admin:org', 'admin:billing']))], before, handle },
  {
    path: '/orgs/:org/x',
    guards: [built((g) => g.requireOrganization(({ params }) => params['org']))],
    before,
    handle,
  },
  { path: '/query', guards: [built((g) => g.requireOrganization(({ query }) => query['org']))], before, handle },
]

/** Listens first and last: what runs after an answer is out (the event) runs polluted, too. */
function pollutedAtTheEnd(framework: Framework): Framework {
  return {
    name: framework.name,
    listener: async (auths, app) => {
      const { listener, close } = await framework.listener(auths, app)
      const wrapped: RequestListener = (request, response) => {
        response.once('finish', () => {
          if (current !== null) pollute(current)
          setImmediate(restore)
        })
        listener(request, response)
      }
      return { listener: wrapped, close }
    },
  }
}

type Credential = (world: World) => string | null

const key =
  (name: string): Credential =>
  (world) =>
    world.keys[name] ?? ''

/** Validly signed, but without one of the claims that a polluted prototype could seem to give it. */
const without =
  (...claims: readonly string[]): Credential =>
  (world) =>
    world.token(Object.fromEntries(claims.map((claim) => [claim, undefined])))
const nothing: Credential = () => null

/** Signed once: no token here depends on its world. */
const signed = new Map<string, string>()

function textOf(what: string, credential: Credential, world: World): string | null {
  if (!what.includes('token')) return credential(world)
  const text = signed.get(what) ?? credential(world) ?? ''
  signed.set(what, text)
  return text
}

type Decision = readonly [what: string, path: string, credential: Credential, status: number, body: unknown]

const GOOD = { org: 'org_1', admin: false }
const refused = (code: string) => ({
  error: expect.objectContaining({ code, docsUrl: 'https://healthcloud.ai/docs/api/authentication' }),
})

const DECISIONS: readonly Decision[] = [
  ['nothing', '/v1/me', nothing, 401, refused('UNAUTHORIZED')],
  ['nothing, where an option could make it optional', '/v1/options', nothing, 401, refused('UNAUTHORIZED')],
  ['junk', '/v1/me', () => 'junk', 401, refused('UNAUTHORIZED')],
  ['a good key', '/v1/patients/1', key('good'), 200, GOOD],
  ['a good token', '/v1/patients/1', (w) => w.token(), 200, GOOD],
  ['a token without kid', '/v1/patients/1', (w) => signToken({ alg: 'RS256', typ: 'JWT' }, payloadOf(w)), 200, GOOD],
  ['a token without client', '/v1/patients/1', without('client_id', 'jti'), 200, GOOD],
  [
    'a token without alg',
    '/v1/me',
    (w) => signToken({ typ: 'at+jwt', kid: 'k1' }, payloadOf(w)),
    401,
    refused('UNAUTHORIZED'),
  ],
  ['a token without exp', '/v1/me', without('exp'), 401, refused('UNAUTHORIZED')],
  ['a token without iat', '/v1/me', without('iat'), 401, refused('UNAUTHORIZED')],
  ['a token without issuer', '/v1/me', without('iss'), 401, refused('UNAUTHORIZED')],
  ['a token without audience', '/v1/me', without('aud'), 401, refused('UNAUTHORIZED')],
  ['a token without organization', '/v1/me', without('org'), 401, refused('UNAUTHORIZED')],
  ['a token without environment', '/v1/me', without('env'), 401, refused('UNAUTHORIZED')],
  ['a token without scope', '/v1/me', without('scope'), 401, refused('UNAUTHORIZED')],
  ['a token without subject', '/v1/me', without('sub'), 401, refused('UNAUTHORIZED')],
  ['a key without the scope', '/v1/patients/1', key('none'), 403, refused('INSUFFICIENT_SCOPE')],
  ['a good key on an admin route', '/v1/admin', key('good'), 403, refused('INSUFFICIENT_SCOPE')],
  ['a good key where one of two admin scopes is asked', '/v1/any', key('good'), 403, refused('INSUFFICIENT_SCOPE')],
  ['another key with the scope', '/v1/admin', key('all'), 200, { org: 'org_1', admin: true }],
  ['another organization', '/orgs/org_2/x', key('good'), 403, refused('ORGANIZATION_MISMATCH')],
  ['no organization in the query', '/query', key('good'), 403, refused('ORGANIZATION_MISMATCH')],
  ['an address that is not allowed', '/v1/me', key('elsewhere'), 403, refused('IP_NOT_ALLOWED')],
  ['a revoked key', '/v1/me', key('revoked'), 401, refused('UNAUTHORIZED')],
  ['an expired key', '/v1/me', key('expired'), 401, refused('UNAUTHORIZED')],
  ['a key rotated out', '/v1/me', key('rotatedOut'), 401, refused('UNAUTHORIZED')],
  ['a key of another environment', '/v1/me', key('test'), 401, refused('UNAUTHORIZED')],
  ['an optional route', '/v1/optional', nothing, 200, { org: null, admin: null }],
]

function payloadOf(world: World): object {
  return JSON.parse(Buffer.from(world.token().split('.')[1] ?? '', 'base64url').toString('utf8')) as object
}

type Outcome = readonly [what: string, status: number, body: unknown]

async function decide(world: World, server: RunningServer, decisions: readonly Decision[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const agent = new Agent({ keepAlive: true })
  for (const [what, path, credential] of decisions) {
    const text = textOf(what, credential, world)
    const headers = text === null ? [] : ([['Authorization', `Bearer ${text}`]] as const)
    const answer = await send(server.url, { path, headers, agent })
    outcomes.push([what, answer.status, JSON.parse(answer.body)])
  }
  agent.destroy()
  return outcomes
}

const expected = (decisions: readonly Decision[]): Outcome[] =>
  decisions.map(([what, , , status, body]) => [what, status, body])

const CASES = POLLUTIONS.flatMap(([name, ...values]) =>
  values.map((value, index) => ({ name, value, title: `${name} ${index + 1}` })),
)

test('the search for pollution is real: the names are seen where nobody guards against them', () => {
  const seen = polluted({ name: 'optional', value: true }, () => Reflect.get({}, 'optional') as unknown)
  expect([seen, Reflect.get({}, 'optional')]).toEqual([true, undefined])
})

describe('polluted before createAuth, while the guards are built and during requests:', () => {
  test.each(CASES.map((each, index) => [each.title, each, index] as const))('%s', async (_title, pollution, index) => {
    const framework = FRAMEWORKS[index % FRAMEWORKS.length]
    if (framework === undefined) throw new RangeError('no framework')
    const { outcomes, events } = await run(pollution, framework)
    expect(outcomes).toEqual(expected(DECISIONS))
    expect(new Set(events.map(({ id }) => id)).size).toBe(DECISIONS.length)
    expect(
      events.filter(({ env, service, id }) => env !== 'live' || service.name !== 'suite' || !/^[\da-f-]{36}$/.test(id)),
    ).toEqual([])
  })

  async function run(
    pollution: Pollution,
    framework: Framework,
  ): Promise<{ outcomes: Outcome[]; events: AuditEvent[] }> {
    const creating = createWorld({}, (store) => {
      pollute(pollution)
      return store
    })
    restore()
    const world = await creating
    current = pollution
    const server = await serve(pollutedAtTheEnd(framework), [world.auth], { routes: ROUTES })
    try {
      return { outcomes: await decide(world, server, DECISIONS), events: await world.flushed() }
    } finally {
      current = null
      restore()
      await server.close()
      await world.close()
    }
  }
})

/** Every name on every framework is `npm run prove:pollution`; each day a name has one framework's turn. */
function inTurn(turn: number): readonly Pollution[] {
  const all = POLLUTIONS.map(([name, value]) => ({ name, value }))
  if (process.env['HC_PROVE_POLLUTION'] !== undefined) return all
  return all.filter((_each, index) => index % FRAMEWORKS.length === turn)
}

describe.each(FRAMEWORKS.map((framework, turn) => [framework.name, framework, turn] as const))(
  '%s, polluted during requests alone',
  (_name, framework, turn) => {
    let world: World
    let server: RunningServer

    beforeAll(async () => {
      world = await createWorld()
      server = await serve(pollutedAtTheEnd(framework), [world.auth], { routes: ROUTES })
    })

    afterAll(async () => {
      current = null
      restore()
      await server.close()
      await world.close()
    })

    const few = DECISIONS.filter(([what]) =>
      ['nothing', 'a good key on an admin route', 'a token without exp'].includes(what),
    )

    test.each(inTurn(turn).map((each) => [each.name, each] as const))('%s', async (_title, pollution) => {
      current = pollution
      try {
        expect(await decide(world, server, few)).toEqual(expected(few))
      } finally {
        current = null
        restore()
      }
    })
  },
)
