import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { AuditEvent, Auth, AuthOptions, KeyRecord, KeyStore, Scope } from '../../src/index.ts'
import { createAuth, memoryKeyStore } from '../../src/index.ts'

export const ISSUER = 'https://issuer.example'
export const AUDIENCE = 'https://partner.example'

/** The documented key, to the letter: 16 characters, no check. */
export const DOCUMENTED_KEY = 'hc_live_sk_AbC12xYz9kLmNpQr'

const DAY = 86_400_000

/** Keys by what they are for; every text is well-formed, as issued (36) or as documented (16). */
export interface WorldKeys {
  readonly [name: string]: string
}

export interface World {
  readonly auth: Auth
  readonly store: KeyStore
  readonly events: AuditEvent[]
  readonly keys: WorldKeys
  readonly directory: string
  /** Events so far, oldest first, after a flush. */
  flushed(): Promise<AuditEvent[]>
  /** A token with these members over the good ones; `undefined` takes a member out. */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>): string
  bearer(credential: string): { authorization: string }
  close(): Promise<void>
}

const SIGNING = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const JWK: Record<string, unknown> = {
  ...SIGNING.publicKey.export({ format: 'jwk' }),
  kid: 'k1',
  alg: 'RS256',
  use: 'sig',
}

export function signToken(header: object, payload: object, key: KeyObject = SIGNING.privateKey): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** A record as a store holds it, for a key of this text. */
export function recordOf(key: string, id: string, more: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id,
    organizationId: 'org_1',
    environment: key.startsWith('hc_live_') ? 'live' : 'test',
    name: id,
    scopes: ['read:patients'],
    hint: `${key.slice(0, 11)}…${key.slice(-4)}`,
    digest: `sha256:${createHash('sha256').update(key).digest('base64url')}`,
    allowedCidrs: [],
    createdAt: new Date(Date.now() - DAY),
    createdBy: 'tests',
    expiresAt: null,
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
    ...more,
  }
}

/** A key of the documented form: 16 characters that need no check. */
export function key16(environment: 'live' | 'test' = 'live'): string {
  const body = randomBytes(24)
    .toString('base64')
    .replaceAll(/[^A-Za-z0-9]/g, '')
    .padEnd(16, 'x')
    .slice(0, 16)
  return `hc_${environment}_sk_${body}`
}

const SECRET = Buffer.alloc(32, 7).toString('base64')

/** A live server's auth with a key for every state, real journal and all, HTTPS off unless told otherwise. */
export async function createWorld(
  more: Partial<AuthOptions> = {},
  wrap: (store: KeyStore) => KeyStore = (s) => s,
): Promise<World> {
  const directory = mkdtempSync(path.join(tmpdir(), 'hc-auth-'))
  const events: AuditEvent[] = []
  const keys = {
    documented: DOCUMENTED_KEY,
    good: key16(),
    all: key16(),
    none: key16(),
    admin: key16(),
    other: key16(),
    revoked: key16(),
    expired: key16(),
    grace: key16(),
    rotatedOut: key16(),
    elsewhere: key16(),
    loopback: key16(),
    test: key16('test'),
    unknown: key16(),
  }
  const all: Scope[] = [
    'read:patients',
    'write:patients',
    'read:observations',
    'write:observations',
    'exec:agents',
    'admin:org',
  ]
  const now = Date.now()
  const memory = memoryKeyStore([
    recordOf(keys.documented, 'key_documented'),
    recordOf(keys.good, 'key_good'),
    recordOf(keys.all, 'key_all', { scopes: all }),
    recordOf(keys.none, 'key_none', { scopes: [] }),
    recordOf(keys.admin, 'key_admin', { scopes: ['admin:org', 'publish:assets'] }),
    recordOf(keys.other, 'key_other', { organizationId: 'org_2', scopes: all }),
    recordOf(keys.revoked, 'key_revoked', { revokedAt: new Date(now - 1000), revokedReason: 'leaked' }),
    recordOf(keys.expired, 'key_expired', { expiresAt: new Date(now - 1000) }),
    recordOf(keys.grace, 'key_grace', {
      rotatedAt: new Date(now - 1000),
      validUntil: new Date(now + DAY),
      replacedBy: 'key_new',
    }),
    recordOf(keys.rotatedOut, 'key_rotatedOut', {
      rotatedAt: new Date(now - 2 * DAY),
      validUntil: new Date(now - DAY),
      replacedBy: 'key_new',
    }),
    recordOf(keys.elsewhere, 'key_elsewhere', { allowedCidrs: ['203.0.113.0/24', '2001:db8::/32'] }),
    recordOf(keys.loopback, 'key_loopback', { allowedCidrs: ['127.0.0.0/8'] }),
    recordOf(keys.test, 'key_test'),
  ])
  const store = wrap(memory)
  const auth = createAuth({
    environment: 'live',
    // Few: room for the default 100,000 is allocated anew for each world.
    keys: { store, cacheEntries: 1000 },
    tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [JWK] } },
    transport: { https: 'off' },
    service: { name: 'suite', version: '1.0.0', instance: 'i1' },
    ...more,
    audit: {
      directory,
      pseudonymKeys: [{ id: 'k1', secret: SECRET }],
      onEvent: (event) => void events.push(event),
      ...more.audit,
    },
  })
  return {
    auth,
    store,
    events,
    keys,
    directory,
    flushed: async () => {
      await auth.audit.flush()
      return events.filter(({ kind }) => kind !== 'system')
    },
    token: (claims = {}, header = {}) => {
      const iat = Math.floor(Date.now() / 1000)
      return signToken(
        { alg: 'RS256', typ: 'at+jwt', kid: 'k1', ...header },
        {
          iss: ISSUER,
          aud: AUDIENCE,
          iat,
          exp: iat + 3600,
          sub: 'user_1',
          org: 'org_1',
          env: 'live',
          scope: 'read:patients',
          jti: 'tok_1',
          client_id: 'key_good',
          ...claims,
        },
      )
    },
    bearer: (credential) => ({ authorization: `Bearer ${credential}` }),
    close: async () => {
      await auth.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
