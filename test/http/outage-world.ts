import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'vitest'
import { createAuth, type AuditEvent, type Auth, type AuthOptions } from '../../src/index.ts'
import { manualClock, type ManualClock } from '../keys/parts.ts'
import { FRAMEWORKS, serve, type Framework, type RunningServer, type SuiteRoute } from './frameworks.ts'
import { rawRequest, settled } from './raw-client.ts'
import { send } from './send.ts'

const SECRET = Buffer.alloc(32, 7).toString('base64')

export interface Called {
  readonly status: number
  /** Of our envelope; `null` where the handler answered. */
  readonly code: string | null
  readonly retryAfter: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly ms: number
  readonly requestId: string
}

export interface OutageWorld {
  readonly auth: Auth
  readonly server: RunningServer
  readonly clock: ManualClock
  /** Requests that reached the server, answered or not. */
  arrived(): number
  /** Requests that reached the handler. */
  handled(): number
  call(credential: string | null, headers?: Readonly<Record<string, string>>): Promise<Called>
  /** One call, and status and audit reason of it: `200 null`, `401 key_unknown`, … */
  outcome(credential: string | null, headers?: Readonly<Record<string, string>>): Promise<string>
  /** What the audit event of this call says. */
  eventOf(called: Called): Promise<AuditEvent>
  /** All events of requests so far. */
  events(): Promise<readonly AuditEvent[]>
  /** One call with each credential, pipelined over so many connections; how often each status came. */
  burst(credentials: readonly string[], connections: number): Promise<Record<string, number>>
  close(): Promise<void>
}

/** A live server with a clock that the test moves. */
export async function openWorld(framework: Framework, options: Partial<AuthOptions>): Promise<OutageWorld> {
  const directory = mkdtempSync(path.join(tmpdir(), 'hc-auth-'))
  const events: AuditEvent[] = []
  const counts = { arrived: 0, handled: 0, calls: 0 }
  const clock = manualClock()
  const auth = createAuth({
    environment: 'live',
    transport: { https: 'off' },
    clock,
    ...options,
    // Few: room for the default 100,000 is allocated anew for each world.
    ...(options.keys === undefined ? {} : { keys: { cacheEntries: 1000, ...options.keys } }),
    audit: {
      directory,
      pseudonymKeys: [{ id: 'k1', secret: SECRET }],
      // The suite asks after the event of each call.
      refusalsPerSecond: 1_000_000,
      onEvent: (event) => void events.push(event),
    },
  })
  const route: SuiteRoute = {
    path: '/v1/patients',
    guards: [(g) => g.requireScope('read:patients')],
    before: () => void (counts.arrived += 1),
    handle: () => {
      counts.handled += 1
      return { body: {} }
    },
  }
  const server = await serve(framework, [auth], { routes: [route] })
  const call: OutageWorld['call'] = async (credential, headers = {}) => {
    counts.calls += 1
    const requestId = `call-${counts.calls}`
    const started = performance.now()
    const answer = await send(server.url, {
      path: route.path,
      headers: [
        ['X-Request-Id', requestId],
        ...(credential === null ? [] : [['Authorization', `Bearer ${credential}`] as const]),
        ...Object.entries(headers),
      ],
    })
    const ms = performance.now() - started
    const body = JSON.parse(answer.body) as { error?: { code: string } }
    return {
      status: answer.status,
      code: body.error?.code ?? null,
      retryAfter: answer.headers['retry-after'],
      headers: answer.headers,
      ms,
      requestId,
    }
  }
  const all = async () => {
    await auth.audit.flush()
    return events.filter(({ name }) => name === 'request')
  }
  const eventOf: OutageWorld['eventOf'] = async ({ requestId }) => {
    const event = (await all()).find((each) => each.requestId === requestId)
    if (event === undefined) throw new Error(`no event of ${requestId}`)
    return event
  }
  const outcome: OutageWorld['outcome'] = async (credential, headers) => {
    const called = await call(credential, headers)
    return `${called.status} ${(await eventOf(called)).reason}`
  }
  return Object.freeze({
    auth,
    server,
    clock,
    arrived: () => counts.arrived,
    handled: () => counts.handled,
    call,
    outcome,
    eventOf,
    events: all,
    burst: (credentials: readonly string[], connections: number) =>
      burst(server.port, route.path, { credentials, connections }),
    close: async () => {
      await server.close()
      await auth.close()
      rmSync(directory, { recursive: true, force: true })
    },
  })
}

async function withWorld(
  framework: Framework,
  options: Partial<AuthOptions>,
  run: (world: OutageWorld) => Promise<void>,
): Promise<void> {
  const world = await openWorld(framework, options)
  try {
    await run(world)
  } finally {
    await world.close()
  }
}

type Run<T> = (world: OutageWorld, setup: T) => Promise<void>

interface Setup {
  readonly options: Partial<AuthOptions>
}

const BY_NAME = FRAMEWORKS.map((framework) => [framework.name, framework] as const)

/** One test on each framework, one after the other, each with a setup and a world of its own. */
export function onEvery<T extends Setup>(name: string, prepare: () => T | Promise<T>, expectations: Run<T>): void {
  test.each(BY_NAME)(`${name} (%s)`, async (_name, framework) => {
    const setup = await prepare()
    await withWorld(framework, setup.options, (world) => expectations(world, setup))
  })
}

/** The same, all at once: for tests that wait more than they work. */
export function onAll<T extends Setup>(name: string, prepare: () => T | Promise<T>, expectations: Run<T>): void {
  test.concurrent.each(BY_NAME)(`${name} (%s)`, async (_name, framework) => {
    const setup = await prepare()
    await withWorld(framework, setup.options, (world) => expectations(world, setup))
  })
}

async function burst(
  port: number,
  route: string,
  { credentials, connections }: { credentials: readonly string[]; connections: number },
): Promise<Record<string, number>> {
  const statuses: Record<string, number> = {}
  const share = Math.ceil(credentials.length / connections)
  const one = async (mine: readonly string[]) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    let answers = 0
    // The end of one chunk is kept: a status line may be cut in two.
    let rest = ''
    socket.setEncoding('latin1').on('data', (chunk: string | Buffer) => {
      const text = rest + String(chunk)
      let end = 0
      for (const { 1: status = '', index } of text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
        statuses[status] = (statuses[status] ?? 0) + 1
        answers += 1
        end = index + 13
      }
      rest = text.slice(Math.max(end, text.length - 12))
    })
    socket.on('error', () => undefined)
    socket.write(
      mine
        .map((credential) => rawRequest({ path: route, headers: { Authorization: `Bearer ${credential}` } }))
        .join(''),
    )
    try {
      await settled(() => answers === mine.length || socket.closed)
    } finally {
      socket.destroy()
    }
  }
  await Promise.all(
    Array.from({ length: connections }, (_, index) => credentials.slice(index * share, (index + 1) * share))
      .filter((mine) => mine.length > 0)
      .map((mine) => one(mine)),
  )
  return statuses
}
