import { isLockTimeout, LOCK_TIMEOUT_MS, type Connections } from './connections.ts'
import { rest, withPatience, type Patience } from './patience.ts'
import type { PostgresClient } from './options.ts'
import { COLUMNS, textOf } from './statements.ts'

export interface Tables {
  /** Makes them where there are none, once; rejects where they are not there and cannot be made. */
  made(patience: Patience): Promise<void>
  /** The same, and asks the engine in any case. */
  check(patience: Patience): Promise<void>
}

const VERSION = 1
/** "hcau": so that the lock is nobody else's. */
const LOCK_CLASS = 0x68636175
const DOING = 'make its tables'
const PATIENCE: Patience = { ms: 5000, signal: undefined }
/** Many processes may start at once, and each waits for a lock for a moment only. */
const TRIES = 40
const REST_MS = 50

/** The tables of one store. Tables that were there once are never made anew: empty ones would make every key unknown. */
export function createTables(connections: Connections, table: string): Tables {
  let making: Promise<void> | null = null
  let areMade = false

  const version = async ({ ms, signal }: Patience = PATIENCE) => {
    const found = await connections.transact((client) => readVersion(client, table), { doing: DOING, ms, signal })
    if (found > VERSION) throw new Error(newer(table, found))
    return found
  }
  const make = async () => {
    for (let count = 1; (await version()) !== VERSION; count += 1) {
      try {
        await connections.transact((client) => migrate(client, table), { doing: DOING, ...PATIENCE })
        return
      } catch (error) {
        if (!isLockTimeout(error) || count === TRIES) throw error
        await rest(REST_MS)
      }
    }
  }
  const made = async (patience: Patience) => {
    if (areMade) return
    making ??= make().then(
      () => void (areMade = true),
      (error: unknown) => {
        making = null
        throw error
      },
    )
    await withPatience(making, patience)
  }
  return Object.freeze({
    made,
    check: async (patience: Patience) => {
      await made(patience)
      if ((await version(patience)) !== VERSION) throw new Error(`The tables of ${table} are gone. Restore them.`)
    },
  })
}

async function readVersion(client: PostgresClient, table: string): Promise<number> {
  // Not to_regclass: in a transaction that has just waited for the one that makes the table, it answers from memory.
  const known = "SELECT 'yes' AS found FROM pg_catalog.pg_class WHERE relname = $1 AND pg_table_is_visible(oid)"
  const { rows } = await client.query(known, [`${table}_version`])
  if (textOf(rows[0], 'found') === null) return 0
  const versions = await client.query(`SELECT version::text AS version FROM "${table}_version"`)
  return Number(textOf(versions.rows[0], 'version') ?? 0)
}

async function migrate(client: PostgresClient, table: string): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1::int, hashtext($2))', [LOCK_CLASS, table])
  if ((await readVersion(client, table)) === 0) await client.query(firstVersion(table))
}

/** Texts are compared by code unit, whatever the locale of the database. Its last use is no part of what a key is. */
function firstVersion(table: string): string {
  return `
    CREATE TABLE "${table}" (
      id text COLLATE "C" NOT NULL,
      digest text COLLATE "C" NOT NULL,
      organization_id text COLLATE "C" NOT NULL,
      record text NOT NULL,
      last_used_at timestamptz,
      CONSTRAINT "${table}_pkey" PRIMARY KEY (id),
      CONSTRAINT "${table}_digest_key" UNIQUE (digest)
    );
    CREATE INDEX "${table}_organization" ON "${table}" (organization_id, id);
    CREATE TABLE "${table}_revocations" (
      token_id text COLLATE "C" NOT NULL,
      expires_at timestamptz NOT NULL,
      CONSTRAINT "${table}_revocations_pkey" PRIMARY KEY (token_id)
    );
    CREATE INDEX "${table}_revocations_expiry" ON "${table}_revocations" (expires_at);
    ${lookUpFunctions(table)};
    CREATE TABLE "${table}_version" (version integer NOT NULL);
    CREATE UNIQUE INDEX "${table}_version_one" ON "${table}_version" ((true));
    INSERT INTO "${table}_version" VALUES (${VERSION})`
}

/**
 * On the path of a request: one round trip instead of a transaction, which waits for a lock for no longer all the same.
 */
function lookUpFunctions(table: string): string {
  const head = 'RETURNS TABLE (found text, used text) LANGUAGE sql STABLE'
  const body = `SELECT ${COLUMNS} FROM "${table}"`
  return `
    CREATE OR REPLACE FUNCTION "${table}_find"(asked text[]) ${head} SET lock_timeout = '${LOCK_TIMEOUT_MS}' AS $$
      ${body} WHERE digest = ANY(asked) ORDER BY array_position(asked, digest) LIMIT 1
    $$;
    CREATE OR REPLACE FUNCTION "${table}_get"(asked text) ${head} SET lock_timeout = '${LOCK_TIMEOUT_MS}' AS $$
      ${body} WHERE id = asked
    $$`
}

function newer(table: string, found: number): string {
  return (
    `The table ${table} is of version ${found}, made by a newer release of this package, which this one (version ` +
    `${VERSION}) must not touch. Upgrade this process.`
  )
}
