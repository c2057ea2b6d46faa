// Where the events of `prove-canary.mjs` go, and everything that is there afterwards.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { Client } from 'pg'
import { ROOT } from '../local-bin.mjs'

const POSTGRES_URL = process.env.TEST_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test'
const NATS_URL = process.env.TEST_NATS_URL ?? '127.0.0.1:4222'

/** Answers by turns as receivers do: it takes all, is busy, refuses one for good, cannot read it. */
async function startReceiver(answers) {
  const texts = []
  let requests = 0
  const server = createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { authorization: _, ...headers } = request.headers
      texts.push(`${JSON.stringify(headers)}\n${body}`)
      const { status, headers: more = {}, text } = answers(requests, body)
      requests += 1
      response.writeHead(status, { 'content-type': 'application/json', ...more }).end(text)
    })
  })
  await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return { url: `http://127.0.0.1:${server.address().port}/v1/logs`, texts, close: () => server.close() }
}

export async function openReceivers(said) {
  const name = randomBytes(5).toString('hex')
  const http = await startReceiver((number, body) => {
    if (number === 1) return { status: 503, headers: { 'retry-after': '1' }, text: said }
    if (number % 5 === 2) {
      const { id } = JSON.parse(body.slice(0, body.indexOf('\n')))
      return { status: 200, text: JSON.stringify({ rejected: [{ id, reason: said }] }) }
    }
    if (number % 5 === 3 && body.trim().split('\n').length === 1) return { status: 400, text: said }
    return { status: 200, text: '' }
  })
  const otlp = await startReceiver((number) =>
    number === 2
      ? { status: 200, text: JSON.stringify({ partialSuccess: { rejectedLogRecords: '1', errorMessage: said } }) }
      : { status: 200, text: '{}' },
  )
  const postgres = { url: POSTGRES_URL, table: `prove_${name}` }
  const nats = { url: NATS_URL, stream: `PROVE_${name}`, subject: `prove.${name}` }
  const connection = await connect({ servers: NATS_URL })
  const { streams } = await jetstreamManager(connection)
  await streams.add({ name: nats.stream, subjects: [`${nats.subject}.>`] })
  return {
    settings: { urls: { http: http.url, otlp: otlp.url }, postgres, nats },
    /** By place: all that stands there. */
    contents: async () => ({
      'HTTP receiver': http.texts.join('\n'),
      'OTLP receiver': otlp.texts.join('\n'),
      PostgreSQL: await rowsOf(postgres.table),
      NATS: await messagesOf(streams, nats.stream),
    }),
    close: async () => {
      http.close()
      otlp.close()
      await streams.delete(nats.stream)
      await connection.close()
      await withClient((client) =>
        client.query(`DROP TABLE IF EXISTS "${postgres.table}", "${postgres.table}_version"`),
      )
    },
  }
}

async function withClient(work) {
  const client = new Client({ connectionString: POSTGRES_URL })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function rowsOf(table) {
  const { rows } = await withClient((client) => client.query(`SELECT * FROM "${table}"`))
  return rows.map((row) => JSON.stringify(row)).join('\n')
}

async function messagesOf(streams, name) {
  const texts = []
  for (let seq = 1; ;) {
    const message = await streams.getMessage(name, { seq, next_by_subj: '>' })
    if (message === null) return texts.join('\n')
    const headers = [...(message.header ?? [])].map(([key, values]) => `${key}: ${values}`)
    texts.push([message.subject, ...headers, message.string()].join('\n'))
    seq = message.seq + 1
  }
}

/** Every file of a folder, its name as well; one that goes away meanwhile is left out. */
export function filesOf(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((each) => each.isFile())
    .flatMap((each) => {
      try {
        return [{ name: each.name, text: readFileSync(join(each.parentPath, each.name), 'utf8') }]
      } catch {
        return []
      }
    })
}

/** What the command line makes of the journal; standard error included. */
export function exportsOf(directory, findings) {
  const commands = {
    'CSV export': ['export', '--format', 'csv'],
    'FHIR export': ['export', '--format', 'fhir'],
    'hc-auth audit query': ['query'],
    'hc-auth audit summary': ['summary'],
  }
  return Object.fromEntries(
    Object.entries(commands).map(([name, args]) => {
      const all = [join(ROOT, 'dist/src/cli/main.js'), 'audit', ...args, '--directory', directory]
      const { status, stdout, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8', maxBuffer: 1e9 })
      if (status !== 0) findings.violation(`${name} fails`, stderr.slice(0, 300))
      return [name, stdout + stderr]
    }),
  )
}
