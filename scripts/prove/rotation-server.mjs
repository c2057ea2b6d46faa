// One of the two servers of `prove-rotation.mjs`: a guarded route on Fastify, and a clock that the parent moves.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import Fastify from 'fastify'
import { createAuth } from '@healthcloud/auth'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { openStore } from './stores.mjs'

const { place, cacheSeconds } = JSON.parse(process.env.PROVE)

/** Real time and an offset; or `now` stands still at one millisecond, so that a deadline can be met exactly. */
const clock = { offsetMs: 0, monotonicOffsetMs: 0, at: null }
const opened = await openStore(place)
let finds = 0
/** Of each look-up, in milliseconds. */
const findTimes = []
const store = Object.freeze({
  ...opened.store,
  find: async (...args) => {
    finds += 1
    const start = performance.now()
    return opened.store.find(...args).finally(() => findTimes.push(performance.now() - start))
  },
})
const reasons = new Map()
const auth = createAuth({
  environment: 'test',
  keys: { store, cacheSeconds },
  failures: { max: 1_000_000 },
  transport: { https: 'off' },
  clock: {
    now: () => clock.at ?? Date.now() + clock.offsetMs,
    monotonicMs: () => performance.now() + clock.monotonicOffsetMs,
  },
  audit: {
    onEvent: ({ kind, reason, count }) => {
      if (kind === 'access' && reason !== null) reasons.set(reason, (reasons.get(reason) ?? 0) + count)
    },
  },
})
const app = Fastify()
const { plugin, requireScope } = fastifyGuards(auth)
await app.register(plugin)
app.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, () => ({ id: '123' }))
await auth.ready()
await app.listen({ host: '127.0.0.1', port: 0 })
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()

process.on('message', (message) => {
  if (message.clock) {
    Object.assign(clock, message.clock)
    process.send({ moved: true, finds })
  }
  if (message.facts) {
    const [p99Ms, maxMs] = [delay.percentile(99) / 1e6, delay.max / 1e6]
    process.send({
      facts: { reasons: Object.fromEntries(reasons), findTimes, health: auth.health().keys, p99Ms, maxMs },
    })
  }
  if (message.end) void end()
})

async function end() {
  await app.close()
  await auth.close()
  await opened.close()
  process.disconnect()
}

process.send({ port: app.server.address().port })
