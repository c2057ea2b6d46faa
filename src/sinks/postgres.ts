import type { AuditLine, AuditSink, RejectedEvent } from '../audit/sink.ts'
import { withDeadline, type Deadline } from '../lib/deadline.ts'
import { isStorable } from './postgres/columns.ts'
import { createConnections } from './postgres/connections.ts'
import { permanentReason, sinkError } from './postgres/failure.ts'
import { createStatements } from './postgres/insert.ts'
import { readOptions, readPool, type PostgresSinkOptions, type PostgresSinkPool } from './postgres/options.ts'
import { createTable } from './postgres/table.ts'

export type { PostgresSinkClient, PostgresSinkOptions, PostgresSinkPool } from './postgres/options.ts'

/**
 * Events in a table of PostgreSQL, one row each, the exact line in `line`; once for each writer and number, however often
 * and however late a batch comes again. `pool`: a `pg.Pool`, or what behaves like one. Makes its table at the first batch.
 *
 * Rejected for good, each alone: `conflict` (at its place in the journal another line is stored), `unstorable` (a text that
 * PostgreSQL cannot hold as it is), `sqlstate_22007` and the like (the database cannot take this record). For all else, `write` rejects within
 * `timeoutMs` with an `Error` that has the SQLSTATE as `code`, and the batch should come again; nothing of a record is in
 * it. `close()` leaves the pool alone.
 *
 * @throws {TypeError} where it is no pool, or an option is wrong.
 */
export function postgresSink(pool: PostgresSinkPool, options: PostgresSinkOptions = {}): AuditSink {
  const connections = createConnections(readPool(pool))
  const { table: name, timeoutMs, ...described } = readOptions(options)
  const table = createTable(connections, name)
  const statements = createStatements(name)

  /** Where the database refuses one of the records, the halves are tried: the one is found, the others are stored. */
  const store = async (lines: readonly AuditLine[], deadline: Deadline): Promise<RejectedEvent[]> => {
    const [first] = lines
    if (first === undefined) return []
    try {
      return await connections.transact((client) => statements.store(client, lines), deadline)
    } catch (error) {
      const reason = permanentReason(error)
      if (reason === null) throw error
      if (lines.length === 1) return [{ id: first.event.id, reason }]
      const half = lines.length >> 1
      return [...(await store(lines.slice(0, half), deadline)), ...(await store(lines.slice(half), deadline))]
    }
  }
  const write = async (batch: readonly AuditLine[], deadline: Deadline) => {
    await table.made(deadline)
    const rejected = batch.filter(({ text }) => !isStorable(text)).map(unstorable)
    rejected.push(
      ...(await store(
        batch.filter(({ text }) => isStorable(text)),
        deadline,
      )),
    )
    return { rejected }
  }

  return Object.freeze({
    ...described,
    acks: true,
    write: async (batch: readonly AuditLine[], signal: AbortSignal) => {
      try {
        return await withDeadline((deadline) => write(batch, deadline), { ms: timeoutMs, signal, whose: 'PostgreSQL' })
      } catch (error) {
        throw sinkError(error)
      }
    },
    close: async () => connections.close(),
  })
}

function unstorable({ event }: AuditLine): RejectedEvent {
  return { id: event.id, reason: 'unstorable' }
}
