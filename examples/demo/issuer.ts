import { generateKeyPairSync } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'

/** The demo's issuer, a process of its own: oidc-provider on loopback, access tokens by client credentials (RFC 6749 section 4.4). */
const AUDIENCE = 'https://partner.example'

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const server = http.createServer()

server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(url, {
    clients: [
      {
        client_id: 'partner',
        client_secret: process.env['DEMO_CLIENT_SECRET'],
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'demo-1', use: 'sig', alg: 'RS256' }] },
    scopes: ['read:patients'],
    ttl: { ClientCredentials: 3600 },
    extraTokenClaims: () => ({ org: 'org_demo', env: 'live' }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo: () => ({
          scope: 'read:patients',
          audience: AUDIENCE,
          accessTokenTTL: 3600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  })
  const handle = provider.callback()
  server.on('request', (request, response) => void handle(request, response))
  process.send?.({ url })
})
