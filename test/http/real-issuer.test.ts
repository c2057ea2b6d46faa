import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuth, type AuditEvent, type Auth } from '../../src/index.ts'
import { FRAMEWORKS, serve, type RunningServer } from './frameworks.ts'
import { signingKey, startIssuer, type Issuer } from './issuer.ts'
import { send } from './send.ts'
import { AUDIENCE } from './world.ts'

const SECRET = Buffer.alloc(32, 9).toString('base64')

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))(
  'tokens of a real issuer on %s',
  (_name, framework) => {
    let issuer: Issuer
    let auth: Auth
    let server: RunningServer
    let offset = 0
    const events: AuditEvent[] = []
    const directory = mkdtempSync(path.join(tmpdir(), 'hc-auth-'))
    const keyA = signingKey('a')
    const keyB = signingKey('b')

    beforeAll(async () => {
      issuer = await startIssuer(AUDIENCE, [keyA])
      auth = createAuth({
        environment: 'live',
        tokens: {
          issuer: issuer.url,
          audience: AUDIENCE,
          jwks: issuer.jwksUrl,
          jwksCooldownSeconds: 5,
        },
        transport: { https: 'off' },
        audit: {
          directory,
          pseudonymKeys: [{ id: 'k1', secret: SECRET }],
          onEvent: (event) => void events.push(event),
        },
        clock: { now: () => Date.now(), monotonicMs: () => performance.now() + offset },
      })
      server = await serve(framework, [auth], {
        routes: [
          { path: '/v1/patients/:id', guards: [(g) => g.requireScope('read:patients')], handle: () => ({ body: {} }) },
        ],
      })
    })

    afterAll(async () => {
      await server.close()
      await auth.close()
      await issuer.close()
      rmSync(directory, { recursive: true, force: true })
    })

    const call = (token: string) =>
      send(server.url, { path: '/v1/patients/1', headers: [['Authorization', `Bearer ${token}`]] })

    test('pass through its key set URL, across a rotation of its keys', async () => {
      const first = await issuer.token('read:patients')
      expect((await call(first)).status).toBe(200)
      expect(issuer.fetches()).toBe(1)

      issuer.rotate([keyB, keyA])
      const second = await issuer.token('read:patients')
      // Within the cooldown after a successful fetch an unknown kid costs no fetch; this bounds the delay of a real new key.
      expect((await call(second)).status).toBe(401)
      expect(issuer.fetches()).toBe(1)
      offset += 5_001
      expect((await call(second)).status).toBe(200)
      expect((await call(first)).status).toBe(200)
      expect(issuer.fetches()).toBe(2)

      issuer.rotate([keyB])
      offset += 600_001
      expect((await call(second)).status).toBe(200)
      expect((await call(first)).status).toBe(401)
    })

    test('without the scope are refused with the scope named', async () => {
      const answer = await call(await issuer.token('write:patients'))
      expect(answer.status).toBe(403)
      expect(answer.headers['www-authenticate']).toBe(
        'Bearer realm="healthcloud", error="insufficient_scope", scope="read:patients"',
      )
    })
  },
)
