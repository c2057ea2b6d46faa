import type { Auth } from '../auth.ts'
import { inheritingNothing } from '../lib/inheriting-nothing.ts'
import { jsonOf, refusalOf } from '../plain-answer.ts'
import { handlerOf, type ServerHandler } from './handler.ts'
import { houseOfEndpoint, issuerOf } from './house-of-endpoint.ts'
import { requestIdOf } from './server-call.ts'
import { wrongMethod } from './wrong-method.ts'

const METHODS = 'GET, HEAD'

/**
 * The public keys that verify minted tokens (RFC 7517 section 5): `GET`, open to everybody, no credential is read and no event
 * written. A verifier may keep them for half of the time that a new key is published ahead.
 * @throws {ConfigError} where `auth` was made without `issuing`.
 */
export function jwksEndpoint(auth: Auth): ServerHandler {
  const house = houseOfEndpoint(auth)
  const issuer = issuerOf(house)
  const headers = {
    'Content-Type': 'application/jwk-set+json',
    'Cache-Control': `public, max-age=${issuer.keySetMaxAgeSeconds}`,
  }
  return handlerOf(auth, async (request) => {
    const { method } = request
    const to = { house, requestId: requestIdOf(request) }
    if (method !== 'GET' && method !== 'HEAD') return refusalOf(wrongMethod(METHODS), to, { Allow: METHODS })
    return jsonOf(JSON.stringify(inheritingNothing({ keys: issuer.keySet() })), to, headers)
  })
}
