import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { adapterKit, type Exchange } from '../../src/adapter-kit.ts'
import { expressGuards } from '../../adapters/express.ts'
import { createWorld, type World } from '../http/world.ts'

let world: World
let close = () => {}

afterEach(async () => {
  close()
  await world.close()
})

/** Everything that can be reached from a value by its own members. */
function reachable(from: unknown, seen = new Set<unknown>()): Set<unknown> {
  if (from === null || (typeof from !== 'object' && typeof from !== 'function') || seen.has(from)) return seen
  seen.add(from)
  for (const name of Reflect.ownKeys(from)) reachable(Reflect.get(from, name), seen)
  return seen
}

test('what is kept of an event leads to no function and not back to its exchange (docs/decisions/0005)', async () => {
  world = await createWorld()
  const kit = adapterKit(world.auth)
  let request: IncomingMessage | undefined
  const guard = expressGuards(world.auth).requireScope('read:patients')
  const server = createServer((incoming, response) => {
    request = incoming
    guard(incoming, response, () => response.end('ok'))
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  close = () => void server.close()
  const { port } = server.address() as AddressInfo
  const headers = { authorization: `Bearer ${world.keys['good'] ?? ''}`, connection: 'close' }
  expect((await fetch(`http://127.0.0.1:${port}/v1/patients/7`, { headers })).status).toBe(200)
  await world.auth.audit.flush()
  const exchange = kit.exchangeOf(request as IncomingMessage) as Exchange
  const kept = reachable(exchange.recorded)
  expect(exchange.recorded?.draft.outcome).toBe('success')
  expect(kept.has(exchange)).toBe(false)
  expect([...kept].filter((each) => typeof each === 'function')).toEqual([])
})
