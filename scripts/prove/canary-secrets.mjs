// Everything that must come out nowhere, made from a seed; and the requests that hold it.
import { createHash, sign } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export function pick(random, list) {
  return list[Math.floor(random() * list.length)]
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
export const PREFIX = 'hc_live_sk_'

function letters(random, count) {
  return Array.from({ length: count }, () => pick(random, BASE62)).join('')
}

/** As one is issued: 30 characters and their check. */
function keyFrom(random) {
  const body = PREFIX + letters(random, 30)
  let [check, rest] = ['', crc32(body)]
  for (let at = 0; at < 6; at += 1) {
    check = BASE62[rest % 62] + check
    rest = Math.floor(rest / 62)
  }
  return body + check
}

export function makeKeys(random) {
  const [good, unknown, cursed, revoked] = Array.from({ length: 4 }, () => keyFrom(random))
  return { good, unknown, cursed, revoked }
}

/** Of people and of hosts; each has something that no other text holds. */
export function makeTexts(random) {
  const mark = () => letters(random, 8)
  return {
    given: `Quirinus${mark()}`,
    family: `Zanzibar-Oyelaran ${mark()}`,
    mrn: `MRN-7734-${mark()}`,
    dob: '1957-03-08',
    address: `17 ${mark()} Lane, Tuckahoe`,
    forwardedIp: '198.51.100.213',
    pathId: `path-${mark()}`,
    queryValue: `value-${mark()}`,
    queryName: `name${mark()}`,
    bodyText: `chest pain since Tuesday ${mark()}`,
    resourceType: `Type${mark()}`,
    handlerError: `cannot read the chart of ${mark()}`,
    organizationError: `organization look-up failed for ${mark()}`,
    patientError: `patient function failed for ${mark()}`,
    storeError: `redis://admin:${mark()}@store.internal`,
    listenerError: `the listener failed on ${mark()}`,
    sinkError: `the sink failed on ${mark()}`,
    receiverText: `the receiver says ${mark()}`,
    forwarded: `junk-forwarded-${mark()}`,
    userAgent: `CanaryBrowser-${mark()}`,
    cookie: `session-${mark()}`,
    referer: `https://portal.example/chart/${mark()}`,
    touched: `touched-${mark()}`,
    basic: `doctor:${mark()}`,
    claim: `${mark()}@clinic.example`,
    principal: `principal-${mark()}`,
    sinkToken: `sink-token-${mark()}`,
  }
}

/** A request id, and the name of a query parameter that may be shown: it must come out, everywhere. */
export const CONTROL = 'controlName7f3a9c'
export const ISSUER = 'https://issuer.example'
export const AUDIENCE = 'https://partner.example'

export function tokenOf(privateKey, claims = {}) {
  const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const iat = Math.floor(Date.now() / 1000)
  const head = text({ alg: 'RS256', typ: 'at+jwt', kid: 'k1' })
  const known = { iss: ISSUER, aud: AUDIENCE, sub: 'user_1', org: 'org_1', env: 'live', scope: 'read:patients' }
  const body = text({ ...known, iat, exp: iat + 3600, jti: 'tok_1', client_id: 'key_good', ...claims })
  const input = `${head}.${body}`
  return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`
}

export function recordOf(key, id, more = {}) {
  return {
    id,
    organizationId: 'org_1',
    environment: 'live',
    name: id,
    scopes: ['read:patients', 'write:patients', 'read:observations'],
    hint: `${PREFIX}…${key.slice(-4)}`,
    digest: `sha256:${createHash('sha256').update(key).digest('base64url')}`,
    allowedCidrs: [],
    createdAt: new Date('2026-01-01T00:00:00Z'),
    createdBy: 'prove',
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
