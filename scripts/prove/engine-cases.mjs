// The engines of `prove-engines.mjs`, and how to count what a store leaves on them. A client's connections bear its label.
import { setTimeout as sleep } from 'node:timers/promises'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@redis/client'
import { postgresKeyStore } from '@healthcloud/auth/stores/postgres'
import { redisKeyStore } from '@healthcloud/auth/stores/redis'
import { Redis } from 'ioredis'
import { Client, Pool } from 'pg'

/** Longer than the longest outage, so that a wait of the client's own never looks like ours. */
const quiet = (emitter) => emitter.on('error', () => undefined)

export function createCases({ startPostgres, startRedis }) {
  return [
    {
      name: 'postgres',
      start: startPostgres,
      connect: connectPostgres,
      shutDown: shutPostgresDown,
      onServer: onPostgres,
    },
    { name: 'redis', start: startRedis, connect: connectNodeRedis, shutDown: shutRedisDown, onServer: onRedis },
    { name: 'ioredis', start: startRedis, connect: connectIoRedis, shutDown: shutRedisDown, onServer: onRedis },
  ]
}

/** All listeners on an emitter, of whatever event. */
function listenersOf(emitter) {
  return emitter.eventNames().reduce((sum, event) => sum + emitter.listenerCount(event), 0)
}

async function connectPostgres({ url }, label) {
  const pool = new Pool({ connectionString: url, application_name: label })
  const live = new Set()
  pool.on('connect', (client) => live.add(client))
  pool.on('remove', (client) => live.delete(client))
  return {
    store: postgresKeyStore(pool, { table: 'prove' }),
    /** `taken`: not given back to the pool; the feed alone keeps one. */
    counts: () => ({
      connections: pool.totalCount,
      most: pool.options.max,
      /** Each has a timer of the pool's. */
      idle: pool.idleCount,
      taken: pool.totalCount - pool.idleCount,
      waiting: pool.waitingCount,
      listeners: listenersOf(pool),
      listenersOfClients: Math.max(0, ...[...live].map(listenersOf)),
    }),
    close: () => pool.end(),
  }
}

/** A client and the duplicate of it that listens: what the client keeps for itself is not to be seen. */
function redisCounts(client) {
  return {
    connections: 2,
    most: 2,
    idle: 0,
    taken: 1,
    waiting: 0,
    listeners: listenersOf(client),
    listenersOfClients: 0,
  }
}

async function connectNodeRedis({ url }, label) {
  const client = createClient({ url, name: label })
  await client.connect()
  return {
    store: redisKeyStore(client),
    counts: () => redisCounts(client),
    close: async () => client.destroy(),
  }
}

async function connectIoRedis({ url }, label) {
  const client = new Redis(url, { connectionName: label, lazyConnect: true })
  await client.connect()
  return {
    store: redisKeyStore(client),
    counts: () => redisCounts(client),
    close: async () => client.disconnect(),
  }
}

async function asPostgres({ url }, work) {
  const client = quiet(new Client({ connectionString: url, application_name: 'prove admin' }))
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function onPostgres(engine, label) {
  const text = 'SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = $1'
  return asPostgres(engine, async (client) => (await client.query(text, [label])).rows[0].count)
}

/** As an administrator does it: transactions end, connections are closed. */
async function shutPostgresDown(engine) {
  const directory = await asPostgres(engine, async (client) => {
    const { rows } = await client.query('SHOW data_directory')
    return rows[0].data_directory
  })
  const [pid] = readFileSync(join(directory, 'postmaster.pid'), 'utf8').split('\n')
  process.kill(Number(pid), 'SIGINT')
  await untilGone(Number(pid))
}

async function untilGone(pid) {
  for (const end = performance.now() + 10_000; performance.now() < end;) {
    const state = readState(pid)
    if (state === null || state === 'Z') return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('PostgreSQL did not shut down within 10 s.')
}

function readState(pid) {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))[1]
  } catch {
    return null
  }
}

async function asRedis({ url }, work) {
  const client = quiet(createClient({ url, name: 'admin', socket: { reconnectStrategy: false } }))
  await client.connect()
  try {
    return await work(client)
  } finally {
    if (client.isOpen) client.destroy()
    // Its socket closes after this turn, and must not be taken for one that the store has left behind.
    await sleep(10)
  }
}

function onRedis(engine, label) {
  return asRedis(engine, async (client) => {
    const list = await client.sendCommand(['CLIENT', 'LIST'])
    return list.split('\n').filter((line) => line.includes(` name=${label} `)).length
  })
}

function shutRedisDown(engine) {
  return asRedis(engine, (client) => client.sendCommand(['SHUTDOWN', 'NOSAVE']).catch(() => undefined))
}
