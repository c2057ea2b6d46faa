import type { Deadline } from '../../lib/deadline.ts'
import { ownMember } from '../../lib/own-member.ts'
import { COLUMNS, NOT_NULL } from './columns.ts'
import type { Connections } from './connections.ts'
import type { PostgresSinkClient } from './options.ts'

export interface Table {
  /** Makes it where there is none, once; rejects where it is not there and cannot be made. */
  made(deadline: Deadline): Promise<void>
}

const VERSION = 1
/** "hcas": so that the lock is nobody else's. */
const LOCK_CLASS = 0x68636173

/** Looks first and locks afterwards: a role that may not create tables uses the one that somebody else has made. */
export function createTable(connections: Connections, table: string): Table {
  let isMade = false
  return Object.freeze({
    made: async (deadline: Deadline) => {
      if (isMade) return
      const found = await connections.transact((client) => readVersion(client, table), deadline)
      if (found === 0) await connections.transact((client) => migrate(client, table), deadline)
      else if (found !== VERSION) throw new Error(other(table, found))
      isMade = true
    },
  })
}

async function readVersion(client: PostgresSinkClient, table: string): Promise<number> {
  // Not to_regclass: in a transaction that has just waited for the one that makes the table, it answers from memory.
  const known = "SELECT 'yes' AS found FROM pg_catalog.pg_class WHERE relname = $1 AND pg_table_is_visible(oid)"
  const { rows } = await client.query(known, [`${table}_version`])
  if (ownMember(rows[0], 'found') !== 'yes') return 0
  const versions = await client.query(`SELECT version::text AS version FROM "${table}_version"`)
  return Number(ownMember(versions.rows[0], 'version') ?? 0)
}

/** Of several that start at the same time each waits here, and finds the table where another one has made it. */
async function migrate(client: PostgresSinkClient, table: string): Promise<void> {
  const { rows } = await client.query("SELECT current_setting('server_encoding') AS encoding")
  if (ownMember(rows[0], 'encoding') !== 'UTF8')
    throw new Error('the database is not encoded as UTF8, so that it cannot hold every line as it is.')
  await client.query('SELECT pg_advisory_xact_lock($1::int, hashtext($2))', [LOCK_CLASS, table])
  const found = await readVersion(client, table)
  if (found === 0) await client.query(firstVersion(table))
  else if (found !== VERSION) throw new Error(other(table, found))
}

/**
 * A place in the journal is what makes a row: `writer` and `seq`. `id` is looked up and not unique: two lines with one id
 * would be a forgery, and of that both are evidence. Texts are compared by code unit, whatever the locale of the database.
 */
function firstVersion(table: string): string {
  const columns = COLUMNS.map(({ name, type }) => {
    const collate = type === 'text' || type === 'text[]' ? ' COLLATE "C"' : ''
    return `"${name}" ${type}${collate}${NOT_NULL.has(name) ? ' NOT NULL' : ''},`
  })
  return `
    CREATE TABLE "${table}" (
      ${columns.join('\n      ')}
      line text COLLATE "C" NOT NULL,
      stored timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT "${table}_pkey" PRIMARY KEY (writer, seq)
    );
    CREATE INDEX "${table}_id" ON "${table}" (id);
    CREATE INDEX "${table}_time" ON "${table}" ("time");
    CREATE INDEX "${table}_org" ON "${table}" (org, "time");
    CREATE INDEX "${table}_key" ON "${table}" (key_id, "time");
    CREATE INDEX "${table}_patients" ON "${table}" USING gin (patients);
    CREATE TABLE "${table}_version" (version integer NOT NULL);
    CREATE UNIQUE INDEX "${table}_version_one" ON "${table}_version" ((true));
    INSERT INTO "${table}_version" VALUES (${VERSION})`
}

function other(table: string, found: number): string {
  return (
    `the table ${table} is of version ${found}, made by another release of this package, which this one (version ` +
    `${VERSION}) must not touch. Upgrade this process.`
  )
}
