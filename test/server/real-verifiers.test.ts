import { createPublicKey } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { JwtRsaVerifier } from 'aws-jwt-verify'
import { SimpleFetcher } from 'aws-jwt-verify/https'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import express, { type ErrorRequestHandler } from 'express'
import { auth as bearer, requiredScopes } from 'express-oauth2-jwt-bearer'
import { createVerifier } from 'fast-jwt'
import { allowInsecureRequests, validateJwtAccessToken, type AuthorizationServer } from 'oauth4webapi'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mount } from '../../adapters/express.ts'
import type { PublicJwk } from '../../src/tokens/signing-keys.ts'
import { memoryKeyStore } from '../../src/index.ts'
import { jwksEndpoint, tokenEndpoint } from '../../src/server/index.ts'
import { recordOf } from '../keys/parts.ts'
import { AUDIENCE, createServerWorld, exchange, ISSUER, KEYS, privateJwk, SIGNING, tokenOf } from './server-world.ts'

const MINUTE = 60_000
const PATH = '/.well-known/jwks.json'

/** Verifiers judge by the clock of the machine; the issuer's may run ahead of it. */
function clockAhead() {
  let ahead = 0
  return {
    now: () => Date.now() + ahead,
    monotonicMs: () => performance.now() + ahead,
    advance: (ms: number) => void (ahead += ms),
    setWall: (ms: number) => void (ahead = ms - Date.now()),
  }
}

const clock = clockAhead()
const AHEAD = 20 * MINUTE
const from = new Date(Date.now() + AHEAD)
const world = (signingKeys: NonNullable<Parameters<typeof createServerWorld>[0]>['issuing']) =>
  createServerWorld({
    store: memoryKeyStore([recordOf(KEYS.good, { id: 'key_good', scopes: ['read:patients', 'exec:agents'] })]),
    clock,
    ...(signingKeys === undefined ? {} : { issuing: signingKeys }),
  })
const next = privateJwk()
const one = world({ issuer: ISSUER, audience: AUDIENCE, signingKeys: [SIGNING, { key: next, from }] })
/** The same issuer as it runs once the retired key is gone: the next one has long begun. */
const after = world({ issuer: ISSUER, audience: AUDIENCE, signingKeys: [next] })
const mint = ({ auth }: typeof one) => tokenOf(exchange(tokenEndpoint(auth), ['read:patients', 'exec:agents']))

interface Verifier {
  readonly name: string
  /** How it says that there is no such key. */
  readonly noKey: RegExp
  /** As a process that reads the key set for the first time. */
  start(at: { readonly http: string; readonly https: string; readonly ca: string }): Promise<RunningVerifier>
}
interface RunningVerifier {
  /** Resolves to the key id that the token names as its caller; rejects where it is refused. */
  verify(token: string): Promise<unknown>
  /** What it does by itself once its key set is old. */
  reread(): Promise<void>
  close?(): Promise<void>
}

const awsJwtVerify: Verifier = {
  name: 'aws-jwt-verify',
  noKey: /JWK for kid .* not found/,
  start: async ({ https: jwksUri, ca }) => {
    const jwksCache = new SimpleJwksCache({ fetcher: new SimpleFetcher({ defaultRequestOptions: { ca } }) })
    const verifier = JwtRsaVerifier.create(
      { issuer: ISSUER, audience: AUDIENCE, jwksUri, scope: 'exec:agents' },
      {
        jwksCache,
      },
    )
    return {
      verify: async (token) => (await verifier.verify(token))['client_id'],
      reread: async () => void (await jwksCache.getJwks(jwksUri)),
    }
  },
}

const fastJwt: Verifier = {
  name: 'fast-jwt',
  noKey: /Cannot fetch key/,
  start: async ({ http: url }) => {
    const fetchKeys = async () => ((await (await fetch(url)).json()) as { keys: PublicJwk[] }).keys
    let keys = await fetchKeys()
    const verify = createVerifier({
      algorithms: ['RS256'],
      allowedIss: ISSUER,
      allowedAud: AUDIENCE,
      requiredClaims: ['exp', 'jti'],
      key: async ({ header }: { header: { kid?: string } }) => {
        const jwk = keys.find(({ kid }) => kid === header.kid)
        if (jwk === undefined) throw new Error('no such key')
        return createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
      },
    })
    return {
      verify: async (token) => ((await verify(token)) as { client_id: string }).client_id,
      reread: async () => {
        keys = await fetchKeys()
      },
    }
  },
}

const expressBearer: Verifier = {
  name: 'express-oauth2-jwt-bearer',
  noKey: /answered 401/,
  start: async ({ http: jwksUri }) => {
    const app = express().set('env', 'test')
    // A key set that is old at once: `reread` then has nothing to do.
    const cache = { cacheMaxAge: 1, cooldownDuration: 0 }
    const guard = bearer({
      issuer: ISSUER,
      audience: AUDIENCE,
      jwksUri,
      tokenSigningAlg: 'RS256',
      strict: true,
      ...cache,
    })
    app.get('/', guard, requiredScopes('exec:agents'), (request, response) => {
      response.json({ caller: request.auth?.payload['client_id'] })
    })
    const refuse: ErrorRequestHandler = (error: { status?: number }, _request, response, _next) => {
      response.status(error.status ?? 500).end()
    }
    app.use(refuse)
    const server = await listen(http.createServer(app))
    return {
      verify: async (token) => {
        const response = await fetch(urlOf(server, 'http'), { headers: { authorization: `Bearer ${token}` } })
        if (!response.ok) throw new Error(`answered ${response.status}`)
        return ((await response.json()) as { caller: string }).caller
      },
      reread: async () => undefined,
      close: () => closed(server),
    }
  },
}

const oauth4webapi: Verifier = {
  name: 'oauth4webapi',
  noKey: /no (applicable|matching)/,
  start: async ({ http: jwksUri }) => {
    // It keeps key sets by this object.
    let issuer: AuthorizationServer = { issuer: ISSUER, jwks_uri: jwksUri }
    return {
      verify: async (token) => {
        const request = new Request('https://us.healthcloud.example/', {
          headers: { authorization: `Bearer ${token}` },
        })
        return (await validateJwtAccessToken(issuer, request, AUDIENCE, { [allowInsecureRequests]: true })).client_id
      },
      reread: async () => {
        issuer = { ...issuer }
      },
    }
  },
}

async function listen<S extends Server>(server: S): Promise<S> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
const urlOf = (server: Server, scheme: string, path = '/') =>
  `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}${path}`
const closed = async (server: http.Server | https.Server) => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

let plain: http.Server
let secure: https.Server
let place: Parameters<Verifier['start']>[0]

beforeAll(async () => {
  const pair = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
    ],
  })
  const app = express().set('env', 'test')
  app.get(PATH, mount(jwksEndpoint(one.auth)))
  plain = await listen(http.createServer(app))
  // aws-jwt-verify reads key sets over TLS alone.
  secure = await listen(https.createServer({ key: pair.private, cert: pair.cert }, app))
  place = { http: urlOf(plain, 'http', PATH), https: urlOf(secure, 'https', PATH), ca: pair.cert }
})

afterAll(async () => {
  await Promise.all([closed(plain), closed(secure)])
  await Promise.all([one.close(), after.close()])
})

describe.each([awsJwtVerify, fastJwt, expressBearer, oauth4webapi])('$name, by our key set URL', ({ start, noKey }) => {
  test('takes the tokens of a key, and none of it once the key is retired and gone', async () => {
    clock.setWall(Date.now())
    const verifier = await start(place)
    try {
      const old = await mint(one)
      expect(await verifier.verify(old)).toBe('key_good')
      await expect(verifier.verify(`${old.slice(0, -4)}AAAA`)).rejects.toThrow(/signature|answered 401/i)
      // The next key is published ahead: what it signs is taken at once.
      const fresh = await mint(after)
      expect(await verifier.verify(fresh)).toBe('key_good')

      // Still published while a token of it may be good, and gone after that. The issuer's clock alone goes on: by the
      // verifier's the token is good, and so nothing but the missing key refuses it.
      clock.advance(AHEAD + 60 * MINUTE)
      await verifier.reread()
      expect(await verifier.verify(old)).toBe('key_good')
      clock.advance(MINUTE)
      await verifier.reread()
      await expect(verifier.verify(old)).rejects.toThrow(noKey)
      expect(await verifier.verify(fresh)).toBe('key_good')
    } finally {
      await verifier.close?.()
    }
  })
})
