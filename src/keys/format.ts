import { crc32 } from 'node:zlib'
import { toBase62 } from '../lib/base62.ts'
import type { Environment } from '../principal.ts'

/** Its length is judged apart, so that nothing here can backtrack. */
const FORM = /^hc_(live|test)_sk_[0-9A-Za-z]+$/

const PREFIX_LENGTH = 'hc_live_sk_'.length
const CHECK_LENGTH = 6
const DOCUMENTED_LENGTH = PREFIX_LENGTH + 16
const ISSUED_LENGTH = PREFIX_LENGTH + 30 + CHECK_LENGTH

/**
 * The environment of a well-formed key: of the documented form with 16 characters, or of the issued one with 30 random
 * and 6 check characters. `null` for anything else. Costs no I/O: junk never reaches a store.
 */
export function environmentOf(key: string): Environment | null {
  if (key.length !== DOCUMENTED_LENGTH && key.length !== ISSUED_LENGTH) return null
  const form = FORM.exec(key)
  if (form === null || (key.length === ISSUED_LENGTH && !isChecked(key))) return null
  return form[1] === 'live' ? 'live' : 'test'
}

function isChecked(key: string): boolean {
  return key.endsWith(checkOf(key.slice(0, -CHECK_LENGTH)))
}

/** CRC-32 (IEEE) of everything before, in base 62: finds typos and junk, proves nothing. */
export function checkOf(text: string): string {
  return toBase62(crc32(text), CHECK_LENGTH)
}

/** What may be shown of a key later: the prefix and the last four characters, `hc_live_sk_…pQr1`. */
export function hintOf(key: string): string {
  return `${key.slice(0, PREFIX_LENGTH)}…${key.slice(-4)}`
}
