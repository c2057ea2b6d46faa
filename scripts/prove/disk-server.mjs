// The server of `prove-disk.mjs`: a live one whose journal is on a small volume, and a test server beside it.
import Fastify from 'fastify'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { journalKeys, journalRecord } from './journal-keys.mjs'

const { directory, signingKey, reserveBytes, tokens, testRecord } = JSON.parse(process.env.PROVE)

/** Takes everything, and remembers how often. */
const taken = new Map()
const kept = Object.freeze({
  name: 'kept',
  acks: true,
  write: async (batch) => {
    for (const { event } of batch) taken.set(event.id, (taken.get(event.id) ?? 0) + 1)
  },
})
const dated = (record) => ({ ...record, createdAt: new Date(record.createdAt) })
const live = createAuth({
  environment: 'live',
  keys: { store: memoryKeyStore([journalRecord]) },
  tokens,
  transport: { https: 'off', trustedProxies: ['127.0.0.0/8'] },
  // What is forged is looked at, and not only counted.
  failures: { max: 1_000_000 },
  audit: { directory, signingKey, ...journalKeys, reserveBytes, sinks: [kept] },
})
const test = createAuth({
  environment: 'test',
  keys: { store: memoryKeyStore([dated(testRecord)]) },
  transport: { https: 'off' },
})

async function listen(auth) {
  const app = Fastify()
  const { plugin, requireScope } = fastifyGuards(auth)
  await app.register(plugin)
  app.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, (request) => ({ id: request.params.id }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app.server.address().port
}

const unready = await live.ready().then(
  () => null,
  ({ code }) => code,
)
const ports = { live: await listen(live), test: await listen(test) }

async function end() {
  await live.close()
  process.send({ taken: [...taken], health: live.health() }, () => process.exit(0))
}

process.on('message', (message) => {
  if (message.health) process.send({ health: live.health() })
  if (message.end) void end()
})
process.on('disconnect', () => process.exit(1))
process.send({ ports, unready })
