import { deny, type Denial } from './decision.ts'
import type { House } from './house.ts'
import type { KeyVerifier } from './keys/verifier.ts'
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
        : identifyKey(house, house.keys, { text: credential.text, address })
    case 'access-token':
      return house.tokens === null
        ? deny('credential_not_accepted', 'access-token')
        : counted(house, address, house.tokens.verify(credential.text))
  }
}

/** A look-up holds a place of the address's budget until it is known whether it has failed. */
function identifyKey(
  { failures }: House,
  keys: KeyVerifier,
  { text, address }: { text: string; address: string | null },
): Found | Promise<Found> {
  let admitted = false
  const found = keys.verify(text, () => {
    admitted = true
    return failures.admit(address)
  })
  const done = (each: Found) => {
    if (!each.ok && each.cost) failures.count(address)
    if (admitted && (each.ok || each.reason !== 'rate_limited')) failures.release(address)
    return each
  }
  return found instanceof Promise ? found.then(done) : done(found)
}

function counted({ failures }: House, address: string | null, found: Found | Promise<Found>): Found | Promise<Found> {
  const count = (each: Found) => {
    if (!each.ok && each.cost) failures.count(address)
    return each
  }
  return found instanceof Promise ? found.then(count) : count(found)
}
