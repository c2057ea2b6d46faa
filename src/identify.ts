import { deny, type Denial, type Reason } from './decision.ts'
import type { House } from './house.ts'
import type { Identity } from './principal.ts'
import type { Credential } from './request/credential.ts'

/** The refusals that cost a look-up, a cached miss or a signature check; all others are free, and count for nothing. */
const COSTLY: ReadonlySet<Reason> = new Set([
  'key_unknown',
  'key_expired',
  'key_revoked',
  'key_rotated_out',
  'jwt_signature',
  'jwt_expired',
  'jwt_not_yet_valid',
  'jwt_lifetime',
  'jwt_issuer',
  'jwt_audience',
  'jwt_claims',
  'jwt_revoked',
  'jwt_issuing_key',
])

type Found = Identity | Denial

/** Who presents this credential? Synchronous where the answer is cached; an outage and a refusal are both values. */
export function identify(house: House, credential: Credential, address: string | null): Found | Promise<Found> {
  const found = verify(house, credential, address)
  return found instanceof Promise ? found.then((each) => counted(house, each, address)) : counted(house, found, address)
}

function verify(house: House, credential: Credential, address: string | null): Found | Promise<Found> {
  switch (credential.kind) {
    case 'none':
      return deny('credential_missing')
    case 'api-key':
      if (house.keys === null) return deny('credential_not_accepted', 'api-key')
      return house.keys.verify(credential.text, () => house.failures.over(address))
    case 'access-token':
      return house.tokens === null
        ? deny('credential_not_accepted', 'access-token')
        : house.tokens.verify(credential.text)
  }
}

function counted(house: House, found: Found, address: string | null): Found {
  if (!found.ok && isCostly(found)) house.failures.count(address)
  return found
}

function isCostly({ reason, credential }: Denial): boolean {
  return COSTLY.has(reason) || (reason === 'environment_mismatch' && credential === 'access-token')
}
