import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { AuditEvent, Auth, AuthOptions, KeyRecord, KeyStore } from '../../src/index.ts'
import { createAuth, memoryKeyStore } from '../../src/index.ts'
import type { ServerCaller, ServerHandler } from '../../src/server/index.ts'
import { DAY, manualClock, newKey, recordOf, START, type ManualClock } from '../keys/parts.ts'

export { DAY, START }
export const ISSUER = 'https://api.healthcloud.example'
export const AUDIENCE = 'https://us.healthcloud.example'

export const privateJwk = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })

/** One for all: making one takes a while. */
export const SIGNING = privateJwk()
export const SECRET = Buffer.alloc(32, 7).toString('base64')

/** Somebody on the internet, over HTTPS. */
export const CALLER: ServerCaller = { ip: '203.0.113.7', secure: true }

/** Keys by what they are for. */
export const KEYS = {
  good: newKey(),
  grace: newKey(),
  ending: newKey(),
  ended: newKey(),
  fenced: newKey(),
  revoked: newKey(),
  expired: newKey(),
  rotatedOut: newKey(),
  bare: newKey(),
  other: newKey(),
  test: newKey('test'),
  unknown: newKey(),
}

const at = (ms: number) => new Date(START + ms)
const scopes = ['read:patients', 'exec:agents', 'admin:org']

export function records(): KeyRecord[] {
  const rotated = { rotatedAt: at(-DAY), replacedBy: 'key_new' }
  return [
    recordOf(KEYS.good, { id: 'key_good', scopes }),
    recordOf(KEYS.grace, { id: 'key_grace', scopes, ...rotated, validUntil: at(600_000) }),
    recordOf(KEYS.ending, { id: 'key_ending', scopes, expiresAt: at(90_000) }),
    recordOf(KEYS.ended, { id: 'key_ended', scopes, expiresAt: at(999) }),
    recordOf(KEYS.fenced, { id: 'key_fenced', scopes, allowedCidrs: ['203.0.113.0/24', '2001:db8::/32'] }),
    recordOf(KEYS.revoked, { id: 'key_revoked', scopes, revokedAt: at(-1), revokedReason: 'leaked' }),
    recordOf(KEYS.expired, { id: 'key_expired', scopes, expiresAt: at(-1) }),
    recordOf(KEYS.rotatedOut, { id: 'key_rotatedOut', scopes, ...rotated, validUntil: at(-1) }),
    recordOf(KEYS.bare, { id: 'key_bare', scopes: [] }),
    recordOf(KEYS.other, { id: 'key_other', scopes, organizationId: 'org_2' }),
    recordOf(KEYS.test, { id: 'key_test', scopes }),
  ]
}

export interface ServerWorld {
  readonly auth: Auth
  readonly clock: ManualClock
  readonly store: KeyStore
  readonly directory: string
  /** Since the last call, oldest first, without those of the recorder. */
  events(): Promise<AuditEvent[]>
  close(): Promise<void>
}

/** An issuer as it runs: live, with a journal, its own keys verify. */
export function createServerWorld(
  more: Partial<AuthOptions> & { store?: KeyStore; clock?: ManualClock } = {},
): ServerWorld {
  const { store = memoryKeyStore(records()), clock = manualClock(), ...options } = more
  const directory = mkdtempSync(path.join(tmpdir(), 'hc-auth-server-'))
  const seen: AuditEvent[] = []
  const auth = createAuth({
    environment: 'live',
    keys: { cacheEntries: 1000, store },
    tokens: { issuer: ISSUER, audience: AUDIENCE },
    issuing: { issuer: ISSUER, audience: AUDIENCE, signingKeys: [SIGNING] },
    clock,
    ...options,
    audit: {
      directory,
      pseudonymKeys: [{ id: 'k1', secret: SECRET }],
      onEvent: (event) => void seen.push(event),
      ...options.audit,
    },
  })
  return {
    auth,
    clock,
    store,
    directory,
    events: async () => {
      await auth.audit.flush()
      return seen.splice(0).filter(({ kind }) => kind !== 'system')
    },
    close: async () => {
      await auth.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export interface Sent {
  readonly key?: string | null
  readonly headers?: Record<string, string>
  readonly method?: string
  readonly body?: ConstructorParameters<typeof Response>[0] | null
  readonly caller?: ServerCaller
}

/** A request as `mount` hands it on. */
export function send(
  handler: ServerHandler,
  { key = null, headers = {}, method = 'POST', body = null, caller = CALLER }: Sent,
) {
  const request = new Request('https://api.healthcloud.example/v1/auth/token', {
    method,
    headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...headers },
    body,
    duplex: 'half',
  } as RequestInit)
  return handler(request, caller)
}

/** An exchange as the documentation writes it. */
export function exchange(handler: ServerHandler, scope: unknown, sent: Sent = {}): Promise<Response> {
  return send(handler, {
    key: KEYS.good,
    body: JSON.stringify({ scope }),
    ...sent,
    headers: { 'content-type': 'application/json', ...sent.headers },
  })
}

/** The access token that an exchange was answered with. */
export async function tokenOf(response: Response | Promise<Response>): Promise<string> {
  const body = (await (await response).json()) as { access_token: string }
  return body.access_token
}
