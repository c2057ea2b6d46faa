import { createLocalJWKSet, errors, jwtVerify, type JWTPayload } from 'jose'
import { expect, test } from 'vitest'
import { scopeCatalogue } from '../../src/scopes.ts'
import type { Identity } from '../../src/principal.ts'
import { createTokenVerifier } from '../../src/tokens/verifier.ts'
import { AUDIENCE, generateToken, ISSUER, JWKS, seeded } from './token-mutations.ts'

/** `npm run prove:tokens` sets 100,000; the daily test does with fewer. */
const TOKENS = Number(process.env['HC_PROVE_TOKENS'] ?? 2000)
const SEED = Number(process.env['HC_PROVE_SEED'] ?? 20_261_124)
const NOW = 1_795_500_000_000

const verifier = createTokenVerifier({
  settings: {
    issuer: ISSUER,
    audience: [AUDIENCE],
    algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    types: ['at+jwt', 'JWT'],
    clockToleranceSeconds: 30,
    maxLifetimeSeconds: 3600,
    claims: { organization: 'org', environment: 'env', scope: 'scope', issuingKey: 'client_id' },
    jwks: { kind: 'local', keys: JWKS.keys },
  },
  environment: 'live',
  catalogue: scopeCatalogue({}),
  clock: { now: () => NOW, monotonicMs: () => 0 },
  cacheEntries: 1000,
  issuingKey: null,
})

const jwks = createLocalJWKSet(JWKS)
const options = {
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  clockTolerance: 30,
  currentDate: new Date(NOW),
  requiredClaims: ['exp', 'iat', 'sub'],
}

/** The independent reading: jose's, with each key in turn where the token names none, as jose's documentation does. */
async function readByJose(token: string): Promise<JWTPayload | null> {
  try {
    return (await jwtVerify(token, jwks, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return null
    for await (const key of error) {
      const payload = await jwtVerify(token, key, options).then(
        (read) => read.payload,
        () => null,
      )
      if (payload !== null) return payload
    }
    return null
  }
}

const issuingKeyOf = (clientId: unknown) =>
  typeof clientId === 'string' && clientId.startsWith('key_') ? clientId : null

function differs(ours: Identity, theirs: JWTPayload): boolean {
  const scope = theirs['scope']
  const list = (typeof scope === 'string' ? scope.split(' ') : (scope as string[])).filter(
    (each) => each === 'read:patients' || each === 'exec:agents',
  )
  return (
    ours.subject !== theirs.sub ||
    ours.organizationId !== theirs['org'] ||
    ours.environment !== theirs['env'] ||
    ours.expiresAt !== (theirs.exp ?? 0) * 1000 ||
    ours.tokenId !== (theirs.jti ?? null) ||
    ours.keyId !== issuingKeyOf(theirs['client_id']) ||
    [...ours.scopes].join(' ') !== [...new Set(list)].join(' ')
  )
}

test(
  `of ${TOKENS} generated and mutated tokens none that we accept is refused or read otherwise by jose`,
  { timeout: 900_000 },
  async () => {
    const random = seeded(SEED)
    const reasons = new Map<string, number>()
    let [signed, accepted, stricter] = [0, 0, 0]
    for (let n = 0; n < TOKENS; n += 1) {
      const { token, validlySigned } = generateToken(random, NOW)
      if (validlySigned) signed += 1
      const found = await verifier.verify(token)
      const outcome = found.ok ? 'accepted' : found.reason
      reasons.set(outcome, (reasons.get(outcome) ?? 0) + 1)
      if (!found.ok) {
        if (n % 50 === 0 && (await readByJose(token)) !== null) stricter += 1
        continue
      }
      accepted += 1
      const theirs = await readByJose(token)
      if (theirs === null || differs(found, theirs)) {
        expect.fail(
          `token ${n} of seed ${SEED} is accepted by us and ${theirs === null ? 'refused' : 'read otherwise'} by jose: ${token}`,
        )
      }
    }
    if (TOKENS >= 100_000) report(reasons, { signed, accepted, stricter })
    expect(signed / TOKENS).toBeGreaterThanOrEqual(0.5)
    expect(accepted / TOKENS).toBeGreaterThanOrEqual(0.2)
  },
)

function report(
  reasons: ReadonlyMap<string, number>,
  totals: { signed: number; accepted: number; stricter: number },
): void {
  const rows = [...reasons]
    .toSorted(([, a], [, b]) => b - a)
    .map(([reason, count]) => `  ${reason.padEnd(20)}${String(count).padStart(8)}`)
  process.stdout.write(
    [
      `\nprove:tokens, seed ${SEED}: ${TOKENS} tokens, ${totals.signed} validly signed after mutation, ${totals.accepted} accepted by us`,
      ...rows,
      `accepted by us and refused or read otherwise by jose: 0`,
      `of every 50th token that we refuse, accepted by jose: ${totals.stricter}\n`,
    ].join('\n'),
  )
}
