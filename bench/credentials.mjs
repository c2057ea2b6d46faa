// Keys and tokens that every contestant verifies: RS256, about 880 characters, as an issuer writes them.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'

export const ISSUER = 'https://issuer.example/'
export const AUDIENCE = 'https://partner.example'
export const KEY = 'hc_test_sk_AbC12xYz9kLmNpQr'

export const signing = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const publicPem = signing.publicKey.export({ type: 'spki', format: 'pem' })
export const jwk = { ...signing.publicKey.export({ format: 'jwk' }), kid: 'bench-1', alg: 'RS256', use: 'sig' }

export function token(subject, more = {}) {
  const iat = Math.floor(Date.now() / 1000) - 1
  const header = { alg: 'RS256', typ: 'at+jwt', kid: 'bench-1' }
  const claims = {
    iss: ISSUER,
    aud: AUDIENCE,
    iat,
    exp: iat + 3600,
    sub: subject,
    org: 'org_1',
    env: 'test',
    scope: 'read:patients read:observations exec:agents',
    jti: `tok_${subject}_5f1d9a0c3b7e4d21`,
    client_id: 'client_8c1f4e2a9b',
    padding: 'x'.repeat(60),
    ...more,
  }
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), signing.privateKey).toString('base64url')}`
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

export function record(key, scopes = ['read:patients']) {
  return {
    id: 'key_bench',
    organizationId: 'org_1',
    environment: 'test',
    name: 'bench',
    scopes,
    hint: 'hc_test_sk_…',
    digest: `sha256:${createHash('sha256').update(key).digest('base64url')}`,
    allowedCidrs: [],
    createdAt: new Date(0),
    createdBy: 'bench',
    expiresAt: null,
    rotatedAt: null,
    validUntil: null,
    replacedBy: null,
    revokedAt: null,
    revokedReason: null,
    lastUsedAt: null,
  }
}
