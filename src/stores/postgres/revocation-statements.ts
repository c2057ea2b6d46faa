import { payloadOf } from './notice.ts'
import type { PostgresClient } from './pool.ts'
import { instant, millis, storable, textOf } from './row.ts'

export interface Revocation {
  tokenId: string
  expiresAt: Date
}

/** Each on a client in a transaction. */
export interface RevocationStatements {
  revokeToken(client: PostgresClient, revocation: Revocation): Promise<void>
  revokedTokens(client: PostgresClient): Promise<Revocation[]>
}

/** Beyond a token's end: it still passes where a clock is behind, or a tolerance granted. */
const KEPT_BEYOND = "interval '1 hour'"

export function createRevocationStatements(table: string): RevocationStatements {
  const revocations = `"${table}_revocations"`

  return Object.freeze({
    revokeToken: async (client: PostgresClient, { tokenId, expiresAt }: Revocation) => {
      await client.query(`DELETE FROM ${revocations} WHERE expires_at < now() - ${KEPT_BEYOND}`)
      await client.query(
        `INSERT INTO ${revocations} AS known (token_id, expires_at) VALUES ($1, ${instant('$2')})
         ON CONFLICT (token_id) DO UPDATE SET expires_at = greatest(known.expires_at, excluded.expires_at)`,
        [storable(tokenId), expiresAt.getTime()],
      )
      await client.query('SELECT pg_notify($1, $2)', [table, payloadOf({ tokenId })])
    },
    revokedTokens: async (client: PostgresClient) => {
      const { rows } = await client.query(
        `SELECT token_id, ${millis('expires_at')} AS expires_at FROM ${revocations}
         WHERE expires_at >= now() - ${KEPT_BEYOND}`,
      )
      return rows.map((row) => revocationOf(row))
    },
  })
}

/** A row that is broken must not shorten the list: what counts would pass. */
function revocationOf(row: unknown): Revocation {
  const [tokenId, expiresAt] = [textOf(row, 'token_id'), textOf(row, 'expires_at')]
  if (tokenId === null || expiresAt === null) throw new TypeError('a revocation that was read is broken.')
  return { tokenId, expiresAt: new Date(Number(expiresAt)) }
}
