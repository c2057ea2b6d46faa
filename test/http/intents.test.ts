import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { AuditIntent } from '../../src/audit/intent.ts'
import { verifyJournal } from '../../src/audit/journal/verify.ts'
import type { AuditEvent, AuthOptions } from '../../src/index.ts'
import { FRAMEWORKS, serve, type SuiteApp, type SuiteRoute } from './frameworks.ts'
import { rawClient } from './raw-client.ts'
import { send } from './send.ts'
import { createWorld, type World } from './world.ts'

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const each of cleanups.splice(0).toReversed()) await each()
})

async function newWorld(options: Partial<AuthOptions> = {}): Promise<World> {
  const world = await createWorld(options)
  cleanups.push(() => world.close())
  return world
}

const key = (world: World, name: string): [string, string] => ['Authorization', `Bearer ${world.keys[name] ?? ''}`]

/** The journal as it stands on the disk at this moment. */
function lines(world: World): { intents: AuditIntent[]; events: AuditEvent[] } {
  const folder = join(world.directory, readdirSync(world.directory)[0] ?? '')
  const parsed = readFileSync(join(folder, '00000001.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditIntent | AuditEvent)
  return {
    intents: parsed.filter((line): line is AuditIntent => 'intent' in line),
    events: parsed.filter((line): line is AuditEvent => 'id' in line && line.kind === 'access'),
  }
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

  test('the journal knows who reads whom before the handler runs, and the event follows under the same id', async () => {
    const world = await newWorld()
    let before = { intents: [] as AuditIntent[], events: [] as AuditEvent[] }
    const handle = () => {
      before = lines(world)
      return { body: { ok: true } }
    }
    const url = await start(world, { routes: [route({ handle })] })
    await send(url, { path: '/v1/patients/7?_count=2', headers: [key(world, 'good'), ['X-Request-Id', 'r-1']] })
    await world.auth.audit.flush()
    const { intents, events } = lines(world)
    expect([before.intents.length, before.events.length, intents.length, events.length]).toEqual([1, 0, 1, 1])
    expect(before.intents[0]).toMatchObject({
      n: 1,
      action: 'R',
      actor: { kind: 'api-key', org: 'org_1', keyId: 'key_good' },
      env: 'live',
      scopes: { granted: ['read:patients'], required: ['read:patients'] },
      http: { method: 'GET', route: '/v1/patients/:id', query: ['_count'] },
      requestId: 'r-1',
      phi: { types: ['Patient'], patientCount: 1 },
    })
    expect(before.intents[0]?.intent).toBe(events[0]?.id)
    expect(before.intents[0]?.phi?.patients).toEqual(events[0]?.phi?.patients)
    expect(await verifyJournal(world.directory)).toMatchObject({ ok: true, findings: [] })
  })

  test('a second guard that adds a scope writes again under the same id, one that adds nothing does not', async () => {
    const world = await newWorld()
    const url = await start(world, {
      routes: [
        route({
          guards: [
            (g) => g.requireScope('read:patients'),
            (g) => g.requireScope('read:patients'),
            (g) => g.requireScope('read:observations'),
          ],
        }),
      ],
    })
    await send(url, { path: '/v1/patients/7', headers: [key(world, 'all')] })
    await world.auth.audit.flush()
    const { intents, events } = lines(world)
    expect(intents.map(({ scopes }) => scopes.required)).toEqual([
      ['read:patients'],
      ['read:patients', 'read:observations'],
    ])
    expect(new Set([...intents.map(({ intent }) => intent), ...events.map(({ id }) => id)]).size).toBe(1)
  })

  test('a refusal, an unknown page and a public route leave no intent', async () => {
    const world = await newWorld()
    const url = await start(world, {
      routes: [route(), route({ path: '/open', guards: [(g) => g.publicRoute('a status page')] })],
    })
    await send(url, { path: '/v1/patients/7', headers: [key(world, 'unknown')] })
    await send(url, { path: '/v1/patients/7', headers: [key(world, 'none')] })
    await send(url, { path: '/nowhere', headers: [key(world, 'good')] })
    await send(url, { path: '/open' })
    await world.auth.audit.flush()
    const { intents, events } = lines(world)
    expect(intents).toEqual([])
    expect(events.map(({ reason }) => reason)).toEqual(['key_unknown', 'scope_missing', 'not_found'])
  })

  test('two calls under one request id are two events, each under the id of its own intent', async () => {
    const world = await newWorld()
    const url = await start(world, { routes: [route()] })
    const call = { path: '/v1/patients/7', headers: [key(world, 'good'), ['X-Request-Id', 'r-same'] as const] }
    await Promise.all([send(url, call), send(url, call)])
    await world.auth.audit.flush()
    const { intents, events } = lines(world)
    expect(events.map(({ requestId }) => requestId)).toEqual(['r-same', 'r-same'])
    expect(new Set(events.map(({ id }) => id)).size).toBe(2)
    expect(new Set(intents.map(({ intent }) => intent))).toEqual(new Set(events.map(({ id }) => id)))
  })

  test('a call that asks first whether it may send its body (Expect: 100-continue) is one intent and one event', async () => {
    const world = await newWorld()
    const server = await serve(framework, [world.auth], { routes: [route({ method: 'POST', path: '/v1/patients' })] })
    cleanups.push(() => server.close())
    const client = await rawClient(server)
    const [name, value] = key(world, 'good')
    client.socket.write(
      'POST /v1/patients HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n' +
        `Content-Type: application/json\r\nContent-Length: 2\r\n${name}: ${value}\r\n\r\n`,
    )
    await client.until((received) => received.includes('100 Continue'))
    client.socket.write('{}')
    await client.until((received) => received.includes('HTTP/1.1 200'))
    await world.auth.audit.flush()
    const { intents, events } = lines(world)
    expect(events).toMatchObject([{ outcome: 'success', http: { method: 'POST', route: '/v1/patients', status: 200 } }])
    expect(intents.map(({ intent }) => intent)).toEqual([events[0]?.id])
  })

  test('with durability synced, calls are served from the disk, many at a time', async () => {
    const world = await newWorld({
      audit: { durability: 'synced' },
    })
    const url = await start(world, { routes: [route()] })
    const headers = [key(world, 'good')]
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => send(url, { path: `/v1/patients/${index}`, headers })),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 30 }, () => 200))
    await world.auth.audit.flush()
    expect(lines(world).events).toHaveLength(30)
    expect(await verifyJournal(world.directory)).toMatchObject({ ok: true })
  })
})
