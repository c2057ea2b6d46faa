import { deny, type Denial } from '../decision.ts'
import type { House } from '../house.ts'
import { normalizeAddress } from '../lib/cidr.ts'
import { randomHex } from '../lib/ids.ts'
import { ownMember } from '../lib/own-member.ts'
import { readCredential, type Credential } from '../request/credential.ts'
import { rawValues } from '../request/raw-headers.ts'
import { requestIdFrom } from '../request/request-id.ts'
import type { AskedRequest } from './asked.ts'
import type { ServerCaller } from './handler.ts'

/** One call of a server handler, as far as it is known before anything is decided. */
export interface ServerCall {
  readonly house: House
  readonly request: AskedRequest
  readonly requestId: string
  readonly credential: Credential | Denial
  /** The client's; `null`: unknown. */
  readonly address: string | null
  readonly secure: boolean
  /** Epoch milliseconds. */
  readonly time: number
  readonly startedMs: number
}

/** A caller of whom nothing is said came unencrypted from nowhere. */
export function openCall(house: House, request: AskedRequest, caller: ServerCaller): ServerCall {
  const ip = ownMember(caller, 'ip')
  return {
    house,
    request,
    requestId: requestIdOf(request),
    credential: credentialOf(request),
    address: typeof ip === 'string' ? normalizeAddress(ip) : null,
    secure: ownMember(caller, 'secure') === true,
    time: house.clock.now(),
    startedMs: house.clock.monotonicMs(),
  }
}

export function requestIdOf({ rawHeaders }: AskedRequest): string {
  return requestIdFrom(rawHeaders, () => `req_${randomHex(12)}`)
}

/** `Headers` of the Web joins what came twice: of two headers a comma is left. */
function credentialOf({ rawHeaders }: AskedRequest): Credential | Denial {
  const [value = ''] = rawValues(rawHeaders, 'authorization')
  return /,\s*bearer(?:\s|$)/i.test(value) ? deny('credential_duplicate') : readCredential(rawHeaders)
}
