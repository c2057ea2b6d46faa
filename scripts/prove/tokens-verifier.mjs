// The verifier of `prove-tokens-life.mjs`: a guarded route on Fastify that knows the issuer by its key set URL alone. It keeps
// the set for `maxAgeSeconds` and asks no sooner, whatever key a token names.
import Fastify from 'fastify'
import { createAuth } from '@healthcloud/auth'
import { fastifyGuards } from '@healthcloud/auth/fastify'
import { fastClock } from './tokens-clock.mjs'

const { time, issuer, audience, maxAgeSeconds, jwks } = JSON.parse(process.env.PROVE)
const reasons = new Map()
const auth = createAuth({
  environment: 'test',
  tokens: { issuer, audience, jwks, jwksMaxAgeSeconds: maxAgeSeconds, jwksCooldownSeconds: maxAgeSeconds },
  failures: { max: 1_000_000 },
  transport: { https: 'off' },
  clock: fastClock(time),
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

process.on('message', (message) => {
  if (message.facts) process.send({ facts: { reasons: Object.fromEntries(reasons), health: auth.health().tokens } })
  if (message.end) void end()
})

async function end() {
  await app.close()
  await auth.close()
  process.disconnect()
}

process.send({ port: app.server.address().port })
