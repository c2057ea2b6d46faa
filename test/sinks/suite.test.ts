import { inspect } from 'node:util'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { httpSink } from '../../src/sinks/http.ts'
import { loggerSink } from '../../src/sinks/logger.ts'
import { natsSink } from '../../src/sinks/nats.ts'
import { otlpSink } from '../../src/sinks/otlp.ts'
import { postgresSink } from '../../src/sinks/postgres.ts'
import { auditSinkSuite, type AuditSinkSuite } from '../../src/testing/index.ts'
import { dropTables, isReachable, newTable, POSTGRES_URL } from '../stores/postgres-world.ts'
import { isNatsReachable, NATS_URL, openNats, type NatsWorld } from './nats-world.ts'
import { startReceiver } from './receiver-server.ts'

/** Every sink does what the suite that is shipped says. */
function passes(suite: AuditSinkSuite): void {
  test.each(auditSinkSuite(suite))('$name', ({ run }) => expect(run()).resolves.toBeUndefined())
}

describe('the logger', () => {
  passes({
    name: 'logger',
    dedupes: false,
    open: () => {
      const texts: (readonly [string, string])[] = []
      const info = (entry: object) => {
        const { audit } = entry as { audit: AuditEvent }
        texts.push([audit.writer, inspect(entry)])
      }
      const lines = async (writer: string) => texts.filter(([of]) => of === writer).map(([, text]) => text)
      return { sink: loggerSink({ info }), lines }
    },
  })
})

const writerOf = (line: string) => (JSON.parse(line) as AuditEvent).writer

describe('HTTP', () => {
  passes({
    name: 'http',
    dedupes: true,
    open: async () => {
      const { url, asked, close } = await startReceiver()
      const again = () => httpSink({ url })
      // As a receiver does that goes by the line itself.
      const lines = async (writer: string) => [
        ...new Set(asked.flatMap((each) => each.lines).filter((line) => writerOf(line) === writer)),
      ]
      return { sink: again(), again, lines, close }
    },
  })
})

describe('OTLP', () => {
  const bodiesIn = (request: string) =>
    [...request.matchAll(/"body":\{"stringValue":("(?:[^"\\]|\\.)*")\}/g)].map(
      ([, text = '']) => JSON.parse(text) as string,
    )

  passes({
    name: 'otlp',
    dedupes: false,
    open: async () => {
      const { url, asked, close } = await startReceiver()
      const again = () => otlpSink({ url })
      const lines = async (writer: string) =>
        asked.flatMap(({ body }) => bodiesIn(body)).filter((line) => writerOf(line) === writer)
      return { sink: again(), again, lines, close }
    },
  })
})

describe.skipIf(!(await isReachable(POSTGRES_URL)))('PostgreSQL', () => {
  const pool = new Pool({ connectionString: POSTGRES_URL, max: 6 })
  const table = newTable()
  afterAll(async () => {
    await dropTables(pool)
    await pool.end()
  })
  const lines = async (writer: string) => {
    const { rows } = await pool.query<{ line: string }>(`SELECT line FROM "${table}" WHERE writer = $1 ORDER BY seq`, [
      writer,
    ])
    return rows.map(({ line }) => line)
  }
  const again = () => postgresSink(pool, { table })
  passes({ name: 'postgres', dedupes: true, open: () => ({ sink: again(), again, lines }) })
})

describe.skipIf(!(await isNatsReachable(NATS_URL)))('NATS JetStream', () => {
  let world: NatsWorld
  let subject: string
  beforeAll(async () => {
    world = await openNats(NATS_URL)
    subject = (await world.stream()).subject
  })
  afterAll(() => world.close())
  const again = () => natsSink(world.client, { subject })
  const lines = (writer: string) => world.lines(subject, writer)
  passes({ name: 'nats', dedupes: true, open: () => ({ sink: again(), again, lines }) })
})
