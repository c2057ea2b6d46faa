import { crc32 } from 'node:zlib'
import { toBase62 } from '../lib/base62.ts'
import type { Environment } from '../principal.ts'

/** The documented body of 16 characters, or the issued one of 30 random and 6 check characters. */
const FORM = /^hc_(live|test)_sk_([0-9A-Za-z]{16}|[0-9A-Za-z]{36})$/

const CHECK_LENGTH = 6
const PREFIX_LENGTH = 'hc_live_sk_'.length
const ISSUED_LENGTH = PREFIX_LENGTH + 36

/** The environment of a well-formed key; `null` for anything else. Costs no I/O: junk never reaches a store. */
export function environmentOf(key: string): Environment | null {
  if (key.length > ISSUED_LENGTH) return null
  const environment = FORM.exec(key)?.[1]
  if (environment === undefined || !hasGoodCheck(key)) return null
  return environment === 'live' ? 'live' : 'test'
}

function hasGoodCheck(key: string): boolean {
  if (key.length !== ISSUED_LENGTH) return true
  const checked = key.slice(0, -CHECK_LENGTH)
  return key.endsWith(checkOf(checked))
}

/** CRC-32 (IEEE) of everything before, in base 62: finds typos and junk, proves nothing. */
export function checkOf(text: string): string {
  return toBase62(crc32(text), CHECK_LENGTH)
}

/** What may be shown of a key later: the prefix and the last four characters. */
export function hintOf(key: string): string {
  return `${key.slice(0, PREFIX_LENGTH)}…${key.slice(-4)}`
}
