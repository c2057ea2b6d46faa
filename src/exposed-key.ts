import { deny, type Denial } from './decision.ts'
import type { House } from './house.ts'
import { identify } from './identify.ts'
import type { Credential } from './request/credential.ts'

/**
 * A key that came over plain HTTP is refused unread, and looked up for the event alone, after the answer and within the
 * budget of failed attempts, so that the operator knows which key to rotate.
 */
export async function nameExposedKey(
  house: House,
  credential: Credential | Denial,
  address: string | null,
): Promise<Denial> {
  if (!credential.ok || credential.kind !== 'api-key' || house.keys === null) return deny('https_required')
  const found = await identify(house, credential, address)
  if (!found.ok) return deny('https_required', 'api-key', { actor: found.actor })
  const { organizationId, keyId, subject } = found
  return deny('https_required', 'api-key', { actor: { organizationId, keyId, subject, tokenId: null } })
}
