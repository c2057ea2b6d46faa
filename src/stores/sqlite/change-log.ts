import type { ChangeNotice } from '../../keys/store.ts'
import { numberOf, type SqliteDatabase } from './database.ts'

export interface News {
  readonly changes: readonly ChangeNotice[]
  /** Changes have been dropped from the log that were never read. */
  readonly missed: boolean
  /** Number of the last change there is. */
  readonly last: number
}

/** Which keys and tokens were changed, numbered: written in the transaction of the change itself. */
export interface ChangeLog {
  add(change: ChangeNotice): void
  last(): number
  /** What came after the change of this number. */
  since(seq: number): News
}

interface Row {
  readonly seq: number | bigint
  readonly key_id: string | null
  readonly token_id: string | null
}

/** A watcher who reads twice a second falls behind so many only if he was away. */
const KEPT = 10_000

export function createChangeLog(database: SqliteDatabase): ChangeLog {
  const insert = database.prepare('INSERT INTO healthcloud_changes (key_id, token_id) VALUES (?, ?)')
  const prune = database.prepare(
    `DELETE FROM healthcloud_changes WHERE seq <= (SELECT max(seq) FROM healthcloud_changes) - ${KEPT}`,
  )
  const last = database.prepare('SELECT coalesce(max(seq), 0) FROM healthcloud_changes')
  const since = database.prepare('SELECT seq, key_id, token_id FROM healthcloud_changes WHERE seq > ? ORDER BY seq')
  return {
    add: (change) => {
      if ('keyId' in change) insert.run(change.keyId, null)
      else insert.run(null, change.tokenId)
      prune.run()
    },
    last: () => numberOf(last),
    since: (seq) => {
      const rows = since.all(seq) as Row[]
      const first = rows[0]
      if (first !== undefined) {
        return {
          changes: rows.flatMap(changeOf),
          missed: Number(first.seq) !== seq + 1,
          last: Number(rows.at(-1)?.seq),
        }
      }
      const end = numberOf(last)
      // An earlier state of the file was put back.
      return { changes: [], missed: end < seq, last: end }
    },
  }
}

function changeOf({ key_id: keyId, token_id: tokenId }: Row): ChangeNotice[] {
  if (keyId !== null) return [{ keyId }]
  return tokenId === null ? [] : [{ tokenId }]
}
