import { deny, type Denial } from '../decision.ts'
import type { House } from '../house.ts'
import { normalizeAddress } from '../lib/cidr.ts'
import { randomHex } from '../lib/ids.ts'
import { ownMember } from '../lib/own-member.ts'
import { readCredential, type Credential } from '../request/credential.ts'
import { requestIdFrom } from '../request/request-id.ts'
import type { ServerCaller } from './handler.ts'

/** One call of a server handler, as far as it is known before anything is decided. */
export interface ServerCall {
  readonly house: House
  readonly request: Request
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
export function openCall(house: House, request: Request, caller: ServerCaller): ServerCall {
  const ip = ownMember(caller, 'ip')
  return Object.freeze({
    house,
    request,
    requestId: requestIdOf(request),
    credential: credentialOf(request),
    address: typeof ip === 'string' ? normalizeAddress(ip) : null,
    secure: ownMember(caller, 'secure') === true,
    time: house.clock.now(),
    startedMs: house.clock.monotonicMs(),
  })
}

export function requestIdOf(request: Request): string {
  return requestIdFrom(rawHeader(request, 'x-request-id'), () => `req_${randomHex(12)}`)
}

/** `Headers` joins what came twice: of two headers a comma is left. `mount` refuses them where they still are two. */
function credentialOf(request: Request): Credential | Denial {
  const raw = rawHeader(request, 'authorization')
  return /,\s*bearer(?:\s|$)/i.test(raw[1] ?? '') ? deny('credential_duplicate') : readCredential(raw)
}

function rawHeader({ headers }: Request, name: string): readonly string[] {
  const value = headers.get(name)
  return value === null ? [] : [name, value]
}
