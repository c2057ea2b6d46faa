import type { AuditEvent } from '../../src/index.ts'
import type { SuiteRoute } from './frameworks.ts'
import { signToken, type World } from './world.ts'

/** The routes that the rows call; the same on every framework. */
export const ROUTES: readonly SuiteRoute[] = [
  {
    path: '/v1/patients/:id',
    guards: [(g) => g.requireScope('read:patients')],
    handle: ({ params }) => ({ body: { id: params['id'] } }),
  },
  { path: '/v1/patients', guards: [(g) => g.requireScope('read:patients')], handle: () => ({ body: [] }) },
  {
    method: 'POST',
    path: '/v1/patients',
    guards: [(g) => g.requireScope('write:patients')],
    handle: () => ({ status: 201, body: {} }),
  },
  {
    method: 'PUT',
    path: '/v1/patients/:id',
    guards: [(g) => g.requireScope('write:patients')],
    handle: () => ({ body: {} }),
  },
  {
    method: 'DELETE',
    path: '/v1/patients/:id',
    guards: [(g) => g.requireScope('write:patients')],
    handle: () => ({ status: 204 }),
  },
  {
    path: '/v1/both',
    guards: [(g) => g.requireScope(['read:patients', 'read:observations'])],
    handle: () => ({ body: {} }),
  },
  { path: '/v1/any', guards: [(g) => g.requireAnyScope(['admin:org', 'read:patients'])], handle: () => ({ body: {} }) },
  {
    path: '/v1/any-admin',
    guards: [(g) => g.requireAnyScope(['admin:org', 'admin:billing'])],
    handle: () => ({ body: {} }),
  },
  {
    path: '/v1/me',
    guards: [(g) => g.authenticate()],
    handle: ({ principal }) => ({ body: { org: principal.organizationId } }),
  },
  {
    path: '/v1/optional',
    guards: [(g) => g.authenticate({ optional: true })],
    handle: (handled) => ({ body: { org: handled.principalOf()?.organizationId ?? null } }),
  },
  {
    path: '/v1/optional-then-scope',
    guards: [(g) => g.authenticate({ optional: true }), (g) => g.requireScope('read:patients')],
    handle: () => ({ body: {} }),
  },
  {
    path: '/v1/two-scopes',
    guards: [(g) => g.requireScope('read:patients'), (g) => g.requireScope('write:patients')],
    handle: () => ({ body: {} }),
  },
  {
    path: '/orgs/:org/settings',
    guards: [(g) => g.requireOrganization(({ params }) => params['org'])],
    handle: () => ({ body: {} }),
  },
  {
    path: '/orgs/:org/throwing',
    guards: [
      (g) =>
        g.requireOrganization(() => {
          throw new Error('no organization here')
        }),
    ],
    handle: () => ({ body: {} }),
  },
  { path: '/v1/missing', guards: [(g) => g.requireScope('read:patients')], handle: () => ({ status: 404, body: {} }) },
  { path: '/v1/public', guards: [(g) => g.publicRoute('a liveness probe')], handle: () => ({ body: { up: true } }) },
  {
    path: '/fhir/Observation',
    guards: [(g) => g.requireScope('read:observations')],
    handle: ({ audit }) => {
      audit.touch('Patient/9')
      audit.touch('Patient/10')
      audit.count(3)
      audit.purpose('TREAT')
      return { body: [] }
    },
  },
  { path: '/v1/agents', guards: [(g) => g.requireScope('exec:agents', { phi: false })], handle: () => ({ body: {} }) },
  {
    path: '/v1/charts/:chart',
    guards: [
      (g) =>
        g.requireScope('read:patients', {
          phi: { type: 'DiagnosticReport', action: 'R', patient: ({ query }) => query['subject'] },
        }),
    ],
    handle: () => ({ body: {} }),
  },
]

export interface Row {
  readonly name: string
  readonly method?: string
  readonly path?: string
  /** The value of `Authorization`, or several. */
  readonly authorization?: (world: World) => string | readonly string[]
  readonly headers?: (world: World) => readonly (readonly [string, string])[]
  readonly body?: string
  readonly status: number
  /** Of our envelope. */
  readonly code?: string
  readonly message?: string
  readonly challenge?: string
  readonly retryAfter?: string
  /** What the handler sent. */
  readonly answer?: unknown
  /** `null`: no event. */
  readonly event:
    | (Partial<Pick<AuditEvent, 'outcome' | 'reason' | 'action' | 'phi' | 'purpose'>> & {
        actor?: object
        http?: object
        scopes?: object
      })
    | null
}

const BARE = 'Bearer realm="healthcloud"'
const INVALID = 'Bearer realm="healthcloud", error="invalid_token"'
const KEY_401 = { status: 401, code: 'UNAUTHORIZED', message: 'Invalid or expired API key.', challenge: INVALID }
const TOKEN_401 = { status: 401, code: 'UNAUTHORIZED', message: 'Invalid or expired access token.', challenge: INVALID }
const OK = { status: 200, event: { outcome: 'success', reason: null } } as const

const key = (name: string) => (world: World) => `Bearer ${world.keys[name] ?? ''}`
const text = (value: string) => () => value
const token =
  (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
  (world: World) =>
    `Bearer ${world.token(claims, header)}`
const denied = (reason: AuditEvent['reason']) => ({ outcome: 'denied', reason }) as const
const now = () => Math.floor(Date.now() / 1000)

function missing(message: string, required: string): Pick<Row, 'status' | 'code' | 'message' | 'challenge' | 'event'> {
  return {
    status: 403,
    code: 'INSUFFICIENT_SCOPE',
    message,
    challenge: `Bearer realm="healthcloud", error="insufficient_scope", scope="${required}"`,
    event: denied('scope_missing'),
  }
}

/** Expected values are literals of the specification. */
export const ROWS: readonly Row[] = [
  // The header
  {
    name: 'no credential',
    ...KEY_401,
    challenge: BARE,
    event: { ...denied('credential_missing'), actor: { kind: 'none', org: null, keyId: null } },
  },
  {
    name: 'Basic',
    authorization: text('Basic dXNlcjpw'),
    ...KEY_401,
    challenge: BARE,
    event: denied('scheme_unsupported'),
  },
  {
    name: 'Digest',
    authorization: text('Digest username="x"'),
    ...KEY_401,
    challenge: BARE,
    event: denied('scheme_unsupported'),
  },
  { name: 'Bearer alone', authorization: text('Bearer'), ...KEY_401, event: denied('credential_malformed') },
  {
    name: 'Bearer with a colon',
    authorization: (w) => `Bearer: ${w.keys['good']}`,
    ...KEY_401,
    event: denied('credential_malformed'),
  },
  {
    name: 'a tab for the space',
    authorization: (w) => `Bearer\t${w.keys['good']}`,
    ...KEY_401,
    event: denied('credential_malformed'),
  },
  {
    name: 'two tokens in one header',
    authorization: (w) => `Bearer ${w.keys['good']} extra`,
    ...KEY_401,
    event: denied('credential_malformed'),
  },
  {
    name: 'a comma-joined header',
    authorization: (w) => `Bearer ${w.keys['good']}, Bearer ${w.keys['all']}`,
    ...KEY_401,
    event: denied('credential_malformed'),
  },
  {
    name: 'a quoted key',
    authorization: (w) => `Bearer "${w.keys['good']}"`,
    ...KEY_401,
    event: denied('credential_malformed'),
  },
  {
    name: 'bytes above ASCII',
    authorization: (w) => `Bearer ${w.keys['good']}\u00e9`,
    ...KEY_401,
    event: denied('credential_malformed'),
  },
  { name: 'the scheme in lower case', authorization: (w) => `bearer ${w.keys['good']}`, ...OK },
  { name: 'the scheme in upper case', authorization: (w) => `BEARER ${w.keys['good']}`, ...OK },
  { name: 'two spaces, and spaces behind', authorization: (w) => `Bearer  ${w.keys['good']}  `, ...OK },
  {
    name: 'two Authorization headers, the good one first',
    authorization: (w) => [`Bearer ${w.keys['good']}`, 'Bearer x'],
    status: 400,
    code: 'INVALID_REQUEST',
    message: 'The request is malformed.',
    event: denied('credential_duplicate'),
  },
  {
    name: 'two Authorization headers, the same twice',
    authorization: (w) => [`Bearer ${w.keys['good']}`, `Bearer ${w.keys['good']}`],
    status: 400,
    code: 'INVALID_REQUEST',
    message: 'The request is malformed.',
    event: denied('credential_duplicate'),
  },
  {
    name: 'a credential of 8,193 characters',
    authorization: text(`Bearer ${'a'.repeat(8193)}`),
    ...KEY_401,
    event: denied('credential_too_long'),
  },
  {
    name: 'a key in X-Api-Key alone',
    headers: (w) => [['X-Api-Key', w.keys['good'] ?? '']],
    ...KEY_401,
    challenge: BARE,
    event: denied('credential_missing'),
  },
  {
    name: 'a key in the query alone',
    path: '/v1/me?access_token=hc_live_sk_AbC12xYz9kLmNpQr',
    ...KEY_401,
    challenge: BARE,
    event: { ...denied('credential_missing'), http: { query: ['*'] } },
  },
  {
    name: 'a key in a cookie alone',
    headers: (w) => [['Cookie', `token=${w.keys['good']}`]],
    ...KEY_401,
    challenge: BARE,
    event: denied('credential_missing'),
  },
  // Keys
  {
    name: 'the documented key',
    authorization: text('Bearer hc_live_sk_AbC12xYz9kLmNpQr'),
    path: '/v1/patients/123',
    ...OK,
    answer: { id: '123' },
  },
  {
    name: 'a good key',
    authorization: key('good'),
    status: 200,
    answer: { org: 'org_1' },
    event: {
      outcome: 'success',
      reason: null,
      actor: { kind: 'api-key', org: 'org_1', keyId: 'key_good', sub: null, jti: null },
    },
  },
  {
    name: 'a key one character short',
    authorization: (w) => `Bearer ${w.keys['good']?.slice(0, -1)}`,
    ...KEY_401,
    event: denied('key_malformed'),
  },
  {
    name: 'a key one character long',
    authorization: (w) => `Bearer ${w.keys['good']}x`,
    ...KEY_401,
    event: denied('key_malformed'),
  },
  {
    name: 'a key in upper case',
    authorization: (w) => `Bearer ${w.keys['good']?.toUpperCase()}`,
    ...KEY_401,
    event: denied('key_malformed'),
  },
  {
    name: 'an issued form with a wrong check',
    authorization: text(`Bearer hc_live_sk_${'0'.repeat(30)}41YlZW`),
    ...KEY_401,
    event: denied('key_malformed'),
  },
  {
    name: 'an issued form with a right check, unknown',
    authorization: text(`Bearer hc_live_sk_${'0'.repeat(30)}41YlZV`),
    ...KEY_401,
    event: denied('key_unknown'),
  },
  { name: 'junk', authorization: text('Bearer junk'), ...KEY_401, event: denied('key_malformed') },
  {
    name: 'an unknown key',
    authorization: key('unknown'),
    ...KEY_401,
    event: { ...denied('key_unknown'), actor: { org: null, keyId: null } },
  },
  { name: 'the same unknown key again', authorization: key('unknown'), ...KEY_401, event: denied('key_unknown') },
  {
    name: 'a revoked key',
    authorization: key('revoked'),
    ...KEY_401,
    event: { ...denied('key_revoked'), actor: { kind: 'api-key', org: 'org_1', keyId: 'key_revoked' } },
  },
  {
    name: 'an expired key',
    authorization: key('expired'),
    ...KEY_401,
    event: { ...denied('key_expired'), actor: { keyId: 'key_expired' } },
  },
  {
    name: 'a key that was rotated out',
    authorization: key('rotatedOut'),
    ...KEY_401,
    event: { ...denied('key_rotated_out'), actor: { keyId: 'key_rotatedOut' } },
  },
  { name: 'a rotated key in its grace', authorization: key('grace'), ...OK },
  {
    name: 'a test key on a live server',
    authorization: key('test'),
    ...KEY_401,
    event: denied('environment_mismatch'),
  },
  // Addresses and organizations
  {
    name: 'a key used from elsewhere',
    authorization: key('elsewhere'),
    status: 403,
    code: 'IP_NOT_ALLOWED',
    message: 'This address is not allowed for this API key.',
    event: { ...denied('ip_not_allowed'), actor: { keyId: 'key_elsewhere' } },
  },
  {
    name: 'the same with a forged X-Forwarded-For',
    authorization: key('elsewhere'),
    headers: () => [['X-Forwarded-For', '203.0.113.9']],
    status: 403,
    code: 'IP_NOT_ALLOWED',
    message: 'This address is not allowed for this API key.',
    event: denied('ip_not_allowed'),
  },
  {
    name: 'the same with a forged Forwarded',
    authorization: key('elsewhere'),
    headers: () => [['Forwarded', 'for=203.0.113.9']],
    status: 403,
    code: 'IP_NOT_ALLOWED',
    message: 'This address is not allowed for this API key.',
    event: denied('ip_not_allowed'),
  },
  { name: 'a key whose allowlist holds this machine', authorization: key('loopback'), ...OK },
  { name: 'its own organization', authorization: key('good'), path: '/orgs/org_1/settings', ...OK },
  {
    name: 'another organization',
    authorization: key('good'),
    path: '/orgs/org_2/settings',
    status: 403,
    code: 'ORGANIZATION_MISMATCH',
    message: 'This credential belongs to another organization.',
    event: { ...denied('organization_mismatch'), actor: { org: 'org_1' }, http: { route: '/orgs/:org/settings' } },
  },
  {
    name: 'an organization in other letters',
    authorization: key('good'),
    path: '/orgs/ORG_1/settings',
    status: 403,
    code: 'ORGANIZATION_MISMATCH',
    message: 'This credential belongs to another organization.',
    event: denied('organization_mismatch'),
  },
  {
    name: 'an organization function that throws',
    authorization: key('good'),
    path: '/orgs/org_1/throwing',
    status: 403,
    code: 'ORGANIZATION_MISMATCH',
    message: 'This credential belongs to another organization.',
    event: denied('organization_mismatch'),
  },
  // Scopes
  {
    name: 'a scope that is missing',
    authorization: key('none'),
    path: '/v1/patients/1',
    ...missing('Missing scope: read:patients.', 'read:patients'),
  },
  {
    name: 'write asked of a reader',
    authorization: key('good'),
    method: 'POST',
    path: '/v1/patients',
    body: '{}',
    ...missing('Missing scope: write:patients.', 'write:patients'),
  },
  {
    name: 'two scopes missing',
    authorization: key('none'),
    path: '/v1/both',
    ...missing('Missing scopes: read:patients, read:observations.', 'read:patients read:observations'),
  },
  {
    name: 'one of two scopes missing',
    authorization: key('good'),
    path: '/v1/both',
    ...missing('Missing scope: read:observations.', 'read:patients read:observations'),
  },
  {
    name: 'the second of two guards',
    authorization: key('good'),
    path: '/v1/two-scopes',
    ...missing('Missing scope: write:patients.', 'read:patients write:patients'),
  },
  { name: 'any scope, with one of them', authorization: key('good'), path: '/v1/any', ...OK },
  {
    name: 'any scope, with none of them',
    authorization: key('good'),
    path: '/v1/any-admin',
    ...missing('Missing scopes: admin:org, admin:billing.', 'admin:org admin:billing'),
  },
  {
    name: 'an admin key on a Standard route',
    authorization: key('admin'),
    path: '/v1/patients/1',
    ...missing('Missing scope: read:patients.', 'read:patients'),
  },
  {
    name: 'two guards that both pass',
    authorization: key('all'),
    path: '/v1/two-scopes',
    status: 200,
    event: {
      outcome: 'success',
      reason: null,
      scopes: {
        granted: [
          'read:patients',
          'write:patients',
          'read:observations',
          'write:observations',
          'exec:agents',
          'admin:org',
        ],
        required: ['read:patients', 'write:patients'],
      },
    },
  },
  // Optional and public
  {
    name: 'optional, without credential',
    path: '/v1/optional',
    status: 200,
    answer: { org: null },
    event: { outcome: 'success', reason: null, actor: { kind: 'none', org: null } },
  },
  {
    name: 'optional, with a good key',
    authorization: key('good'),
    path: '/v1/optional',
    status: 200,
    answer: { org: 'org_1' },
    event: { outcome: 'success', reason: null },
  },
  {
    name: 'optional, with a bad key',
    authorization: key('revoked'),
    path: '/v1/optional',
    ...KEY_401,
    event: denied('key_revoked'),
  },
  {
    name: 'a scope guard after an anonymous pass',
    path: '/v1/optional-then-scope',
    ...KEY_401,
    challenge: BARE,
    event: denied('credential_missing'),
  },
  { name: 'a public route', path: '/v1/public', status: 200, answer: { up: true }, event: null },
  {
    name: 'a public route with a bad key',
    authorization: text('Bearer junk'),
    path: '/v1/public',
    status: 200,
    answer: { up: true },
    event: null,
  },
  // Tokens
  {
    name: 'a good token',
    authorization: token(),
    status: 200,
    answer: { org: 'org_1' },
    event: {
      outcome: 'success',
      reason: null,
      actor: { kind: 'access-token', org: 'org_1', keyId: 'key_good', sub: 'user_1', jti: 'tok_1' },
    },
  },
  { name: 'a token with the documented header, no kid', authorization: (w) => `Bearer ${documentedToken(w)}`, ...OK },
  { name: 'typ application/AT+JWT', authorization: token({}, { typ: 'application/AT+JWT' }), ...OK },
  {
    name: 'a token with scope as a list',
    authorization: token({ scope: ['read:patients', 'made:up'] }),
    status: 200,
    event: { outcome: 'success', scopes: { granted: ['read:patients'], required: [] } },
  },
  {
    name: 'an expired token',
    authorization: token({ iat: now() - 7200, exp: now() - 3600 }),
    ...TOKEN_401,
    event: { ...denied('jwt_expired'), actor: { kind: 'access-token' } },
  },
  {
    name: 'a token from the future',
    authorization: token({ nbf: now() + 600 }),
    ...TOKEN_401,
    event: denied('jwt_not_yet_valid'),
  },
  {
    name: 'a token that lives too long',
    authorization: token({ exp: now() + 7200 }),
    ...TOKEN_401,
    event: denied('jwt_lifetime'),
  },
  { name: 'a token without exp', authorization: token({ exp: undefined }), ...TOKEN_401, event: denied('jwt_claims') },
  {
    name: 'a token of another issuer',
    authorization: token({ iss: 'https://issuer.example/' }),
    ...TOKEN_401,
    event: denied('jwt_issuer'),
  },
  {
    name: 'a token for another audience',
    authorization: token({ aud: ['https://other.example'] }),
    ...TOKEN_401,
    event: denied('jwt_audience'),
  },
  {
    name: 'a token of the test environment',
    authorization: token({ env: 'test' }),
    ...TOKEN_401,
    event: denied('environment_mismatch'),
  },
  { name: 'an ID token', authorization: token({}, { typ: 'id+jwt' }), ...TOKEN_401, event: denied('jwt_type') },
  {
    name: 'alg none',
    authorization: (w) => `Bearer ${w.token({}, { alg: 'none' }).replace(/[^.]+$/, '')}`,
    ...TOKEN_401,
    event: denied('jwt_algorithm'),
  },
  {
    name: 'alg none with a signature',
    authorization: token({}, { alg: 'none' }),
    ...TOKEN_401,
    event: denied('jwt_algorithm'),
  },
  { name: 'alg HS256', authorization: token({}, { alg: 'HS256' }), ...TOKEN_401, event: denied('jwt_algorithm') },
  { name: 'an unknown kid', authorization: token({}, { kid: 'k2' }), ...TOKEN_401, event: denied('jwt_unknown_key') },
  {
    name: 'a header with jku',
    authorization: token({}, { jku: 'https://evil.example/jwks' }),
    ...TOKEN_401,
    event: denied('jwt_malformed'),
  },
  {
    name: 'a changed signature',
    authorization: (w) => `Bearer ${flipped(w.token())}`,
    ...TOKEN_401,
    event: denied('jwt_signature'),
  },
  {
    name: 'two dots and nothing else',
    authorization: text('Bearer a.b.c'),
    ...TOKEN_401,
    event: denied('jwt_malformed'),
  },
  {
    name: 'a token of a revoked key',
    authorization: token({ client_id: 'key_revoked' }),
    ...TOKEN_401,
    event: denied('jwt_issuing_key'),
  },
  {
    name: 'a token of an unknown key',
    authorization: token({ client_id: 'key_nobody' }),
    ...TOKEN_401,
    event: denied('jwt_issuing_key'),
  },
  {
    name: 'a token without the scope',
    authorization: token({ scope: 'exec:agents' }),
    path: '/v1/patients/1',
    ...missing('Missing scope: read:patients.', 'read:patients'),
  },
  // Methods, paths, what the audit event says of PHI
  {
    name: 'HEAD without credential',
    method: 'HEAD',
    ...KEY_401,
    challenge: BARE,
    event: { ...denied('credential_missing'), http: { method: 'HEAD', bytes: 0 } },
  },
  {
    name: 'HEAD with a good key',
    method: 'HEAD',
    authorization: key('good'),
    path: '/v1/patients/1',
    status: 200,
    event: { outcome: 'success', action: 'R', http: { method: 'HEAD', bytes: 0 } },
  },
  {
    name: 'an unknown path without credential',
    path: '/v1/nowhere',
    ...KEY_401,
    challenge: BARE,
    event: { ...denied('credential_missing'), http: { route: '*' } },
  },
  {
    name: 'an unknown path with a good key',
    authorization: key('good'),
    path: '/v1/nowhere/123',
    status: 404,
    code: 'NOT_FOUND',
    message: 'No such resource.',
    event: { outcome: 'error', reason: 'not_found', http: { route: '*', status: 404 } },
  },
  {
    name: 'a method that no route takes',
    method: 'PATCH',
    authorization: key('good'),
    path: '/v1/patients/1',
    status: 404,
    code: 'NOT_FOUND',
    message: 'No such resource.',
    event: { outcome: 'error', reason: 'not_found' },
  },
  {
    name: 'a doubled slash',
    path: '//v1//patients/1',
    ...KEY_401,
    challenge: BARE,
    event: denied('credential_missing'),
  },
  {
    name: 'an escaped letter in the path',
    path: '/v1/%70atients/1',
    ...KEY_401,
    challenge: BARE,
    event: denied('credential_missing'),
  },
  {
    name: 'a handler that answers 404',
    authorization: key('good'),
    path: '/v1/missing',
    status: 404,
    event: { outcome: 'error', reason: 'handler_error', http: { status: 404, route: '/v1/missing' } },
  },
  {
    name: 'a read of one patient',
    authorization: key('good'),
    path: '/v1/patients/123?_count=1&name=Doe',
    status: 200,
    event: {
      outcome: 'success',
      action: 'R',
      http: { method: 'GET', route: '/v1/patients/:id', status: 200, query: ['*', '_count'], bytes: 12 },
      phi: {
        interaction: 'read',
        types: ['Patient'],
        patients: ['pt_k1_HDilaTHHoA-kNwNMDAJ9-z'],
        patientCount: 1,
        resourceCount: 1,
        bulk: false,
        attribution: 'route',
      },
    },
  },
  {
    name: 'a search',
    authorization: key('good'),
    path: '/v1/patients',
    status: 200,
    event: {
      action: 'R',
      phi: {
        interaction: 'search-type',
        types: ['Patient'],
        patients: [],
        patientCount: null,
        resourceCount: null,
        bulk: false,
        attribution: 'scope',
      },
    },
  },
  {
    name: 'a creation',
    authorization: key('all'),
    method: 'POST',
    path: '/v1/patients',
    body: '{}',
    status: 201,
    event: { action: 'C', http: { status: 201 } },
  },
  {
    name: 'an update',
    authorization: key('all'),
    method: 'PUT',
    path: '/v1/patients/7',
    body: '{}',
    status: 200,
    event: { action: 'U' },
  },
  {
    name: 'a deletion',
    authorization: key('all'),
    method: 'DELETE',
    path: '/v1/patients/7',
    status: 204,
    event: { action: 'D', http: { status: 204, bytes: 0 } },
  },
  {
    name: 'what the handler says',
    authorization: key('all'),
    path: '/fhir/Observation',
    status: 200,
    event: {
      action: 'E',
      purpose: 'TREAT',
      phi: {
        interaction: 'search-type',
        types: ['Observation', 'Patient'],
        patients: ['pt_k1_y9ZPUUI4xQWw2ojwfKjNjC', 'pt_k1_M0H6UjxQ3xkmN3dcIaTEs7'],
        patientCount: 2,
        resourceCount: 3,
        bulk: false,
        attribution: 'handler',
      },
    },
  },
  {
    name: 'a route that concerns no PHI',
    authorization: key('all'),
    path: '/v1/agents',
    status: 200,
    event: { phi: null },
  },
  {
    name: 'an annotated route',
    authorization: key('good'),
    path: '/v1/charts/5?subject=123',
    status: 200,
    event: {
      action: 'R',
      phi: {
        interaction: 'read',
        types: ['DiagnosticReport'],
        patients: ['pt_k1_HDilaTHHoA-kNwNMDAJ9-z'],
        patientCount: 1,
        resourceCount: 1,
        bulk: false,
        attribution: 'annotation',
      },
    },
  },
]

/** Header exactly `{"alg":"RS256","typ":"JWT"}`. */
function documentedToken(world: World): string {
  const payload: unknown = JSON.parse(Buffer.from(world.token().split('.')[1] ?? '', 'base64url').toString('utf8'))
  return signToken({ alg: 'RS256', typ: 'JWT' }, payload as object)
}

/** Another first character of the signature. */
function flipped(good: string): string {
  const at = good.lastIndexOf('.') + 1
  return `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`
}
