import type { Reason } from '../decision.ts'
import type { Compact } from './compact.ts'
import type { Header } from './header.ts'
import { verifies, type KeySet, type PublicKey } from './key-set.ts'
import { whenKnown } from './when-known.ts'

export type NoKey = Extract<Reason, 'jwt_unknown_key' | 'jwt_algorithm' | 'jwt_signature' | 'jwks_unavailable'>

/** A token without `kid` is tried against so many keys. */
const MAX_TRIED = 4

/** The key that verifies the token. One newer set is looked at where none in force is the one that the token means. */
export function findKey(
  keySet: KeySet,
  header: Header,
  compact: Compact,
): PublicKey | NoKey | Promise<PublicKey | NoKey> {
  return whenKnown(keySet.current(), (keys) => {
    if (keys === null) return 'jwks_unavailable'
    const found = tryKeys(keys, header, compact)
    if (found !== 'jwt_unknown_key') return found
    return whenKnown(keySet.newer(), (newer) => {
      if (newer === 'none') return found
      return newer === null ? 'jwks_unavailable' : tryKeys(newer, header, compact)
    })
  })
}

function tryKeys(keys: readonly PublicKey[], header: Header, compact: Compact): PublicKey | NoKey {
  const { kid, algorithm } = header
  if (kid === null) return tryUnnamed(keys, header, compact)
  const key = keys.find((each) => each.kid === kid && each.algorithm === algorithm)
  if (key !== undefined) return verifies(key, compact.signed, compact.signature) ? key : 'jwt_signature'
  return keys.some((each) => each.kid === kid) ? 'jwt_algorithm' : 'jwt_unknown_key'
}

function tryUnnamed(
  keys: readonly PublicKey[],
  { algorithm }: Header,
  { signed, signature }: Compact,
): PublicKey | NoKey {
  const fitting = keys.filter((key) => key.algorithm === algorithm).slice(0, MAX_TRIED)
  return fitting.find((key) => verifies(key, signed, signature)) ?? 'jwt_unknown_key'
}
