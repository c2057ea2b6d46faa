import { generateKeyPairSync } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type Configuration } from 'oidc-provider'

const CLIENT = { id: 'partner', secret: 'a-client-secret-of-40-characters-length!' }

/** A private signing key as a JWK with this `kid`. */
export function signingKey(kid: string): Record<string, unknown> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }
}

export interface Issuer {
  readonly url: string
  readonly jwksUrl: string
  /** RFC 6749 section 4.4: an access token (RFC 9068) by client credentials. */
  token(scope: string): Promise<string>
  /** The keys of the issuer from now on; the first signs. */
  rotate(keys: readonly Record<string, unknown>[]): void
  /** How often the key set was fetched. */
  fetches(): number
  close(): Promise<void>
}

/** An issuer that nobody here wrote: oidc-provider on loopback. */
export async function startIssuer(audience: string, keys: readonly Record<string, unknown>[]): Promise<Issuer> {
  const server = http.createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let handler = provider(url, audience, keys).callback()
  let fetches = 0
  server.on('request', (request, response) => {
    if (request.url === '/jwks') fetches += 1
    void handler(request, response)
  })
  return {
    url,
    jwksUrl: `${url}/jwks`,
    token: (scope) => fetchToken(url, scope),
    rotate: (fresh) => {
      handler = provider(url, audience, fresh).callback()
    },
    fetches: () => fetches,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

function provider(url: string, audience: string, keys: readonly Record<string, unknown>[]): Provider {
  const configuration: Configuration = {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    jwks: { keys: keys as never },
    scopes: ['read:patients', 'write:patients'],
    ttl: { ClientCredentials: 3600 },
    extraTokenClaims: () => ({ org: 'org_1', env: 'live' }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: 'read:patients write:patients',
          audience,
          accessTokenTTL: 3600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  }
  return new Provider(url, configuration)
}

async function fetchToken(url: string, scope: string): Promise<string> {
  const response = await fetch(`${url}/token`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      authorization: `Basic ${Buffer.from(`${CLIENT.id}:${encodeURIComponent(CLIENT.secret)}`).toString('base64')}`,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  })
  const body = (await response.json()) as { access_token?: string }
  if (body.access_token === undefined) throw new Error(`no token from the issuer: ${response.status}`)
  return body.access_token
}
