// How long a revocation takes to reach tokens on another process, for `prove-tokens-life.mjs`: the milliseconds from the moment
// when the call has resolved here until the other process refuses the token, which it had cached.
import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAuth } from '@healthcloud/auth'
import { startChild } from './children.mjs'
import { histogram, machineMs, pastLocks, quantile, sorted } from './command.mjs'
import { newPlace, openStore, removePlace } from './stores.mjs'

const LIMIT_MS = 1000
const BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
/** So long that only the feed can end an entry. */
const CACHE_SECONDS = 3600
const [ISSUER, AUDIENCE] = ['https://issuer.example', 'https://partner.example']

/** Two ways in which a token ends before its time, each with the reason that the other process gives. */
const WAYS = [
  {
    what: 'their key revoked',
    reason: 'jwt_issuing_key',
    revoke: (auth, { id }) => auth.keys.revoke(id, { by: 'prove', reason: 'proof' }),
  },
  {
    what: 'revoked by jti',
    reason: 'jwt_revoked',
    revoke: (auth, { tokenId, expiresAt }) => auth.tokens.revoke({ jti: tokenId, expiresAt, by: 'prove' }),
  },
]

export async function proveReach({ kind, count, findings, say }) {
  const place = newPlace(kind)
  const opened = await openStore(place)
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signingKey = { ...privateKey.export({ format: 'jwk' }), kid: 'prove' }
  const auth = createAuth({
    environment: 'test',
    keys: { store: opened.store },
    issuing: { issuer: ISSUER, audience: AUDIENCE, signingKeys: [signingKey] },
    transport: { https: 'off' },
  })
  await auth.ready()
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'prove', alg: 'RS256', use: 'sig' }] }
  const tokens = { issuer: ISSUER, audience: AUDIENCE, jwks }
  const watcher = startChild('./tokens-watcher.mjs', { place, tokens, cacheSeconds: CACHE_SECONDS })
  try {
    await watcher.next('ready')
    for (const way of WAYS) {
      const lives = await runLives({ auth, watcher, way, count, findings: named(findings, kind) })
      report({ kind, way, lives, findings: named(findings, kind), say })
    }
    const { late, watching } = await watcher.call({ action: 'facts' })
    if (watching !== true) findings.violation(`${kind}: the feed is not up at the end`, String(watching))
    say(`  the other process was late by at most ${late.toFixed(0)} ms`)
  } finally {
    await watcher.end()
    await auth.close()
    await opened.close()
    await removePlace(place)
  }
}

function named(findings, kind) {
  return { violation: (what, detail) => findings.violation(`${kind}: ${what}`, detail) }
}

/** One after another; several are being watched at any time. */
async function runLives({ auth, watcher, way, count, findings }) {
  const list = []
  for (let at = 0; at < count; at += 1) list.push(await newToken(auth))
  const kept = await newToken(auth)
  const all = [...list, kept].map(({ token }) => token)
  const wrong = await watcher.call({ action: 'warm', tokens: all })
  if (wrong > 0) findings.violation('good tokens are refused', `${wrong}`)
  const lives = []
  for (const each of list) {
    lives.push(
      live(each, { auth, watcher, way, findings }).catch((error) => {
        findings.violation('a revocation failed', error.message)
      }),
    )
    await sleep(10 + Math.random() * 20)
  }
  const done = (await Promise.all(lives)).filter((each) => each !== undefined)
  if ((await watcher.call({ action: 'warm', tokens: [kept.token] })) > 0)
    findings.violation('a token that nobody revoked is refused')
  return done
}

async function newToken(auth) {
  const facts = { organizationId: 'org_1', environment: 'test', name: 'a key', scopes: ['read:patients'], by: 'prove' }
  const { key, record } = await auth.keys.create(facts)
  const minted = await auth.tokens.exchange({ key, scopes: ['read:patients'] })
  if (!minted.ok) throw new Error(`No token: ${minted.reason}`)
  return { id: record.id, token: minted.accessToken, tokenId: minted.tokenId, expiresAt: minted.expiresAt }
}

async function live(each, { auth, watcher, way, findings }) {
  const refused = watcher.call({ action: 'watch', token: each.token })
  await sleep(10 + Math.random() * 100)
  const askedAt = machineMs()
  await pastLocks(
    () => way.revoke(auth, each),
    () => undefined,
  )
  const revokedAt = machineMs()
  const refusal = await Promise.race([refused, sleep(LIMIT_MS + 10_000, null, { ref: false })])
  if (refusal === null) return { reach: Number.POSITIVE_INFINITY, early: false, status: 401, reason: way.reason }
  if (refusal.at < askedAt) findings.violation('a good token was refused', refusal)
  return { ...refusal, reach: Math.max(0, refusal.at - revokedAt), early: refusal.at < revokedAt }
}

function report({ kind, way, lives, findings, say }) {
  const reaches = sorted(lives.map(({ reach }) => reach))
  for (const { reach, status, reason } of lives) {
    if (!(reach <= LIMIT_MS)) findings.violation(`${way.what}: reach beyond ${LIMIT_MS} ms`, `${reach} ms`)
    if (status !== 401 || reason !== way.reason) findings.violation(`${way.what}: refused as ${status} ${reason}`)
  }
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(reaches, share).toFixed(1))
  say(`\n${kind}: ${lives.length} tokens, ${way.what}; limit ${LIMIT_MS} ms`)
  for (const line of histogram(reaches, BOUNDS)) say(line)
  const early = lives.filter((each) => each.early).length
  say(`  p50 ${p50} ms, p99 ${p99} ms, max ${max} ms; ${early} refused before the call had resolved`)
}
