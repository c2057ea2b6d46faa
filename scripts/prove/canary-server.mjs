// The server of `prove-canary.mjs`: every framework, every sink, and everything that this process can tell, in files.
import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Writable } from 'node:stream'
import { inspect } from 'node:util'
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { Pool } from 'pg'
import pino from 'pino'
import { createAuth, memoryKeyStore } from '@healthcloud/auth'
import { httpSink } from '@healthcloud/auth/sinks/http'
import { loggerSink } from '@healthcloud/auth/sinks/logger'
import { natsSink } from '@healthcloud/auth/sinks/nats'
import { otlpSink } from '@healthcloud/auth/sinks/otlp'
import { postgresSink } from '@healthcloud/auth/sinks/postgres'
import { FRAMEWORKS } from './canary-frameworks.mjs'
import { createRoutes } from './canary-routes.mjs'
import { AUDIENCE, CONTROL, ISSUER, recordOf } from './canary-secrets.mjs'

const { directory, places, keys, texts, jwk, signingKey, pseudonymSecret, urls, postgres, nats } = JSON.parse(
  process.env.PROVE,
)
const note = (place, text) => appendFileSync(join(places, `${place}.txt`), `${text}\n`)
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
const provider = new MeterProvider({ readers: [reader] })
const pool = new Pool({ connectionString: postgres.url })
const connection = await connect({ servers: nats.url })
subscribe('healthcloud.audit', (message) => note('diagnostics_channel', inspect(message, { depth: 10 })))

const auth = createAuth({
  environment: 'live',
  keys: { store: cursed(memoryKeyStore([recordOf(keys.good, 'key_good'), revoked()])) },
  tokens: { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [jwk] } },
  transport: { https: 'off', trustedProxies: 1 },
  service: { name: 'prove-canary', version: '1', instance: 'i1' },
  telemetry: { meter: provider.getMeter('healthcloud') },
  audit: {
    directory,
    signingKey,
    pseudonymKeys: [{ id: 'k1', secret: pseudonymSecret }],
    reserveBytes: 0,
    queryNames: [CONTROL],
    sinks: sinks(),
    onEvent: (event) => {
      note('onEvent', inspect(event, { depth: 10, breakLength: Number.POSITIVE_INFINITY }))
      throw new Error(`${texts.listenerError} ${keys.good}`)
    },
  },
})

function revoked() {
  return recordOf(keys.revoked, 'key_revoked', { revokedAt: new Date('2026-02-01T00:00:00Z'), revokedReason: 'leaked' })
}

/** Its look-up of one key fails with an error that repeats it. */
function cursed(store) {
  return {
    ...store,
    find: async (lookup, context) => {
      if (lookup.reveal() === keys.cursed)
        throw new Error(`${texts.storeError} lost ${lookup.reveal()}`, { cause: lookup.reveal() })
      return store.find(lookup, context)
    },
  }
}

function sinks() {
  const lines = new Writable({
    write: (chunk, _encoding, done) => {
      note('pino', chunk.toString())
      done()
    },
  })
  const logger = { info: (entry, message) => note('logger', `${inspect(entry)} ${JSON.stringify(entry)} ${message}`) }
  const headers = { authorization: `Bearer ${texts.sinkToken}` }
  let attempts = 0
  return [
    loggerSink(pino({ level: 'trace' }, lines), { name: 'pino' }),
    loggerSink(logger, { name: 'logger' }),
    { name: 'failing', acks: false, write: () => Promise.reject(new Error(`${texts.sinkError} ${keys.good}`)) },
    {
      name: 'flaky',
      acks: true,
      write: async (batch) => {
        attempts += 1
        if (attempts % 3 !== 0) throw new Error(`${texts.sinkError} ${keys.good}`, { cause: keys.good })
        note('a sink of the host', batch.map(({ text }) => text).join('\n'))
      },
    },
    httpSink({ url: urls.http, headers }),
    otlpSink({ url: urls.otlp, headers }),
    postgresSink(pool, { table: postgres.table }),
    natsSink(jetstream(connection), { stream: nats.stream, subject: nats.subject }),
  ]
}

const routes = createRoutes({ keys, texts, note })
const ports = {}
for (const [name, create] of Object.entries(FRAMEWORKS)) {
  const server = await create(auth, routes)
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  ports[name] = server.address().port
}

/** Everything has reached everybody. */
async function end() {
  await auth.audit.flush()
  const isBehind = () => Object.values(auth.health().audit.sinks).some(({ lagEvents }) => lagEvents > 0)
  for (let looks = 0; isBehind() && looks < 600; looks += 1) await sleep(50)
  note('health', `${inspect(auth.health(), { depth: 10 })} ${JSON.stringify(auth.health())}`)
  await provider.forceFlush()
  note('metrics', inspect(exporter.getMetrics(), { depth: 20, maxArrayLength: null }))
  const lag = Object.entries(auth.health().audit.sinks).filter(([, { lagEvents }]) => lagEvents > 0)
  await auth.close()
  await Promise.all([pool.end(), connection.close(), provider.shutdown()])
  console.log(`${CONTROL} on standard output`)
  console.error(`${CONTROL} on standard error`)
  process.send({ ended: true, lag }, () => process.exit(0))
}

process.on('message', (message) => {
  if (message.end) void end()
  if (message.health) {
    note('health', JSON.stringify(auth.health()))
    process.send({ health: true })
  }
})
process.on('disconnect', () => process.exit(1))
await auth.ready()
process.send({ ports })
