import type { ChangeLog } from './change-log.ts'
import { inTransaction, type SqliteDatabase } from './database.ts'

export interface Revocation {
  readonly tokenId: string
  readonly expiresAt: Date
}

export interface RevokedTokens {
  add(revocation: Revocation): void
  all(): readonly Revocation[]
}

interface Row {
  readonly token_id: string
  readonly expires_at: number | bigint
}

/** Kept so long after the expiry: a server whose clock is behind still takes the token. */
const KEPT_AFTER_EXPIRY_MS = 3_600_000

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
        prune.run(Date.now() - KEPT_AFTER_EXPIRY_MS)
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
