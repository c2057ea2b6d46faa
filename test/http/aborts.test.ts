import { createHmac, hkdfSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readJournal } from '../../src/audit/index.ts'
import { memoryKeyStore, type AuditEvent, type KeyStore, type Scope } from '../../src/index.ts'
import {
  FRAMEWORKS,
  serve,
  type Framework,
  type Handled,
  type Reply,
  type RunningServer,
  type SuiteRoute,
} from './frameworks.ts'
import { rawClient, settled, type RawRequest } from './raw-client.ts'
import { send } from './send.ts'
import { createWorld, DOCUMENTED_KEY, key16, recordOf, type World } from './world.ts'

// Most of these tests wait; few of them compute.
vi.setConfig({ maxConcurrency: 100, testTimeout: 25_000 })

const SCOPES: Scope[] = ['read:patients', 'write:patients']
const MEBIBYTE = 1_048_576
const LARGE = Buffer.alloc(30 * MEBIBYTE, 'x')
const GRACE_MS = 5_000

/** What went wrong in this process, which no test would see. */
const unhandled: unknown[] = []
const warnings: string[] = []
const onUnhandled = (error: unknown) => void unhandled.push(error)
const onWarning = ({ name }: Error) => void warnings.push(name)

beforeAll(() => {
  process.on('unhandledRejection', onUnhandled)
  process.on('uncaughtExceptionMonitor', onUnhandled)
  process.on('warning', onWarning)
})
afterAll(() => {
  process.off('unhandledRejection', onUnhandled)
  process.off('uncaughtExceptionMonitor', onUnhandled)
  process.off('warning', onWarning)
})

/** Contract 9, pseudonyms; from the standard alone. */
function pseudonym(patient: string): string {
  const key = Buffer.from(hkdfSync('sha256', Buffer.alloc(32, 7), '', 'hc-audit:org_1', 32))
  return `pt_k1_${createHmac('sha256', key).update(`Patient/${patient}`).digest('base64url').slice(0, 22)}`
}
const patientNames = new Map(['1', '7', '8', '9'].map((id) => [pseudonym(id), id]))

/** What the tests compare of an event. */
function told({ outcome, reason, http, delivered, phi, part, actor }: AuditEvent) {
  return {
    outcome,
    reason,
    status: http?.status,
    delivered,
    bytes: http?.bytes,
    patients: phi === null ? null : phi.patients.map((each) => patientNames.get(each) ?? each),
    part,
    keyId: actor.keyId,
  }
}

const ABORTED = {
  outcome: 'aborted',
  reason: 'client_aborted',
  status: null,
  delivered: 'none',
  bytes: 0,
  patients: ['1'],
  part: null,
  keyId: 'key_all',
}
const SERVED = { ...ABORTED, outcome: 'success', reason: null, status: 200, delivered: 'full' }

type Answer = Reply | 'taken'
type Act = (handled: Handled) => Answer | Promise<Answer>
type SceneAct = (handled: Handled, scene: Scene) => Answer | Promise<Answer>

/** One request of a test: what its handler does, and what became of it. */
interface Scene {
  readonly id: string
  readonly runs: number
  readonly entered: Promise<Handled>
  /** Lets a handler go on that waits for `cue`. */
  go(): void
  readonly cue: Promise<void>
  readonly request: RawRequest
  with(change: Partial<RawRequest>): RawRequest
}

interface Stage {
  readonly framework: Framework
  readonly world: World
  readonly other: World
  readonly server: RunningServer
  scene(act: SceneAct): Scene
  /** A key whose look-up waits until it is released. */
  hold(): Held
  /** Waits for so many events of the scene, oldest first. */
  events(scene: Scene, count: number): Promise<AuditEvent[]>
  /** How many events each scene must have in the end. */
  readonly ledger: ReadonlyMap<string, number>
  close(): Promise<void>
}

interface Held {
  readonly key: string
  readonly asked: Promise<void>
  release(): void
}

interface Deferred<T = void> {
  readonly promise: Promise<T>
  resolve(value: T): void
}

function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve: (value) => resolve(value) }
}

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))

/** Looks keys up at once, but for those that are held. */
function holdingStore(): { store: KeyStore; hold(): Held } {
  const held = new Map<string, { asked(): void; released: Promise<void> }>()
  const memory = memoryKeyStore([recordOf(DOCUMENTED_KEY, 'key_all', { scopes: SCOPES })])
  const find: KeyStore['find'] = async (lookup, context) => {
    const key = lookup.reveal()
    const gate = held.get(key)
    if (gate === undefined) return memory.find(lookup, context)
    gate.asked()
    await gate.released
    return recordOf(key, 'key_held', { scopes: SCOPES })
  }
  return {
    store: { ...memory, find },
    hold: () => {
      const key = key16()
      const asked = deferred()
      const released = deferred()
      held.set(key, { asked: () => asked.resolve(), released: released.promise })
      return { key, asked: asked.promise, release: () => released.resolve() }
    },
  }
}

async function openStage(framework: Framework): Promise<Stage> {
  const { store, hold } = holdingStore()
  const world = await createWorld({ keys: { store, timeoutMs: 30_000 } })
  const other = await createWorld({ keys: { store, timeoutMs: 30_000 } })
  const scenes = new Map<string, Act>()
  const ledger = new Map<string, number>()
  const handle: Act = (handled) => {
    const act = scenes.get(String(handled.request.headers['x-request-id']))
    if (act === undefined) throw new Error('no scene of that name')
    return act(handled)
  }
  const server = await serve(framework, [world.auth, other.auth], { routes: routesOf(framework, handle) })
  await send(server.url, { path: '/v1/warm', headers: [['Authorization', `Bearer ${DOCUMENTED_KEY}`]] })
  return {
    framework,
    world,
    other,
    server,
    hold,
    ledger,
    scene: (act) => {
      const { scene, run } = newScene(act)
      scenes.set(scene.id, run)
      return scene
    },
    events: async ({ id }, count) => {
      ledger.set(id, count)
      const found = () => world.events.filter(({ requestId }) => requestId === id)
      await settled(() => found().length >= count)
      return found()
    },
    close: async () => {
      await server.close()
      await world.close()
      await other.close()
    },
  }
}

let scenesSoFar = 0

function newScene(act: SceneAct): { scene: Scene; run: Act } {
  scenesSoFar += 1
  const id = `scene-${scenesSoFar}`
  const entered = deferred<Handled>()
  const cue = deferred()
  let runs = 0
  const request: RawRequest = {
    path: '/v1/patients/1',
    headers: { Authorization: `Bearer ${DOCUMENTED_KEY}`, 'X-Request-Id': id },
  }
  const scene: Scene = {
    id,
    get runs() {
      return runs
    },
    entered: entered.promise,
    cue: cue.promise,
    go: () => cue.resolve(),
    request,
    with: (change) => ({ ...request, ...change, headers: { ...request.headers, ...change.headers } }),
  }
  return {
    scene,
    run: (handled) => {
      runs += 1
      entered.resolve(handled)
      return act(handled, scene)
    },
  }
}

/** A middleware of the host that waits before the guard has its turn, and says when it does. */
function slowHost(framework: Framework, gate: (id: string) => Promise<void>): unknown {
  const idOf = (request: { headers: Record<string, unknown> }) => String(request.headers['x-request-id'])
  if (framework.name.startsWith('Koa')) {
    return async (context: { headers: Record<string, unknown> }, next: () => Promise<void>) => {
      await gate(idOf(context))
      await next()
    }
  }
  return (request: { headers: Record<string, unknown> }, _answer: unknown, next: () => void) => {
    void gate(idOf(request)).then(() => next())
  }
}

/** Of requests that `slowHost` holds back. */
const slowGates = new Map<string, { waits: Deferred; opens: Deferred }>()

function slowGate({ id }: Scene): { waits: Promise<void>; open(): void } {
  const gate = { waits: deferred(), opens: deferred() }
  slowGates.set(id, gate)
  return { waits: gate.waits.promise, open: () => gate.opens.resolve() }
}

function routesOf(framework: Framework, handle: Act): readonly SuiteRoute[] {
  const gate = async (id: string) => {
    slowGates.get(id)?.waits.resolve()
    await slowGates.get(id)?.opens.promise
  }
  return [
    {
      path: '/v1/warm',
      guards: [
        { auth: 0, guard: (g) => g.authenticate({ phi: false }) },
        { auth: 1, guard: (g) => g.authenticate({ phi: false }) },
      ],
      handle: () => ({ body: {} }),
    },
    { path: '/v1/patients/:id', guards: [(g) => g.requireScope('read:patients')], handle },
    { path: '/v1/patients/:id', method: 'POST', guards: [(g) => g.requireScope('write:patients')], handle },
    {
      path: '/v1/patients/:id/twice',
      guards: [(g) => g.authenticate(), (g) => g.requireScope('read:patients')],
      handle,
    },
    {
      path: '/v1/patients/:id/shared',
      guards: [
        { auth: 0, guard: (g) => g.requireScope('read:patients') },
        { auth: 1, guard: (g) => g.requireScope('read:patients') },
      ],
      handle,
    },
    {
      path: '/v1/patients/:id/slow',
      guards: [() => slowHost(framework, gate), (g) => g.requireScope('read:patients')],
      handle,
    },
  ]
}

/** On Node's response itself: the header, and 3,000 of the 10,000 bytes that it declares. */
function writePart(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': '10000' })
  for (let chunk = 0; chunk < 3; chunk += 1) response.write('x'.repeat(1000))
}

const bodyOf = (received: string) => received.split('\r\n\r\n').slice(1).join('\r\n\r\n')

const listenersOf = (socket: Socket) => socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0)

const left = async (client: { leave(): Promise<void> }): Promise<number> => {
  await client.leave()
  return Date.now()
}

describe.concurrent.each(FRAMEWORKS.map((framework) => [framework.name, framework] as const))(
  '%s',
  (_name, framework) => {
    let stage: Stage
    beforeAll(async () => {
      stage = await openStage(framework)
    })
    afterAll(() => stage.close())

    describe.concurrent('the client leaves', () => {
      test.each<[string, Partial<RawRequest>, string[] | null]>([
        ['on a route', {}, ['1']],
        ['on a path that nobody serves', { path: '/v1/nowhere' }, null],
      ])('while the guard waits, %s: the handler does not run', async (_where, change, patients) => {
        const scene = stage.scene(() => ({ body: {} }))
        const { key, asked, release } = stage.hold()
        const client = await rawClient(stage.server)
        client.send(scene.with({ headers: { Authorization: `Bearer ${key}` }, ...change }))
        await asked
        await client.leave()
        const released = Date.now()
        release()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...ABORTED, keyId: 'key_held', patients })
        expect(scene.runs).toBe(0)
        // There is no handler to wait for.
        expect(Date.parse(event?.recorded ?? '') - released).toBeLessThan(GRACE_MS - 1000)
      })

      test('before the guard has its turn: the handler does not run', async () => {
        const scene = stage.scene(() => ({ body: {} }))
        const gate = slowGate(scene)
        const client = await rawClient(stage.server)
        client.send(scene.with({ path: '/v1/patients/1/slow' }))
        await gate.waits
        await client.leave()
        gate.open()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual(ABORTED)
        expect(scene.runs).toBe(0)
      })

      test('before the first byte, while the handler works: what it touches afterwards is in the one event', async () => {
        const scene = stage.scene(async ({ audit }, { cue }) => {
          await cue
          audit.touch('Patient/7')
          return { body: { id: '1' } }
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await scene.entered
        await client.leave()
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...ABORTED, patients: ['1', '7'] })
      })

      test('after the header was made, but before it was sent: no status', async () => {
        const scene = stage.scene(async ({ response }, { cue }): Promise<Answer> => {
          response.writeHead(200, { 'Content-Type': 'text/plain' })
          await cue
          response.end('late')
          return 'taken'
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await scene.entered
        await client.leave()
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual(ABORTED)
      })

      test('in the middle of an answer', async () => {
        const scene = stage.scene(async ({ response, audit }, { cue }): Promise<Answer> => {
          writePart(response)
          await cue
          audit.touch('Patient/7')
          response.end('x'.repeat(7000))
          return 'taken'
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await client.until((received) => bodyOf(received).length === 3000)
        await client.leave()
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({
          ...ABORTED,
          status: 200,
          delivered: 'partial',
          bytes: 3000,
          patients: ['1', '7'],
        })
      })

      test('in the middle of a stream that the framework sends', async () => {
        const scene = stage.scene(({ response }) => {
          const stream = Readable.from(ticks())
          if (!framework.name.startsWith('Express')) return { headers: { 'Content-Type': 'text/plain' }, body: stream }
          pipeline(stream, response, () => undefined)
          return 'taken'
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await client.until((received) => bodyOf(received).split('tick').length > 3)
        const seen = bodyOf(client.received()).length
        await client.leave()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({
          ...ABORTED,
          status: 200,
          delivered: 'partial',
          bytes: expect.any(Number),
        })
        expect(event?.http?.bytes).toBeGreaterThanOrEqual(seen)
        expect(event?.http?.bytes).toBeLessThan(seen + 10_000)
      })

      test('after the end', async () => {
        const scene = stage.scene(() => ({ body: { id: '1' } }))
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await client.until((received) => received.endsWith('{"id":"1"}'))
        await client.leave()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...SERVED, bytes: 10 })
      })

      test('without having read an answer that the kernel took whole: delivered', async () => {
        const scene = stage.scene(({ response }) => {
          response.writeHead(200, { 'Content-Length': '50000' }).end(LARGE.subarray(0, 50_000))
          return 'taken'
        })
        const client = await rawClient(stage.server, { deaf: true })
        client.send(scene.request)
        const [event] = await stage.events(scene, 1)
        await client.leave()
        expect(event && told(event)).toEqual({ ...SERVED, bytes: 50_000 })
      })

      test('without having read an answer of 30 MiB', async () => {
        const scene = stage.scene(({ response }) => {
          response.writeHead(200, { 'Content-Length': String(LARGE.length) }).end(LARGE)
          return 'taken'
        })
        const client = await rawClient(stage.server, { deaf: true })
        client.send(scene.request)
        const { response } = await scene.entered
        await settled(() => response.headersSent)
        await pause(200)
        await client.leave()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({
          ...ABORTED,
          status: 200,
          delivered: 'partial',
          bytes: expect.any(Number),
        })
        expect(event?.http?.bytes).toBeGreaterThan(0)
        expect(event?.http?.bytes).toBeLessThanOrEqual(LARGE.length)
      })
    })

    // Node answers the FIN of a client with its own and drops the connection (`httpAllowHalfOpen` is off).
    describe.concurrent('the client says that it sends no more', () => {
      test('and the handler answers in the same turn: delivered', async () => {
        const scene = stage.scene(() => ({ body: { id: '1' } }))
        const client = await rawClient(stage.server)
        client.send(scene.request)
        client.halfClose()
        const [event] = await stage.events(scene, 1)
        await client.peerClosed
        expect(event && told(event)).toEqual({ ...SERVED, bytes: 10 })
        expect(bodyOf(client.received())).toBe('{"id":"1"}')
      })

      test('and the handler still works: gone', async () => {
        const scene = stage.scene(async (_handled, { cue }) => {
          await cue
          return { body: { id: '1' } }
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        client.halfClose()
        await client.peerClosed
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual(ABORTED)
        expect(client.received()).toBe('')
      })
    })

    describe.concurrent('pipelined requests', () => {
      const working = () =>
        stage.scene(async ({ request }, { cue }) => {
          if (!request.readableEnded && request.method === 'POST') await once(request.resume(), 'end')
          await cue
          return { body: { id: '1' } }
        })

      test.each<[string, Partial<RawRequest>]>([
        ['both work', {}],
        [
          'both work, and the body of the second is consumed',
          { method: 'POST', body: '{"a":1}', headers: { 'Content-Type': 'application/json' } },
        ],
      ])('the client leaves while %s', async (_what, change) => {
        const [first, second] = [working(), working()]
        const client = await rawClient(stage.server)
        client.send(first.request, second.with(change))
        const [, { request }] = await Promise.all([first.entered, second.entered])
        if (change.body !== undefined) await settled(() => request.readableEnded)
        await client.leave()
        first.go()
        second.go()
        const [one] = await stage.events(first, 1)
        const [two] = await stage.events(second, 1)
        expect(one && told(one)).toEqual(ABORTED)
        expect(two && told(two)).toEqual(ABORTED)
      })

      test('the client leaves while the first works and the answer of the second is queued', async () => {
        const [first, second] = [working(), working()]
        const client = await rawClient(stage.server)
        client.send(first.request, second.request)
        const [, { response }] = await Promise.all([first.entered, second.entered])
        second.go()
        await settled(() => response.writableEnded)
        await client.leave()
        first.go()
        const [one] = await stage.events(first, 1)
        const [two] = await stage.events(second, 1)
        expect(one && told(one)).toEqual(ABORTED)
        expect(two && told(two)).toEqual(ABORTED)
      })

      test('the client leaves after the answer to the first, while the second works', async () => {
        const [first, second] = [working(), working()]
        const client = await rawClient(stage.server)
        client.send(first.request, second.request)
        await Promise.all([first.entered, second.entered])
        first.go()
        await client.until((received) => received.endsWith('{"id":"1"}'))
        await client.leave()
        second.go()
        const [one] = await stage.events(first, 1)
        const [two] = await stage.events(second, 1)
        expect(one && told(one)).toEqual({ ...SERVED, bytes: 10 })
        expect(two && told(two)).toEqual(ABORTED)
      })

      test('the client leaves before the guard of the second has its turn', async () => {
        const [first, second] = [working(), working()]
        const gate = slowGate(second)
        const client = await rawClient(stage.server)
        client.send(first.request, second.with({ path: '/v1/patients/1/slow' }))
        await Promise.all([first.entered, gate.waits])
        await client.leave()
        first.go()
        gate.open()
        const [one] = await stage.events(first, 1)
        const [two] = await stage.events(second, 1)
        expect(one && told(one)).toEqual(ABORTED)
        expect(two && told(two)).toEqual(ABORTED)
        expect(second.runs).toBe(0)
      })

      test('thirty answered in their order, whatever order they are done in', async () => {
        const scenes = Array.from({ length: 30 }, (_none, index) =>
          stage.scene(async (_handled, { cue }) => {
            await cue
            return { body: { id: 'x'.repeat(index) } }
          }),
        )
        const client = await rawClient(stage.server)
        client.send(...scenes.map(({ request }) => request))
        await Promise.all(scenes.map(({ entered }) => entered))
        for (const scene of scenes.toReversed()) scene.go()
        await client.answers(30)
        for (const [index, scene] of scenes.entries()) {
          const [event] = await stage.events(scene, 1)
          expect(event && told(event)).toEqual({ ...SERVED, bytes: 9 + index })
        }
        await client.leave()
      })

      test('thirty given up at once', async () => {
        const scenes = Array.from({ length: 30 }, working)
        const client = await rawClient(stage.server)
        client.send(...scenes.map(({ request }) => request))
        await Promise.all(scenes.map(({ entered }) => entered))
        await client.leave()
        for (const scene of scenes) scene.go()
        for (const scene of scenes) {
          const [event] = await stage.events(scene, 1)
          expect(event && told(event)).toEqual(ABORTED)
        }
      })
    })

    test('fifty requests one after another on a connection are fifty events, and leave no listener behind', async () => {
      const client = await rawClient(stage.server)
      const listeners: number[] = []
      for (let index = 0; index < 50; index += 1) {
        const scene = stage.scene(() => ({ body: { id: 'x'.repeat(index) } }))
        client.send(scene.request)
        await client.answers(index + 1)
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...SERVED, bytes: 9 + index })
        listeners.push(listenersOf(client.peer))
      }
      await client.leave()
      expect(listeners.at(-1)).toBe(listeners[1])
    })

    describe.concurrent('the handler', () => {
      test('throws after the client has left', async () => {
        const scene = stage.scene(async ({ audit }, { cue }) => {
          await cue
          audit.touch('Patient/7')
          throw new Error('nobody is there')
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await scene.entered
        await client.leave()
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...ABORTED, patients: ['1', '7'] })
      })

      test('destroys the response before the first byte', async () => {
        const scene = stage.scene(({ response }) => {
          response.destroy()
          return 'taken'
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await client.peerClosed
        const closedAt = Date.now()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual(ABORTED)
        expect(client.received()).toBe('')
        // Koa alone says when a handler is done that does not end its response.
        const waits = !framework.name.startsWith('Koa')
        expect(Date.parse(event?.recorded ?? '') - closedAt > GRACE_MS - 200).toBe(waits)
      })

      test('destroys the response in its middle', async () => {
        const scene = stage.scene(async ({ response }, { cue }): Promise<Answer> => {
          writePart(response)
          await cue
          response.destroy()
          return 'taken'
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await client.until((received) => bodyOf(received).length === 3000)
        scene.go()
        await client.peerClosed
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...ABORTED, status: 200, delivered: 'partial', bytes: 3000 })
      })

      test('touches a patient two seconds after the client has left: one event', async () => {
        const scene = stage.scene(async ({ audit }, { cue }) => {
          await cue
          await pause(2000)
          audit.touch('Patient/7')
          return { body: {} }
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await scene.entered
        await client.leave()
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...ABORTED, patients: ['1', '7'] })
      })

      test('touches patients later than five seconds after the client has left: one event and one continuation', async () => {
        const scene = stage.scene(async ({ audit }, { cue }) => {
          audit.touch('Patient/7')
          await cue
          for (const id of ['8', '9', '8']) audit.touch(`Patient/${id}`)
          return { body: {} }
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await scene.entered
        await client.leave()
        const [first] = await stage.events(scene, 1)
        expect(first && told(first)).toEqual({ ...ABORTED, patients: ['1', '7'] })
        scene.go()
        const [, second] = await stage.events(scene, 2)
        expect(second && told(second)).toEqual({ ...ABORTED, patients: ['8', '9'], part: { n: 2, of_id: first?.id } })
        await pause(100)
      })

      test('touches patients after its answer is out: a continuation for each turn', async () => {
        const scene = stage.scene(() => ({ body: { id: '1' } }))
        const client = await rawClient(stage.server)
        client.send(scene.request)
        const { audit } = await scene.entered
        const [first] = await stage.events(scene, 1)
        expect(first && told(first)).toEqual({ ...SERVED, bytes: 10 })
        for (const id of ['7', '8', '7']) audit.touch(`Patient/${id}`)
        const [, second] = await stage.events(scene, 2)
        expect(second && told(second)).toEqual({
          ...SERVED,
          bytes: 10,
          patients: ['7', '8'],
          part: { n: 2, of_id: first?.id },
        })
        audit.touch('Patient/9')
        // What is touched last is waited for as well.
        await stage.world.auth.audit.flush()
        const [, , third] = stage.world.events.filter(({ requestId }) => requestId === scene.id)
        await stage.events(scene, 3)
        expect(third && told(third)).toEqual({
          ...SERVED,
          bytes: 10,
          patients: ['9'],
          part: { n: 3, of_id: first?.id },
        })
        await client.leave()
      })

      test('never ends: the event is written after five seconds, and flush waits for it', async () => {
        const scene = stage.scene(async ({ audit }) => {
          audit.touch('Patient/7')
          return new Promise<never>(() => undefined)
        })
        const client = await rawClient(stage.server)
        client.send(scene.request)
        await scene.entered
        const leftAt = await left(client)
        const events = () => stage.world.events.filter(({ requestId }) => requestId === scene.id)
        expect(events()).toEqual([])
        await stage.world.auth.audit.flush()
        const [event] = events()
        expect(event && told(event)).toEqual({ ...ABORTED, patients: ['1', '7'] })
        expect(Date.parse(event?.recorded ?? '') - leftAt).toBeGreaterThan(GRACE_MS - 200)
        expect(Date.parse(event?.recorded ?? '') - leftAt).toBeLessThan(GRACE_MS + 1000)
        await stage.events(scene, 1)
      })
    })

    describe.concurrent('several guards on a call that is given up', () => {
      test('of one auth: one event', async () => {
        const scene = stage.scene(async (_handled, { cue }) => {
          await cue
          return { body: {} }
        })
        const client = await rawClient(stage.server)
        client.send(scene.with({ path: '/v1/patients/1/twice' }))
        await scene.entered
        await client.leave()
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual(ABORTED)
        expect(event?.scopes.required).toEqual(['read:patients'])
      })

      test('of two auths: one event in each journal', async () => {
        const scene = stage.scene(async (_handled, { cue }) => {
          await cue
          return { body: {} }
        })
        const client = await rawClient(stage.server)
        client.send(scene.with({ path: '/v1/patients/1/shared' }))
        await scene.entered
        await client.leave()
        scene.go()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual(ABORTED)
        expect(await othersEvents(scene)).toEqual([ABORTED])
      })

      test('of two auths, the second of which still waits: one event in each journal, and no handler', async () => {
        const scene = stage.scene(() => ({ body: {} }))
        const { key, asked, release } = stage.hold()
        const client = await rawClient(stage.server)
        client.send(scene.with({ path: '/v1/patients/1/shared', headers: { Authorization: `Bearer ${key}` } }))
        await asked
        await client.leave()
        release()
        const [event] = await stage.events(scene, 1)
        expect(event && told(event)).toEqual({ ...ABORTED, keyId: 'key_held' })
        expect(scene.runs).toBe(0)
      })

      const othersEvents = async (scene: Scene) => {
        const events = (await stage.other.flushed()).filter(({ requestId }) => requestId === scene.id)
        return events.map(told)
      }
    })

    test('close waits for an open call, and refuses those that come meanwhile', async () => {
      const { store } = holdingStore()
      const world = await createWorld({ keys: { store } })
      const open = deferred()
      const release = deferred()
      const server = await serve(framework, [world.auth], {
        routes: [
          {
            path: '/v1/patients/:id',
            guards: [(g) => g.requireScope('read:patients')],
            handle: async () => {
              open.resolve()
              await release.promise
              return { body: { id: '1' } }
            },
          },
        ],
      })
      const call = (id: string) =>
        send(server.url, {
          path: '/v1/patients/1',
          headers: [
            ['Authorization', `Bearer ${DOCUMENTED_KEY}`],
            ['X-Request-Id', id],
          ],
        })
      const first = call('open')
      await open.promise
      const started = performance.now()
      let isClosed = false
      const closed = world.auth.close().then(() => {
        isClosed = true
      })
      const second = await call('meanwhile')
      expect(second.status).toBe(503)
      expect(second.headers['retry-after']).toBe('1')
      expect(JSON.parse(second.body)).toMatchObject({
        error: { code: 'AUTH_UNAVAILABLE', message: 'Temporarily unavailable.', requestId: 'meanwhile' },
      })
      expect(isClosed).toBe(false)
      release.resolve()
      await closed
      expect(performance.now() - started).toBeLessThan(5000)
      expect((await first).body).toBe('{"id":"1"}')
      const events = world.events.filter(({ kind }) => kind === 'access')
      expect(events.map((event) => [event.requestId, told(event)])).toEqual([
        [
          'meanwhile',
          {
            ...ABORTED,
            outcome: 'error',
            reason: 'closing',
            status: 503,
            delivered: 'full',
            bytes: Buffer.byteLength(second.body),
            keyId: null,
            patients: expect.any(Array),
          },
        ],
        ['open', { ...SERVED, bytes: 10 }],
      ])
      await server.close()
      await world.close()
    })

    // Last: it looks at all that the others left.
    test.sequential('no event is lost, none is doubled, and the journal holds them all', async () => {
      expect(stage.ledger.size).toBeGreaterThan(100)
      const events = (await stage.world.flushed()).filter(({ requestId }) => stage.ledger.has(requestId ?? ''))
      const counts = new Map<string, number>()
      for (const { requestId } of events) counts.set(requestId ?? '', (counts.get(requestId ?? '') ?? 0) + 1)
      expect(Object.fromEntries(counts)).toEqual(Object.fromEntries(stage.ledger))
      const written: string[] = []
      for await (const { id } of readJournal(stage.world.directory)) written.push(id)
      expect(written).toEqual(stage.world.events.map(({ id }) => id))
      expect(new Set(written).size).toBe(written.length)
      expect(stage.world.auth.health().audit).toMatchObject({ gaps: 0, listenerErrors: 0 })
    })
  },
)

describe.concurrent('the server', () => {
  const [framework] = FRAMEWORKS
  if (framework === undefined) throw new Error('no framework')
  const route = (handle: Act): SuiteRoute => ({
    path: '/v1/patients/:id',
    guards: [(g) => g.requireScope('read:patients')],
    handle,
  })
  const request: RawRequest = { path: '/v1/patients/1', headers: { Authorization: `Bearer ${DOCUMENTED_KEY}` } }

  test('gives up a call that never ends ten seconds after close', async () => {
    const world = await createWorld({ keys: { store: holdingStore().store } })
    const entered = deferred()
    const handle = () => {
      entered.resolve()
      return new Promise<never>(() => undefined)
    }
    const server = await serve(framework, [world.auth], { routes: [route(handle)] })
    const client = await rawClient(server)
    client.send(request)
    await entered.promise
    const started = performance.now()
    await world.auth.close()
    expect(performance.now() - started).toBeGreaterThan(9_500)
    expect(performance.now() - started).toBeLessThan(11_500)
    await server.close()
    await world.close()
  })

  test('writes what was touched in the turn of a flush before the flush is done', async () => {
    const world = await createWorld({ keys: { store: holdingStore().store } })
    const entered = deferred<Handled>()
    const handle = (handled: Handled) => {
      entered.resolve(handled)
      return { body: { id: '1' } }
    }
    const server = await serve(framework, [world.auth], { routes: [route(handle)] })
    const client = await rawClient(server)
    client.send(request)
    const { audit, response } = await entered.promise
    await settled(() => response.closed)
    expect((await world.flushed()).map(told)).toEqual([{ ...SERVED, bytes: 10 }])
    audit.touch('Patient/7')
    expect((await world.flushed()).map(({ part }) => part?.n)).toEqual([undefined, 2])
    await client.leave()
    await server.close()
    await world.close()
  })

  test('does not lose what is touched late while its journal cannot be written', async () => {
    const parent = mkdtempSync(path.join(tmpdir(), 'hc-auth-'))
    const inTheWay = path.join(parent, 'journal')
    writeFileSync(inTheWay, '')
    const world = await createWorld({
      keys: { store: holdingStore().store },
      audit: { directory: path.join(inTheWay, 'here'), onFailure: 'allow' },
    })
    const entered = deferred<Handled>()
    const handle = (handled: Handled) => {
      entered.resolve(handled)
      return { body: { id: '1' } }
    }
    const server = await serve(framework, [world.auth], { routes: [route(handle)] })
    const client = await rawClient(server)
    client.send(request)
    const { audit, response } = await entered.promise
    await settled(() => response.closed)
    for (const id of ['7', '8']) audit.touch(`Patient/${id}`)
    await pause(50)
    expect(world.events).toEqual([])
    rmSync(inTheWay)
    mkdirSync(inTheWay)
    // The event had no id yet, so that this one cannot name it.
    expect((await world.flushed()).map(told)).toEqual([
      { ...SERVED, bytes: 10 },
      { ...SERVED, bytes: 10, patients: ['7', '8'] },
    ])
    await client.leave()
    await server.close()
    await world.close()
    rmSync(parent, { recursive: true })
  })
})

test('nothing in this process was unhandled, and nothing had too many listeners', () => {
  expect(unhandled).toEqual([])
  expect(warnings.filter((name) => name === 'MaxListenersExceededWarning')).toEqual([])
})

async function* ticks(): AsyncGenerator<string> {
  for (;;) {
    yield 'tick'
    await pause(5)
  }
}
