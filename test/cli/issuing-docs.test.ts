import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import express from 'express'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mount } from '../../adapters/express.ts'
import { ROOT } from '../../scripts/local-bin.mjs'
import { createAuth, fromEnv, memoryKeyStore } from '../../src/index.ts'
import { introspectionEndpoint, jwksEndpoint, tokenEndpoint } from '../../src/server/index.ts'
import { generateSigningKey } from '../../src/tokens/generate-signing-key.ts'

/** The commands of docs/issuing.md, run by a shell against a real issuer, answer as the page shows. */
const TEXT = readFileSync(join(ROOT, 'docs/issuing.md'), 'utf8')
const HOST = 'https://api.partner.example'
const SHOWN = [...TEXT.matchAll(/^```sh\n(curl [^`]*?)```\n\n```json\n(.*)\n```/gm)].map(
  ([, command = '', answer = '']) => ({
    command,
    answer: JSON.parse(answer) as Record<string, unknown>,
  }),
)

const { jwk } = await generateSigningKey()
const server = createServer()
const auth = createAuth(
  fromEnv(
    {
      HEALTHCLOUD_ENVIRONMENT: 'test',
      HEALTHCLOUD_ISSUER: HOST,
      HEALTHCLOUD_AUDIENCE: HOST,
      HEALTHCLOUD_SIGNING_KEY: JSON.stringify(jwk),
    },
    { store: memoryKeyStore() },
  ),
)
let key: string

beforeAll(async () => {
  const app = express()
  app.post('/v1/auth/token', mount(tokenEndpoint(auth)))
  app.post('/v1/auth/introspect', mount(introspectionEndpoint(auth)))
  app.get('/.well-known/jwks.json', mount(jwksEndpoint(auth)))
  server.on('request', app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const scopes = ['read:patients', 'exec:agents'] as const
  const made = await auth.keys.create({ organizationId: 'org_1', environment: 'test', name: 'n', scopes, by: 'me' })
  key = made.key
})

afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await auth.close()
})

async function run(command: string, env: Record<string, string>): Promise<Record<string, unknown>> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { PATH = '' } = process.env
  const options = { env: { PATH, HEALTHCLOUD_API_KEY: key, NO_PROXY: '127.0.0.1', ...env } }
  const line = command.replace('curl ', 'curl -sS ').replace(HOST, url)
  return JSON.parse((await promisify(execFile)('sh', ['-c', line], options)).stdout) as Record<string, unknown>
}

const hasCurl = spawnSync('curl', ['--version']).status === 0

test.skipIf(!hasCurl && process.env['CI'] === undefined)('the exchange and the introspection of the page', async () => {
  const [exchange, introspection, ...more] = SHOWN
  if (exchange === undefined || introspection === undefined) throw new Error('The page shows no commands.')
  expect(more).toEqual([])

  const granted = await run(exchange.command, {})
  expect(Object.keys(granted)).toEqual(Object.keys(exchange.answer))
  const fixed = { token_type: 'Bearer', expires_in: 3600, scope: 'read:patients exec:agents' }
  expect(granted).toMatchObject(fixed)
  expect(exchange.answer).toMatchObject(fixed)
  expect(granted['issued_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  const token = String(granted['access_token'])
  expect(await auth.verify(token, { ip: null, secure: true, operation: 'docs' })).toMatchObject({ ok: true })

  const answer = await run(introspection.command, { TOKEN: token })
  expect(Object.keys(answer)).toEqual(Object.keys(introspection.answer))
  expect(answer).toMatchObject({ active: true, org: 'org_1', scope: 'read:patients exec:agents' })
  const ofKey = await run(introspection.command, { TOKEN: key })
  expect(ofKey).toMatchObject({ active: true, allowed_cidrs: [], valid_until: null })
  expect(await run(introspection.command, { TOKEN: 'something-else' })).toEqual({ active: false })
})
