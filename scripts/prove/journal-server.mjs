// The server that `prove-journal.mjs` kills: a guarded route whose handler takes a few milliseconds, over a live journal.
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { journalKeys, journalRecord } from './journal-keys.mjs'

const { directory, durability, signingKey } = JSON.parse(process.env.PROVE)
const auth = createAuth({
  environment: 'live',
  keys: { store: memoryKeyStore([journalRecord]) },
  transport: { https: 'off' },
  audit: { directory, durability, signingKey, ...journalKeys, reserveBytes: 0 },
})
const app = Fastify()
const { plugin, requireScope } = fastifyGuards(auth)
await app.register(plugin)
app.get('/v1/patients/:id', { onRequest: requireScope('read:patients') }, async (request) => {
  await sleep(Math.random() * 8)
  return { resourceType: 'Patient', id: request.params.id }
})
const readyMs = performance.now()
await auth.ready()
await app.listen({ host: '127.0.0.1', port: 0 })
process.send({ port: app.server.address().port, readyMs: performance.now() - readyMs })
process.on('disconnect', () => process.exit())
