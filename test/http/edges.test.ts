import type { RequestListener } from 'node:http'
import express from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import { expressGuards } from '../../adapters/express.ts'
import { fastifyGuards } from '../../adapters/fastify.ts'
import type { AuthOptions, KeyStore } from '../../src/index.ts'
import { FRAMEWORKS, serve, type SuiteApp, type SuiteRoute } from './frameworks.ts'
import { send } from './send.ts'
import { createWorld, type World } from './world.ts'

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const each of cleanups.splice(0).toReversed()) await each()
})

async function newWorld(options: Partial<AuthOptions> = {}, wrap?: (store: KeyStore) => KeyStore): Promise<World> {
  const world = await createWorld(options, wrap)
  cleanups.push(() => world.close())
  return world
}

const key = (world: World, name: string): [string, string] => ['Authorization', `Bearer ${world.keys[name] ?? ''}`]

/** A promise that the test settles. */
function gate() {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

const route = (more: Partial<SuiteRoute> = {}): SuiteRoute => ({
  path: '/v1/patients/:id',
  guards: [(g) => g.requireScope('read:patients')],
  handle: () => ({ body: { ok: true } }),
  ...more,
})

describe.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))('on %s', (_name, framework) => {
  const start = async (world: World, app: SuiteApp) => {
    const server = await serve(framework, [world.auth], app)
    cleanups.push(() => server.close())
    return server.url
  }

  test('the answer to an error of the handler carries our headers', async () => {
    const world = await newWorld()
    const url = await start(world, {
      routes: [
        route({
          handle: () => {
            throw new Error('a defect of the host')
          },
        }),
      ],
    })
    const failed = await send(url, { path: '/v1/patients/1', headers: [key(world, 'grace'), ['X-Request-Id', 'r-1']] })
    expect(failed).toMatchObject({ status: 500, headers: { 'x-request-id': 'r-1' } })
    expect(Date.parse(String(failed.headers['healthcloud-key-expires']))).toBeGreaterThan(Date.now())
    expect(failed.body).not.toContain('hc_live')
  })

  test('a call that was admitted before close goes on through its later guards', async () => {
    const world = await newWorld()
    const [arrived, release] = [gate(), gate()]
    const url = await start(world, {
      routes: [
        route({
          guards: [(g) => g.authenticate(), (g) => g.requireScope('read:patients')],
          handle: async () => {
            arrived.open()
            await release.opened
            return { body: { ok: true } }
          },
        }),
      ],
    })
    const call = send(url, { path: '/v1/patients/1', headers: [key(world, 'good')] })
    await arrived.opened
    const closed = world.auth.close()
    expect(await send(url, { path: '/v1/patients/1', headers: [key(world, 'good')] })).toMatchObject({ status: 503 })
    release.open()
    expect(await call).toMatchObject({ status: 200 })
    await closed
  })

  test.each(['live', 'test'] as const)(
    'close waits for a caller who is being looked up, on a %s server',
    async (environment) => {
      const [asked, release] = [gate(), gate()]
      const slow = (store: KeyStore): KeyStore => ({
        ...store,
        find: async (lookup, context) => {
          asked.open()
          await release.opened
          return store.find(lookup, context)
        },
      })
      const world = await newWorld({ environment, ...(environment === 'test' ? { audit: SILENT } : {}) }, slow)
      const url = await start(world, { routes: [route()] })
      const name = environment === 'live' ? 'good' : 'test'
      const call = send(url, { path: '/v1/patients/1', headers: [key(world, name)] })
      await asked.opened
      const closed = world.auth.close()
      setTimeout(release.open, 20)
      expect(await call).toMatchObject({ status: 200 })
      await closed
    },
  )

  test('over plain HTTP the answer comes before the look-up, and the event names the key', async () => {
    const [looked, release] = [gate(), gate()]
    const hanging = (store: KeyStore): KeyStore => ({
      ...store,
      find: async (lookup, context) => {
        looked.open()
        await release.opened
        return store.find(lookup, context)
      },
    })
    const world = await newWorld({ transport: { https: 'required' } }, hanging)
    const url = await start(world, { routes: [route()] })
    const headers = [key(world, 'good')]
    expect(await send(url, { path: '/v1/patients/1', headers })).toMatchObject({ status: 403 })
    await looked.opened
    release.open()
    expect(await world.flushed()).toMatchObject([
      { outcome: 'denied', reason: 'https_required', actor: { org: 'org_1', keyId: 'key_good' } },
    ])
  })

  test('principalOf names nobody who was refused', async () => {
    const world = await newWorld()
    const seen: unknown[] = []
    const url = await start(world, {
      routes: [
        route({
          guards: [(g) => g.authenticate({ optional: true })],
          handle: ({ principalOf, principal }) => {
            seen.push(principalOf()?.organizationId ?? null, principal?.organizationId ?? null)
            try {
              world.auth.assertOrganization(principal, 'org_2')
            } finally {
              setTimeout(() => seen.push(principalOf()?.organizationId ?? null), 5)
            }
            return {}
          },
        }),
      ],
    })
    expect(await send(url, { path: '/v1/patients/1', headers: [key(world, 'good')] })).toMatchObject({ status: 403 })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(seen).toEqual(['org_1', 'org_1', null])
  })
})

/** Nobody listens: exchanges build no event. */
const SILENT: NonNullable<AuthOptions['audit']> = { onEvent: undefined }

describe.each([
  ['Express 4', express4],
  ['Express 5', express],
])('%s behind app.use(guard)', (_name, create) => {
  test('answers assertOrganization in our envelope, and audits a denial', async () => {
    const world = await newWorld()
    const { requireScope } = expressGuards(world.auth)
    const app = create()
    const router = create.Router()
    router.get('/:id', (request, response) => {
      world.auth.assertOrganization(request.principal, request.params.id)
      response.json({ ok: true })
    })
    app.use('/v1/orgs', requireScope('read:patients'), router)
    const plain = { name: 'plain', listener: async () => ({ listener: app as unknown as RequestListener, close }) }
    const server = await serve(plain, [], { routes: [] })
    cleanups.push(() => server.close())
    for (const id of ['r-1', 'r-2']) {
      const headers = [key(world, 'good'), ['X-Request-Id', id]] as [string, string][]
      const refused = await send(server.url, { path: '/v1/orgs/org_2', headers })
      expect(refused).toMatchObject({ status: 403 })
      expect(JSON.parse(refused.body)).toMatchObject({ error: { code: 'ORGANIZATION_MISMATCH', requestId: id } })
    }
    expect(await send(server.url, { path: '/v1/orgs/org_1', headers: [key(world, 'good')] })).toMatchObject({
      status: 200,
    })
    const events = await world.flushed()
    expect(events.map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['denied', 'organization_mismatch'],
      ['denied', 'organization_mismatch'],
      ['success', null],
    ])
  })
})

const close = async () => undefined

describe('Fastify', () => {
  test('without the plugin a guarded route answers 500, and leaves an event', async () => {
    const world = await newWorld()
    const app = Fastify()
    cleanups.push(() => app.close())
    const { requireScope } = fastifyGuards(world.auth)
    app.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, () => ({ ok: true }))
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const answer = await send(url, { path: '/v1/patients/1', headers: [key(world, 'good')] })
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'PLUGIN_MISSING' } })
    expect(await world.flushed()).toMatchObject([
      { outcome: 'error', reason: 'handler_error', http: { route: '/v1/patients/:id', status: 500 } },
    ])
  })
})
