import { deny, type Denial } from './decision.ts'
import type { House } from './house.ts'
import type { Identity } from './principal.ts'
import type { Credential } from './request/credential.ts'

type Found = Identity | Denial

/** Who presents this credential? Synchronous where the answer is cached; an outage and a refusal are both values. */
export function identify(house: House, credential: Credential, address: string | null): Found | Promise<Found> {
  switch (credential.kind) {
    case 'none':
      return deny('credential_missing')
    case 'api-key':
      return house.keys === null
        ? deny('credential_not_accepted', 'api-key')
        : house.keys.verify(credential.text, address)
    case 'access-token':
      return house.tokens === null
        ? deny('credential_not_accepted', 'access-token')
        : counted(house, address, house.tokens.verify(credential.text))
  }
}

/** Keys are counted where they are looked up, within the budget that bounds it; a token has cost its checks by now. */
function counted(house: House, address: string | null, found: Found | Promise<Found>): Found | Promise<Found> {
  if (found instanceof Promise) return found.then((each) => counted(house, address, each))
  if (!found.ok && found.cost) house.failures.count(address)
  return found
}
