import { generateKeyPairSync } from 'node:crypto'
import { createAuth } from '@healthcloud/auth'
import { mount } from '@healthcloud/auth/express'
import { introspectionEndpoint, jwksEndpoint, tokenEndpoint } from '@healthcloud/auth/server'
import express from 'express'
import { settingsOfParent, tellParent } from '../children.ts'
import { listen } from '../https.ts'
import { AUDIENCE, ISSUER, liveOptions, type DemoSettings } from '../settings.ts'

/** The issuer: API keys of the shared file in, tokens out. */
const settings = await settingsOfParent<DemoSettings>()
const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const auth = createAuth({
  ...liveOptions(settings, 'Issuer'),
  issuing: {
    issuer: ISSUER,
    audience: AUDIENCE,
    signingKeys: [privateKey],
  },
})
const app = express()
app.post('/v1/auth/token', mount(tokenEndpoint(auth)))
app.post('/v1/auth/introspect', mount(introspectionEndpoint(auth)))
app.get('/.well-known/jwks.json', mount(jwksEndpoint(auth)))

await auth.ready()
const { port } = await listen(settings.tls, app)
tellParent({ port })
