// The issuer of `prove-tokens-life.mjs`: two instances behind one port that take turns, as a load balancer has them. A
// deployment replaces one instance by one that knows more signing keys.
import { once } from 'node:events'
import http from 'node:http'
import Fastify from 'fastify'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { mount } from '@healthcloud/auth/fastify'
import { jwksEndpoint, tokenEndpoint } from '@healthcloud/auth/server'
import { fastClock } from './tokens-clock.mjs'

const { time, issuer, audience, maxAgeSeconds, first } = JSON.parse(process.env.PROVE)
const clock = fastClock(time)
const store = memoryKeyStore()
const counts = { exchanges: 0, keySets: 0 }

function start(signingKeys) {
  const auth = createAuth({
    environment: 'test',
    keys: { store },
    tokens: { issuer, audience, jwksMaxAgeSeconds: maxAgeSeconds },
    issuing: { issuer, audience, signingKeys },
    transport: { https: 'off' },
    clock,
  })
  return { auth, exchange: tokenEndpoint(auth), keySet: jwksEndpoint(auth) }
}

const instances = []
const apps = []

async function deploy(at, instance) {
  const app = Fastify()
  await app.register(mount('/v1/auth/token', instance.exchange))
  await app.register(mount('/.well-known/jwks.json', instance.keySet, { method: 'GET' }))
  await app.ready()
  const [old, oldApp] = [instances[at], apps[at]]
  instances[at] = instance
  apps[at] = app
  // What the old one has begun it ends.
  if (oldApp !== undefined) setTimeout(() => void Promise.all([oldApp.close(), old.auth.close()]), 1000).unref()
}
for (const at of [0, 1]) await deploy(at, start([first]))

let turn = 0
const server = http.createServer((request, response) => {
  counts[request.method === 'POST' ? 'exchanges' : 'keySets'] += 1
  turn += 1
  apps[turn % apps.length].routing(request, response)
})

const { key } = await instances[0].auth.keys.create({
  organizationId: 'org_1',
  environment: 'test',
  name: 'a partner',
  scopes: ['read:patients'],
  by: 'prove',
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

const ACTIONS = {
  /** Keys with `from` in epoch milliseconds. */
  deploy: async ({ at, keys }) => {
    const signingKeys = keys.map(({ key: jwk, from }) => (from === null ? jwk : { key: jwk, from: new Date(from) }))
    await deploy(at, start(signingKeys))
    return {}
  },
  counts: async () => counts,
}

process.on('message', (message) => {
  if (message.end) void end()
  else
    void ACTIONS[message.action](message).then(
      (result) => process.send({ number: message.number, result }),
      (error) => process.send({ number: message.number, error: error.message }),
    )
})

async function end() {
  server.closeAllConnections()
  server.close()
  for (const { auth } of instances) await auth.close()
  process.disconnect()
  process.exit()
}

process.send({ port: server.address().port, key })
