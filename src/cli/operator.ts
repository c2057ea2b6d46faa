import { hostname, userInfo } from 'node:os'
import { ownMember } from '../lib/own-member.ts'
import type { Env } from '../options/environment.ts'

/**
 * Who makes a change, for the audit event: `--by`, else `HEALTHCLOUD_OPERATOR`, else the user of the system and the
 * machine, with `-` for whatever may not stand there.
 */
export function operatorOf(env: Env, by: string | undefined): string {
  if (by !== undefined) return by
  const named = ownMember(env, 'HEALTHCLOUD_OPERATOR')
  if (typeof named === 'string' && named.trim() !== '') return named.trim()
  return `${userName()}@${hostname()}`.replaceAll(/[^A-Za-z0-9._@:+-]/g, '-').slice(0, 128)
}

/** From the system, not from `USER`, which anybody can set. A container may run under a number that has no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
