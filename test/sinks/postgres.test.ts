import { setTimeout as sleep } from 'node:timers/promises'
import { Pool, type PoolConfig } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import type { AuditLine, AuditSink } from '../../src/audit/sink.ts'
import { postgresSink, type PostgresSinkOptions, type PostgresSinkPool } from '../../src/sinks/postgres.ts'
import { lineWriter } from '../../src/testing/audit-sink/lines.ts'
import { deliver, losingPool, losses } from '../../scripts/prove/lost-replies.mjs'
import { startPostgres } from '../stores/postgres-engine.ts'
import { dropTables, isReachable, newTable, POSTGRES_URL } from '../stores/postgres-world.ts'

const signal = new AbortController().signal
const newPool = (more: PoolConfig = {}) => new Pool({ connectionString: POSTGRES_URL, ...more })
const write = (sink: AuditSink, batch: readonly AuditLine[]) => sink.write(batch, signal)
const withText = ({ event }: AuditLine, text: string): AuditLine => ({ event, text })
const withEvent = ({ event, text }: AuditLine, change: object): AuditLine => ({ event: { ...event, ...change }, text })

describe('what it is given', () => {
  const pool = { connect: () => Promise.reject(new Error('never called')) }

  test.each<[string, unknown, unknown, string]>([
    ['no pool', undefined, {}, 'hand in a pg.Pool'],
    ['a connection string', 'postgres://127.0.0.1/test', {}, 'hand in a pg.Pool'],
    ['options that are none', pool, 'events', 'its options are no object'],
    ['an option that there is not', pool, { tabel: 'x' }, 'postgresSink.tabel: is no option'],
    ['a table with a quote', pool, { table: 'x"; DROP TABLE x; --' }, 'postgresSink.table'],
    ['a table in capitals', pool, { table: 'Events' }, 'postgresSink.table'],
    ['a name that is no file name', pool, { name: '../x' }, 'postgresSink.name'],
    ['a flag of another type', pool, { required: 'yes' }, 'postgresSink.required'],
    ['no time at all', pool, { timeoutMs: 0 }, 'postgresSink.timeoutMs'],
  ])('is refused at once where it is %s', (_, given, options, message) => {
    const open = () => postgresSink(given as PostgresSinkPool, options as PostgresSinkOptions)
    expect(open).toThrow(message)
    expect(open).toThrow(TypeError)
  })

  test('is said of it', () => {
    expect(postgresSink(pool)).toMatchObject({ name: 'postgres', acks: true, required: false, retains: false })
    const options = { name: 'evidence', required: true, retains: true }
    expect(postgresSink(pool, options)).toMatchObject({ ...options, acks: true })
  })

  test('is a client where it must be a pool: the first batch says so', async () => {
    const client = { connect: () => Promise.resolve({ query: () => undefined }) } as unknown as PostgresSinkPool
    await expect(write(postgresSink(client), lineWriter().next(1))).rejects.toThrow('not a pg.Client')
  })
})

describe.skipIf(!(await isReachable(POSTGRES_URL)))('on PostgreSQL', () => {
  const pool = newPool({ max: 8 })
  afterAll(async () => {
    await dropTables(pool)
    await pool.end()
  })
  const linesOf = async (table: string, writer: string) => {
    const text = `SELECT line FROM "${table}" WHERE writer = $1 ORDER BY seq`
    const { rows } = await pool.query<{ line: string }>(text, [writer])
    return rows.map(({ line }) => line)
  }

  describe('its table', () => {
    test('is made once, by however many start at the same time', async () => {
      const table = newTable()
      const writers = Array.from({ length: 8 }, lineWriter)
      await Promise.all(writers.map((one) => write(postgresSink(pool, { table }), one.next(2))))
      const { rows } = await pool.query(`SELECT count(*)::int AS count FROM "${table}"`)
      expect(rows).toEqual([{ count: 16 }])
    })

    test('is refused where another release has made it, and left as it is', async () => {
      const table = newTable()
      await write(postgresSink(pool, { table }), lineWriter().next(1))
      await pool.query(`UPDATE "${table}_version" SET version = 2`)
      await expect(write(postgresSink(pool, { table }), lineWriter().next(1))).rejects.toThrow(
        `The PostgreSQL audit sink could not store events: the table ${table} is of version 2`,
      )
      const { rows } = await pool.query(`SELECT count(*)::int AS count FROM "${table}"`)
      expect(rows).toEqual([{ count: 1 }])
    })

    test('is not taken from somebody who has one of this name', async () => {
      const table = newTable()
      await pool.query(`CREATE TABLE "${table}" (id integer)`)
      await expect(write(postgresSink(pool, { table }), lineWriter().next(1))).rejects.toMatchObject({
        code: '42P07',
        message: expect.stringContaining(`relation "${table}" already exists`),
      })
    })

    test('may be written by a role that can insert and select, and nothing else', async () => {
      const table = newTable()
      await write(postgresSink(pool, { table }), [])
      const role = `${table}_writer`
      await pool.query(`CREATE ROLE "${role}"; GRANT INSERT, SELECT ON "${table}" TO "${role}";
        GRANT SELECT ON "${table}_version" TO "${role}"; REVOKE CREATE ON SCHEMA public FROM "${role}"`)
      const own = newPool({ options: `-c role=${role}` })
      const one = lineWriter()
      const batch = one.next(5)
      const sink = postgresSink(own, { table })
      await write(sink, batch)
      await write(sink, batch)
      expect(await linesOf(table, one.writer)).toEqual(batch.map(({ text }) => text))
      await expect(own.query(`DELETE FROM "${table}"`)).rejects.toMatchObject({ code: '42501' })
      await expect(own.query(`UPDATE "${table}" SET line = ''`)).rejects.toMatchObject({ code: '42501' })
      await own.end()
      await pool.query(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`)
    })

    test('has what an auditor asks by in columns, beside the exact line', async () => {
      const table = newTable()
      const one = lineWriter()
      const batch = one.next(4)
      await write(postgresSink(pool, { table }), batch)
      const { rows } = await pool.query(
        `SELECT seq::int, "time", kind, name, org, key_id, outcome, reason, request_id, patients, status::int, line
         FROM "${table}" WHERE writer = $1 ORDER BY seq LIMIT 2`,
        [one.writer],
      )
      const [read, refused] = batch
      expect(rows).toEqual([
        {
          seq: 1,
          time: new Date(read?.event.time ?? 0),
          kind: 'access',
          name: 'request',
          org: 'org_1',
          key_id: 'key_1',
          outcome: 'success',
          reason: null,
          request_id: 'req_1',
          patients: ['pt_k1_0123456789abcdefghijkl'],
          status: 200,
          line: read?.text,
        },
        expect.objectContaining({
          outcome: 'denied',
          reason: 'key_unknown',
          org: null,
          patients: null,
          line: refused?.text,
        }),
      ])
      const patient = `SELECT seq::int FROM "${table}" WHERE patients @> $1`
      expect((await pool.query(patient, [['pt_k1_0123456789abcdefghijkl']])).rows).toEqual([{ seq: 1 }])
    })

    test('that is gone is an error, and is not made anew behind the back of whoever keeps it', async () => {
      const table = newTable()
      const sink = postgresSink(pool, { table })
      const one = lineWriter()
      await write(sink, one.next(1))
      await pool.query(`DROP TABLE "${table}"`)
      await expect(write(sink, one.next(1))).rejects.toMatchObject({ code: '42P01' })
      await expect(write(postgresSink(pool, { table }), one.next(1))).rejects.toMatchObject({ code: '42P01' })
    })
  })

  describe('a record that cannot be stored', () => {
    const tries: readonly [string, (line: AuditLine) => AuditLine, string][] = [
      ['a raw zero character', (line) => withText(line, `${line.text}\0`), 'unstorable'],
      ['half of a surrogate pair', (line) => withText(line, `${line.text}\uD800`), 'unstorable'],
      ['a time that is none', (line) => withEvent(line, { time: 'Tuesday' }), 'sqlstate_22007'],
      ['a number that is no whole one', (line) => withEvent(line, { seq: 4.5 }), 'sqlstate_22p02'],
      ['a key too long for an index', (line) => withEvent(line, { id: noise(9000) }), 'sqlstate_54000'],
    ]

    test.each(tries)('is rejected alone, the others are stored: %s', async (_, poison, reason) => {
      const table = newTable()
      const one = lineWriter()
      const batch = one.next(21).map((line, at) => (at === 4 || at === 20 ? poison(line) : line))
      const rejected = [4, 20].map((at) => ({ id: batch[at]?.event.id, reason }))
      const sink = postgresSink(pool, { table })
      expect(await write(sink, batch)).toEqual({ rejected })
      const stored = batch.filter((_line, at) => at !== 4 && at !== 20).map(({ text }) => text)
      expect(await linesOf(table, one.writer)).toEqual(stored)
      expect(await write(sink, batch)).toEqual({ rejected })
      expect(await linesOf(table, one.writer)).toEqual(stored)
    })

    test('is one whose place another line has: a conflict, never taken as stored', async () => {
      const table = newTable()
      const one = lineWriter()
      const batch = one.next(6)
      const forged = batch.map((line, at) =>
        at === 1 || at === 3 ? withText(line, line.text.replace('"R"', '"U"')) : line,
      )
      const sink = postgresSink(pool, { table })
      await write(sink, batch.slice(0, 4))
      const rejected = [1, 3].map((at) => ({ id: batch[at]?.event.id, reason: 'conflict' }))
      expect(await write(sink, forged)).toEqual({ rejected })
      expect(await linesOf(table, one.writer)).toEqual(batch.map(({ text }) => text))
    })

    test('is the second of two that want one place at the same time', async () => {
      const table = newTable()
      await write(postgresSink(pool, { table }), [])
      for (let round = 0; round < 20; round += 1) {
        const one = lineWriter()
        const batch = one.next(3)
        const other = batch.map((line) => withText(line, `${line.text} `))
        const results = await Promise.all([batch, other].map((lines) => write(postgresSink(pool, { table }), lines)))
        const counts = results.map((result) => result?.rejected.length)
        expect(new Set(counts)).toEqual(new Set([0, 3]))
        const stored = await linesOf(table, one.writer)
        expect(stored).toEqual((counts[0] === 0 ? batch : other).map(({ text }) => text))
      }
    })

    test('is one whose place is being taken while it waits', async () => {
      const table = newTable()
      const one = lineWriter()
      const batch = one.next(2)
      const sink = postgresSink(pool, { table })
      await write(sink, [])
      const other = await pool.connect()
      await other.query('BEGIN')
      await other.query(
        `INSERT INTO "${table}" (writer, seq, id, "time", kind, name, outcome, line)
         VALUES ($1, 2, 'x', now(), 'access', 'request', 'success', 'another line')`,
        [one.writer],
      )
      const writing = write(sink, batch)
      await sleep(50)
      await other.query('COMMIT')
      other.release()
      expect(await writing).toEqual({ rejected: [{ id: batch[1]?.event.id, reason: 'conflict' }] })
      expect(await linesOf(table, one.writer)).toEqual([batch[0]?.text, 'another line'])
    })

    test('keeps a zero character where the line has it escaped: a column shows another', async () => {
      const table = newTable()
      const one = lineWriter()
      const batch = one.next(1, () => ({ requestId: 'a\0b' }))
      expect(await write(postgresSink(pool, { table }), batch)).toEqual({ rejected: [] })
      const { rows } = await pool.query(`SELECT request_id, line FROM "${table}" WHERE writer = $1`, [one.writer])
      expect(rows).toEqual([{ request_id: 'a\uFFFDb', line: batch[0]?.text }])
    })
  })

  describe('a failure that may pass', () => {
    test('rejects the batch and stores nothing of it: a constraint that somebody has added', async () => {
      const table = newTable()
      const one = lineWriter()
      const sink = postgresSink(pool, { table })
      await write(sink, one.next(1))
      await pool.query(`ALTER TABLE "${table}" ADD CONSTRAINT mine CHECK (seq < 3)`)
      const error: unknown = await write(sink, one.next(3)).catch((reason: unknown) => reason)
      expect(error).toMatchObject({
        code: '23514',
        message: 'The PostgreSQL audit sink could not store events: SQLSTATE 23514.',
      })
      expect(await linesOf(table, one.writer)).toHaveLength(1)
    })

    test('is a table that does not keep what it is given', async () => {
      const table = newTable()
      const one = lineWriter()
      const sink = postgresSink(pool, { table })
      await write(sink, [])
      await pool.query(`CREATE RULE mine AS ON INSERT TO "${table}" DO INSTEAD NOTHING`)
      await expect(write(sink, one.next(2))).rejects.toMatchObject({ code: '0A000' })
      await pool.query(`DROP RULE mine ON "${table}"`)
      await pool.query(`CREATE FUNCTION "${table}_drop"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER mine BEFORE INSERT ON "${table}" FOR EACH ROW EXECUTE FUNCTION "${table}_drop"()`)
      await expect(write(sink, lineWriter().next(2))).rejects.toThrow('did not keep what was inserted')
      await pool.query(`DROP TRIGGER mine ON "${table}"`)
    })

    test('quotes nothing of the events: what a trigger says of a row', async () => {
      const table = newTable()
      const sink = postgresSink(pool, { table })
      await write(sink, [])
      await pool.query(`CREATE FUNCTION "${table}_say"() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN RAISE EXCEPTION ''row %'', NEW.line; END';
        CREATE TRIGGER mine BEFORE INSERT ON "${table}" FOR EACH ROW EXECUTE FUNCTION "${table}_say"()`)
      const error = (await write(sink, lineWriter().next(1)).catch((reason: unknown) => reason)) as Error
      expect(error).toMatchObject({ code: 'P0001' })
      expect(`${error.stack} ${JSON.stringify({ ...error })}`).not.toMatch(/key_1|req_1|pt_k1/)
      await pool.query(`DROP TRIGGER mine ON "${table}"`)
    })

    test('is a lock that somebody holds: rejected within the time-out, its connection closed, stored later', async () => {
      const table = newTable()
      const one = lineWriter()
      const sink = postgresSink(pool, { table, timeoutMs: 300 })
      await write(sink, one.next(1))
      const batch = one.next(2)
      const other = await pool.connect()
      await other.query(`BEGIN; LOCK TABLE "${table}" IN EXCLUSIVE MODE`)
      const start = performance.now()
      await expect(write(sink, batch)).rejects.toThrow('could not store events')
      expect(performance.now() - start).toBeLessThan(600)
      await other.query('ROLLBACK')
      other.release()
      await write(sink, batch)
      expect(await linesOf(table, one.writer)).toHaveLength(3)
      expect(pool.idleCount).toBe(pool.totalCount)
    })

    test('is a caller who stops waiting: his connection is closed, and not handed to the next', async () => {
      const table = newTable()
      const own = newPool({ max: 1 })
      const sink = postgresSink(own, { table })
      await write(sink, [])
      const other = await pool.connect()
      await other.query(`BEGIN; LOCK TABLE "${table}" IN EXCLUSIVE MODE`)
      const start = performance.now()
      await expect(sink.write(lineWriter().next(2), AbortSignal.timeout(50))).rejects.toThrow('in time')
      expect(performance.now() - start).toBeLessThan(1000)
      expect((await own.query('SELECT 1')).rowCount).toBe(1)
      await other.query('ROLLBACK')
      other.release()
      await own.end()
    })

    test('leaves a connection as it was', async () => {
      const own = newPool({ max: 1, options: '-c synchronous_commit=off' })
      const table = newTable()
      const sink = postgresSink(own, { table })
      await write(sink, lineWriter().next(2))
      const { rows } = await own.query(
        `SELECT current_setting('statement_timeout') AS patience, current_setting('synchronous_commit') AS durable`,
      )
      expect(rows).toEqual([{ patience: '0', durable: 'off' }])
      await own.end()
    })
  })

  test('is on the disk when it is acknowledged, whatever the connection was set to', async () => {
    const own = newPool({ max: 1, options: '-c synchronous_commit=off' })
    const table = newTable()
    await write(postgresSink(own, { table }), [])
    await pool.query(`ALTER TABLE "${table}" ADD COLUMN durable text DEFAULT current_setting('synchronous_commit')`)
    await write(postgresSink(own, { table }), lineWriter().next(1))
    expect((await own.query(`SELECT durable FROM "${table}"`)).rows).toEqual([{ durable: 'on' }])
    await own.end()
  })

  test('keeps each event once, however often the answer to a commit is lost', async () => {
    const table = newTable()
    const total = 50
    const { lose, lost } = losses(total, () => Math.random() < 0.6)
    const losing = losingPool(pool, lose)
    const open = () => postgresSink(losing, { table, timeoutMs: 400 })
    const writers = Array.from({ length: 5 }, lineWriter)
    const sent = await Promise.all(
      writers.map(async (one) => {
        const lines: AuditLine[] = []
        while (lost() < total) {
          const batch = one.next(3)
          lines.push(...batch)
          await deliver(batch, { open, crashes: () => Math.random() < 0.5, pauseMs: 0 })
        }
        return lines
      }),
    )
    expect(lost()).toBe(total)
    for (const [at, { writer }] of writers.entries())
      expect(await linesOf(table, writer)).toEqual(sent[at]?.map(({ text }) => text))
  })
})

describe.skipIf(!(await isReachable(POSTGRES_URL)))('with a PostgreSQL of its own', () => {
  test('rejects within the time-out while it hangs, and goes on where it was after a crash', async () => {
    const engine = await startPostgres()
    const pool = new Pool({ connectionString: engine.url, max: 3, connectionTimeoutMillis: 2000 })
    pool.on('error', () => undefined)
    try {
      const [patient, sink] = [postgresSink(pool), postgresSink(pool, { timeoutMs: 1000 })]
      const one = lineWriter()
      const [first, second] = [one.next(10), one.next(10)]
      await write(patient, first)
      engine.hang()
      const start = performance.now()
      await expect(write(sink, second)).rejects.toThrow('PostgreSQL did not answer in time.')
      expect(performance.now() - start).toBeLessThan(1500)
      engine.resume()
      await engine.kill()
      await expect(write(sink, second)).rejects.toThrow('could not store events')
      await engine.start()
      await expect.poll(() => write(patient, second).then(() => 'stored', String), { timeout: 10_000 }).toBe('stored')
      await write(patient, first)
      const { rows } = await pool.query<{ line: string }>('SELECT line FROM hc_audit_events ORDER BY seq')
      expect(rows.map(({ line }) => line)).toEqual([...first, ...second].map(({ text }) => text))
      await Promise.all([patient.close?.(), sink.close?.()])
    } finally {
      await pool.end()
      await engine.stop()
    }
  })
})

/** Nothing that could be compressed. */
function noise(length: number): string {
  return Array.from({ length }, () => Math.floor(Math.random() * 36).toString(36)).join('')
}
