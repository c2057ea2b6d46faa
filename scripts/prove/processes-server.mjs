// One of the processes of `prove-processes.mjs`: guarded routes over a journal folder that all of them share.
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { httpSink } from '@healthcloud/auth/sinks/http'
import { journalKeys, journalRecord } from './journal-keys.mjs'

const { directory, signingKey, sinkUrl, name } = JSON.parse(process.env.PROVE)
const auth = createAuth({
  environment: 'live',
  keys: { store: memoryKeyStore([journalRecord]) },
  transport: { https: 'off' },
  service: { name: 'prove-processes', instance: name },
  audit: { directory, signingKey, ...journalKeys, reserveBytes: 0, sinks: [httpSink({ url: sinkUrl })] },
})
/** Calls whose handler runs. */
let open = 0
const app = Fastify()
const { plugin, requireScope } = fastifyGuards(auth)
await app.register(plugin)
const onRequest = requireScope('read:patients')
app.get('/v1/patients/:id', { onRequest }, async (request) => answer(request, Math.random() * 8))
app.get('/v1/slow/:ms/patients/:id', { onRequest }, async (request) => answer(request, Number(request.params.ms)))
await auth.ready()
await app.listen({ host: '127.0.0.1', port: 0 })

async function answer(request, ms) {
  open += 1
  await sleep(ms)
  open -= 1
  return { resourceType: 'Patient', id: request.params.id }
}

process.on('message', (message) => {
  if (message.open) process.send({ open })
  if (message.health) process.send({ health: auth.health().audit })
})
async function stop() {
  const startedMs = performance.now()
  await auth.close()
  process.send({ closedMs: performance.now() - startedMs }, () => process.exit(0))
}

process.once('SIGTERM', () => void stop())
process.on('disconnect', () => process.exit(1))
process.send({ port: app.server.address().port })
