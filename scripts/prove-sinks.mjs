// `npm run prove:sinks [-- --losses=500] [-- --only=nats]`: the engine stores what it is sent and its answer is lost, 500
// times an engine, by turns as an error and as silence; the same batch comes again, by the same sink or by a new one as after
// a crash, and always when the stream's window for duplicates is over. At the end each event must be there exactly once, as
// the exact line, in order.
import { randomBytes } from 'node:crypto'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Pool } from 'pg'
import { natsSink } from '../dist/src/sinks/nats.js'
import { postgresSink } from '../dist/src/sinks/postgres.js'
import { lineWriter } from '../dist/src/testing/audit-sink/lines.js'
import { conclude, createFindings, readFlags } from './prove/command.mjs'
import { deliver, losingJetStream, losingPool, losses } from './prove/lost-replies.mjs'

const POSTGRES_URL = process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test'
const NATS_URL = process.env.TEST_NATS_URL ?? '127.0.0.1:4222'
const WRITERS = 20
const MAX_BATCH = 40
/** The least that a server takes. */
const WINDOW_MS = 100
const PAUSE_MS = WINDOW_MS + 50
/** A write whose answer never comes is given up after this. */
const TIMEOUT_MS = 2000

const flags = readFlags({ losses: 500, only: 'all' })
const ENGINES = [
  { name: 'postgres', open: openPostgres, share: 0.7 },
  { name: 'nats', open: openNats, share: 0.04 },
]
const findings = createFindings()
const chosen = ENGINES.filter(({ name }) => flags.only === 'all' || name === flags.only)
if (chosen.length === 0) throw new Error(`--only: one of ${ENGINES.map(({ name }) => name).join(', ')}`)
console.log(`Lost answers: ${flags.losses} an engine, ${WRITERS} writers at a time, Node ${process.version}.`)
for (const each of chosen) await prove(each)
conclude(findings, 'prove:sinks')

/** `share`: of the answers, so that batches of all sizes are hit and most attempts get somewhere. */
async function prove({ name, open, share }) {
  const { lose, lost } = losses(flags.losses, () => Math.random() < share)
  const engine = await open(lose)
  try {
    const settings = { open: engine.sink, crashes: () => Math.random() < 0.5, pauseMs: PAUSE_MS }
    const writers = await Promise.all(Array.from({ length: WRITERS }, () => writeUntil(lost, settings)))
    if (lost() !== flags.losses) findings.violation(`${name}: answers lost`, `${lost()} of ${flags.losses}`)
    let stored = 0
    for (const { writer, lines } of writers)
      stored += await compare(name, { writer, lines, kept: await engine.lines(writer) })
    const events = sum(writers, ({ lines }) => lines.length)
    const total = await engine.count()
    if (total !== events) findings.violation(`${name}: stored in all`, `${total} of ${events} events`)
    console.log(
      `\n${name}: ${lost()} answers lost; ${events} events in ${sum(writers, ({ batches }) => batches)} batches and ` +
        `${sum(writers, ({ attempts }) => attempts)} attempts; stored: ${total}, of them once, exact and in order: ${stored}`,
    )
  } finally {
    await engine.close()
  }
}

async function writeUntil(lost, settings) {
  const one = lineWriter()
  const lines = []
  let [batches, attempts] = [0, 0]
  while (lost() < flags.losses) {
    const batch = one.next(1 + Math.floor(Math.random() * MAX_BATCH))
    lines.push(...batch)
    batches += 1
    attempts += await deliver(batch, settings)
  }
  return { writer: one.writer, lines, batches, attempts }
}

/** How many stand where they must. */
function compare(name, { writer, lines, kept }) {
  const texts = new Map()
  for (const text of kept) texts.set(text, (texts.get(text) ?? 0) + 1)
  for (const { event, text } of lines) {
    const count = texts.get(text) ?? 0
    if (count !== 1) findings.violation(`${name}: stored ${count} times`, `${writer} ${event.seq}`)
  }
  if (kept.length !== lines.length)
    findings.violation(`${name}: lines of a writer`, `${writer}: ${kept.length} of ${lines.length}`)
  const right = lines.filter(({ text }, at) => kept[at] === text).length
  if (right !== lines.length) findings.violation(`${name}: order of a writer`, `${writer}: ${right} of ${lines.length}`)
  return right
}

function sum(list, of) {
  return list.reduce((total, each) => total + of(each), 0)
}

async function openPostgres(lose) {
  const table = `prove_${randomBytes(5).toString('hex')}`
  const pool = new Pool({ connectionString: POSTGRES_URL, max: WRITERS + 2 })
  const losing = losingPool(pool, lose)
  const rows = async (text, values) => (await pool.query(text, values)).rows
  // The table first: what is counted are answers to events.
  await postgresSink(pool, { table }).write([], new AbortController().signal)
  return {
    sink: () => postgresSink(losing, { table, timeoutMs: TIMEOUT_MS }),
    lines: async (writer) =>
      (await rows(`SELECT line FROM "${table}" WHERE writer = $1 ORDER BY seq`, [writer])).map(({ line }) => line),
    count: async () => (await rows(`SELECT count(*)::int AS count FROM "${table}"`))[0].count,
    close: async () => {
      await pool.query(`DROP TABLE "${table}", "${table}_version"`)
      await pool.end()
    },
  }
}

async function openNats(lose) {
  const connection = await connect({ servers: NATS_URL })
  const client = jetstream(connection)
  const { streams } = await jetstreamManager(connection)
  const name = `PROVE_${randomBytes(5).toString('hex')}`
  const subject = `prove.${name}`
  await streams.add({ name, subjects: [`${subject}.>`], duplicate_window: WINDOW_MS * 1e6 })
  const losing = losingJetStream(client, lose)
  return {
    sink: () => natsSink(losing, { subject, stream: name, timeoutMs: TIMEOUT_MS }),
    lines: async (writer) => {
      const texts = []
      for (let seq = 1; ;) {
        const message = await streams.getMessage(name, { seq, next_by_subj: `${subject}.${writer}` })
        if (message === null) return texts
        texts.push(message.string())
        seq = message.seq + 1
      }
    },
    count: async () => (await streams.info(name)).state.messages,
    close: async () => {
      await streams.delete(name)
      await connection.close()
    },
  }
}
