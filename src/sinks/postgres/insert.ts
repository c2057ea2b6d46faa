import type { AuditLine, RejectedEvent } from '../../audit/sink.ts'
import { ownMember } from '../../lib/own-member.ts'
import { COLUMNS, recordsOf } from './columns.ts'
import type { PostgresSinkClient } from './options.ts'

export interface Statements {
  /** In a transaction. Those whose place is taken by another text are rejected; all others are there when it is over. */
  store(client: PostgresSinkClient, lines: readonly AuditLine[]): Promise<RejectedEvent[]>
}

export function createStatements(table: string): Statements {
  const names = COLUMNS.map(({ name }) => `"${name}"`).join(', ')
  const given =
    `json_to_recordset($1::json) AS given("at" bigint, line text, ` +
    `${COLUMNS.map(({ name, type }) => `"${name}" ${type}`).join(', ')})`
  const insert = `
    WITH stored AS (
      INSERT INTO "${table}" (${names}, line) SELECT ${names}, line FROM ${given} ORDER BY "at"
      ON CONFLICT (writer, seq) DO NOTHING RETURNING 1
    )
    SELECT count(*)::text AS stored FROM stored`
  // A statement of its own: what was committed while the insertion waited is seen by it.
  const compare = `
    SELECT given."at"::text AS "at", (known.line IS NOT NULL)::text AS known
    FROM ${given} LEFT JOIN "${table}" AS known ON known.writer = given.writer AND known.seq = given.seq
    WHERE known.line IS DISTINCT FROM given.line ORDER BY given."at"`

  return Object.freeze({
    store: async (client: PostgresSinkClient, lines: readonly AuditLine[]) => {
      const records = recordsOf(lines)
      const { rows } = await client.query(insert, [records])
      if (ownMember(rows[0], 'stored') === String(lines.length)) return []
      const { rows: others } = await client.query(compare, [records])
      return others.map((row) => conflictOf(row, lines))
    },
  })
}

function conflictOf(row: unknown, lines: readonly AuditLine[]): RejectedEvent {
  const line = lines[Number(ownMember(row, 'at'))]
  if (line === undefined || ownMember(row, 'known') !== 'true')
    throw new Error('the table did not keep what was inserted: look for a rule, a trigger or a policy on it.')
  return { id: line.event.id, reason: 'conflict' }
}
