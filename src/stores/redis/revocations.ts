import { randomUUID } from 'node:crypto'
import { noticeOf } from './feed.ts'
import { evaluate, settle, type Shelf } from './records.ts'
import { listOf, textOf } from './replies.ts'
import { REVOKE_TOKEN } from './scripts.ts'

export interface Revocation {
  readonly tokenId: string
  readonly expiresAt: Date
}

/** Beyond the expiry, for those whose clock is behind and who tolerate that. */
const KEPT_MS = 3_600_000

/** Writes a revocation, and takes out those that nobody needs any more. */
export async function writeRevocation(shelf: Shelf, { tokenId, expiresAt }: Revocation): Promise<void> {
  const expiry = expiresAt.getTime()
  if (typeof tokenId !== 'string' || !Number.isFinite(expiry)) {
    throw new TypeError('A revocation needs a tokenId and an expiresAt that is an instant.')
  }
  const args = [tokenId, noticeOf({ tokenId }), String(expiry), String(Date.now() - KEPT_MS)]
  const keys = [shelf.names.revoked]
  settle(shelf, await evaluate(shelf, REVOKE_TOKEN, { keys, args, write: randomUUID() }))
}

/** All that are kept; whoever reads them goes by his own clock. */
export async function readRevocations({ commands, condition, names }: Shelf): Promise<readonly Revocation[]> {
  const [version, reply] = await commands.ask([
    ['GET', names.version],
    ['ZRANGE', names.revoked, '0', '-1', 'WITHSCORES'],
  ])
  condition.check(version)
  const flat = listOf(reply)
  return Array.from({ length: flat.length / 2 }, (_, at) => ({
    tokenId: textOf(flat[2 * at]) ?? '',
    expiresAt: new Date(Number(flat[2 * at + 1])),
  }))
}
