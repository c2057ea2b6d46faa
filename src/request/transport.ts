import { compileCidrs, normalizeAddress, type CidrList } from '../lib/cidr.ts'
import type { Environment } from '../principal.ts'
import { entryAddress, forwardedList } from './forwarded.ts'
import { hasHeader } from './raw-headers.ts'
import type { RequestView } from './view.ts'

/** Whose forwarded headers are believed: those of so many proxies in a row, or of these addresses. */
export type TrustedProxies = { readonly hops: number } | CidrList

export interface Transport {
  /** The caller spoke HTTPS, to this server or to the proxy that he reached. */
  readonly secure: boolean
  /** The client's, in its one text; `null`: unknown. */
  readonly address: string | null
  /** How many trusted proxies the address was told by. */
  readonly via: number
  /** There was an `X-Forwarded-For`, believed or not. */
  readonly forwardedSeen: boolean
}

/** The client in the chain: his place from the right, the peer being 0. */
interface Client {
  readonly address: string | null
  readonly place: number
}

/**
 * From where and how a request came. Without trusted proxies the socket alone says it. `Forwarded` is never read. Never
 * throws: what cannot be read is an unknown address, and no HTTPS.
 */
export function readTransport(view: RequestView, trust: TrustedProxies): Transport {
  const peer = view.peer === null ? null : normalizeAddress(view.peer)
  const forwardedSeen = hasHeader(view.rawHeaders, 'x-forwarded-for')
  if (!isTrusted(peer, trust)) return { secure: view.encrypted, address: peer, via: 0, forwardedSeen }
  const chain = forwardedList(view.rawHeaders, 'x-forwarded-for')
  const client = clientIn(chain, peer, trust)
  return {
    secure: isSecure(view, chain, client.place),
    address: client.address,
    via: client.address === null ? 0 : client.place,
    forwardedSeen,
  }
}

/** Whether a request without HTTPS may go on: where the rule is off, or from this machine to a test server. */
export function allowsPlain(
  rule: { readonly https: 'required' | 'off'; readonly environment: Environment },
  peer: string | null,
): boolean {
  return rule.https === 'off' || (rule.environment === 'test' && peer !== null && LOOPBACK.holds(peer))
}

const LOOPBACK = compileCidrs(['127.0.0.0/8', '::1'])

/** A hop count believes any peer, one without address (a Unix socket) included. */
function isTrusted(peer: string | null, trust: TrustedProxies): boolean {
  return isHopCount(trust) ? trust.hops > 0 : peer !== null && trust.holds(peer)
}

function isHopCount(trust: TrustedProxies): trust is { readonly hops: number } {
  return Object.hasOwn(trust, 'hops')
}

function clientIn(chain: readonly string[] | null, peer: string | null, trust: TrustedProxies): Client {
  if (chain === null) return UNKNOWN
  return isHopCount(trust) ? clientByHops(chain, trust.hops) : clientByTrust(chain, peer, trust)
}

const UNKNOWN: Client = Object.freeze({ address: null, place: 0 })

function clientByHops(chain: readonly string[], hops: number): Client {
  if (chain.length < hops) return UNKNOWN
  return { address: entryAddress(chain[chain.length - hops] ?? ''), place: hops }
}

/**
 * The first untrusted hop from the right. Where all are trusted, the leftmost: the request then began at one of the
 * proxies, or at a caller within their blocks. An entry that is no address ends the walk: what lies left of it was
 * told by nobody known.
 */
function clientByTrust(chain: readonly string[], peer: string | null, trust: CidrList): Client {
  let address = peer
  for (let place = 1; place <= chain.length; place += 1) {
    address = entryAddress(chain[chain.length - place] ?? '')
    if (address === null || !trust.holds(address)) return { address, place }
  }
  return { address, place: chain.length }
}

/** `X-Forwarded-Proto` of a trusted proxy decides alone; a list must be as long as the chain, to say which hop it speaks of. */
function isSecure(view: RequestView, chain: readonly string[] | null, place: number): boolean {
  const protocols = forwardedList(view.rawHeaders, 'x-forwarded-proto')
  if (protocols === null) return false
  const [only] = protocols
  if (only === undefined) return view.encrypted
  if (protocols.length === 1) return isHttps(only)
  return (
    chain !== null &&
    place > 0 &&
    protocols.length === chain.length &&
    isHttps(protocols[protocols.length - place] ?? '')
  )
}

function isHttps(protocol: string): boolean {
  return protocol.length === 5 && protocol.toLowerCase() === 'https'
}
