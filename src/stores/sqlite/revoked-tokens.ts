import { KEPT_BEYOND_MS, type TokenRevocation } from '../../keys/store.ts'
import type { ChangeLog } from './change-log.ts'
import { inTransaction, type SqliteDatabase } from './database.ts'

export interface RevokedTokens {
  add(revocation: TokenRevocation): void
  all(): readonly TokenRevocation[]
}

interface Row {
  readonly token_id: string
  readonly expires_at: number | bigint
}

export function createRevokedTokens(database: SqliteDatabase, log: ChangeLog): RevokedTokens {
  const prune = database.prepare('DELETE FROM healthcloud_revoked_tokens WHERE expires_at < ?')
  // A second revocation never shortens the first.
  const insert = database.prepare(
    `INSERT INTO healthcloud_revoked_tokens (token_id, expires_at) VALUES (?, ?)
     ON CONFLICT (token_id) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)`,
  )
  const all = database.prepare('SELECT token_id, expires_at FROM healthcloud_revoked_tokens')
  return {
    add: ({ tokenId, expiresAt }) =>
      inTransaction(database, () => {
        prune.run(Date.now() - KEPT_BEYOND_MS)
        insert.run(tokenId, expiresAt.getTime())
        log.add({ tokenId })
      }),
    all: () =>
      (all.all() as Row[]).map((row) => ({
        tokenId: row.token_id,
        expiresAt: new Date(Number(row.expires_at)),
      })),
  }
}
