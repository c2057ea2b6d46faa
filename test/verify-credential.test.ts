import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createAuth,
  GuardError,
  memoryKeyStore,
  type AuditEvent,
  type Verdict,
  type VerifyContext,
} from '../src/index.ts'
import type { AuditDraft } from '../src/audit/event.ts'
import type { Recorder } from '../src/audit/recorder/recorder.ts'
import { houseOf } from '../src/auth.ts'
import { verifyCredential } from '../src/verify-credential.ts'
import { createWorld, key16, recordOf, type World } from './http/world.ts'

let world: World

beforeAll(async () => {
  world = await createWorld({ transport: { https: 'required' }, failures: { max: 3 } })
})

afterAll(() => world.close())

const now = () => Math.floor(Date.now() / 1000)

interface Row {
  readonly what: string
  readonly credential: (world: World) => string
  readonly context?: Partial<VerifyContext>
  /** Of a refusal. */
  readonly verdict?: Extract<Verdict, { ok: false }>
  readonly event: Partial<AuditEvent> & { actor?: unknown }
}

const refused = (status: number, code: string, reason: Extract<Verdict, { ok: false }>['reason']) => ({
  verdict: { ok: false, status, code, reason } as const,
  event: { outcome: 'denied', reason } as const,
})
const key = (name: string) => (w: World) => w.keys[name] ?? ''

const ROWS: readonly Row[] = [
  {
    what: 'a good key',
    credential: key('good'),
    event: {
      outcome: 'success',
      reason: null,
      actor: { kind: 'api-key', org: 'org_1', keyId: 'key_good', sub: null, jti: null, graceEnds: null, by: null },
      scopes: { granted: ['read:patients'], required: [] },
      client: { ip: '203.0.113.7', via: 0 },
    },
  },
  {
    what: 'a good token',
    credential: (w) => w.token(),
    event: {
      outcome: 'success',
      reason: null,
      actor: {
        kind: 'access-token',
        org: 'org_1',
        keyId: 'key_good',
        sub: 'user_1',
        jti: 'tok_1',
        graceEnds: null,
        by: null,
      },
    },
  },
  {
    what: 'a key with all scopes that are asked for',
    credential: key('all'),
    context: { scopes: ['read:patients', 'admin:org'] },
    event: {
      outcome: 'success',
      scopes: {
        granted: [
          'read:patients',
          'write:patients',
          'read:observations',
          'write:observations',
          'exec:agents',
          'admin:org',
        ],
        required: ['read:patients', 'admin:org'],
      },
    },
  },
  {
    what: 'an address in another form',
    credential: key('elsewhere'),
    context: { ip: '::ffff:203.0.113.9' },
    event: { outcome: 'success', client: { ip: '203.0.113.9', via: 0 } },
  },
  {
    what: 'an unknown address without allowlist',
    credential: key('good'),
    context: { ip: null },
    event: { outcome: 'success', client: { ip: null, via: 0 } },
  },
  {
    what: 'no HTTPS rule where nobody knows',
    credential: key('good'),
    context: { secure: null },
    event: { outcome: 'success' },
  },
  {
    what: 'a rotated key within its grace',
    credential: key('grace'),
    event: {
      outcome: 'success',
      actor: expect.objectContaining({ keyId: 'key_grace', graceEnds: expect.stringMatching(/Z$/) }),
    },
  },
  {
    what: 'one scope missing',
    credential: key('good'),
    context: { scopes: ['read:patients', 'admin:org'] },
    ...refused(403, 'INSUFFICIENT_SCOPE', 'scope_missing'),
  },
  {
    what: 'the address before the scope',
    credential: key('elsewhere'),
    context: { scopes: ['admin:org'], ip: '198.51.100.1' },
    ...refused(403, 'IP_NOT_ALLOWED', 'ip_not_allowed'),
  },
  {
    what: 'an unknown address with allowlist',
    credential: key('elsewhere'),
    context: { ip: null },
    ...refused(403, 'IP_NOT_ALLOWED', 'ip_not_allowed'),
  },
  {
    what: 'an address that is none, with allowlist',
    credential: key('elsewhere'),
    context: { ip: '203.0.113.7.example' },
    ...refused(403, 'IP_NOT_ALLOWED', 'ip_not_allowed'),
  },
  {
    what: 'plain HTTP, and the event names the key that is to be rotated',
    credential: key('good'),
    context: { secure: false },
    verdict: { ok: false, status: 403, code: 'HTTPS_REQUIRED', reason: 'https_required' },
    event: {
      outcome: 'denied',
      reason: 'https_required',
      actor: expect.objectContaining({ kind: 'api-key', org: 'org_1', keyId: 'key_good' }),
    },
  },
  {
    what: 'plain HTTP with a key that nobody knows',
    credential: key('unknown'),
    context: { secure: false, ip: '203.0.113.27' },
    verdict: { ok: false, status: 403, code: 'HTTPS_REQUIRED', reason: 'https_required' },
    event: {
      outcome: 'denied',
      reason: 'https_required',
      actor: expect.objectContaining({ kind: 'api-key', keyId: null }),
    },
  },
  { what: 'nothing', credential: () => '', ...refused(401, 'UNAUTHORIZED', 'credential_malformed') },
  {
    what: 'a scheme in front',
    credential: (w) => `Bearer ${w.keys['good']}`,
    ...refused(401, 'UNAUTHORIZED', 'credential_malformed'),
  },
  { what: 'a malformed key', credential: () => 'hc_live_sk_short', ...refused(401, 'UNAUTHORIZED', 'key_malformed') },
  {
    what: 'nine thousand characters',
    credential: () => 'x'.repeat(9000),
    ...refused(401, 'UNAUTHORIZED', 'credential_too_long'),
  },
  {
    what: 'a key of the test environment',
    credential: key('test'),
    ...refused(401, 'UNAUTHORIZED', 'environment_mismatch'),
  },
  {
    what: 'an unknown key',
    credential: key('unknown'),
    context: { ip: '203.0.113.20' },
    ...refused(401, 'UNAUTHORIZED', 'key_unknown'),
  },
  {
    what: 'a revoked key',
    credential: key('revoked'),
    context: { ip: '203.0.113.21' },
    ...refused(401, 'UNAUTHORIZED', 'key_revoked'),
  },
  {
    what: 'an expired key',
    credential: key('expired'),
    context: { ip: '203.0.113.22' },
    ...refused(401, 'UNAUTHORIZED', 'key_expired'),
  },
  {
    what: 'a key rotated out',
    credential: key('rotatedOut'),
    context: { ip: '203.0.113.23' },
    ...refused(401, 'UNAUTHORIZED', 'key_rotated_out'),
  },
  {
    what: 'an expired token',
    credential: (w) => w.token({ iat: now() - 7200, exp: now() - 3600 }),
    context: { ip: '203.0.113.24' },
    ...refused(401, 'UNAUTHORIZED', 'jwt_expired'),
  },
  {
    what: 'a token of alg none',
    credential: (w) => w.token({}, { alg: 'none' }),
    ...refused(401, 'UNAUTHORIZED', 'jwt_algorithm'),
  },
  {
    what: 'a token of another environment',
    credential: (w) => w.token({ env: 'test' }),
    context: { ip: '203.0.113.25' },
    ...refused(401, 'UNAUTHORIZED', 'environment_mismatch'),
  },
  {
    what: 'a token of a revoked key',
    credential: (w) => w.token({ client_id: 'key_revoked' }),
    context: { ip: '203.0.113.26' },
    ...refused(401, 'UNAUTHORIZED', 'jwt_issuing_key'),
  },
]

const CONTEXT: VerifyContext = { ip: '203.0.113.7', secure: true, operation: 'queue.read_1-a' }

describe('auth.verify', () => {
  test.each(ROWS.map((row) => [row.what, row] as const))(
    '%s',
    async (_what, { credential, context, verdict, event }) => {
      const before = world.events.length
      const given = await world.auth.verify(credential(world), { ...CONTEXT, ...context })
      // No flush: the event is there before it resolves.
      const written = world.events.slice(before).filter(({ kind }) => kind !== 'system')
      expect(written).toHaveLength(1)
      expect(written[0]).toMatchObject({
        kind: 'auth',
        name: 'verify',
        action: 'E',
        env: 'live',
        http: null,
        requestId: null,
        phi: null,
        delivered: null,
        operation: 'queue.read_1-a',
        count: 1,
        ...event,
      })
      if (verdict !== undefined) expect(given).toEqual(verdict)
      else expect(given).toEqual({ ok: true, principal: expect.objectContaining({ organizationId: 'org_1' }) })
    },
  )

  test('gives a principal that behaves like one of a request', async () => {
    const verdict = await world.auth.verify(world.keys['good'] ?? '', CONTEXT)
    if (!verdict.ok) throw new Error('refused')
    expect(verdict.principal.scopes.has('read:patients')).toBe(true)
    expect(() => Reflect.apply(Set.prototype.add, verdict.principal.scopes, ['admin:org'])).toThrow(TypeError)
    expect(() => Object.assign(verdict, { ok: false })).toThrow(TypeError)
  })

  test('counts failures by address, and says how long a caller over his budget waits', async () => {
    const ip = '198.51.100.77'
    for (let n = 0; n < 3; n += 1) await world.auth.verify(key16(), { ...CONTEXT, ip })
    const verdict = await world.auth.verify(key16(), { ...CONTEXT, ip })
    expect(verdict).toEqual({
      ok: false,
      status: 429,
      code: 'RATE_LIMITED',
      reason: 'rate_limited',
      retryAfterSeconds: expect.any(Number),
    })
    if (verdict.ok) throw new Error('passed')
    expect(verdict.retryAfterSeconds).toBeGreaterThan(0)
    expect(verdict.retryAfterSeconds).toBeLessThanOrEqual(60)
    expect(await world.auth.verify(world.keys['good'] ?? '', { ...CONTEXT, ip })).toMatchObject({ ok: true })
  })
})

describe('a call of auth.verify that is a mistake rejects', () => {
  test.each<readonly [string, unknown]>([
    ['no context', undefined],
    ['no operation', { ip: null, secure: null }],
    ['an empty operation', { ...CONTEXT, operation: '' }],
    ['an operation with a space', { ...CONTEXT, operation: 'read patient' }],
    ['an operation in capitals', { ...CONTEXT, operation: 'READ' }],
    ['an operation with a newline', { ...CONTEXT, operation: 'read\n' }],
    ['an operation that is too long', { ...CONTEXT, operation: 'x'.repeat(65) }],
    ['an address left out', { secure: true, operation: 'x' }],
    ['an address that is a number', { ...CONTEXT, ip: 7 }],
    ['secure left out', { ip: null, operation: 'x' }],
    ['secure as a text', { ...CONTEXT, secure: 'false' }],
    [
      'an inherited secure',
      Object.create(
        { ...CONTEXT, secure: null },
        { ip: { value: null, enumerable: true }, operation: { value: 'x', enumerable: true } },
      ),
    ],
    ['an unknown scope', { ...CONTEXT, scopes: ['read:patient'] }],
    ['scopes that are a text', { ...CONTEXT, scopes: 'read:patients' }],
    ['scopes with a hole', { ...CONTEXT, scopes: [undefined] }],
    ['scopes that are null', { ...CONTEXT, scopes: null }],
  ])('%s', async (_what, context) => {
    const before = (await world.flushed()).length
    await expect(world.auth.verify(world.keys['good'] ?? '', context as VerifyContext)).rejects.toBeInstanceOf(
      GuardError,
    )
    expect(await world.flushed()).toHaveLength(before)
  })

  test.each<readonly [string, unknown]>([
    ['undefined', undefined],
    ['a number', 7],
    ['an array with a key', ['hc_live_sk_AbC12xYz9kLmNpQr']],
  ])('but a credential that is %s is refused as a value', async (_what, credential) => {
    expect(await world.auth.verify(credential as string, CONTEXT)).toEqual({
      ok: false,
      status: 401,
      code: 'UNAUTHORIZED',
      reason: 'credential_missing',
    })
  })
})

describe('auth.verify over plain HTTP on a test server', () => {
  test.each([
    ['127.0.0.1', true],
    ['::1', true],
    ['203.0.113.7', false],
    [null, false],
  ])('from %s: %s', async (ip, ok) => {
    const tests = await createWorld({ environment: 'test', transport: { https: 'required' } })
    const verdict = await tests.auth.verify(tests.keys['test'] ?? '', { ip, secure: false, operation: 'x' })
    expect(verdict.ok).toBe(ok)
    await tests.close()
  })
})

describe('auth.verify when something is down', () => {
  test('the journal fails with its own event: the call does not pass', async () => {
    const real = houseOf(world.auth)
    if (real === undefined) throw new Error('no house')
    let good = true
    const drafts: AuditDraft[] = []
    const recorder: Recorder = {
      ...real.recorder,
      gate: () => good,
      record: (draft) => {
        drafts.push(draft)
        good = false
        return null
      },
    }
    const verdict = await verifyCredential({ ...real, recorder }, world.keys['good'] ?? '', CONTEXT)
    expect(verdict).toMatchObject({ ok: false, status: 503, reason: 'audit_unavailable' })
    expect(drafts).toHaveLength(1)
  })

  test('auth.close() waits for a look-up under way, and its event is written', async () => {
    const slow = await createWorld({}, (store) => ({
      ...store,
      find: async (lookup, context) => {
        await new Promise((resolve) => setTimeout(resolve, 30))
        return store.find(lookup, context)
      },
    }))
    const verdict = slow.auth.verify(slow.keys['good'] ?? '', CONTEXT)
    await slow.close()
    expect(await verdict).toMatchObject({ ok: true })
    expect(slow.events.filter(({ kind }) => kind === 'auth')).toMatchObject([{ outcome: 'success' }])
  })

  test('a store: 503, Retry-After 1, outcome error', async () => {
    const dead = await createWorld({}, (store) => ({ ...store, find: () => Promise.reject(new Error('down')) }))
    expect(await dead.auth.verify(dead.keys['good'] ?? '', CONTEXT)).toEqual({
      ok: false,
      status: 503,
      code: 'AUTH_UNAVAILABLE',
      reason: 'store_unavailable',
      retryAfterSeconds: 1,
    })
    expect(await dead.flushed()).toMatchObject([{ kind: 'auth', outcome: 'error', reason: 'store_unavailable' }])
    await dead.close()
  })

  test('the journal: 503 AUDIT_UNAVAILABLE, and a refusal keeps its own answer', async () => {
    const blind = await createWorld({ audit: { directory: '/dev/null/journal' } })
    expect(await blind.auth.verify(blind.keys['good'] ?? '', CONTEXT)).toEqual({
      ok: false,
      status: 503,
      code: 'AUDIT_UNAVAILABLE',
      reason: 'audit_unavailable',
      retryAfterSeconds: 1,
    })
    expect(await blind.auth.verify(blind.keys['revoked'] ?? '', CONTEXT)).toEqual({
      ok: false,
      status: 401,
      code: 'UNAUTHORIZED',
      reason: 'key_revoked',
    })
    await blind.close()
  })

  test('closing: 503 without a look at the credential', async () => {
    const closed = await createWorld()
    await closed.auth.close()
    expect(await closed.auth.verify(closed.keys['good'] ?? '', CONTEXT)).toEqual({
      ok: false,
      status: 503,
      code: 'AUTH_UNAVAILABLE',
      reason: 'closing',
      retryAfterSeconds: 1,
    })
    await closed.close()
  })
})

test('a kind of credential that is not configured is refused', async () => {
  const text = key16('test')
  const auth = createAuth({ environment: 'test', keys: { store: memoryKeyStore([recordOf(text, 'key_1')]) } })
  const context = { ip: null, secure: null, operation: 'x' }
  expect(await auth.verify(world.token(), context)).toEqual({
    ok: false,
    status: 401,
    code: 'UNAUTHORIZED',
    reason: 'credential_not_accepted',
  })
  expect(await auth.verify(text, context)).toMatchObject({ ok: true })
})
