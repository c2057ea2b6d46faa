// Verification alone, without HTTP, in microseconds an operation.
import { hash, verify } from 'node:crypto'
import { JwtRsaVerifier } from 'aws-jwt-verify'
import { createVerifier } from 'fast-jwt'
import { importJWK, jwtVerify } from 'jose'
import { createDigester } from '../dist/src/keys/digest.js'
import { createKeyVerifier } from '../dist/src/keys/verifier.js'
import { scopeCatalogue } from '../dist/src/scopes.js'
import { memoryKeyStore } from '../dist/src/stores/memory.js'
import { createTokenVerifier } from '../dist/src/tokens/verifier.js'
import { AUDIENCE, ISSUER, jwk, KEY, publicPem, record, signing, token } from './credentials.mjs'
import { fresh, interleave } from './rounds.mjs'

const clock = { now: () => Date.now(), monotonicMs: () => performance.now() }
const catalogue = scopeCatalogue({})

export async function inProcess({ tokens: count, rounds }) {
  const tokens = Array.from({ length: count }, (_item, index) => token(`user_${index}`))
  return {
    cold: await interleave(await coldVariants(tokens), rounds),
    warm: await interleave(warmVariants(tokens.slice(0, 1000)), rounds),
    key: await interleave(await keyVariants(), rounds),
  }
}

function ours() {
  return createTokenVerifier({
    settings: {
      issuer: ISSUER,
      audience: [AUDIENCE],
      algorithms: ['RS256'],
      types: ['at+jwt', 'JWT'],
      clockToleranceSeconds: 30,
      maxLifetimeSeconds: 3600,
      claims: { organization: 'org', environment: 'env', scope: 'scope', issuingKey: 'client_id' },
      jwks: { kind: 'local', keys: [jwk] },
    },
    environment: 'test',
    catalogue,
    clock,
    cacheEntries: 100_000,
    issuingKey: null,
  })
}

function timed(list, each) {
  const started = performance.now()
  for (const item of list) each(item)
  return ((performance.now() - started) * 1000) / list.length
}

async function coldVariants(tokens) {
  const parts = tokens.map((each) => {
    const end = each.lastIndexOf('.')
    return { signed: Buffer.from(each.slice(0, end)), signature: Buffer.from(each.slice(end + 1), 'base64url') }
  })
  const fastJwt = createVerifier({ key: publicPem, algorithms: ['RS256'], allowedIss: ISSUER, allowedAud: AUDIENCE })
  const aws = JwtRsaVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri: 'https://issuer.example/jwks' })
  aws.cacheJwks({ keys: [jwk] })
  const key = await importJWK(jwk, 'RS256')
  const options = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'] }
  return {
    'crypto.verify, raw': () =>
      timed(parts, ({ signed, signature }) => must(verify('sha256', signed, signing.publicKey, signature))),
    '@healthcloud/auth': () => {
      const verifier = ours()
      return timed(tokens.map(fresh), (each) => must(verifier.verify(each).ok))
    },
    'fast-jwt, no cache': () => timed(tokens.map(fresh), (each) => must(fastJwt(each))),
    'aws-jwt-verify, sync': () => timed(tokens.map(fresh), (each) => must(aws.verifySync(each))),
    'jose jwtVerify': async () => {
      const list = tokens.slice(0, 500).map(fresh)
      const started = performance.now()
      for (const each of list) must((await jwtVerify(each, key, options)).payload)
      return ((performance.now() - started) * 1000) / list.length
    },
  }
}

function warmVariants(tokens) {
  const verifier = ours()
  const fastJwt = createVerifier({
    key: publicPem,
    algorithms: ['RS256'],
    allowedIss: ISSUER,
    allowedAud: AUDIENCE,
    cache: 5000,
  })
  for (const each of tokens) {
    must(verifier.verify(each).ok)
    must(fastJwt(each))
  }
  return {
    'one SHA-256 of the token': () => timed(tokens.map(fresh), (each) => must(hash('sha256', each, 'base64url'))),
    '@healthcloud/auth': () => timed(tokens.map(fresh), (each) => must(mayRead(verifier.verify(each)))),
    'fast-jwt, cached': () => timed(tokens.map(fresh), (each) => must(fastJwt(each))),
  }
}

async function keyVariants() {
  const store = memoryKeyStore([record(KEY)])
  const verifier = createKeyVerifier({
    store,
    digester: createDigester([]),
    environment: 'test',
    catalogue,
    clock,
    cacheSeconds: 3600,
    missCacheSeconds: 5,
    staleIfErrorSeconds: 60,
    cacheEntries: 100_000,
    timeoutMs: 250,
    budget: { admit: () => 0, release: () => undefined, count: () => undefined },
    onRotationDue: null,
  })
  await verifier.ready(AbortSignal.timeout(1000))
  must((await verifier.verify(KEY, null)).ok)
  const keys = Array.from({ length: 5000 }, () => KEY)
  return {
    'one SHA-256 of the key': () => timed(keys.map(fresh), (each) => must(hash('sha256', each, 'base64url'))),
    '@healthcloud/auth': () => timed(keys.map(fresh), (each) => must(mayRead(verifier.verify(each, null)))),
  }
}

function mayRead(found) {
  return found.ok && found.scopes.has('read:patients')
}

function must(value) {
  if (!value) throw new Error('a contestant refused a good credential')
}
