import type { Auth } from '../auth.ts'
import { deny } from '../decision.ts'
import type { Issuer } from '../issuing/issuer.ts'
import { notHeld, readRequestedScopes, type RequestedScopes } from '../issuing/requested-scopes.ts'
import { quote } from '../lib/json-text.ts'
import type { ScopeCatalogue } from '../scopes.ts'
import { own, parseObject } from '../tokens/json-object.ts'
import type { MintedToken } from '../tokens/mint.ts'
import { handlerOf, type ServerHandler } from './handler.ts'
import { houseOfEndpoint, issuerOf } from './house-of-endpoint.ts'
import { serve, type Endpoint } from './serve.ts'

/**
 * `POST /v1/auth/token`: exchanges the API key of the `Authorization` header for an access token. Takes
 * `{ "scope": [...] }` or `{ "scope": "a b" }` as `application/json`, at most 16 KiB; other members are ignored. Answers
 * `{ access_token, token_type, expires_in, scope, issued_at }`, or the envelope of every refusal. One `auth` event
 * `token.exchange` for each call.
 * @throws {ConfigError} where `auth` was made without `issuing`.
 */
export function tokenEndpoint(auth: Auth): ServerHandler {
  const house = houseOfEndpoint(auth)
  const endpoint = exchangeOf(issuerOf(house), house.catalogue)
  return handlerOf(auth, (request, caller) => serve(house, endpoint, { request, caller }))
}

function exchangeOf(issuer: Issuer, catalogue: ScopeCatalogue): Endpoint<RequestedScopes> {
  return Object.freeze<Endpoint<RequestedScopes>>({
    name: 'token.exchange',
    mediaType: 'application/json',
    read: (text) => {
      const body = parseObject(text)
      return body === null ? deny('request_malformed') : readRequestedScopes(own(body, 'scope'), catalogue)
    },
    required: (requested) => (requested.ok ? requested.scopes : requested.known),
    check: (key, requested) => {
      const message = requested.ok ? notHeld(key, requested.scopes) : requested.message
      return message === null ? null : { denial: deny('scope_invalid', 'api-key'), message }
    },
    answer: (key, requested) => {
      const minted = issuer.mint(key, requested.ok ? requested.scopes : [])
      return typeof minted === 'string'
        ? deny(minted, 'api-key')
        : { ok: true, body: answerOf(minted), tokenId: minted.tokenId }
    },
  })
}

/** RFC 6749 section 5.1, as documented: these members in this order. */
function answerOf({ accessToken, expiresInSeconds, scopes, issuedAt }: MintedToken): string {
  return (
    `{"access_token":"${accessToken}","token_type":"Bearer","expires_in":${expiresInSeconds},` +
    `"scope":${quote(scopes.join(' '))},"issued_at":"${secondOf(issuedAt)}"}`
  )
}

/** Tokens of one second say the same. */
let lastSecond = Number.NaN
let lastText = ''

/** ISO 8601, UTC, whole seconds. */
function secondOf(epochSeconds: number): string {
  if (epochSeconds === lastSecond) return lastText
  lastText = `${new Date(epochSeconds * 1000).toISOString().slice(0, -5)}Z`
  lastSecond = epochSeconds
  return lastText
}
